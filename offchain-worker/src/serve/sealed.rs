//! Sealed bodies: the request's is opened before anybody reads it, and whatever answers it is sealed.

use assay_channel::{
    seal::{self, Binding, Opener, ResponseSealer, SealError, SealKey, Sealer},
    wire::{self, SEALED_TYPE, SEAL_HEADER},
};
use assay_openai::{ApiError, Limits};
use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::{
        header::{CONTENT_LENGTH, CONTENT_TYPE},
        request::Parts,
        HeaderMap, HeaderValue, StatusCode,
    },
    response::Response,
};
use futures::{stream, StreamExt};

/// Frames of 512 bytes and more add less than this part to a body.
const OVERHEAD: usize = 16;

/// What a body may be before it is opened, where these are the limits for one that is open.
pub fn limits(open: &Limits) -> Limits {
    let overhead = open.body_bytes / OVERHEAD;
    Limits {
        body_bytes: open.body_bytes.saturating_add(overhead),
        ..open.clone()
    }
}

/// The encapsulated key in the head of a sealed request; none if its body is not sealed.
pub fn encapsulated(head: &HeaderMap) -> Result<Option<[u8; 32]>, ApiError> {
    let sealed_type = head
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(SEALED_TYPE.as_bytes()));
    match (head.get(SEAL_HEADER), sealed_type) {
        (None, false) => Ok(None),
        (Some(value), true) => {
            let value = value.to_str().unwrap_or_default();
            let key = wire::decode_seal(value);
            key.map(Some)
                .map_err(|error| refused(&error).param(SEAL_HEADER))
        }
        _ => Err(refused(&format_args!(
            "a sealed body has both the header {SEAL_HEADER} and the content type {SEALED_TYPE}, \
             and any other has neither"
        ))),
    }
}

/// Opens a sealed body, and has the head say what it is then; what answers it is for [`seal`].
pub fn open(
    head: &mut Parts,
    sealed: &[u8],
    encapsulated: &[u8; 32],
    key: &SealKey,
    binding: &Binding,
) -> Result<(Vec<u8>, ResponseSealer), ApiError> {
    let opened = seal::open_request(key, binding, encapsulated)
        .and_then(|(opener, sealer)| Ok((opened(opener, sealed)?, sealer)));
    let (plain, sealer) = opened.map_err(|error| refused(&error))?;
    let headers = &mut head.headers;
    headers.remove(SEAL_HEADER);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, plain.len().into());
    Ok((plain, sealer))
}

fn opened(mut opener: Opener, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    let plain = opener.push(sealed)?;
    opener.finish()?;
    Ok(plain)
}

/// Seals a response: each piece as it comes, and a marker behind the last one.
pub fn seal(response: Response, sealer: &ResponseSealer) -> Response {
    let (encapsulated, sealer) = match sealer.begin(&mut rand::rng()) {
        Ok(begun) => begun,
        Err(error) => return axum::response::IntoResponse::into_response(refused(&error)),
    };
    let (mut parts, body) = response.into_parts();
    let headers = &mut parts.headers;
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(SEALED_TYPE));
    if let Ok(value) = HeaderValue::try_from(wire::encode_seal(&encapsulated)) {
        headers.insert(SEAL_HEADER, value);
    }
    Response::from_parts(parts, sealed(body.into_data_stream(), sealer))
}

/// A body that breaks off has no marker, so its reader knows.
fn sealed(plain: BodyDataStream, sealer: Sealer) -> Body {
    let state = Some((plain, sealer));
    Body::from_stream(stream::unfold(state, |state| async {
        let (mut plain, mut sealer) = state?;
        Some(match plain.next().await {
            Some(Ok(piece)) => {
                let frames = Bytes::from(sealer.push(&piece));
                (Ok(frames), Some((plain, sealer)))
            }
            Some(Err(error)) => (Err(error), None),
            None => (Ok(sealer.finish(&[]).into()), None),
        })
    }))
}

fn refused(why: &dyn std::fmt::Display) -> ApiError {
    ApiError {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        ..ApiError::invalid(why.to_string()).code("seal_broken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_channel::seal::{seal_request, MAX_FRAME};

    #[test]
    fn the_longest_body_fits_when_it_is_sealed() {
        let open = Limits::default();
        let key = SealKey::from_bytes(&[9; 32]).unwrap();
        let binding = Binding {
            genesis: Default::default(),
            provider: [0; 32],
            channel: Default::default(),
        };
        let body = vec![b'x'; open.body_bytes];
        for (frame, fits) in [(512, true), (MAX_FRAME, true), (256, false)] {
            let sealed = seal_request(&key.public(), &binding, &mut rand::rng());
            let (_, mut sealer, _) = sealed.unwrap();
            let frames = body.chunks(frame).map(|piece| sealer.push(piece).len());
            let length = frames.sum::<usize>() + sealer.finish(&[]).len();
            assert_eq!(length <= limits(&open).body_bytes, fits, "{frame}");
        }
    }
}

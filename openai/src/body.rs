//! Bodies of requests, within limits.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::{
        header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT},
        HeaderMap, StatusCode,
    },
};
use futures::StreamExt;
use tokio::time::{timeout, timeout_at, Instant};

use crate::{ApiError, Limits};

/// Of a body that is too long, up to so many times the limit is read and thrown away before the answer, for so long at most
/// and while it comes without a pause. Most clients look for the answer only when they have sent all, and would
/// find a connection that is closed.
const DRAINED: usize = 4;
const DRAIN: Duration = Duration::from_secs(2);
const DRAIN_PAUSE: Duration = Duration::from_millis(250);

/// That the body says that it is JSON.
pub fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let found = headers
        .get(CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default();
    let kind = found.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ..ApiError::invalid(format!(
            "the body's content-type is {found:?}; send it as application/json"
        ))
        .code("unsupported_media_type")
    })
}

/// The whole body, if it is no longer and takes no longer than the limits have it. One that says that it is longer is
/// not kept.
pub async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
) -> Result<Bytes, ApiError> {
    read_body_into(headers, body, limits, |_| Ok(())).await
}

/// The same, where there has to be room for what comes: `hold` is told how many bytes there would be with each part of it,
/// and may refuse them. What a body says of its length takes no room.
pub async fn read_body_into(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
    hold: impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if let Some(length) = announced.filter(|length| *length > limits.body_bytes) {
        // Who waits for leave to send it is spared that.
        if length <= most_drained(limits) && !headers.contains_key(EXPECT) {
            drain(body.into_data_stream(), length).await;
        }
        return Err(too_large(limits));
    }
    let whole = timeout(limits.body_timeout, collect(body, limits, hold));
    whole.await.map_err(|_| {
        let bound = limits.body_timeout.as_secs();
        too_slow(format!("the body did not arrive within {bound} s"))
    })?
}

async fn collect(
    body: Body,
    limits: &Limits,
    mut hold: impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<Bytes, ApiError> {
    let mut parts = body.into_data_stream();
    let mut whole = Vec::new();
    // Parts without a byte are nothing.
    let mut until = Instant::now() + limits.body_pause;
    loop {
        let part = timeout_at(until, parts.next()).await.map_err(|_| {
            let bound = limits.body_pause.as_secs();
            too_slow(format!("nothing of the body came for {bound} s"))
        })?;
        let Some(part) = part else {
            return Ok(whole.into());
        };
        let part = part.map_err(|error| {
            ApiError::invalid(format!("the body broke off: {error}; send it again"))
        })?;
        if part.is_empty() {
            continue;
        }
        until = Instant::now() + limits.body_pause;
        if part.len() > limits.body_bytes.saturating_sub(whole.len()) {
            let rest = most_drained(limits).saturating_sub(whole.len());
            drop(whole);
            drain(parts, rest.saturating_sub(part.len())).await;
            return Err(too_large(limits));
        }
        hold(whole.len().saturating_add(part.len()))?;
        match whole.is_empty() {
            // What comes in one piece is not copied.
            true => whole = part.into(),
            false => whole.extend_from_slice(&part),
        }
    }
}

fn most_drained(limits: &Limits) -> usize {
    limits.body_bytes.saturating_mul(DRAINED)
}

/// Reads so many bytes of a body, and throws them away.
async fn drain(mut parts: BodyDataStream, mut most: usize) {
    let all = async {
        while let Ok(Some(Ok(part))) = timeout(DRAIN_PAUSE, parts.next()).await {
            match most.checked_sub(part.len()) {
                Some(rest) => most = rest,
                None => return,
            }
        }
    };
    let _ = timeout(DRAIN, all).await;
}

fn too_slow(what: String) -> ApiError {
    ApiError {
        status: StatusCode::REQUEST_TIMEOUT,
        ..ApiError::invalid(format!("{what}; send it faster or shorter")).code("request_timeout")
    }
}

fn too_large(limits: &Limits) -> ApiError {
    ApiError {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        ..ApiError::invalid(format!(
            "the body has more than {} bytes; send a shorter prompt",
            limits.body_bytes
        ))
        .code("request_too_large")
    }
}

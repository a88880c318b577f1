//! Bodies of requests, within limits.

use axum::{
    body::{Body, Bytes},
    http::{
        header::{CONTENT_LENGTH, CONTENT_TYPE},
        HeaderMap, StatusCode,
    },
};
use futures::StreamExt;

use crate::{ApiError, Limits};

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
/// not read at all.
pub async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.body_bytes) {
        return Err(too_large(limits));
    }
    let whole = tokio::time::timeout(limits.body_timeout, collect(body, limits));
    whole.await.map_err(|_| ApiError {
        status: StatusCode::REQUEST_TIMEOUT,
        ..ApiError::invalid(format!(
            "the body did not arrive within {} s; send it faster or shorter",
            limits.body_timeout.as_secs()
        ))
        .code("request_timeout")
    })?
}

async fn collect(body: Body, limits: &Limits) -> Result<Bytes, ApiError> {
    let mut parts = body.into_data_stream();
    let mut whole = Vec::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| {
            ApiError::invalid(format!("the body broke off: {error}; send it again"))
        })?;
        if part.len() > limits.body_bytes.saturating_sub(whole.len()) {
            return Err(too_large(limits));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.into())
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

//! What a request pays with: read from its head, before any of its body.

use assay_channel::{
    wire::{self, Owed, WireError, REQUEST_HEADER, VOUCHER_HEADER},
    ChannelStatus, PaymentError, SignedHeader,
};
use assay_openai::ApiError;
use assay_primitives::SignedVoucher;
use axum::http::{HeaderMap, StatusCode};
use serde_json::json;

/// The headers of a request's choices, and the voucher that came with them.
#[derive(Clone, Debug)]
pub struct Payment {
    pub voucher: SignedVoucher,
    /// One for each choice, at least one.
    pub headers: Vec<SignedHeader>,
}

impl Payment {
    pub fn read(head: &HeaderMap) -> Result<Self, ApiError> {
        let voucher = voucher(head)?;
        let headers = wire::decode_headers(text(head, REQUEST_HEADER)?).map_err(malformed)?;
        Ok(Self { voucher, headers })
    }
}

/// The voucher in a request's head.
pub fn voucher(head: &HeaderMap) -> Result<SignedVoucher, ApiError> {
    wire::decode_voucher(text(head, VOUCHER_HEADER)?).map_err(malformed)
}

fn text<'a>(head: &'a HeaderMap, name: &str) -> Result<&'a str, ApiError> {
    let missing = || ApiError {
        should_retry: Some(false),
        ..ApiError::new(
            StatusCode::PAYMENT_REQUIRED,
            KIND,
            format!(
                "the request has no header {name}: this worker is paid through a channel; use \
                 `assay gateway`, which opens one and signs for it"
            ),
        )
        .code("payment_required")
        .param(name)
    };
    let value = head.get(name).ok_or_else(missing)?;
    value.to_str().map_err(|_| {
        ApiError::invalid(format!("{name} is not text; send base64"))
            .code("malformed_payment")
            .param(name)
    })
}

fn malformed(error: WireError) -> ApiError {
    ApiError::invalid(error.to_string()).code("malformed_payment")
}

const KIND: &str = "payment_error";

/// A refusal in OpenAI's shape, with what is owed.
pub fn refusal(error: &PaymentError, channel: Option<ChannelStatus>) -> ApiError {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::PAYMENT_REQUIRED);
    let kind = match status {
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => "invalid_request_error",
        _ => KIND,
    };
    let refusal = ApiError {
        should_retry: Some(false),
        ..ApiError::new(status, kind, error.to_string()).code(error.code())
    };
    match channel {
        Some(channel) => refusal.assay(json!(Owed {
            required: error.required(),
            channel,
        })),
        None => refusal,
    }
}

use std::{borrow::Cow, time::Duration};

use assay_client::shortened;
use axum::{
    http::{
        header::{CONNECTION, RETRY_AFTER},
        HeaderName, HeaderValue, StatusCode,
    },
    response::{IntoResponse, Response},
    Json,
};
use serde_json::{json, Value};

/// Official clients repeat a request unless this says `false`.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Characters of a request that an error says again at most.
const LONGEST: usize = 1000;

/// An error as OpenAI's clients know it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub status: StatusCode,
    /// `type` in JSON.
    pub kind: Cow<'static, str>,
    pub code: Option<Cow<'static, str>>,
    /// The field of the request that is wrong.
    pub param: Option<String>,
    /// One line that names what is wrong and the next step.
    pub message: String,
    /// When to come again.
    pub retry_after: Option<Duration>,
    /// Whether the same request may succeed later; None leaves it to the status.
    pub should_retry: Option<bool>,
    /// What a client of Assay needs to go on, as the error's field `assay`.
    pub assay: Option<Value>,
}

impl ApiError {
    pub fn new(
        status: StatusCode,
        kind: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            kind: kind.into(),
            code: None,
            param: None,
            message: message.into(),
            retry_after: None,
            should_retry: None,
            assay: None,
        }
    }

    /// 400: the request cannot be meant.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// 400: this parameter asks for something that nobody here does.
    pub fn unsupported(param: impl Into<String>, next: &str) -> Self {
        let param = param.into();
        Self::invalid(format!("{param} is not supported; {next}"))
            .code("unsupported_parameter")
            .param(param)
    }

    /// 404: there is no model of this name.
    pub fn model_not_found(model: &str) -> Self {
        let message =
            format!("there is no model {model:?}; GET /v1/models lists those that there are");
        Self {
            status: StatusCode::NOT_FOUND,
            ..Self::invalid(message)
                .code("model_not_found")
                .param("model")
        }
    }

    /// 429: too much is under way.
    pub fn busy(message: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message)
                .code("rate_limit_exceeded")
        }
    }

    /// 503: nobody answers now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
    }

    /// 500: a fault of this program or its engine.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    pub fn code(self, code: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: Some(code.into()),
            ..self
        }
    }

    pub fn param(self, param: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..self
        }
    }

    pub fn assay(self, assay: Value) -> Self {
        Self {
            assay: Some(assay),
            ..self
        }
    }

    /// The body of the response, and what a broken-off stream ends with.
    pub fn json(&self) -> Value {
        let mut error = json!({
            "message": shortened(&self.message, LONGEST),
            "type": self.kind,
            "param": self.param.as_deref().map(|param| shortened(param, LONGEST)),
            "code": self.code,
        });
        if let Some(assay) = &self.assay {
            error["assay"] = assay.clone();
        }
        json!({ "error": error })
    }

    fn should_retry(&self) -> bool {
        let later = [
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::CONFLICT,
            StatusCode::TOO_MANY_REQUESTS,
        ];
        let by_status = !self.status.is_client_error() || later.contains(&self.status);
        self.should_retry.unwrap_or(by_status)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        let headers = response.headers_mut();
        if !self.should_retry() {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if let Some(after) = self.retry_after {
            // Whole seconds, and never too early.
            let seconds = after.as_millis().div_ceil(1000).max(1) as u64;
            headers.insert(RETRY_AFTER, seconds.into());
        }
        // The rest of the body is still on its way, and nobody will read it.
        if [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT].contains(&self.status) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

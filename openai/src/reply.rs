//! An answer as it goes out.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    http::{
        header::{CACHE_CONTROL, CONTENT_TYPE},
        HeaderName, HeaderValue,
    },
    response::{IntoResponse, Response},
};
use futures::{stream::BoxStream, Stream, StreamExt};

pub enum Reply {
    /// JSON.
    Whole(Bytes),
    /// Events, of which the last is [`crate::sse::done`] unless the answer broke off.
    Stream(BoxStream<'static, Bytes>),
}

impl Reply {
    /// The same, with which `held` goes when nothing more of it has to be made.
    pub fn holding(self, held: impl Send + 'static) -> Self {
        match self {
            Self::Whole(json) => Self::Whole(json),
            Self::Stream(events) => {
                let events = events.map(move |event| {
                    let _held = &held;
                    event
                });
                Self::Stream(events.boxed())
            }
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Whole(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
            Self::Stream(events) => event_stream(events),
        }
    }
}

/// A response of events, which reach the client as they come.
pub fn event_stream(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        // Proxies would collect them.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    (headers, body).into_response()
}

//! A connection of HTTP/2, on which a client has all its answers.

use std::{
    convert::Infallible,
    pin::{pin, Pin},
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc,
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    Router,
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http2,
    service::{service_fn, Service},
    Request,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::interval,
};

use super::{stream::Gathering, Bounds, Failure};

/// How a client says in the TLS handshake that it speaks it.
pub const ALPN: &[u8] = b"h2";

/// Serves `router` on a connection until it ends. One on which nobody asks anything is ended after a while.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    bounds: &Bounds,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let traffic = Traffic::default();
    let (inner, seen) = (TowerToHyperService::new(router), traffic.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (answer, under_way) = (inner.call(request), seen.begin());
        async move {
            let response = answer.await?;
            Ok::<_, Infallible>(response.map(|body| Held {
                body,
                _under_way: under_way,
            }))
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(u32::try_from(bounds.head_bytes).unwrap_or(u32::MAX))
        .serve_connection(TokioIo::new(Gathering::new(stream)), service);
    let mut connection = pin!(connection);
    let mut look = interval(bounds.head);
    look.tick().await;
    let (mut ending, mut begun) = (false, None);
    loop {
        tokio::select! {
            result = connection.as_mut() => return Ok(result?),
            _ = stop.wait_for(|stop| *stop), if !ending => {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                let before = begun.replace(traffic.begun());
                if !traffic.is_idle() || before != begun {
                    continue;
                }
                // Whoever does not take leave when it is asked to is left.
                if ending {
                    return Ok(());
                }
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// The requests of a connection: one clone of it for each that is under way, and how many there were.
#[derive(Clone, Default)]
struct Traffic(Arc<AtomicU64>);

impl Traffic {
    fn begin(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.clone()
    }

    fn begun(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Nobody has a clone but the connection and its service.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) <= 2
    }
}

/// A response's body, with which its request is under way.
struct Held {
    body: Body,
    _under_way: Traffic,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

//! A connection of HTTP/2, on which a client has all its answers.

use std::{
    convert::Infallible,
    io,
    pin::{pin, Pin},
    sync::{
        atomic::{AtomicU64, AtomicUsize, Ordering},
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

/// Serves `router` on a connection until it ends. One on which nobody asks anything is ended after a while, and so is one
/// whose peer takes nothing of any answer, or is not there any more: where HTTP/2 has no window left nothing is written,
/// so the stream below waits for nobody and cannot tell.
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
            Ok::<_, Infallible>(response.map(|body| Held { body, under_way }))
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(bounds.head)
        .keep_alive_timeout(bounds.stalled)
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(u32::try_from(bounds.head_bytes).unwrap_or(u32::MAX))
        .serve_connection(TokioIo::new(Gathering::new(stream)), service);
    let mut connection = pin!(connection);
    let mut look = interval(bounds.head);
    look.tick().await;
    let mut stalled = interval(bounds.stalled);
    stalled.tick().await;
    let (mut ending, mut begun, mut turns) = (false, None, None);
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
            _ = stalled.tick() => {
                let before = turns.replace(traffic.turns());
                if !traffic.is_idle() && traffic.waits_for_peer() && before == turns {
                    let why = "the peer takes nothing of any answer";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why).into());
                }
            }
        }
    }
}

/// The requests of a connection: one clone of it for each that is under way.
#[derive(Clone, Default)]
struct Traffic(Arc<Counts>);

#[derive(Default)]
struct Counts {
    /// Requests so far.
    begun: AtomicU64,
    /// Those of which something is being made here. Of the others the peer has not taken the last frame.
    ours: AtomicUsize,
    /// How often anything was asked for: a request, or a body's next frame.
    turns: AtomicU64,
}

impl Traffic {
    fn begin(&self) -> UnderWay {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        let mut request = UnderWay {
            traffic: self.clone(),
            is_ours: false,
        };
        request.turn(true);
        request
    }

    fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    fn turns(&self) -> u64 {
        self.0.turns.load(Ordering::Relaxed)
    }

    fn waits_for_peer(&self) -> bool {
        self.0.ours.load(Ordering::Relaxed) == 0
    }

    /// Nobody has a clone but the connection and its service.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.0) <= 2
    }
}

/// A request under way, and whether something of it is being made here.
struct UnderWay {
    traffic: Traffic,
    is_ours: bool,
}

impl UnderWay {
    fn turn(&mut self, is_ours: bool) {
        let Counts { ours, turns, .. } = &*self.traffic.0;
        match (self.is_ours, is_ours) {
            (false, true) => {
                turns.fetch_add(1, Ordering::Relaxed);
                ours.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => drop(ours.fetch_sub(1, Ordering::Relaxed)),
            (true, true) | (false, false) => {}
        }
        self.is_ours = is_ours;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.turn(false);
    }
}

/// A response's body, with which its request is under way.
struct Held {
    body: Body,
    under_way: UnderWay,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Nobody asks for the next frame before the peer takes of the one before.
        self.under_way.turn(true);
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.under_way.turn(frame.is_pending());
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

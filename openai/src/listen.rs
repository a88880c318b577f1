//! Connections: TLS where there is a key for it, one task each, and bounds on what a peer can hold.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{watch, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

pub mod many;
pub mod stream;

use self::stream::Impatient;

/// Pause after a failed `accept`, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a peer may hold, and for how long.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For the head of a request, counted from the end of the one before; a connection of HTTP/2 without any request
    /// ends after one to two times as long.
    pub head: Duration,
    /// Bytes of the head of a request.
    pub head_bytes: usize,
    /// For a peer to take any more of what is sent to it.
    pub stalled: Duration,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address.
    pub per_address: usize,
    /// Requests at once on a connection of HTTP/2.
    pub streams: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(20),
            head_bytes: 64 * 1024,
            stalled: Duration::from_secs(60),
            connections: 1024,
            per_address: 128,
            streams: 128,
        }
    }
}

/// Serves `router` until `stop` is true, then lets what is under way end.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    bounds: Bounds,
    mut stop: watch::Receiver<bool>,
) {
    let places = Places::new(&bounds);
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = tasks.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be taken");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Whom there is no place for is told by the end of the connection: an answer would need one.
        let Some(place) = places.take(peer.ip()) else {
            continue;
        };
        let (tls, router, bounds, stop) =
            (tls.clone(), router.clone(), bounds.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = connection(stream, tls, router, &bounds, stop).await {
                tracing::debug!(%peer, %error, "connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    router: Router,
    bounds: &Bounds,
    stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    // Tokens are small writes that somebody waits for.
    stream.set_nodelay(true)?;
    let stream = Impatient::new(stream, bounds.stalled);
    match tls {
        Some(tls) => {
            let stream = timeout(bounds.handshake, tls.accept(stream)).await??;
            match stream.get_ref().1.alpn_protocol() {
                Some(many::ALPN) => many::serve(stream, router, bounds, stop).await,
                _ => one_by_one(stream, router, bounds, stop).await,
            }
        }
        None => one_by_one(stream, router, bounds, stop).await,
    }
}

/// Serves a connection of HTTP/1.1: one request after the other.
async fn one_by_one<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    router: Router,
    bounds: &Bounds,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(bounds.head_bytes)
        // A client that has sent its request and closed its half has gone away.
        .half_close(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return Ok(result?),
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// The connections that there is room for.
struct Places {
    all: Arc<Semaphore>,
    per_address: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

struct Place {
    _permit: OwnedSemaphorePermit,
    address: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Places {
    fn new(bounds: &Bounds) -> Self {
        Self {
            all: Arc::new(Semaphore::new(bounds.connections)),
            per_address: bounds.per_address,
            taken: Arc::default(),
        }
    }

    fn take(&self, address: IpAddr) -> Option<Place> {
        let permit = self.all.clone().try_acquire_owned().ok()?;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let here = taken.entry(address).or_default();
        if *here >= self.per_address {
            return None;
        }
        *here += 1;
        Some(Place {
            _permit: permit,
            address,
            taken: self.taken.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = taken.get_mut(&self.address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

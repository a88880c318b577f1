//! Connections: TLS where there is a key for it, one task each, and bounds on what a peer can hold.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus::IntCounter;
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

/// The log says at most this often that there is no place: whoever floods the listener shall not fill the disk as well.
const WARN_PAUSE: Duration = Duration::from_secs(60);

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
    /// For a peer to take any more of what is sent to it, and to answer a ping of HTTP/2. A connection of HTTP/2 on which
    /// each answer waits for its peer ends after one to two times as long.
    pub stalled: Duration,
    /// Connections in all.
    pub connections: usize,
    /// Connections from one address. A network of IPv6 with a prefix of 64 bits, which one host has to itself, counts
    /// as one.
    pub per_address: usize,
    /// Requests at once on a connection of HTTP/2.
    pub streams: u32,
    /// Counts those for whom there was no place.
    pub turned_away: Option<IntCounter>,
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
            turned_away: None,
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
    let mut warned: Option<Instant> = None;
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
        let place = match places.take(peer.ip()) {
            Ok(place) => place,
            Err(full) => {
                if let Some(count) = &bounds.turned_away {
                    count.inc();
                }
                if warned.is_none_or(|warned| warned.elapsed() >= WARN_PAUSE) {
                    warned = Some(Instant::now());
                    tracing::warn!(address = %peer.ip(), "{full}; whoever comes now is turned away");
                }
                continue;
            }
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

/// Why there is no place.
#[derive(Debug, PartialEq, thiserror::Error)]
enum Full {
    #[error("there are {0} connections, as many as may be in all")]
    All(usize),
    #[error("there are {0} connections from this address, as many as may be from one")]
    Address(usize),
}

/// The connections that there is room for.
struct Places {
    all: Arc<Semaphore>,
    connections: usize,
    per_address: usize,
    /// By [`host`].
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

struct Place {
    _permit: OwnedSemaphorePermit,
    host: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Places {
    fn new(bounds: &Bounds) -> Self {
        Self {
            all: Arc::new(Semaphore::new(bounds.connections)),
            connections: bounds.connections,
            per_address: bounds.per_address,
            taken: Arc::default(),
        }
    }

    fn take(&self, address: IpAddr) -> Result<Place, Full> {
        let permit = self.all.clone().try_acquire_owned();
        let permit = permit.map_err(|_| Full::All(self.connections))?;
        let host = host(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let here = taken.entry(host).or_default();
        if *here >= self.per_address {
            return Err(Full::Address(self.per_address));
        }
        *here += 1;
        Ok(Place {
            _permit: permit,
            host,
            taken: self.taken.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = taken.get_mut(&self.host) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                taken.remove(&self.host);
            }
        }
    }
}

/// What counts as one address. A host with IPv6 has a whole network of them, whose last 64 bits it chooses itself; an
/// address of IPv4 that comes in the clothes of one of IPv6 is still one.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(network).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_network_of_its_own_has_no_more_places_than_others() {
        let places = Places::new(&Bounds {
            connections: 5,
            per_address: 2,
            ..Bounds::default()
        });
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("2001:db8:0:1::1").unwrap();
        let _second = take("2001:db8:0:1:ffff::2").unwrap();
        assert_eq!(take("2001:db8:0:1::3").err(), Some(Full::Address(2)));
        let _neighbour = take("2001:db8:0:2::1").unwrap();
        drop(first);
        let _third = take("2001:db8:0:1::3").unwrap();
        // Those of IPv4 are no network of IPv6, however the listener sees them.
        let _fourth = take("::ffff:192.0.2.1").unwrap();
        let _fifth = take("::ffff:192.0.2.2").unwrap();
        assert_eq!(take("192.0.2.3").err(), Some(Full::All(5)));
        drop(_neighbour);
        let _again = take("192.0.2.1").unwrap();
        drop(_third);
        assert_eq!(take("192.0.2.1").err(), Some(Full::Address(2)));
    }
}

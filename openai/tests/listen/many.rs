//! Answers that share a connection.

use std::{
    future::Future,
    io,
    pin::{pin, Pin},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{
    body::{to_bytes, Body, Bytes},
    http::{Request, Response},
    routing::get,
    Router,
};
use futures::{future::join_all, stream, StreamExt};
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{duplex, AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf},
    sync::{broadcast, watch},
    task::JoinHandle,
};

use assay_openai::listen::{many, stream::Gathering, Bounds};

/// An end of a pipe that counts what is written to it.
struct Counted {
    stream: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
        buffer: &mut ReadBuf,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection, seen from its client.
struct Client {
    requests: SendRequest<Body>,
    /// Ends with the connection.
    end: JoinHandle<hyper::Result<()>>,
    writes: Arc<AtomicUsize>,
    stop: watch::Sender<bool>,
}

impl Client {
    async fn new(router: Router, bounds: Bounds) -> Self {
        Self::with_window(router, bounds, 1 << 20).await
    }

    /// One that takes so many bytes of an answer that it does not read.
    async fn with_window(router: Router, bounds: Bounds, window: u32) -> Self {
        let (here, there) = duplex(1 << 20);
        let writes = Arc::<AtomicUsize>::default();
        let server = Counted {
            stream: there,
            writes: writes.clone(),
        };
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(async move { many::serve(server, router, &bounds, stopped).await });
        let (requests, connection) = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(window)
            .handshake(TokioIo::new(here))
            .await
            .unwrap();
        Self {
            requests,
            end: tokio::spawn(connection),
            writes,
            stop,
        }
    }

    fn ask(&self, path: &str) -> impl Future<Output = hyper::Result<Response<Incoming>>> {
        let url = format!("http://worker{path}");
        let request = Request::get(url).body(Body::empty()).unwrap();
        self.requests.clone().send_request(request)
    }

    /// What the server does not end hangs until the guard fails the test.
    async fn ended(self) {
        let guarded = tokio::time::timeout(Duration::from_secs(60), self.end).await;
        let _ = guarded.expect("the server holds the connection");
    }
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = to_bytes(Body::new(response.into_body()), 1 << 20).await;
    String::from_utf8(bytes.unwrap().to_vec()).unwrap()
}

fn slow() -> Router {
    let slow = || async {
        let late = stream::once(async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            Ok::<_, io::Error>("late")
        });
        Body::from_stream(stream::iter([Ok("early ")]).chain(late))
    };
    Router::new()
        .route("/", get(|| async { "here" }))
        .route("/slow", get(slow))
}

fn quick() -> Bounds {
    Bounds {
        head: Duration::from_millis(200),
        stalled: Duration::from_millis(200),
        ..Bounds::default()
    }
}

#[tokio::test]
async fn what_a_step_gives_to_all_answers_is_sent_together() {
    // Large enough that HTTP/2 would write each by itself.
    const PIECE: &[u8] = &[b'x'; 400];
    let (step, _) = broadcast::channel::<()>(4);
    let steps = step.clone();
    let answer = move || {
        let steps = steps.subscribe();
        async move {
            Body::from_stream(stream::unfold(steps, |mut steps| async {
                steps.recv().await.ok()?;
                Some((Ok::<_, io::Error>(Bytes::from_static(PIECE)), steps))
            }))
        }
    };
    let client = Client::new(Router::new().route("/", get(answer)), Bounds::default()).await;
    let answers = join_all((0..32).map(|_| client.ask("/"))).await;
    let mut answers: Vec<_> = answers
        .into_iter()
        .map(|answer| Body::new(answer.unwrap().into_body()).into_data_stream())
        .collect();
    assert_eq!(step.receiver_count(), 32);
    for _ in 0..3 {
        let before = client.writes.load(Ordering::SeqCst);
        step.send(()).unwrap();
        for answer in &mut answers {
            assert_eq!(answer.next().await.unwrap().unwrap(), PIECE);
        }
        let writes = client.writes.load(Ordering::SeqCst) - before;
        assert_eq!(writes, 1);
    }
}

#[test]
fn others_have_their_turn_before_anything_is_sent_and_nobody_is_waited_for() {
    let writes = Arc::<AtomicUsize>::default();
    let (stream, _other) = duplex(1 << 20);
    let mut stream = Gathering::new(Counted {
        stream,
        writes: writes.clone(),
    });
    let mut cx = Context::from_waker(Waker::noop());
    for round in 1..=2 {
        for text in ["what", "what else"] {
            let written = pin!(stream.write_all(text.as_bytes())).poll(&mut cx);
            assert!(written.is_ready());
            // The first asks for another turn.
            let sent = pin!(stream.flush()).poll(&mut cx);
            assert_eq!(sent.is_ready(), text == "what else");
        }
        assert_eq!(writes.load(Ordering::SeqCst), round);
        assert!(pin!(stream.flush()).poll(&mut cx).is_ready());
    }
    assert_eq!(writes.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn more_than_a_record_arrives_in_order() {
    let piece = |number: u16| number.to_le_bytes().repeat(150);
    let pieces = move || async move {
        let pieces = (0..1000).map(piece).map(Ok::<_, io::Error>);
        Body::from_stream(stream::iter(pieces))
    };
    let client = Client::new(Router::new().route("/", get(pieces)), Bounds::default()).await;
    let answers = join_all((0..3).map(|_| client.ask("/"))).await;
    for answer in answers {
        let body = Body::new(answer.unwrap().into_body());
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let expected: Vec<u8> = (0..1000).flat_map(piece).collect();
        assert!(bytes == expected);
    }
}

#[tokio::test]
async fn a_connection_without_requests_ends_and_one_with_an_answer_does_not() {
    let client = Client::new(slow(), quick()).await;
    let answer = client.ask("/slow").await.unwrap();
    assert_eq!(text(answer).await, "early late");
    client.ended().await;
}

#[tokio::test]
async fn who_asks_nothing_at_all_is_left() {
    let (mut silent, there) = duplex(1 << 16);
    let (_stop, stopped) = watch::channel(false);
    let bounds = quick();
    let served = many::serve(there, slow(), &bounds, stopped);
    let guarded = tokio::time::timeout(Duration::from_secs(60), served).await;
    let _ = guarded.expect("the server holds the connection");
    assert!(silent.write_all(b"late").await.is_err());
}

/// With no window at all, and with one that is too small for the answer.
#[tokio::test]
async fn a_peer_that_takes_nothing_of_its_answers_is_left() {
    for window in [0, 3] {
        let client = Client::with_window(slow(), quick(), window).await;
        let unread = client.ask("/").await.unwrap();
        assert_eq!(unread.status(), 200);
        client.ended().await;
    }
}

#[tokio::test]
async fn a_peer_that_reads_slowly_is_not_left() {
    let pieces = || async {
        let pieces = stream::repeat_with(|| Ok::<_, io::Error>("piece"));
        Body::from_stream(pieces)
    };
    let router = Router::new().route("/", get(pieces));
    let client = Client::with_window(router, quick(), 8).await;
    let answer = client.ask("/").await.unwrap();
    let mut answer = Body::new(answer.into_body()).into_data_stream();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(answer.next().await.unwrap().is_ok());
    }
}

/// Its connection has others, which shall not suffer.
#[tokio::test]
async fn an_answer_that_is_not_read_ends_no_other() {
    let client = Client::with_window(slow(), quick(), 8).await;
    let unread = client.ask("/slow").await.unwrap();
    for _ in 0..3 {
        let answer = client.ask("/slow").await.unwrap();
        assert_eq!(text(answer).await, "early late");
    }
    client.ended().await;
    drop(unread);
}

/// The machine lost its power: nothing says that the connection is over.
#[tokio::test]
async fn a_peer_that_is_not_there_any_more_is_left_while_its_answer_is_made() {
    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    // GET / of http://worker, and no body.
    const HEAD: &[u8] = b"\0\0\x0b\x01\x05\0\0\0\x01\x82\x86\x84\x41\x06worker";
    let (asked, mut is_asked) = watch::channel(false);
    let never = move || async move {
        asked.send_replace(true);
        std::future::pending::<()>().await
    };
    let (mut dead, there) = duplex(1 << 16);
    for bytes in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], SETTINGS, HEAD] {
        dead.write_all(bytes).await.unwrap();
    }
    let (_stop, stopped) = watch::channel(false);
    let bounds = quick();
    let served = many::serve(
        there,
        Router::new().route("/", get(never)),
        &bounds,
        stopped,
    );
    let guarded = tokio::time::timeout(Duration::from_secs(60), served).await;
    assert!(guarded.expect("the server holds the connection").is_err());
    assert!(*is_asked.borrow_and_update());
}

#[tokio::test]
async fn what_is_under_way_ends_and_nothing_new_begins_on_it() {
    let client = Client::new(slow(), Bounds::default()).await;
    let answer = client.ask("/slow").await.unwrap();
    client.stop.send_replace(true);
    assert_eq!(text(answer).await, "early late");
    assert!(client.ask("/").await.is_err());
    client.ended().await;
}

#[tokio::test]
async fn there_are_so_many_requests_at_once_and_no_more() {
    let running = Arc::<AtomicUsize>::default();
    let most = Arc::<AtomicUsize>::default();
    let (now, seen) = (running.clone(), most.clone());
    let answer = move || {
        let (now, seen) = (now.clone(), seen.clone());
        async move {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            now.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let bounds = Bounds {
        streams: 2,
        ..Bounds::default()
    };
    let client = Client::new(Router::new().route("/", get(answer)), bounds).await;
    // From the first answer on it knows the bound.
    client.ask("/").await.unwrap();
    for answer in join_all((0..6).map(|_| client.ask("/"))).await {
        assert_eq!(answer.unwrap().status(), 200);
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

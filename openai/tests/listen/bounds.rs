//! What a peer can hold: connections of its own, for as long as it is quick.

use std::{io, net::SocketAddr, time::Duration};

use axum::{body::Body, routing::get, Router};
use futures::{stream, StreamExt};
use prometheus::IntCounter;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use assay_openai::listen::{serve, Bounds};

struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

async fn server(bounds: Bounds) -> Server {
    let endless = || async {
        let zeros = stream::repeat_with(|| Ok::<_, io::Error>(vec![0; 1 << 16]));
        Body::from_stream(zeros)
    };
    let after = |pause| {
        move || async move {
            let later = stream::once(async move {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                Ok::<_, io::Error>("late")
            });
            Body::from_stream(stream::iter([Ok("early ")]).chain(later))
        }
    };
    let router = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/slow", get(after(300)))
        .route("/slower", get(after(1500)))
        .route("/endless", get(endless));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, seen) = watch::channel(false);
    let task = tokio::spawn(serve(listener, None, router, bounds, seen));
    Server {
        address,
        stop,
        task,
    }
}

async fn ask(stream: &mut TcpStream, path: &str) -> io::Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: worker\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = vec![0; 1024];
    let length = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

/// Waits for the server to end the connection. What it does not end hangs until the guard fails the test.
async fn ended(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let end = stream.read_to_end(&mut rest);
    let guarded = tokio::time::timeout(Duration::from_secs(20), end).await;
    let _ = guarded.expect("the server holds the connection");
}

fn quick() -> Bounds {
    let soon = Duration::from_millis(200);
    Bounds {
        handshake: soon,
        head: soon,
        stalled: soon,
        ..Bounds::default()
    }
}

#[tokio::test]
async fn a_head_that_never_ends_ends_its_connection_and_no_other() {
    let server = server(quick()).await;
    let mut loris = TcpStream::connect(server.address).await.unwrap();
    loris.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let mut good = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(&mut good, "/").await.unwrap().ends_with("here"));
    ended(&mut loris).await;
    ended(&mut idle).await;
}

#[tokio::test]
async fn a_peer_that_is_too_slow_gives_its_place_back() {
    let server = server(Bounds {
        head: Duration::from_millis(500),
        per_address: 2,
        ..Bounds::default()
    })
    .await;
    let mut good = TcpStream::connect(server.address).await.unwrap();
    let begun = ask(&mut good, "/slower").await.unwrap();
    assert!(begun.starts_with("HTTP/1.1 200"), "{begun}");
    let mut loris = TcpStream::connect(server.address).await.unwrap();
    loris.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut third = TcpStream::connect(server.address).await.unwrap();
    let refused = ask(&mut third, "/").await;
    assert!(refused.map_or(true, |answer| answer.is_empty()));
    ended(&mut loris).await;
    loop {
        let mut fourth = TcpStream::connect(server.address).await.unwrap();
        if ask(&mut fourth, "/")
            .await
            .is_ok_and(|answer| !answer.is_empty())
        {
            break;
        }
    }
    // Whose answer is under way has all the time that it takes.
    let mut rest = String::new();
    good.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("late"), "{rest}");
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_left() {
    let server = server(quick()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    ask(&mut stream, "/endless").await.unwrap();
    // What the system has buffered can still be read, and then it is over although the answer is not.
    tokio::time::sleep(Duration::from_millis(600)).await;
    ended(&mut stream).await;
}

#[tokio::test]
async fn there_is_room_for_so_many_connections_and_no_more() {
    let turned_away = IntCounter::new("turned_away", "Those for whom there was no place.").unwrap();
    let server = server(Bounds {
        per_address: 2,
        turned_away: Some(turned_away.clone()),
        ..Bounds::default()
    })
    .await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        ask(&mut stream, "/").await.unwrap();
        held.push(stream);
    }
    let mut third = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(&mut third, "/")
        .await
        .map_or(true, |answer| answer.is_empty()));
    assert_eq!(turned_away.get(), 1);
    // A place is free again when its connection has ended.
    drop(held.pop());
    loop {
        let mut fourth = TcpStream::connect(server.address).await.unwrap();
        if ask(&mut fourth, "/")
            .await
            .is_ok_and(|answer| !answer.is_empty())
        {
            break;
        }
    }
}

#[tokio::test]
async fn what_is_under_way_ends_and_nothing_new_begins() {
    let Server {
        address,
        stop,
        task,
    } = server(Bounds::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let begun = ask(&mut stream, "/slow").await.unwrap();
    assert!(begun.starts_with("HTTP/1.1 200"), "{begun}");
    stop.send_replace(true);
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("late") || begun.contains("late"), "{rest}");
    task.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

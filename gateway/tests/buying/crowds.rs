//! More clients than there is room for, and slow ones.

use std::{future::Future, pin::Pin, sync::atomic::Ordering, time::Duration};

use serde_json::{json, Value};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{eventually, tokens, World};

/// A gateway with a channel that has too little for the next answer.
async fn world() -> World {
    let mut world = World::new(&[1]).await;
    world.terms.policy.step = 150;
    world
}

/// Such a gateway that has bought once, with room for so many requests at once.
async fn with_room(requests: usize) -> World {
    let mut world = world().await;
    world.room.requests = requests;
    world.start().await;
    assert_eq!(world.ask(&world.request(100)).await.0, 200);
    world
}

/// Asks for more than the channel has, and returns when only the chain is waited for.
async fn waiting<'a>(
    world: &'a World,
    request: &'a Value,
) -> Pin<Box<impl Future<Output = (u16, Value)> + 'a>> {
    let mut answer = Box::pin(world.ask(request));
    eventually("a top-up is on its way", async || {
        let pending = futures::poll!(&mut answer).is_pending();
        pending && world.status().await["channels"][0]["coming"] != "0"
    })
    .await;
    answer
}

#[tokio::test]
async fn more_requests_than_there_is_room_for_are_told_to_come_again() {
    let world = with_room(1).await;
    let crowd = world.chain.crowd.lock().await;
    let large = world.request(100);
    let answer = waiting(&world, &large).await;

    let url = world.url("/v1/completions");
    let refused = reqwest::Client::new().post(url).json(&world.request(5));
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(!refused.headers().contains_key("x-should-retry"));
    let error: Value = refused.json().await.unwrap();
    assert_eq!(error["error"]["type"], "rate_limit_error");
    assert_eq!(error["error"]["code"], "rate_limit_exceeded");
    // Whoever only looks is not counted.
    for page in ["/health", "/status", "/metrics", "/v1/models"] {
        assert_eq!(world.get(page).await.0, 200, "{page}");
    }

    // Who was there is served, and the place is free again: after an answer, a refusal, and a client that left.
    drop(crowd);
    let (status, answer) = answer.await;
    assert_eq!((status, tokens(&answer)), (200, world.right(100)));
    assert_eq!(world.ask(&json!({ "model": "gpt" })).await.0, 400);
    let crowd = world.chain.crowd.lock().await;
    let left = waiting(&world, &large).await;
    assert_eq!(world.ask(&world.request(5)).await.0, 429);
    drop(left);
    drop(crowd);
    eventually("the place of the client that left is free", async || {
        world.ask(&world.request(5)).await.0 == 200
    })
    .await;
}

/// A top-up that is sent cannot be taken back; what it was for can.
#[tokio::test]
async fn a_client_that_leaves_holds_its_place_while_the_chain_is_waited_for_and_pays_nothing() {
    let world = with_room(1).await;
    let crowd = world.chain.crowd.lock().await;
    let large = world.request(100);
    drop(waiting(&world, &large).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.ask(&world.request(5)).await.0, 429);
    drop(crowd);
    eventually("its place is free", async || {
        world.ask(&world.request(5)).await.0 == 200
    })
    .await;
    let worker = &world.workers[0];
    assert_eq!(worker.asked.load(Ordering::SeqCst), 2, "it was asked for");
    assert_eq!(worker.earned(), 103 + 8);
    let status = world.status().await;
    assert_eq!(status["channels"][0]["kept_requests"], 2, "it was ordered");
}

#[tokio::test]
async fn a_client_that_leaves_waits_for_no_turn() {
    let world = with_room(2).await;
    let crowd = world.chain.crowd.lock().await;
    let large = world.request(100);
    let first = waiting(&world, &large).await;
    let mut second = Box::pin(world.ask(&large));
    eventually("both are there", async || {
        let pending = futures::poll!(&mut second).is_pending();
        let metrics = world.get("/metrics").await.1;
        pending && metrics.contains("assay_gateway_requests_running 2")
    })
    .await;
    assert_eq!(world.ask(&world.request(5)).await.0, 429);
    drop(second);
    eventually("one place is free", async || {
        world.ask(&world.request(5)).await.0 == 200
    })
    .await;
    drop(crowd);
    let (status, answer) = first.await;
    assert_eq!((status, tokens(&answer)), (200, world.right(100)));
    assert_eq!(world.workers[0].asked.load(Ordering::SeqCst), 3);
    let metrics = world.get("/metrics").await.1;
    for (outcome, count) in [("answered", 3), ("abandoned", 1)] {
        let series = format!("outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&series), "{series}: {metrics}");
    }
}

/// Its node has not the block yet that opened the channel: the request is sent again until it has.
#[tokio::test]
async fn a_provider_is_not_asked_again_for_a_client_that_left() {
    let world = with_room(1).await;
    let worker = world.workers[0].clone();
    let id = world.channels_of(&worker)[0];
    let channel = world.chain.all().remove(&id).unwrap();
    let small = world.request(5);
    let mut left = Box::pin(world.ask(&small));
    eventually("it is asked", async || {
        assert!(futures::poll!(&mut left).is_pending());
        worker.asked.load(Ordering::SeqCst) > 1
    })
    .await;
    drop(left);
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.chain.all().insert(id, channel);
    eventually("its place is free", async || {
        world.ask(&small).await.0 == 200
    })
    .await;
    assert_eq!(worker.earned(), 103 + 8);
}

/// What the gateway does not end hangs until the guard fails the test.
async fn ended(client: &mut TcpStream) {
    let mut rest = Vec::new();
    let end = client.read_to_end(&mut rest);
    let guarded = tokio::time::timeout(Duration::from_secs(20), end).await;
    let _ = guarded.expect("the gateway holds the connection");
}

#[tokio::test]
async fn slow_clients_lose_their_places_and_disturb_nobody() {
    let mut world = world().await;
    world.room.bounds.head = Duration::from_secs(2);
    world.room.bounds.connections = 3;
    world.start().await;
    assert_eq!(world.ask(&world.request(100)).await.0, 200);
    let crowd = world.chain.crowd.lock().await;
    let large = world.request(100);
    let answer = waiting(&world, &large).await;
    // Until the connections for looking at the gateway have ended.
    tokio::time::sleep(Duration::from_millis(500)).await;

    let url = world.url("");
    let address = url.strip_prefix("http://").unwrap();
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut loris = TcpStream::connect(address).await.unwrap();
    loris
        .write_all(b"POST /v1/completions HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    let full = reqwest::get(world.url("/health")).await;
    assert!(full.is_err(), "there is no place left: {full:?}");
    ended(&mut idle).await;
    ended(&mut loris).await;
    eventually("there are places again", async || {
        reqwest::get(world.url("/health")).await.is_ok()
    })
    .await;
    drop(crowd);
    let (status, answer) = answer.await;
    assert_eq!((status, tokens(&answer)), (200, world.right(100)));
}

//! The user's own node, where it does not know what the chain is by now: nobody else is blamed for that.

use std::{
    sync::{atomic::Ordering, Arc},
    time::Duration,
};

use serde_json::Value;

use crate::world::{eventually, tokens, World};

/// A gateway that has bought, and whose node misses all blocks from then on, so many.
async fn behind(blocks: u32) -> World {
    let mut world = World::new(&[1]).await;
    world.start().await;
    assert_eq!(world.ask(&world.request(10)).await.0, 200);
    world.chain.missing.store(blocks, Ordering::SeqCst);
    world.chain.advance(blocks);
    world
}

async fn is_blamed_on_nobody(world: &World, (status, answer): (u16, Value)) {
    assert_eq!(status, 503, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("it is behind"), "{message}");
    assert!(world.evidence().is_empty());
    // It knows the chain again.
    world.chain.missing.store(0, Ordering::SeqCst);
    eventually("the books agree", async || {
        let status = world.status().await;
        let channel = &status["channels"][0];
        let earned = world.workers[0].earned().to_string();
        channel["open_requests"] == 0 && channel["spent"] == earned
    })
    .await;
    let (status, answer) = world.ask(&world.request(10)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    assert_eq!(world.channels_of(&world.workers[0]).len(), 1);
    assert!(world.status().await["channels"][0]["retired"].is_null());
    assert!(world.evidence().is_empty());
}

#[tokio::test]
async fn a_node_that_misses_a_few_blocks_accuses_nobody() {
    let world = behind(5).await;
    let bought = world.ask(&world.request(10)).await;
    is_blamed_on_nobody(&world, bought).await;
}

#[tokio::test]
async fn a_node_that_misses_many_blocks_accuses_nobody() {
    let world = behind(100).await;
    let bought = world.ask(&world.request(10)).await;
    is_blamed_on_nobody(&world, bought).await;
}

#[tokio::test]
async fn an_answer_waits_for_a_node_that_is_soon_in_sync() {
    let world = Arc::new(behind(100).await);
    let asking = tokio::spawn({
        let world = world.clone();
        async move { world.ask(&world.request(10)).await }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!asking.is_finished());
    world.chain.missing.store(0, Ordering::SeqCst);
    let (status, answer) = asking.await.unwrap();
    assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    assert_eq!(world.workers[0].asked.load(Ordering::SeqCst), 2);
    assert!(world.evidence().is_empty());
}

//! The user's own node, where it does not know what the chain is by now: nobody else is blamed for that, and nothing is
//! ordered.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Duration,
};

use serde_json::Value;
use tokio::sync::MutexGuard;

use crate::{
    chain::NODE,
    worker::{Manner, Rule},
    world::{demo, eventually, rule, tokens, World},
};

/// Waits until the gateway has seen that its node is behind.
async fn seen(world: &World) {
    eventually("the node is seen to be behind", async || {
        let (status, health) = world.get("/health").await;
        status == 503 && health.contains("s behind")
    })
    .await;
    let metrics = world.get("/metrics").await.1;
    assert!(
        metrics.contains("assay_gateway_chain_connected 0"),
        "{metrics}"
    );
}

/// The node misses all blocks from now on, so many. The gateway has not looked since, and orders as if nothing were;
/// nor does it look until what is returned is let go of.
async fn falls_behind(world: &World, blocks: u32) -> MutexGuard<'_, ()> {
    let sight = world.chain.sight.lock().await;
    eventually("it has looked", async || {
        world.chain.is_held_up.load(Ordering::SeqCst)
    })
    .await;
    world.chain.missing.store(blocks, Ordering::SeqCst);
    world.chain.advance(blocks);
    sight
}

/// It is refused with what the node is behind by. Nothing is signed, and no channel opened.
async fn orders_nothing(world: &World, seconds: u32) {
    let asked = || world.workers[0].asked.load(Ordering::SeqCst);
    let (before, deposited) = (asked(), world.chain.deposited());
    let channels = world.status().await["channels"].clone();
    let (status, code, message, pause) = world.refused(10).await;
    assert_eq!((status, code, pause), (503, "node_behind".into(), Some(5)));
    let behind = format!("the node at {NODE} is {seconds} s behind");
    for part in [&behind, "has peers", "clock"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!((asked(), world.chain.deposited()), (before, deposited));
    assert_eq!(world.status().await["channels"], channels);
}

async fn buys(world: &World) {
    let (status, answer) = world.ask(&world.request(10)).await;
    assert_eq!(
        (status, tokens(&answer)),
        (200, world.right(10)),
        "{answer}"
    );
}

#[tokio::test]
async fn nothing_is_ordered_by_a_node_that_is_behind() {
    let mut world = World::new(&[1]).await;
    world.chain.missing.store(5, Ordering::SeqCst);
    world.start().await;
    orders_nothing(&world, 33).await;
    assert_eq!(world.chain.deposited(), 0);
    // Nobody waits for the next look when it is in sync.
    world.chain.missing.store(0, Ordering::SeqCst);
    buys(&world).await;
    world.chain.missing.store(5, Ordering::SeqCst);
    seen(&world).await;
    orders_nothing(&world, 33).await;
    world.chain.missing.store(4, Ordering::SeqCst);
    buys(&world).await;
    assert!(world.evidence().is_empty());
}

#[tokio::test]
async fn on_a_chain_of_long_slots_a_node_in_step_is_not_behind() {
    let mut world = World::new(&[1]).await;
    *world.chain.slot.lock().unwrap() = Duration::from_secs(90);
    world.start().await;
    buys(&world).await;
    assert_eq!(world.get("/health").await.0, 200);
    world.chain.missing.store(5, Ordering::SeqCst);
    seen(&world).await;
    orders_nothing(&world, 495).await;
}

async fn is_blamed_on_nobody(blocks: u32) {
    let world = World::started(&[1]).await;
    buys(&world).await;
    let sight = falls_behind(&world, blocks).await;
    let (status, answer): (u16, Value) = world.ask(&world.request(10)).await;
    assert_eq!(status, 503, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("s behind"), "{message}");
    assert_eq!(world.workers[0].asked.load(Ordering::SeqCst), 2);
    assert!(world.evidence().is_empty());
    // It knows the chain again.
    world.chain.missing.store(0, Ordering::SeqCst);
    drop(sight);
    eventually("the books agree", async || {
        let channel = world.channel(0).await;
        let earned = world.workers[0].earned().to_string();
        channel["open_requests"] == 0 && channel["spent"] == earned
    })
    .await;
    buys(&world).await;
    assert_eq!(world.channels_of(&world.workers[0]).len(), 1);
    assert!(world.channel(0).await["retired"].is_null());
    assert!(world.evidence().is_empty());
}

#[tokio::test]
async fn a_node_that_misses_a_few_blocks_accuses_nobody() {
    is_blamed_on_nobody(5).await;
}

#[tokio::test]
async fn a_node_that_misses_many_blocks_accuses_nobody() {
    is_blamed_on_nobody(100).await;
}

#[tokio::test]
async fn an_answer_waits_for_a_node_that_is_soon_in_sync() {
    let world = World::started(&[1]).await;
    buys(&world).await;
    let _sight = falls_behind(&world, 100).await;
    let request = world.request(10);
    let mut asking = std::pin::pin!(world.ask(&request));
    let waited = tokio::time::timeout(Duration::from_secs(3), &mut asking).await;
    assert!(waited.is_err(), "{waited:?}");
    world.chain.missing.store(0, Ordering::SeqCst);
    let (status, answer) = asking.await;
    assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    assert_eq!(world.workers[0].asked.load(Ordering::SeqCst), 2);
    assert!(world.evidence().is_empty());
}

/// Whoever has seen a part of the answer is better off with a pause than without the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_that_goes_on_elsewhere_waits_for_the_node_before() {
    let [halted, goes_on] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let halting: Rule = {
        let (halted, goes_on, rule) = (halted.clone(), goes_on.clone(), rule());
        Arc::new(move |seen| {
            while seen.len() == 3 + 40 && !goes_on.load(Ordering::SeqCst) {
                halted.store(true, Ordering::SeqCst);
                // Whatever else this thread had to do, another one does.
                tokio::task::block_in_place(|| std::thread::sleep(Duration::from_millis(10)));
            }
            rule(seen)
        })
    };
    let mut world = World::of(demo(), halting, &[1, 3]).await;
    world.workers[0].behave(Manner::Cuts(70));
    world.start().await;
    let request = world.request(150);
    let mut asking = std::pin::pin!(world.ask(&request));
    // Its second receipt is paid, so what the first provider builds on is known.
    eventually("it is in the middle", async || {
        assert!(futures::poll!(&mut asking).is_pending());
        halted.load(Ordering::SeqCst) && world.workers[0].accepted() > 3 + 64
    })
    .await;
    world.chain.missing.store(5, Ordering::SeqCst);
    seen(&world).await;
    goes_on.store(true, Ordering::SeqCst);
    eventually("it has broken off", async || {
        world.workers[0].earned() == 73
    })
    .await;
    let waited = tokio::time::timeout(Duration::from_secs(3), &mut asking).await;
    assert!(waited.is_err(), "{waited:?}");
    assert_eq!(world.workers[1].asked.load(Ordering::SeqCst), 0);
    world.chain.missing.store(0, Ordering::SeqCst);
    let (status, answer) = asking.await;
    assert_eq!((status, tokens(&answer)), (200, world.right(150)));
    assert_eq!(world.workers[1].asked.load(Ordering::SeqCst), 1);
}

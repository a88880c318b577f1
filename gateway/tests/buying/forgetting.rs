//! What is over for good is let go of, and only that.

use std::sync::atomic::Ordering;

use assay_gateway::market::State;
use serde_json::Value;

use crate::{
    chain::DISPUTE_BLOCKS,
    worker::Manner,
    world::{eventually, tokens, World},
};

/// Dies and comes back: old requests are looked at when it starts.
async fn restart(world: &mut World) {
    world.kill().await;
    world.start().await;
}

/// Waits until so many requests of the worker's channel are kept; what is said of it then.
async fn kept(world: &World, worker: usize, count: u64) -> Value {
    eventually("so many are kept", async || {
        world.channel(worker).await["kept_requests"] == count
    })
    .await;
    world.channel(worker).await
}

fn settle(world: &World, worker: usize, amount: u128) {
    let id = world.channels_of(&world.workers[worker])[0];
    world.chain.all().get_mut(&id).unwrap().settled = amount;
}

#[tokio::test]
async fn a_request_is_kept_until_it_is_paid_on_chain_and_cannot_be_disputed() {
    let mut world = World::started(&[1]).await;
    for _ in 0..2 {
        assert_eq!(world.ask(&world.request(10)).await.0, 200);
    }
    world.chain.advance(DISPUTE_BLOCKS + 1);
    assert_eq!(world.ask(&world.request(10)).await.0, 200);
    kept(&world, 0, 3).await;
    // The second one is not paid for.
    settle(&world, 0, 25);
    restart(&mut world).await;
    kept(&world, 0, 2).await;
    // The third one is, and can be disputed.
    settle(&world, 0, 39);
    restart(&mut world).await;
    kept(&world, 0, 1).await;
    world.chain.advance(DISPUTE_BLOCKS);
    restart(&mut world).await;
    kept(&world, 0, 1).await;
    world.chain.advance(1);
    restart(&mut world).await;
    let channel = kept(&world, 0, 0).await;
    assert_eq!(channel["spent"], "39", "the sum stays");

    // No number is used again, and nothing that is left is held against the provider.
    let (status, answer) = world.ask(&world.request(10)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    assert_eq!(answer["choices"][0]["assay"]["parts"][0]["seq"], 3);
    assert_eq!(world.workers[0].earned(), 52);
    restart(&mut world).await;
    let channel = kept(&world, 0, 1).await;
    assert_eq!(channel["spent"], "52");
    assert!(world.evidence().is_empty());
    assert_eq!(world.status().await["spending"][0]["requests"], 4);
}

#[tokio::test]
async fn a_request_without_a_receipt_is_asked_about_once_more_and_goes_with_its_body() {
    let mut world = World::started(&[1, 3]).await;
    world.workers[0].behave(Manner::Busy);
    assert_eq!(world.ask(&world.request(10)).await.0, 200);
    world.workers[0].behave(Manner::Honest);
    eventually("the busy one is asked again", async || {
        assert_eq!(world.ask(&world.request(10)).await.0, 200);
        world.workers[0].earned() > 0
    })
    .await;
    let all = world.workers[0].earned() / 13 + 1;
    kept(&world, 0, all as u64).await;
    settle(&world, 0, world.workers[0].earned());
    world.chain.advance(DISPUTE_BLOCKS + 1);
    world.kill().await;
    let id = world.channels_of(&world.workers[0])[0];
    assert!(world.store().body(&id, 0).unwrap().is_some());
    let before = world.workers[0].fetched.load(Ordering::SeqCst);
    world.start().await;
    kept(&world, 0, 0).await;
    let asked = world.workers[0].fetched.load(Ordering::SeqCst) - before;
    assert_eq!(asked, 1);
    world.stop().await;
    assert!(world.store().body(&id, 0).unwrap().is_none());
    assert!(world.evidence().is_empty());
}

/// What it costs in the end is claimed by then, and nobody here can know it any more.
#[tokio::test]
async fn a_provider_that_forgot_an_answer_when_it_might_is_not_blamed() {
    let mut world = World::started(&[1, 3]).await;
    world.workers[0].behave(Manner::Dies(70));
    assert_eq!(world.ask(&world.request(150)).await.0, 200);
    world.kill().await;
    // It is back at once, and the gateway only when the dispute window is over.
    let worker = world.workers[0].clone();
    worker.behave(Manner::Honest);
    world.chain.advance(DISPUTE_BLOCKS + 1);
    worker.forget();
    worker.claim();
    let id = world.channels_of(&worker)[0];
    assert_eq!(world.chain.all()[&id].settled, 73);
    world.start().await;
    eventually("its channel is being closed", async || {
        world.chain.all()[&id].state != State::Open
    })
    .await;
    let channel = kept(&world, 0, 1).await;
    let retired = channel["retired"].as_str().unwrap();
    assert!(retired.contains("forgotten"), "{retired}");
    assert_eq!(channel["spent"], "67");
    eventually("what is known of it is counted", async || {
        world.status().await["spending"][0]["fees"] == format!("{}", 67 + 3 * 153)
    })
    .await;
    // It is bought of again, and what it had from the old channel stays its own.
    let (status, answer) = world.ask(&world.request(10)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    assert_eq!(worker.earned(), 73 + 13);
    world.chain.all().get_mut(&id).unwrap().state = State::Closed;
    eventually("the end is seen", async || {
        let status = world.status().await;
        let channels = status["channels"].as_array().unwrap();
        channels.iter().any(|one| one["refunded"] == "927")
    })
    .await;
    assert!(world.evidence().is_empty());
}

/// By the blocks that such a node knows, the provider would still have to have it.
#[tokio::test]
async fn a_node_that_is_behind_says_of_nobody_that_it_forgot_too_early() {
    let mut world = World::started(&[1, 3]).await;
    let worker = world.workers[0].clone();
    worker.behave(Manner::Dies(70));
    assert_eq!(world.ask(&world.request(150)).await.0, 200);
    world.kill().await;
    worker.behave(Manner::Honest);
    let window = DISPUTE_BLOCKS + 1;
    world.chain.advance(window);
    world.chain.missing.store(window, Ordering::SeqCst);
    worker.forget();
    world.start().await;
    eventually("its channel is given up", async || {
        !world.channel(0).await["retired"].is_null()
    })
    .await;
    world.chain.missing.store(0, Ordering::SeqCst);
    let (status, answer) = world.ask(&world.request(10)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    assert_eq!(worker.earned(), 73 + 13, "it is not left alone");
    assert!(world.evidence().is_empty());
}

/// Not a receipt of it is here, so that only the sums say that there was something.
#[tokio::test]
async fn a_channel_with_a_forgotten_request_is_closed_when_its_sums_differ() {
    let mut world = World::started(&[1]).await;
    let worker = world.workers[0].clone();
    worker.behave(Manner::Swallows);
    assert_eq!(world.ask(&world.request(1)).await.0, 503);
    eventually("it is served", async || worker.earned() == 3).await;
    world.kill().await;
    worker.behave(Manner::Honest);
    world.chain.advance(DISPUTE_BLOCKS + 1);
    worker.forget();
    worker.claim();
    world.start().await;
    assert_eq!(world.ask(&world.request(1)).await.0, 503);
    let id = world.channels_of(&worker)[0];
    eventually("its channel is being closed", async || {
        world.chain.all()[&id].state != State::Open
    })
    .await;
    assert_eq!(worker.asked.load(Ordering::SeqCst), 2, "at once");
    eventually("another one is opened", async || {
        world.ask(&world.request(1)).await.0 == 200
    })
    .await;
    assert_eq!(world.channels_of(&worker).len(), 2);
    assert!(world.evidence().is_empty());
}

#[tokio::test]
async fn of_a_closed_channel_only_the_sums_are_kept() {
    let mut world = World::started(&[1]).await;
    assert_eq!(world.ask(&world.request(10)).await.0, 200);
    let id = world.channels_of(&world.workers[0])[0];
    // Its provider never claimed anything.
    world.chain.all().get_mut(&id).unwrap().state = State::Closed;
    restart(&mut world).await;
    let channel = kept(&world, 0, 1).await;
    assert_eq!(channel["state"], "closed");
    world.chain.advance(DISPUTE_BLOCKS + 1);
    restart(&mut world).await;
    let channel = kept(&world, 0, 0).await;
    assert_eq!(channel["signed"], "13");
    assert_eq!(channel["refunded"], "1000");
}

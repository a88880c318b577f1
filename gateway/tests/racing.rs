//! Looking at the chain takes time, and meanwhile channels are opened and topped up: what comes late changes nothing.

#[allow(dead_code)]
#[path = "buying/chain.rs"]
mod chain;

use std::{
    future::pending,
    pin::pin,
    sync::{atomic::Ordering, Arc},
};

use assay_channel::{Ask, Order};
use assay_client::{AccountId32, H256};
use assay_gateway::{
    channels::{Line, MoneyError},
    choice::Offer,
    market::State,
    store::Stage,
    Channels, Policy,
};
use assay_primitives::{Price, Sampling, Task, PPM_ONE};
use serde_json::Value;

use crate::chain::{Chain, Mishap};

fn channels(folder: &std::path::Path, chain: &Arc<Chain>, budget: u128, step: u128) -> Channels {
    let store = Arc::new(assay_gateway::open_store(folder, &**chain).unwrap());
    Channels::new(
        chain.clone(),
        store,
        Policy {
            budget,
            step,
            ..Policy::default()
        },
    )
    .unwrap()
}

/// An answer of so many tokens, a planck each.
async fn order(channels: &Channels, tokens: u32) -> Result<(Arc<Line>, Order), MoneyError> {
    let price = Price {
        input: 1,
        output: 1,
    };
    let offer = Offer {
        provider: AccountId32([10; 32]),
        epoch: 1,
        listing: H256::repeat_byte(5),
        price,
        context: 512,
        score: PPM_ONE,
        endpoint: "http://worker".into(),
        tls_key_hash: None,
        x25519_key: None,
    };
    let ask = Ask {
        secret: [1; 32],
        prompt_root: H256::zero(),
        prompt_len: 0,
        task: Task::Generate,
        sampling: Sampling::GREEDY,
        token_limit: tokens,
        price,
        since: 0,
    };
    channels
        .order(&offer, "demo", ask, None, pending(), |_| Value::Null)
        .await
}

#[tokio::test]
async fn an_old_view_of_the_chain_takes_nothing_out_of_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Arc::new(Chain::new());
    let channels = channels(folder.path(), &chain, 200, 100);
    let (line, _) = order(&channels, 90).await.unwrap();

    let sight = chain.sight.lock().await;
    let mut late = pin!(channels.reconcile());
    assert!(futures::poll!(&mut late).is_pending());
    let (again, _) = order(&channels, 90).await.unwrap();
    assert_eq!((chain.deposited(), again.free()), (200, 20));
    drop(sight);
    late.await.unwrap();

    assert_eq!((line.channel().deposit, line.free()), (200, 20));
    assert_eq!(channels.left().unwrap(), 0);
    let short = order(&channels, 90).await;
    assert!(matches!(short, Err(MoneyError::Budget { left: 0, .. })));
    assert_eq!(chain.deposited(), 200);
}

#[tokio::test]
async fn a_channel_that_two_see_first_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Arc::new(Chain::new());
    let channels = channels(folder.path(), &chain, 1_000, 1_000);
    let word = chain.word.lock().await;
    let mut opening = pin!(order(&channels, 90));
    assert!(futures::poll!(&mut opening).is_pending());
    channels.reconcile().await.unwrap();
    assert_eq!(channels.unknown(), [], "it is the one that was asked for");
    let (seen, first) = order(&channels, 50).await.unwrap();
    chain
        .all()
        .values_mut()
        .for_each(|channel| channel.settled = 7);
    channels.reconcile().await.unwrap();
    drop(word);

    let (opened, second) = opening.await.unwrap();
    assert!(Arc::ptr_eq(&seen, &opened), "two books for one channel");
    assert_eq!((first.seqs, second.seqs), (vec![0], vec![1]));
    assert_eq!((opened.open_requests(), opened.free()), (2, 860));
    assert_eq!(opened.channel().settled, 7);
    assert_eq!(channels.lines().len(), 1);
    assert_eq!(channels.left().unwrap(), 0);
}

/// A transaction that was sent then may be in one of 256 blocks.
#[tokio::test]
async fn an_opening_is_not_forgotten_too_early_where_finality_lags() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Arc::new(Chain::new());
    let channels = channels(folder.path(), &chain, 1_000, 1_000);
    chain.lag.store(200, Ordering::SeqCst);
    chain.suffer(Mishap::Lost);
    assert!(order(&channels, 90).await.is_err());
    for (finalized, left) in [(900, 0), (1_056, 0), (1_312, 0), (1_313, 1_000)] {
        chain.advance(finalized - (chain.number() - chain.lag.load(Ordering::SeqCst)));
        channels.reconcile().await.unwrap();
        assert_eq!(channels.left().unwrap(), left, "{finalized}");
    }
}

/// A top-up opens a channel again that is being closed, and it may come from elsewhere.
#[tokio::test]
async fn a_channel_that_is_opened_again_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Arc::new(Chain::new());
    let channels = channels(folder.path(), &chain, 1_000, 100);
    let (line, _) = order(&channels, 90).await.unwrap();
    let set = |state| chain.all().get_mut(&line.id()).unwrap().state = state;

    let sight = chain.sight.lock().await;
    set(State::Closing(1_010));
    let mut late = pin!(channels.reconcile());
    assert!(futures::poll!(&mut late).is_pending());
    set(State::Open);
    chain.advance(1);
    order(&channels, 90).await.unwrap();
    drop(sight);
    late.await.unwrap();
    assert_eq!(line.channel().stage, Stage::Open, "by an old view");

    for (state, stage) in [
        (State::Closing(1_011), Stage::Closing(1_011)),
        (State::Open, Stage::Open),
    ] {
        set(state);
        chain.advance(1);
        channels.reconcile().await.unwrap();
        assert_eq!(line.channel().stage, stage);
    }
    let (again, _) = order(&channels, 5).await.unwrap();
    assert!(Arc::ptr_eq(&line, &again));
}

#[tokio::test]
async fn a_channel_that_is_given_up_meanwhile_is_not_topped_up() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Arc::new(Chain::new());
    let channels = channels(folder.path(), &chain, 1_000, 100);
    let (line, _) = order(&channels, 90).await.unwrap();
    let purse = chain.purse.lock().await;
    let mut second = pin!(order(&channels, 90));
    assert!(futures::poll!(&mut second).is_pending());
    line.retire("of no more use").unwrap();
    channels.close_retired().await.unwrap();
    drop(purse);
    let (other, _) = second.await.unwrap();
    assert_ne!(other.id(), line.id());
    assert_eq!(chain.top_ups.load(Ordering::SeqCst), 0);
    assert!(matches!(line.channel().stage, Stage::Closing(_)));
}

#[tokio::test]
async fn a_channel_that_its_provider_does_not_know_yet_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Arc::new(Chain::new());
    let channels = channels(folder.path(), &chain, 1_000, 1_000);
    let (line, _) = order(&channels, 90).await.unwrap();
    line.refused("channel_not_found").unwrap();
    assert_eq!(line.channel().retired, None);
    line.arrived(&line.proof());
    line.refused("insufficient_voucher").unwrap();
    assert_eq!(line.channel().retired, None);
    line.refused("channel_not_found").unwrap();
    let why = line.channel().retired.unwrap();
    assert!(why.contains("channel_not_found"), "{why}");
}

/// The chain forgets a closed channel after a while. Nothing is said to be settled that nobody has seen, and the budget
/// counts the most that it can be.
#[tokio::test]
async fn what_a_forgotten_channel_has_cost_is_not_made_up() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Arc::new(Chain::new());
    let store = Arc::new(assay_gateway::open_store(folder.path(), &*chain).unwrap());
    let policy = Policy {
        budget: 1_000,
        step: 100,
        ..Policy::default()
    };
    let channels = Channels::new(chain.clone(), store.clone(), policy).unwrap();
    let (line, _) = order(&channels, 90).await.unwrap();
    line.voucher().unwrap();
    let signed = line.signed();
    assert!(signed > 0 && line.spent() == 0);
    chain.all().clear();
    chain.advance(1_000);
    channels.reconcile().await.unwrap();
    let gone = Stage::Gone {
        at_most: signed,
        spent: 0,
    };
    assert_eq!(line.channel().stage, gone);

    let report = assay_gateway::status::report(&*chain, &store, &channels).await;
    let report = serde_json::to_value(report.unwrap()).unwrap();
    let channel = &report["channels"][0];
    assert_eq!(channel["state"], "closed");
    assert_eq!(
        (&channel["spent"], &channel["settled"]),
        (&"0".into(), &"0".into())
    );
    assert_eq!(channel["settled_at_most"], signed.to_string());
    assert_eq!(channel["refunded"], (100 - signed).to_string());
    assert_eq!(report["committed"], signed.to_string());
    assert_eq!(channels.left().unwrap(), 1_000 - signed);
}

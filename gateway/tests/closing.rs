//! Channels that are only closed: also where somebody else was faster, and where they come from a backup.

#[allow(dead_code)]
#[path = "buying/chain.rs"]
mod chain;

use std::sync::Arc;

use assay_channel::VoucherPair;
use assay_client::{AccountId32, H256};
use assay_gateway::{
    market::State,
    store::{Channel, Stage},
    Channels, Market, Policy, Store,
};
use assay_primitives::ChannelId;

use crate::chain::{Chain, Mishap};

/// A channel on the chain, open, and a store that knows it.
async fn world(folder: &std::path::Path) -> (Arc<Chain>, ChannelId) {
    let chain = Arc::new(Chain::new());
    let id = open(&chain, folder, 4).await;
    (chain, id)
}

/// One more.
async fn open(chain: &Chain, folder: &std::path::Path, seed: u8) -> ChannelId {
    let seed = [seed; 32];
    let key = VoucherPair::sr25519(&seed).public();
    let (provider, listing) = (AccountId32([10; 32]), H256::repeat_byte(5));
    let id = chain.open(provider, listing, key, 1_000).await.unwrap();
    let channel = Channel {
        seed,
        provider: provider.0,
        epoch: 1,
        listing,
        model: "demo".into(),
        deposit: 1_000,
        top_up: None,
        settled: 0,
        stage: Stage::Open,
        since: 1_000,
        retired: None,
    };
    let store = assay_gateway::open_store(folder, chain).unwrap();
    store.put_channel(&id, &channel).unwrap();
    id
}

fn channels(folder: &std::path::Path, chain: &Arc<Chain>) -> Channels {
    let store = Arc::new(assay_gateway::open_store(folder, &**chain).unwrap());
    let policy = Policy {
        budget: 1_000,
        step: 1_000,
        ..Policy::default()
    };
    Channels::new(chain.clone(), store, policy).unwrap()
}

fn set(chain: &Chain, id: ChannelId, state: State) {
    chain.all().get_mut(&id).unwrap().state = state;
}

#[tokio::test]
async fn what_somebody_else_has_closed_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, id) = world(folder.path()).await;
    let channels = channels(folder.path(), &chain);
    channels.reconcile().await.unwrap();
    let line = channels.lines().remove(0);
    line.retire("of no more use").unwrap();

    chain.suffer(Mishap::Refused);
    assert!(channels.close_retired().await.is_err(), "it is open still");
    chain.suffer(Mishap::Refused);
    assert!(channels.close_all().await.is_err(), "it is open still");
    let until = chain.number() + 10;
    for close_all in [false, true] {
        line.change(|channel| channel.stage = Stage::Open).unwrap();
        set(&chain, id, State::Closing(until));
        chain.suffer(Mishap::Refused);
        match close_all {
            false => channels.close_retired().await.unwrap(),
            true => assert_eq!(channels.close_all().await.unwrap(), (1, 0)),
        }
        assert_eq!(line.channel().stage, Stage::Closing(until));
    }

    chain.advance(10);
    chain.suffer(Mishap::Refused);
    assert!(channels.close_all().await.is_err(), "it is not ended");
    set(&chain, id, State::Closed);
    chain.suffer(Mishap::Refused);
    assert_eq!(channels.close_all().await.unwrap(), (0, 1));
    assert_eq!(line.channel().stage, Stage::Closed);
    assert!(channels.lines().is_empty());
}

#[tokio::test]
async fn what_was_bought_after_a_backup_is_not_held_against_the_provider() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (chain, id) = world(&data).await;
    Store::backup(&data, &backup).unwrap();
    let restored = folder.path().join("restored");
    Store::restore(&restored, &backup).unwrap();
    chain.all().get_mut(&id).unwrap().settled = 700;

    let old = channels(&restored, &chain);
    old.reconcile().await.unwrap();
    let line = old.lines().remove(0);
    assert!(line.evidence().is_none());
    assert_eq!((line.spent(), line.channel().settled), (700, 700));
    old.close_retired().await.unwrap();
    assert!(matches!(line.channel().stage, Stage::Closing(_)));

    // With a store that lacks nothing it is a fault.
    let whole = channels(&data, &chain);
    whole.reconcile().await.unwrap();
    assert!(whole.lines()[0].evidence().is_some());

    // And what was signed after the backup may have been taken.
    chain.all().clear();
    chain.advance(200);
    old.reconcile().await.unwrap();
    assert_eq!(line.channel().settled_at_most(), Some(1_000));
}

/// Without the backup's keys nothing can be bought through it; the account's key has its money back.
#[tokio::test]
async fn a_channel_that_was_opened_after_the_backup_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let (chain, old) = world(&data).await;
    Store::backup(&data, &backup).unwrap();
    let new = open(&chain, &data, 5).await;
    let restored = folder.path().join("restored");
    Store::restore(&restored, &backup).unwrap();

    let whole = channels(&data, &chain);
    whole.reconcile().await.unwrap();
    assert_eq!(whole.unknown(), []);
    drop(whole);
    let store = Arc::new(assay_gateway::open_store(&restored, &*chain).unwrap());
    let policy = Policy::default();
    let channels = Channels::new(chain.clone(), store.clone(), policy).unwrap();
    let told = async || {
        channels.reconcile().await.unwrap();
        let report = assay_gateway::status::report(&*chain, &store, &channels).await;
        serde_json::to_value(report.unwrap()).unwrap()
    };
    let report = told().await;
    assert_eq!(report["channels"].as_array().unwrap().len(), 1);
    assert_eq!(report["channels"][0]["channel"], serde_json::json!(old));
    assert_eq!(report["committed"], "1000");
    let unknown = report["unknown"].as_array().unwrap();
    assert_eq!(unknown.len(), 1);
    let command = format!("assay channel close {new:?}");
    assert_eq!(unknown[0]["deposit"], "1000");
    assert_eq!(unknown[0]["close_with"], command);

    set(&chain, new, State::Closing(1_010));
    let report = told().await;
    assert_eq!(report["unknown"][0]["finalize_at"], 1_010);
    assert!(report["unknown"][0]["close_with"].is_null());
    set(&chain, new, State::Closed);
    assert_eq!(told().await["unknown"], serde_json::json!([]));
}

#[tokio::test]
async fn a_node_that_is_behind_does_not_make_a_channel_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, id) = world(folder.path()).await;
    let channels = channels(folder.path(), &chain);
    let there = chain.all().remove(&id).unwrap();
    channels.reconcile().await.unwrap();
    let line = channels.lines().remove(0);
    assert_eq!(line.channel().stage, Stage::Open);
    chain.all().insert(id, there);
    chain.advance(200);
    channels.reconcile().await.unwrap();
    assert_eq!(line.channel().stage, Stage::Open);
    chain.all().clear();
    channels.reconcile().await.unwrap();
    let gone = Stage::Gone {
        at_most: 0,
        spent: 0,
    };
    assert_eq!(line.channel().stage, gone);
    assert!(channels.lines().is_empty());
}

#[tokio::test]
async fn a_channel_that_cannot_be_closed_keeps_no_other_open() {
    for close_all in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (chain, _) = world(folder.path()).await;
        open(&chain, folder.path(), 5).await;
        let channels = channels(folder.path(), &chain);
        channels.reconcile().await.unwrap();
        for line in channels.lines() {
            line.retire("of no more use").unwrap();
        }
        // Whichever comes first.
        chain.suffer(Mishap::Refused);
        match close_all {
            false => assert!(channels.close_retired().await.is_err()),
            true => assert!(channels.close_all().await.is_err()),
        }
        let all = chain.all();
        let closing = all.values().filter(|one| one.state != State::Open);
        assert_eq!(closing.count(), 1, "{close_all}");
    }
}

/// While finality stands still, nobody says how a call ended that is in a block already. A second one would cost its fee.
#[tokio::test]
async fn a_close_whose_end_is_not_known_is_asked_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, id) = world(folder.path()).await;
    let channels = channels(folder.path(), &chain);
    channels.reconcile().await.unwrap();
    let line = channels.lines().remove(0);
    line.retire("it is of no more use").unwrap();
    chain.suffer(Mishap::Lost);
    channels.close_retired().await.unwrap_err();
    channels.close_retired().await.unwrap();
    assert_eq!(chain.all()[&id].state, State::Open);
    // It can be in no block any more.
    chain.advance(200);
    channels.close_retired().await.unwrap();
    assert!(matches!(line.channel().stage, Stage::Closing(_)));
}

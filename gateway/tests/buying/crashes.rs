//! A gateway that dies at every step, and what it finds when it comes back.

use assay_gateway::Store;
use assay_primitives::WINDOW_TOKENS;

use crate::{
    chain::Mishap,
    worker::Manner,
    world::{eventually, tokens, World},
};

#[tokio::test]
async fn a_channel_whose_opening_was_never_confirmed_is_found_again() {
    let mut world = World::started(&[1]).await;
    world.chain.suffer(Mishap::Unsaid);
    assert_eq!(world.ask(&world.request(5)).await.0, 503);
    // As if it had died right then: the deposit counts, whether it is there or not.
    world.kill().await;
    assert_eq!(world.store().committed().unwrap(), 1_000);
    world.start().await;
    let (status, answer) = world.ask(&world.request(5)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(5)));
    assert_eq!(world.chain.all().len(), 1, "no second channel");
    assert_eq!(world.status().await["committed"], "1000");
}

#[tokio::test]
async fn an_opening_that_was_lost_gives_its_budget_back_in_time() {
    let mut world = World::new(&[1]).await;
    world.terms.policy.budget = 1_500;
    world.start().await;
    world.chain.suffer(Mishap::Lost);
    assert_eq!(world.ask(&world.request(5)).await.0, 503);
    world.kill().await;
    world.start().await;
    assert_eq!(world.status().await["committed"], "1000");
    world.chain.advance(200);
    eventually("it is forgotten", async || {
        world.status().await["committed"] == "0"
    })
    .await;
    assert_eq!(world.ask(&world.request(5)).await.0, 200);
    assert_eq!(world.chain.deposited(), 1_000);
}

#[tokio::test]
async fn a_top_up_that_was_never_confirmed_is_counted_once() {
    for (mishap, deposited) in [(Mishap::Unsaid, 200), (Mishap::Lost, 100)] {
        let mut world = World::new(&[1]).await;
        world.terms.policy.step = 100;
        world.terms.policy.budget = 200;
        world.start().await;
        assert_eq!(world.ask(&world.request(90)).await.0, 200);
        world.chain.suffer(mishap);
        assert_ne!(world.ask(&world.request(90)).await.0, 200);
        world.kill().await;
        assert_eq!(world.store().committed().unwrap(), 200, "{mishap:?}");
        world.start().await;
        assert_eq!(world.chain.deposited(), deposited, "{mishap:?}");
        world.chain.advance(200);
        eventually("it can buy again", async || {
            world.ask(&world.request(90)).await.0 == 200
        })
        .await;
        assert_eq!(world.chain.deposited(), 200, "{mishap:?}");
    }
}

#[tokio::test]
async fn dying_in_the_middle_of_an_answer_loses_no_money_and_no_number() {
    let mut world = World::started(&[1]).await;
    let mut response = world.stream(400).await;
    response.chunk().await.unwrap();
    world.kill().await;
    drop(response);
    eventually("the provider notices", async || {
        world.workers[0].earned() > 0
    })
    .await;

    world.start().await;
    // The new request has a number of its own, and gets its whole answer.
    let (status, answer) = world.ask(&world.request(20)).await;
    assert_eq!(
        (status, tokens(&answer)),
        (200, world.right(20)),
        "{answer}"
    );
    eventually("the books agree", async || {
        let status = world.status().await;
        let channel = &status["channels"][0];
        channel["open_requests"] == 0
            && channel["spent"] == world.workers[0].earned().to_string()
            && status["spending"][0]["fees"] == world.workers[0].earned().to_string()
    })
    .await;
    let status = world.status().await;
    let signed: u128 = status["channels"][0]["signed"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(signed <= world.workers[0].earned() + 3 + u128::from(WINDOW_TOKENS));
    assert!(world.evidence().is_empty());
}

#[tokio::test]
async fn a_backup_brings_the_money_back_and_is_bought_with_no_more() {
    let mut world = World::started(&[1]).await;
    assert_eq!(world.ask(&world.request(10)).await.0, 200);
    world.stop().await;
    let backup = world.data.path().join("backup");
    Store::backup(&world.folder(), &backup).unwrap();
    // It goes on after the backup, and then its disk is gone.
    world.start().await;
    assert_eq!(world.ask(&world.request(100)).await.0, 200);
    world.stop().await;
    std::fs::remove_dir_all(world.folder()).unwrap();
    Store::restore(&world.folder(), &backup).unwrap();
    assert!(
        Store::restore(&world.folder(), &backup).is_err(),
        "over another"
    );

    world.start().await;
    let old = world.channels_of(&world.workers[0])[0];
    let (status, answer) = world.ask(&world.request(10)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    assert_eq!(world.chain.all().len(), 2, "a channel of its own");
    eventually("the old one is being closed", async || {
        world.chain.all()[&old].state != assay_gateway::market::State::Open
    })
    .await;
}

#[tokio::test]
async fn a_store_is_of_one_owner_and_for_one_gateway() {
    let mut world = World::started(&[1]).await;
    let open = assay_gateway::open_store(&world.folder(), &*world.chain);
    let message = open.err().unwrap().to_string();
    assert!(message.contains("another gateway"), "{message}");
    world.stop().await;
    let stranger = assay_gateway::Owner {
        genesis: crate::chain::GENESIS,
        account: [9; 32],
    };
    let message = Store::open(&world.folder(), &stranger).err().unwrap();
    assert!(message.to_string().contains("another account"));
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.folder()), 0o700);
    assert_eq!(mode(&world.folder().join("gateway.redb")), 0o600);
    let backup = world.data.path().join("backup");
    Store::backup(&world.folder(), &backup).unwrap();
    assert_eq!(mode(&backup), 0o600);
    world.workers[0].behave(Manner::Honest);
}

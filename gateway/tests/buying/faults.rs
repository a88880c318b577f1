//! What goes wrong at home: an empty wallet, a node that is away, nobody left to ask. No provider is blamed for it.

#[cfg(target_os = "linux")]
use std::process::Command;
use std::{sync::atomic::Ordering, time::Duration};

use assay_client::Amount;
use assay_gateway::{market::State, Market};
use serde_json::{json, Value};

use crate::{
    chain::{Mishap, NODE},
    worker::Manner,
    world::{eventually, tokens, World},
};

/// The cheap provider is asked at once, as if nothing had been.
async fn bought_of_the_first(world: &World) {
    let (status, answer) = world.ask(&world.request(10)).await;
    assert_eq!(
        (status, tokens(&answer)),
        (200, world.right(10)),
        "{answer}"
    );
    assert!(world.workers[0].earned() >= 13);
    assert_eq!(world.workers[1].asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_empty_wallet_is_said_with_the_account_and_what_it_needs() {
    let world = World::started(&[1, 3]).await;
    let funds = std::mem::replace(&mut *world.chain.funds.lock().unwrap(), 500);
    let account = world.chain.account().to_string();
    let (status, code, message, pause) = world.refused(10).await;
    assert_eq!(
        (status, code, pause),
        (402, "insufficient_funds".into(), None)
    );
    let needed = Amount(1_000).to_string();
    for part in [&account, &Amount(500).to_string(), &needed] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // Somebody else has spent it between the look and the transaction.
    *world.chain.funds.lock().unwrap() = funds;
    world.chain.suffer(Mishap::Poor);
    let (status, code, message, _) = world.refused(10).await;
    assert_eq!((status, code), (402, "insufficient_funds".into()));
    assert!(
        message.contains(&account) && message.contains(&needed),
        "{message}"
    );
    assert_eq!(world.chain.deposited(), 0);
    assert_eq!(world.status().await["committed"], "0");
    bought_of_the_first(&world).await;
}

#[tokio::test]
async fn a_top_up_that_the_wallet_has_not_leaves_the_channel_as_it_was() {
    let mut world = World::new(&[1, 3]).await;
    world.terms.policy.step = 100;
    world.start().await;
    let funds = std::mem::replace(&mut *world.chain.funds.lock().unwrap(), 150);
    assert_eq!(world.ask(&world.request(80)).await.0, 200);
    let (status, code, message, _) = world.refused(80).await;
    assert_eq!((status, code), (402, "insufficient_funds".into()));
    assert!(message.contains(&Amount(50).to_string()), "{message}");
    assert_eq!(world.status().await["committed"], "100");
    bought_of_the_first(&world).await;
    *world.chain.funds.lock().unwrap() = funds;
    assert_eq!(world.ask(&world.request(80)).await.0, 200);
    assert_eq!(world.workers[1].asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_node_that_is_away_is_no_fault_of_a_provider() {
    let world = World::started(&[1, 3]).await;
    world.chain.suffer(Mishap::Away);
    let (status, code, message, pause) = world.refused(10).await;
    assert_eq!((status, pause), (503, Some(5)), "{message}");
    assert_eq!(code, "node_failed");
    let failed = format!("the node at {NODE} failed to answer: the connection is lost; see");
    assert!(message.contains(&failed), "{message}");
    bought_of_the_first(&world).await;

    // Away when a receipt's anchor is to be looked up, in the middle of an answer.
    world.chain.advance(1);
    world.chain.is_away.store(true, Ordering::SeqCst);
    let (status, code, message, pause) = world.refused(10).await;
    assert_eq!((status, pause), (503, Some(5)), "{message}");
    assert_eq!(code, "node_failed");
    let failed = format!("the node at {NODE} failed to answer: the connection is lost; see");
    assert!(message.contains(&failed), "{message}");
    assert_eq!(world.workers[0].asked.load(Ordering::SeqCst), 2);
    world.chain.is_away.store(false, Ordering::SeqCst);
    bought_of_the_first(&world).await;
    assert!(world.evidence().is_empty());
}

#[tokio::test]
async fn a_top_up_whose_end_is_not_known_holds_up_one_channel_alone() {
    let mut world = World::new(&[1, 3]).await;
    world.terms.policy.step = 100;
    world.start().await;
    assert_eq!(world.ask(&world.request(90)).await.0, 200);
    world.chain.suffer(Mishap::Lost);
    let (status, _, _, pause) = world.refused(90).await;
    assert_eq!((status, pause), (503, Some(5)));
    let (status, answer) = world.ask(&world.request(90)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(90)));
    assert_eq!(world.workers[1].earned(), 3 * 93);
    // With nobody else it is said what is waited for.
    world.chain.offers.lock().unwrap().truncate(1);
    eventually("the other one is gone", async || {
        world.get("/health").await.1.contains("\"offers\":1")
    })
    .await;
    let (status, _, message, _) = world.refused(90).await;
    assert_eq!(status, 503);
    let until = (world.chain.number() + 128).to_string();
    for part in [&Amount(100).to_string(), &until] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // It is asked at once for what needs no top-up.
    assert_eq!(world.ask(&world.request(3)).await.0, 200);
}

#[tokio::test]
async fn where_all_were_caught_nobody_is_told_to_wait_for_them() {
    let world = World::started(&[1]).await;
    world.workers[0].behave(Manner::AsksTwice);
    let (status, code, message, pause) = world.refused(10).await;
    assert_eq!((status, code, pause), (503, "no_provider".into(), None));
    assert!(message.contains("fee"), "{message}");
    let (status, code, message, pause) = world.refused(10).await;
    assert_eq!((status, code, pause), (503, "no_provider".into(), None));
    assert!(message.contains("`evidence`"), "{message}");
    assert_eq!(world.workers[0].asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_opening_whose_end_is_not_known_holds_up_one_provider_alone() {
    let world = World::started(&[1, 3]).await;
    world.chain.suffer(Mishap::Lost);
    let (status, _, _, pause) = world.refused(10).await;
    assert_eq!((status, pause), (503, Some(5)));
    for _ in 0..2 {
        let (status, answer) = world.ask(&world.request(10)).await;
        assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    }
    // The one that may come, and the one that was bought through.
    assert_eq!(world.status().await["committed"], "2000");
    assert_eq!(world.chain.deposited(), 1_000);
    assert_eq!(world.workers[0].asked.load(Ordering::SeqCst), 0);
    world.chain.advance(129);
    eventually("the first is asked", async || {
        assert_eq!(world.ask(&world.request(10)).await.0, 200);
        world.workers[0].earned() > 0
    })
    .await;
    assert_eq!(world.channels_of(&world.workers[0]).len(), 1);
}

#[tokio::test]
async fn a_provider_that_is_busy_for_no_time_is_not_asked_for_ever() {
    let world = World::started(&[1]).await;
    world.workers[0].behave(Manner::BusyForNothing);
    let asked = tokio::time::timeout(Duration::from_secs(20), world.refused(10));
    let (status, code, ..) = asked.await.expect("it goes on");
    assert_eq!((status, code), (503, "no_provider".into()));
    let asked = world.workers[0].asked.load(Ordering::SeqCst);
    assert!(asked < 10, "{asked} times");
}

#[tokio::test]
async fn where_finality_lags_a_provider_may_build_on_what_is_final() {
    let mut world = World::new(&[1]).await;
    world.chain.lag.store(100, Ordering::SeqCst);
    world.start().await;
    bought_alone(&world).await;
}

async fn bought_alone(world: &World) {
    let (status, answer) = world.ask(&world.request(10)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    assert!(world.evidence().is_empty());
}

#[tokio::test]
async fn a_node_that_has_not_an_old_block_is_no_fault_of_a_provider() {
    let mut world = World::new(&[1]).await;
    world.chain.advance(10);
    world.chain.first.store(1_011, Ordering::SeqCst);
    world.start().await;
    let (status, _, message, pause) = world.refused(10).await;
    assert_eq!((status, pause), (503, Some(5)), "{message}");
    assert!(message.contains("has not the block 1010"), "{message}");
    // It has caught up with what was before it began.
    world.chain.first.store(0, Ordering::SeqCst);
    bought_alone(&world).await;
}

#[tokio::test]
async fn who_leaves_while_the_node_says_nothing_is_not_waited_for() {
    let world = World::started(&[1]).await;
    bought_alone(&world).await;
    let fetched = || world.workers[0].fetched.load(Ordering::SeqCst);
    assert_eq!(fetched(), 0);
    // The next receipt builds on a block that has to be looked up.
    world.chain.advance(1);
    world.chain.is_silent.store(true, Ordering::SeqCst);
    let response = world.stream(100).await;
    assert_eq!(response.status(), 200);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(fetched(), 0);
    drop(response);
    eventually("the stream is ended", async || fetched() > 0).await;
}

/// A worker that is killed and started again: one incident, however many answers it cuts.
#[tokio::test]
async fn answers_that_break_off_together_pause_their_provider_once() {
    let mut world = World::new(&[1]).await;
    world.terms.policy.step = 5_000;
    world.start().await;
    assert_eq!(world.ask(&world.request(5)).await.0, 200);
    let worker = &world.workers[0];
    worker.behave(Manner::Cuts(40));
    let request = world.request(100);
    let asked = (0..16).map(|_| world.ask(&request));
    let provider = worker.stash.to_string();
    let restarted = async {
        eventually("that all pause is said", async || {
            let (status, health) = world.get("/health").await;
            let is_said = health.contains(&format!("all providers of {} pause", world.name()))
                && health.contains(&format!("{provider} is asked again in "));
            assert_eq!(status == 503, is_said, "{status} {health}");
            is_said && worker.asked.load(Ordering::SeqCst) >= 17
        })
        .await;
        worker.behave(Manner::Honest);
    };
    let (answers, ()) = futures::join!(futures::future::join_all(asked), restarted);
    for (status, answer) in answers {
        assert_eq!(
            (status, tokens(&answer)),
            (200, world.right(100)),
            "{answer}"
        );
    }
    let (status, health) = world.get("/health").await;
    assert_eq!(status, 200, "{health}");
}

/// The best one's channel is spent and the budget used up, and another one's has enough.
#[tokio::test]
async fn the_next_provider_is_asked_whose_channel_can_pay() {
    let mut world = World::new(&[1, 3]).await;
    world.terms.policy.step = 1_000;
    world.terms.policy.budget = 1_100;
    // At first the dear one is alone.
    let cheap = world.chain.offers.lock().unwrap().remove(0);
    world.start().await;
    assert_eq!(world.ask(&world.request(5)).await.0, 200);
    world.chain.offers.lock().unwrap().insert(0, cheap);
    eventually("the other one is seen", async || {
        world.get("/health").await.1.contains("\"offers\":2")
    })
    .await;
    assert_eq!(world.ask(&world.request(90)).await.0, 200);
    assert_eq!(world.chain.deposited(), 1_100);
    let free: u128 = 100 - world.workers[0].earned();
    assert!(free < 53, "{free}");

    let before = world.workers[1].earned();
    let (status, answer) = world.ask(&world.request(50)).await;
    assert_eq!(
        (status, tokens(&answer)),
        (200, world.right(50)),
        "{answer}"
    );
    assert_eq!(world.workers[1].earned(), before + 3 * 53);

    // While that one pauses, waiting for it is all that helps.
    world.workers[1].behave(Manner::Busy);
    for _ in 0..2 {
        let (status, code, message, pause) = world.refused(30).await;
        assert_eq!((status, code), (503, "no_provider".into()), "{message}");
        let provider = world.workers[1].stash.to_string();
        assert!(message.contains(&provider), "{message}");
        assert!(pause.is_some_and(|pause| pause <= 5), "{pause:?}");
    }
    world.workers[1].behave(Manner::Honest);
    eventually("it is asked again", async || {
        world.ask(&world.request(30)).await.0 == 200
    })
    .await;
    // What nobody's channel pays for.
    let (status, code, message, pause) = world.refused(300).await;
    assert_eq!(
        (status, code, pause),
        (402, "insufficient_funds".into(), None)
    );
    assert!(message.contains("--budget"), "{message}");
    assert_eq!(world.chain.deposited(), 1_100);
}

/// Offers may be for less than the model could.
#[tokio::test]
async fn a_request_without_a_limit_gets_what_somebody_has_room_for() {
    let world = World::started(&[1]).await;
    assert_eq!(without_limit(&world).await.2, 100);
    world.chain.offers.lock().unwrap()[0].context = 64;
    eventually("it is seen", async || {
        let (status, prompt, answer) = without_limit(&world).await;
        assert_eq!(status, 200);
        prompt + answer == 64
    })
    .await;
}

/// The deposit is in the way of others, and of nobody else's use.
#[tokio::test]
async fn what_is_in_a_channel_that_nobody_offers_any_more_comes_back() {
    let mut world = World::new(&[1, 3]).await;
    world.terms.policy.unoffered = Duration::from_secs(5);
    world.start().await;
    assert_eq!(world.ask(&world.request(10)).await.0, 200);
    tokio::time::sleep(Duration::from_secs(7)).await;
    let id = world.channels_of(&world.workers[0])[0];
    assert_eq!(world.chain.all()[&id].state, State::Open, "it is offered");
    world.chain.offers.lock().unwrap().remove(0);
    eventually("it is being closed", async || {
        world.chain.all()[&id].state != State::Open
    })
    .await;
    let retired = world.channel(0).await["retired"].to_string();
    assert!(retired.contains("offered its model no more"), "{retired}");
    assert!(world.evidence().is_empty());
}

/// A request that names no limit: its status, and how many tokens its prompt and its answer have, of which 100 are usual
/// here.
async fn without_limit(world: &World) -> (u16, u128, u128) {
    let request = json!({
        "model": world.name(), "messages": [{ "role": "user", "content": "Hello" }], "temperature": 0,
    });
    let url = world.url("/v1/chat/completions");
    let response = reqwest::Client::new().post(url).json(&request).send();
    let response = response.await.unwrap();
    let status = response.status().as_u16();
    let usage = response.json::<Value>().await.unwrap()["usage"].take();
    let count = |field: &str| usage[field].as_u64().unwrap_or_default().into();
    (status, count("prompt_tokens"), count("completion_tokens"))
}

/// The best one's channel is nearly empty and the budget used up, and the dear one's has enough for three answers.
#[tokio::test]
async fn an_answer_is_cut_short_only_where_nobody_can_be_paid_for_all_of_it() {
    let mut world = World::new(&[1, 3]).await;
    world.terms.policy.step = 1_000;
    world.terms.policy.budget = 1_100;
    let cheap = world.chain.offers.lock().unwrap().remove(0);
    world.start().await;
    assert_eq!(world.ask(&world.request(5)).await.0, 200);
    world.chain.offers.lock().unwrap().insert(0, cheap);
    eventually("the other one is seen", async || {
        world.get("/health").await.1.contains("\"offers\":2")
    })
    .await;
    assert_eq!(world.ask(&world.request(90)).await.0, 200);
    assert_eq!(world.workers[0].earned(), 93);
    let (status, prompt, output) = without_limit(&world).await;
    assert_eq!((status, output), (200, 100));
    for _ in 1..3 {
        assert_eq!(without_limit(&world).await, (200, prompt, 100));
    }
    assert_eq!(world.workers[0].earned(), 93);
    let full = 3 * (prompt + 100);
    assert_eq!(world.workers[1].earned(), 24 + 3 * full);
    // Then the longest part that is paid for, whoever gives it.
    let [cheap, dear] = [7 - prompt, (976 - 3 * full) / 3 - prompt];
    assert!(0 < cheap && cheap < dear && dear < 100, "{prompt}");
    assert_eq!(without_limit(&world).await, (200, prompt, dear));
    assert_eq!(without_limit(&world).await, (200, prompt, cheap));
    assert_eq!(world.workers[0].earned(), 100);
    assert_eq!(without_limit(&world).await.0, 402);
    assert_eq!(world.chain.deposited(), 1_100);
}

#[tokio::test]
async fn a_channel_is_topped_up_for_an_answer_in_full_unless_the_wallet_has_too_little() {
    let mut world = World::new(&[1]).await;
    world.terms.policy.step = 100;
    world.start().await;
    let funds = std::mem::replace(&mut *world.chain.funds.lock().unwrap(), 150);
    assert_eq!(world.ask(&world.request(40)).await.0, 200);
    let (status, prompt, output) = without_limit(&world).await;
    assert_eq!((status, output), (200, 57 - prompt));
    assert_eq!(world.chain.deposited(), 100);
    *world.chain.funds.lock().unwrap() = funds;
    assert_eq!(without_limit(&world).await, (200, prompt, 100));
}

#[tokio::test]
async fn what_is_in_a_channel_pays_for_a_part_where_the_budget_and_the_wallet_have_too_little() {
    let mut world = World::new(&[1]).await;
    world.terms.policy.step = 100;
    world.terms.policy.budget = 130;
    world.start().await;
    *world.chain.funds.lock().unwrap() = 110;
    assert_eq!(world.ask(&world.request(40)).await.0, 200);
    let (status, prompt, output) = without_limit(&world).await;
    assert_eq!((status, output), (200, 57 - prompt));
    assert_eq!(world.chain.deposited(), 100);
}

/// What a child of this process is told, whose files can be limited without limiting those of other tests.
#[cfg(target_os = "linux")]
const IS_CHILD: &str = "ASSAY_TEST_FULL_DISK";

/// To this process no file can be written beyond so many bytes, as if the disk were full.
#[cfg(target_os = "linux")]
fn limit_files(bytes: &str) {
    let limited = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string()])
        .arg(format!("--fsize={bytes}:"))
        .status();
    assert!(limited.expect("util-linux is there").success());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_ends_the_gateway_and_loses_nothing() {
    if std::env::var_os(IS_CHILD).is_none() {
        let ran = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\" --nocapture"])
            .arg(std::env::current_exe().unwrap())
            .arg("faults::a_full_disk_ends_the_gateway_and_loses_nothing")
            .env(IS_CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        let failed = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{said}\n{failed}");
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let mut world = World::started(&[1]).await;
    bought_alone(&world).await;
    limit_files("4096");
    let (status, _, message, pause) = world.refused(10).await;
    assert_eq!((status, pause), (503, Some(5)), "{message}");
    let file = world.folder().join("gateway.redb");
    let file = file.to_string_lossy();
    for part in [&*file, "too large", "start the gateway again"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let why = world.ended().await;
    for part in [&*file, "too large", "has room"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    limit_files("unlimited");
    world.wait_for_the_store().await;
    world.start().await;
    bought_alone(&world).await;
    assert_eq!(world.chain.all().len(), 1);
    assert_eq!(world.workers[0].earned(), 26);
}

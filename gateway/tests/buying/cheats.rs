//! Providers that cheat, each in its own way: what it costs the user, and what is left of it.

use std::{sync::atomic::Ordering, time::Duration};

use assay_client::answer::Answer;
use assay_gateway::market::State;
use assay_primitives::{RECEIPT_TOKENS, WINDOW_TOKENS};
use serde_json::json;

use crate::{
    chain::DISPUTE_BLOCKS,
    worker::Manner,
    world::{eventually, tokens, World},
};

/// A cheap provider that cheats and a dear one that does not. The client gets its whole answer; at most one
/// increment is lost; if `caught`, evidence says so and the channel is given up.
async fn against(manner: Manner, caught: Option<&str>) -> World {
    let world = World::started(&[1, 3]).await;
    world.workers[0].behave(manner);
    let (status, answer) = world.ask(&world.request(150)).await;
    assert_eq!(status, 200, "{manner:?}: {answer}");
    assert_eq!(tokens(&answer), world.right(150), "{manner:?}");
    // What the cheat can take at most: what it has signed for, and one window.
    let theirs = world.channel(0).await;
    let spent: u128 = theirs["spent"].as_str().unwrap().parse().unwrap();
    let signed: u128 = theirs["signed"].as_str().unwrap().parse().unwrap();
    let increment = 3 + u128::from(WINDOW_TOKENS);
    assert!(
        signed <= spent + increment,
        "{manner:?}: {signed} for {spent}"
    );
    let evidence = world.evidence();
    match caught {
        None => assert!(evidence.is_empty(), "{manner:?}: {evidence:?}"),
        Some(part) => {
            assert_eq!(evidence.len(), 1, "{manner:?}");
            let sentence = evidence[0]["caught"].as_str().unwrap();
            assert!(sentence.contains(part), "{manner:?}: {sentence}");
            assert_eq!(evidence[0]["provider"], world.workers[0].stash.to_string());
            assert!(evidence[0]["request"]["header"].is_string());
            assert!(theirs["retired"].is_string());
            // It is not asked again, and the rest of its deposit comes back.
            let asked = || world.workers[0].asked.load(Ordering::SeqCst);
            let before = asked();
            world.ask(&world.request(5)).await;
            assert_eq!(asked(), before, "{manner:?}");
            let id = world.channels_of(&world.workers[0])[0];
            eventually("its channel is being closed", async || {
                let state = world.chain.all()[&id].state;
                state != State::Open
            })
            .await;
        }
    }
    world
}

#[tokio::test]
async fn a_stream_that_is_cut_goes_on_with_another_provider() {
    let mut world = against(Manner::Cuts(70), None).await;
    // What it had made is paid, and the rest is bought elsewhere, prompt and all.
    assert_eq!(world.workers[0].earned(), 73);
    assert_eq!(world.workers[1].earned(), 3 * (3 + 70 + 80));
    let status = world.status().await;
    assert_eq!(status["spending"][0]["fees"], (73 + 3 * 153).to_string());
    // It has signed for its part, which is kept as any answer is.
    let id = world.channels_of(&world.workers[0])[0];
    world.stop().await;
    let kept = world.store().answer(&id, 0).unwrap().unwrap();
    let kept = Answer::parse(&kept).unwrap();
    assert_eq!(kept.check(), Ok(()));
    assert_eq!(kept.output, world.right(70));
}

#[tokio::test]
async fn a_provider_that_dies_in_the_middle_is_paid_what_it_had_signed() {
    let world = against(Manner::Dies(70), None).await;
    let theirs = world.channel(0).await;
    assert_eq!(theirs["spent"], "67");
    assert_eq!(theirs["open_requests"], 1);
    // It comes back, and so does its last receipt.
    world.workers[0].behave(Manner::Honest);
    eventually("the books agree", async || {
        let status = world.status().await;
        let channels = status["channels"].as_array().unwrap().clone();
        channels
            .iter()
            .any(|channel| channel["spent"] == "73" && channel["open_requests"] == 0)
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_never_signs_is_given_up_at_the_first_token() {
    against(Manner::SignsNothing, Some("0")).await;
}

#[tokio::test]
async fn a_provider_that_signs_no_more_is_given_up() {
    against(
        Manner::SignsNoMore,
        Some("were sent and the receipts are over 0"),
    )
    .await;
}

#[tokio::test]
async fn an_inflated_fee_is_caught() {
    against(Manner::AsksTwice, Some("fee")).await;
}

#[tokio::test]
async fn a_receipt_over_other_tokens_is_caught() {
    against(Manner::OtherRoot, Some("other tokens")).await;
}

#[tokio::test]
async fn a_receipt_of_another_key_is_caught() {
    against(Manner::Forges, Some("not signed by the operator")).await;
}

#[tokio::test]
async fn a_receipt_with_an_old_anchor_is_caught() {
    against(Manner::OldAnchor, Some("too old")).await;
}

#[tokio::test]
async fn an_anchor_that_was_good_once_is_too_old_later() {
    let world = World::started(&[1, 3]).await;
    assert_eq!(world.ask(&world.request(40)).await.0, 200);
    world.chain.advance(500);
    let now = format!("\"finalized_block\":{}", world.chain.number());
    eventually("the chain is seen", async || {
        world.get("/health").await.1.contains(&now)
    })
    .await;
    world.workers[0].behave(Manner::OldAnchor);
    let (status, answer) = world.ask(&world.request(40)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(40)));
    let evidence = world.evidence();
    let sentence = evidence[0]["caught"].as_str().unwrap();
    assert!(sentence.contains("too old"), "{sentence}");
}

/// In the place of the fresh one it would be paid, and nobody could dispute the answer any more.
#[tokio::test]
async fn a_last_receipt_from_long_ago_takes_no_fresh_ones_place() {
    let mut world = against(Manner::Backdates(70), Some("too old")).await;
    let id = world.channels_of(&world.workers[0])[0];
    world.stop().await;
    let kept = world.store().answer(&id, 0).unwrap().unwrap();
    let kept = assay_client::answer::Answer::parse(&kept).unwrap();
    assert_eq!(kept.output, world.right(64));
    assert_eq!(kept.signed.receipt.anchor.number, world.chain.finalized());
    let offending = world.evidence()[0]["request"]["offending_receipt"].clone();
    assert!(offending.is_string(), "{offending}");
}

/// Also where no other one is there: the request itself is younger.
#[tokio::test]
async fn a_first_receipt_from_long_before_its_request_is_caught() {
    let world = against(Manner::Backdates(0), Some("too old")).await;
    assert_eq!(world.channel(0).await["spent"], "0");
}

/// Half of the time for a dispute is gone by then.
#[tokio::test]
async fn how_old_an_anchor_may_be_goes_by_the_time_for_a_dispute() {
    against(Manner::AnchorsBack(DISPUTE_BLOCKS / 2), None).await;
    for blocks in [DISPUTE_BLOCKS / 2 + 1, 25] {
        against(Manner::AnchorsBack(blocks), Some("too old")).await;
    }
}

/// A lost disk would say the same, so it is no proof. But it gains nothing by it, and not twice.
#[tokio::test]
async fn who_denies_an_answer_that_it_has_to_keep_is_left_alone() {
    let world = against(Manner::Denies(70), None).await;
    let worker = &world.workers[0];
    let id = world.channels_of(worker)[0];
    eventually("its channel is being closed", async || {
        world.chain.all()[&id].state != State::Open
    })
    .await;
    // Who only failed would be asked again in a while, and a client told to wait for it.
    world.chain.offers.lock().unwrap().truncate(1);
    eventually("there is nobody else", async || {
        world.get("/health").await.1.contains("\"offers\":1")
    })
    .await;
    let asked = worker.asked.load(Ordering::SeqCst);
    let (status, code, message, pause) = world.refused(5).await;
    assert_eq!((status, code, pause), (503, "no_provider".into(), None));
    assert!(message.contains("was caught"), "{message}");
    assert_eq!(worker.asked.load(Ordering::SeqCst), asked);
    assert_eq!(world.channels_of(worker).len(), 1);
    // What its voucher reaches for is no more than the receipts held, and one window.
    worker.claim_everything();
    let claimed = world.chain.all()[&id].settled;
    assert!((67 + 1..=67 + 64).contains(&claimed), "{claimed}");
    let rest = (1_000 - claimed).to_string();
    world.chain.all().get_mut(&id).unwrap().state = State::Closed;
    eventually("the rest is back", async || {
        let status = world.status().await;
        let channels = status["channels"].as_array().unwrap();
        channels.iter().any(|one| one["refunded"] == rest)
    })
    .await;
    assert!(world.evidence().is_empty());
}

#[tokio::test]
async fn a_receipt_with_an_anchor_that_cannot_be_there_yet_is_caught() {
    against(Manner::FutureAnchor, Some("in the future")).await;
}

#[tokio::test]
async fn a_receipt_with_an_anchor_of_another_chain_is_caught() {
    against(Manner::ForeignAnchor, Some("no block of this chain")).await;
}

#[tokio::test]
async fn a_receipt_for_another_request_is_caught() {
    against(Manner::SignsAnotherRequest, Some("another request")).await;
}

/// Whoever can write into the connection could have said it.
#[tokio::test]
async fn an_answer_in_the_clear_to_a_sealed_request_is_not_read() {
    for manner in [Manner::Unsealed, Manner::FalselySealed] {
        let world = against(manner, None).await;
        let asked = world.workers[0].asked.load(Ordering::SeqCst);
        assert!(asked > 0, "{manner:?}");
        assert_eq!(world.workers[0].unsealed.load(Ordering::SeqCst), 0);
        // All that was shown was bought of the other one.
        assert_eq!(world.workers[1].earned(), 3 * 153, "{manner:?}");
    }
}

/// Anybody may settle what a voucher reaches for, once it is on chain: that alone says nothing of the provider, which
/// serves for it later.
#[tokio::test]
async fn a_claim_beyond_the_receipts_of_an_open_channel_is_paid_ahead() {
    let world = World::started(&[1, 3]).await;
    world.workers[0].behave(Manner::Cuts(40));
    assert_eq!(world.ask(&world.request(150)).await.0, 200);
    world.workers[0].claim_everything();
    let claimed = world.workers[0].accepted();
    assert!(claimed > 43, "{claimed}");
    world.workers[0].behave(Manner::Honest);
    eventually("it is seen", async || {
        world.channel(0).await["settled"] == claimed.to_string()
    })
    .await;
    eventually("its pause is over", async || {
        world.ask(&world.request(10)).await.0 == 200 && world.workers[0].earned() > 43
    })
    .await;
    assert!(world.evidence().is_empty());
    assert_eq!(world.workers[0].earned(), 43 + 13);
    assert_eq!(world.channel(0).await["spent"], "56");
    assert_eq!(world.channels_of(&world.workers[0]).len(), 1);
}

/// Its provider closes a channel without a window.
#[tokio::test]
async fn whose_channel_was_closed_for_more_than_its_receipts_is_left_alone() {
    let world = World::started(&[1, 3]).await;
    assert_eq!(world.ask(&world.request(10)).await.0, 200);
    assert_eq!(world.workers[0].earned(), 13);
    let id = world.channels_of(&world.workers[0])[0];
    {
        let mut channels = world.chain.all();
        let channel = channels.get_mut(&id).unwrap();
        (channel.settled, channel.state) = (14, State::Closed);
    }
    eventually("it is seen", async || !world.evidence().is_empty()).await;
    let sentence = world.evidence()[0]["caught"].as_str().unwrap().to_owned();
    assert!(
        sentence.starts_with("somebody claimed 14 planck"),
        "{sentence}"
    );
    let (status, answer) = world.ask(&world.request(10)).await;
    assert_eq!((status, tokens(&answer)), (200, world.right(10)));
    assert_eq!(world.workers[1].earned(), 3 * 13);
    assert_eq!(world.workers[0].asked.load(Ordering::SeqCst), 1);
    assert_eq!(world.channels_of(&world.workers[0]).len(), 1);
}

/// The receipts would explain the claim, if anybody ever saw them.
#[tokio::test]
async fn who_closes_for_what_it_gives_no_receipts_of_is_left_alone() {
    let world = World::started(&[1, 3]).await;
    world.workers[0].behave(Manner::Swallows);
    assert_eq!(world.ask(&world.request(10)).await.0, 200);
    assert_eq!(world.workers[1].earned(), 3 * 13);
    world.workers[0].claim_everything();
    let id = world.channels_of(&world.workers[0])[0];
    world.chain.all().get_mut(&id).unwrap().state = State::Closed;
    let asked = world.workers[0].asked.load(Ordering::SeqCst);
    world.workers[0].behave(Manner::Honest);
    // Longer than it would pause for a failure.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(world.ask(&world.request(10)).await.0, 200);
    assert_eq!(world.workers[0].asked.load(Ordering::SeqCst), asked);
    assert_eq!(world.channels_of(&world.workers[0]).len(), 1);
}

/// It may be closed while an answer is under way, and the cheat come after that.
#[tokio::test]
async fn a_channel_that_its_provider_closes_in_the_middle_of_an_answer_is_still_looked_after() {
    let world = World::started(&[1, 3]).await;
    world.workers[0].behave(Manner::Stalls(RECEIPT_TOKENS + 8));
    let request = world.request(150);
    let mut asked = std::pin::pin!(world.ask(&request));
    let signed = 3 + u128::from(RECEIPT_TOKENS);
    eventually("it waits for the next token", async || {
        assert!(futures::poll!(&mut asked).is_pending());
        let all = world.chain.all().len();
        all == 1 && world.channel(0).await["spent"] == signed.to_string()
    })
    .await;
    world.workers[0].claim_everything();
    let id = world.channels_of(&world.workers[0])[0];
    world.chain.all().get_mut(&id).unwrap().state = State::Closed;
    eventually("it is seen", async || {
        assert!(futures::poll!(&mut asked).is_pending());
        world.channel(0).await["state"] == "closed"
    })
    .await;
    world.workers[0].behave(Manner::Cuts(0));
    let (status, answer) = asked.await;
    assert_eq!((status, tokens(&answer)), (200, world.right(150)));
    eventually("it is caught", async || !world.evidence().is_empty()).await;
    assert_eq!(world.channels_of(&world.workers[0]).len(), 1);
}

/// Nothing is paid any more in a channel that was given up: whoever waits there for the next token would wait in vain.
#[tokio::test]
async fn streams_of_a_channel_that_is_given_up_go_on_elsewhere_at_once() {
    const STREAMS: u128 = 3;
    let world = World::started(&[1, 3]).await;
    world.workers[0].behave(Manner::Stalls(RECEIPT_TOKENS + 8));
    let request = world.request(150);
    let asked = (0..STREAMS).map(|_| world.ask(&request));
    let asked = futures::future::join_all(asked);
    let mut asked = std::pin::pin!(tokio::time::timeout(Duration::from_secs(20), asked));
    let signed = STREAMS * (3 + u128::from(RECEIPT_TOKENS));
    eventually("all wait for the next token", async || {
        assert!(futures::poll!(&mut asked).is_pending());
        world.chain.all().len() == 1 && world.channel(0).await["spent"] == signed.to_string()
    })
    .await;
    let id = world.channels_of(&world.workers[0])[0];
    // More than any voucher says, so that even an open channel is given up.
    world.chain.all().get_mut(&id).unwrap().settled = 2 * world.workers[0].accepted();
    for (status, answer) in asked.await.expect("they wait for the provider") {
        assert_eq!((status, tokens(&answer)), (200, world.right(150)));
    }
    assert_eq!(world.evidence().len(), 1);
}

#[tokio::test]
async fn whoever_claims_more_than_it_signed_for_is_caught_on_the_chain() {
    let world = World::started(&[1, 3]).await;
    // The stream is cut by the provider, so that a window beyond what it signed was paid ahead.
    world.workers[0].behave(Manner::Cuts(40));
    world.ask(&world.request(150)).await;
    world.workers[0].claim_everything();
    let id = world.channels_of(&world.workers[0])[0];
    world.chain.all().get_mut(&id).unwrap().state = State::Closed;
    let increment = 3 + u128::from(WINDOW_TOKENS);
    let claimed = world.workers[0].accepted();
    assert!(claimed > 43 && claimed <= 43 + increment, "{claimed}");
    eventually("it is caught", async || !world.evidence().is_empty()).await;
    let sentence = world.evidence()[0]["caught"].as_str().unwrap().to_owned();
    assert!(sentence.contains(&claimed.to_string()), "{sentence}");
}

/// The lie is signed for in due form: only computing the answer again shows it.
#[tokio::test]
async fn a_signed_lie_is_found_by_computing_the_answer_again() {
    let mut world = World::exact(&[1]).await;
    world.start().await;
    let ask = async |world: &World| {
        let (status, answer) = world.ask(&world.request(12)).await;
        assert_eq!(status, 200, "{answer}");
    };
    let count = async |world: &World, verdict: &str| {
        let (_, metrics) = world.get("/metrics").await;
        let series = format!("assay_gateway_checks_total{{verdict=\"{verdict}\"}} 1");
        metrics.contains(&series)
    };
    ask(&world).await;
    eventually("the right answer is right", async || {
        count(&world, "right").await
    })
    .await;
    assert!(world.evidence().is_empty());
    assert_eq!(world.get("/health").await.0, 200);

    world.workers[0].behave(Manner::Lies);
    ask(&world).await;
    eventually("the lie is found", async || count(&world, "wrong").await).await;
    let evidence = world.evidence();
    let sentence = evidence[0]["caught"].as_str().unwrap();
    assert!(sentence.starts_with("token 3 of 12"), "{sentence}");
    // Whoever gets the file can judge it.
    let bytes = serde_json::to_vec(&evidence[0]).unwrap();
    let answer = assay_client::answer::Answer::parse(&bytes).unwrap();
    assert_eq!(answer.check(), Ok(()), "the receipt itself fits together");
    let (status, health) = world.get("/health").await;
    assert_eq!(status, 503);
    assert!(health.contains("a wrong answer was found"), "{health}");
    assert_ne!(json!(answer.output[2]), json!(null));
    // It is not paid for another one, now or in a while.
    let (status, code, message, pause) = world.refused(12).await;
    assert_eq!((status, code, pause), (503, "no_provider".into(), None));
    assert!(message.contains("was caught"), "{message}");
    assert_eq!(world.workers[0].asked.load(Ordering::SeqCst), 2);
}

/// Also with the local engine, and when the last receipt comes to another process: that is what `--dispute` begins with.
#[tokio::test]
async fn a_signed_lie_is_found_also_where_the_answer_breaks_off() {
    let mut world = World::exact(&[1]).await;
    world.start().await;
    world.workers[0].behave(Manner::LiesAndDies { lie: 8, dies: 12 });
    let request = world.request(20);
    // Nobody else goes on with it.
    let asked = tokio::time::timeout(Duration::from_secs(2), world.ask(&request)).await;
    assert!(asked.is_err(), "{asked:?}");
    eventually("the client has left", async || {
        let metrics = world.get("/metrics").await.1;
        metrics.contains("assay_gateway_requests_running 0")
    })
    .await;
    // The first receipt is over no tokens.
    assert!(world.evidence().is_empty());
    world.kill().await;
    world.workers[0].behave(Manner::Honest);
    world.start().await;
    eventually("the lie is found", async || !world.evidence().is_empty()).await;
    let evidence = world.evidence();
    let sentence = evidence[0]["caught"].as_str().unwrap();
    assert!(sentence.starts_with("token 9 of 12"), "{sentence}");
    assert_eq!(evidence[0]["position"], 8);
    assert_eq!(world.ask(&world.request(12)).await.0, 503);
}

/// A day later the chain has no record of it. A window that was paid ahead is no claim.
#[tokio::test]
async fn nobody_is_blamed_for_a_channel_whose_record_is_gone() {
    let mut world = World::started(&[1, 3]).await;
    world.workers[0].behave(Manner::Cuts(40));
    assert_eq!(world.ask(&world.request(150)).await.0, 200);
    // Somebody has settled what was paid ahead.
    world.workers[0].claim_everything();
    let claimed = world.workers[0].accepted();
    eventually("it is seen", async || {
        world.channel(0).await["settled"] == claimed.to_string()
    })
    .await;
    world.stop().await;
    world.chain.all().clear();
    world.chain.advance(200);
    world.start().await;
    let status = world.status().await;
    let channels = status["channels"].as_array().unwrap();
    let amount = |channel: &serde_json::Value, name: &str| {
        let amount = channel[name].as_str().unwrap();
        amount.parse::<u128>().unwrap()
    };
    let mut most = 0;
    for channel in channels {
        assert_eq!(channel["state"], "closed", "{channel}");
        assert_eq!(channel["retired"], json!(null), "{channel}");
        most += amount(channel, "signed");
    }
    let signed = amount(&world.channel(0).await, "signed");
    assert!(signed > world.workers[0].earned(), "nothing was paid ahead");
    // The budget counts the most that it can have cost.
    assert_eq!(amount(&status, "committed"), most);
    assert!(world.evidence().is_empty());
}

#[tokio::test]
async fn a_page_that_is_not_there_says_nothing_of_a_receipt() {
    let world = against(Manner::BehindAProxy(70), None).await;
    let theirs = async |open: u64, spent: &str| {
        let channel = world.channel(0).await;
        channel["open_requests"] == open && channel["spent"] == spent
    };
    assert!(theirs(1, "67").await);
    world.workers[0].behave(Manner::Honest);
    eventually("the books agree", async || theirs(0, "73").await).await;
    world.workers[0].claim_everything();
}

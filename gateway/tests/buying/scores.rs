//! Answers that cannot be computed here are scored by another provider.

use std::sync::atomic::Ordering;

use assay_client::answer::Answer;
use assay_gateway::Opinion;
use assay_primitives::{Finish, Task};

use crate::{worker::Manner, world::*};

/// Providers of an exact model, and a gateway that has its text alone and checks every answer.
async fn world(prices: &[u128]) -> World {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::of(exact_model(folder.path()), rule(), prices).await;
    world.model = demo();
    world.terms.check = 1_000_000;
    world.terms.score = true;
    world
}

async fn ask(world: &World) {
    ask_for(world, 12).await;
}

async fn ask_for(world: &World, tokens: u32) {
    let (status, answer) = world.ask(&world.request(tokens)).await;
    assert_eq!(status, 200, "{answer}");
}

/// Waits for the verdict over the one answer.
async fn judged(world: &World, verdict: &str) {
    judged_so_often(world, verdict, 1).await;
}

async fn judged_so_often(world: &World, verdict: &str, times: u32) {
    let series = format!("assay_gateway_checks_total{{verdict=\"{verdict}\"}} {times}\n");
    let is_there = async || world.get("/metrics").await.1.contains(&series);
    eventually(verdict, is_there).await;
}

fn asked(world: &World, worker: usize) -> u32 {
    world.workers[worker].asked.load(Ordering::SeqCst)
}

/// Answer and score, as they were written down.
fn evidence(world: &World) -> (Answer, Answer) {
    let files = world.evidence();
    let parsed = files.iter().map(|file| {
        let bytes = serde_json::to_vec(file).unwrap();
        let answer = Answer::parse(&bytes).unwrap();
        assert_eq!(answer.check(), Ok(()), "the receipt itself fits together");
        answer
    });
    let (answers, scores): (Vec<_>, Vec<_>) =
        parsed.partition(|one| one.header.task == Task::Generate);
    let [answer, score] = [answers, scores].map(|mut some| {
        assert_eq!(some.len(), 1);
        some.remove(0)
    });
    (answer, score)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_provider_is_paid_to_score_an_answer() {
    let mut world = world(&[1, 2]).await;
    world.start().await;
    ask(&world).await;
    judged(&world, "right").await;
    assert_eq!((asked(&world, 0), asked(&world, 1)), (1, 1));
    // Prompt and answer at the price of a prompt, and sealed like any other.
    assert_eq!(world.workers[1].earned(), 2 * (3 + 12));
    assert_eq!(world.workers[1].unsealed.load(Ordering::SeqCst), 0);
    assert!(world.evidence().is_empty());
    let spending = &world.status().await["spending"][0];
    assert_eq!(spending["requests"], 2, "{spending}");
    assert_eq!(spending["output_tokens"], 12);
    assert_eq!(spending["prompt_tokens"], 3 + 15);
    // Its books are closed, and it can be verified itself.
    world.stop().await;
    let store = world.store();
    let channel = world.channels_of(&world.workers[1])[0];
    let score = store.answer(&channel, 0).unwrap().unwrap();
    let score = Answer::parse(&score).unwrap();
    assert_eq!(score.check(), Ok(()));
    assert_eq!((score.prompt.len(), score.output.len()), (3, 12));
    let receipt = &score.signed.receipt;
    assert_eq!((receipt.output_len, receipt.finish), (12, Finish::Length));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_is_found_by_a_score_and_both_receipts_are_kept() {
    let mut world = world(&[1, 2]).await;
    world.workers[0].behave(Manner::Lies);
    world.start().await;
    ask(&world).await;
    judged(&world, "contradicted").await;
    eventually("both are written", async || world.evidence().len() == 2).await;
    let (answer, score) = evidence(&world);
    assert_eq!(answer.header.provider, world.workers[0].stash);
    assert_eq!(score.header.provider, world.workers[1].stash);
    assert_eq!(score.output, answer.output);
    let receipt = &score.signed.receipt;
    assert_eq!((receipt.output_len, receipt.finish), (2, Finish::Mismatch));
    let (status, health) = world.get("/health").await;
    assert_eq!(status, 503);
    assert!(health.contains("calls token 3 of 12 wrong"), "{health}");
}

/// The provider closes the stream after 40 tokens, for 32 of which it has signed, and the answer goes on elsewhere.
async fn broken_off(lie: u32) -> World {
    let mut world = world(&[1, 2]).await;
    world.workers[0].behave(Manner::LiesAndDies { lie, dies: 40 });
    world.start().await;
    ask_for(&world, 60).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_lies_and_stays_away_is_found_out_by_what_it_had_signed() {
    let world = broken_off(2).await;
    judged(&world, "contradicted").await;
    let (answer, _) = evidence(&world);
    assert_eq!(answer.header.provider, world.workers[0].stash);
    assert_eq!(answer.output.len(), 32);
    let wrong = async || {
        let (status, health) = world.get("/health").await;
        assert_eq!(status, 503);
        assert!(health.contains("calls token 3 of 32 wrong"), "{health}");
        health.contains("a wrong answer was found")
    };
    assert!(wrong().await);

    // It comes back, and the whole is checked; that it is wrong is no news.
    world.workers[0].behave(Manner::Honest);
    judged_so_often(&world, "contradicted", 2).await;
    assert!(wrong().await);
    assert_eq!(evidence(&world).0.output.len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_when_the_provider_comes_back_is_checked_by_the_next_process() {
    let mut world = broken_off(35).await;
    judged(&world, "right").await;
    world.kill().await;
    world.workers[0].behave(Manner::Honest);
    let asked_before = asked(&world, 0);
    world.start().await;
    judged(&world, "contradicted").await;
    let (answer, score) = evidence(&world);
    assert_eq!(answer.header.provider, world.workers[0].stash);
    assert_eq!(answer.output.len(), 40);
    assert_eq!(score.signed.receipt.output_len, 35);
    // What had come was kept, so that nothing depends on whether it is given again.
    assert_eq!(asked(&world, 0), asked_before);
    world.stop().await;
    let id = world.channels_of(&world.workers[0])[0];
    let kept = world.store().answer(&id, 0).unwrap().unwrap();
    assert_eq!(Answer::parse(&kept).unwrap(), answer);
    assert_eq!(world.store().fragment(&id, 0).unwrap(), None);
}

/// One draw decides for both.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_not_drawn_when_it_broke_off_is_not_checked_later() {
    let mut world = world(&[1, 2]).await;
    world.terms.check = 0;
    world.workers[0].behave(Manner::LiesAndDies { lie: 2, dies: 40 });
    world.start().await;
    ask_for(&world, 60).await;
    world.kill().await;
    world.workers[0].behave(Manner::Honest);
    world.terms.check = 1_000_000;
    world.start().await;
    eventually("its books are closed", async || {
        let status = world.status().await;
        let channels = status["channels"].as_array().unwrap();
        channels.iter().all(|channel| channel["open_requests"] == 0)
    })
    .await;
    // Another one is.
    ask(&world).await;
    judged(&world, "right").await;
    assert!(world.evidence().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_beyond_what_it_sent_is_checked_as_far_as_it_sent() {
    let mut world = world(&[1, 2]).await;
    world.workers[0].behave(Manner::LiesAndHides(40));
    world.start().await;
    ask_for(&world, 60).await;
    judged(&world, "contradicted").await;
    let (answer, _) = evidence(&world);
    assert_eq!(answer.header.provider, world.workers[0].stash);
    assert_eq!(answer.output.len(), 32);
    // It is paid for all that it signed.
    assert_eq!(world.workers[0].earned(), 3 + 50);
}

/// The tokens are gone with the process that received them, and asked for again.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_cut_by_a_crash_is_checked_as_well() {
    let mut world = world(&[1, 2]).await;
    world.workers[0].behave(Manner::Lies);
    world.start().await;
    let mut response = world.stream(400).await;
    response.chunk().await.unwrap();
    eventually("the lie is told", async || world.workers[0].earned() > 6).await;
    world.kill().await;
    drop(response);
    world.start().await;
    judged(&world, "contradicted").await;
    let (answer, score) = evidence(&world);
    assert_eq!(answer.header.provider, world.workers[0].stash);
    assert_eq!(score.signed.receipt.output_len, 2);
    let spent = world.workers[0].earned();
    assert_eq!(answer.signed.receipt.fee, spent);
}

/// Which of the two lies, whoever has the weights finds out; the gateway says neither.
#[tokio::test(flavor = "multi_thread")]
async fn a_lying_scorer_is_contradicted_by_the_answer() {
    let mut world = world(&[1, 2]).await;
    world.workers[1].behave(Manner::Lies);
    world.start().await;
    ask(&world).await;
    judged(&world, "contradicted").await;
    eventually("both are written", async || world.evidence().len() == 2).await;
    let (answer, score) = evidence(&world);
    assert_eq!(answer.output, world.right(12));
    let lie = score.false_at(None).expect("every token is right");
    assert_eq!(
        (lie.index, score.signed.receipt.finish),
        (2, Finish::Mismatch)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_reads_a_prompt_that_is_not_to_be_scored() {
    let mut world = world(&[1, 2]).await;
    world.terms.score = false;
    world.start().await;
    ask(&world).await;
    judged(&world, "unknown").await;
    assert_eq!((asked(&world, 0), asked(&world, 1)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_scores_his_own_answer() {
    let mut world = world(&[1]).await;
    world.start().await;
    ask(&world).await;
    judged(&world, "unknown").await;
    assert_eq!(asked(&world, 0), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_count_against_the_budget() {
    let mut world = world(&[1, 2]).await;
    // For the answer, and not for a channel with another provider.
    world.terms.policy.budget = 1_010;
    world.start().await;
    ask(&world).await;
    judged(&world, "unknown").await;
    assert_eq!((asked(&world, 0), asked(&world, 1)), (1, 0));
    assert!(world.channels_of(&world.workers[1]).is_empty());
}

/// The budget is used up, and of those who did not answer only the dear one has a channel.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_scorer_is_asked_who_can_be_paid() {
    let mut world = world(&[1, 2, 6]).await;
    world.terms.policy.budget = 1_100;
    let others: Vec<_> = world.chain.offers.lock().unwrap().drain(..2).collect();
    world.start().await;
    ask(&world).await;
    judged(&world, "unknown").await;
    world.chain.offers.lock().unwrap().splice(0..0, others);
    eventually("the others are seen", async || {
        world.get("/health").await.1.contains("\"offers\":3")
    })
    .await;
    ask(&world).await;
    judged(&world, "right").await;
    let asked = [0, 1, 2].map(|worker| asked(&world, worker));
    assert_eq!(asked, [1, 0, 2]);
    assert!(world.channels_of(&world.workers[1]).is_empty());
    assert_eq!(world.workers[2].earned(), 2 * 6 * (3 + 12));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_scorer_is_asked_when_one_breaks_off() {
    let mut world = world(&[1, 2, 3]).await;
    world.workers[1].behave(Manner::Cuts(0));
    world.start().await;
    ask(&world).await;
    judged(&world, "right").await;
    assert_eq!((asked(&world, 1), asked(&world, 2)), (1, 1));
    // What it charged for, it had signed.
    assert_eq!(world.workers[1].earned(), 2 * 15);
    let spent = world.status().await["spending"][0]["fees"].clone();
    assert!(!spent.is_null(), "{spent}");
}

/// An answer that was bought before, and what each of the others says of it, bought without a gateway that serves.
async fn bought(world: &mut World) -> Answer {
    world.terms.check = 0;
    world.start().await;
    ask(world).await;
    world.stop().await;
    let channel = world.channels_of(&world.workers[0])[0];
    let answer = world.store().answer(&channel, 0).unwrap().unwrap();
    Answer::parse(&answer).unwrap()
}

async fn score(world: &World, answer: &Answer, worker: usize) -> anyhow::Result<Opinion> {
    let (market, by) = (world.chain.clone(), world.workers[worker].stash);
    let (data, model) = (world.folder(), world.model.clone());
    let terms = world.terms.clone();
    assay_gateway::score(market, &data, model, terms, answer.clone(), by).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_named_is_paid_to_score_an_answer() {
    let mut world = world(&[1, 2, 3]).await;
    let answer = bought(&mut world).await;
    // The dearer one, twice, in the same channel.
    for times in 1..=2 {
        let opinion = score(&world, &answer, 2).await.unwrap();
        assert_eq!(opinion.against, None);
        assert_eq!(opinion.score.check(), Ok(()));
        assert_eq!(opinion.score.header.provider, world.workers[2].stash);
        assert_eq!(opinion.score.output, answer.output);
        assert_eq!(world.workers[2].earned(), times * 3 * (3 + 12));
    }
    assert_eq!((asked(&world, 1), asked(&world, 2)), (0, 2));
    assert_eq!(world.channels_of(&world.workers[2]).len(), 1);
    assert!(world.evidence().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_scorers_contradiction_is_kept() {
    let mut world = world(&[1, 2]).await;
    world.workers[0].behave(Manner::Lies);
    let lie = bought(&mut world).await;
    let opinion = score(&world, &lie, 1).await.unwrap();
    let against = opinion.against.unwrap();
    assert!(against.contains("calls token 3 of 12 wrong"), "{against}");
    let (answer, score) = evidence(&world);
    assert_eq!(answer.output, lie.output);
    assert_eq!(score.signed.receipt, opinion.score.signed.receipt);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_score_an_answer_is_told_and_nothing_is_spent() {
    let mut world = world(&[1, 2]).await;
    let answer = bought(&mut world).await;
    let told = async |world: &World, answer: &Answer, worker: usize| {
        let refused = score(world, answer, worker).await;
        refused.err().expect("it is scored").to_string()
    };
    let itself = told(&world, &answer, 0).await;
    assert!(itself.contains("gave the answer itself"), "{itself}");
    let mut bent = answer.clone();
    bent.output[4] ^= 1;
    let bent = told(&world, &bent, 1).await;
    assert!(bent.contains("output"), "{bent}");
    // The text of another model.
    let other = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        let text = std::fs::read_to_string(demo().join(name)).unwrap();
        std::fs::write(other.path().join(name), text + "\n").unwrap();
    }
    let model = std::mem::replace(&mut world.model, other.path().into());
    let other = told(&world, &answer, 1).await;
    assert!(other.contains("--model"), "{other}");
    world.model = model;
    world.chain.missing.store(5, Ordering::SeqCst);
    let behind = told(&world, &answer, 1).await;
    assert!(behind.contains("33 s behind"), "{behind}");
    world.chain.missing.store(0, Ordering::SeqCst);
    world.terms.policy.budget = 1_010;
    let poor = told(&world, &answer, 1).await;
    assert!(poor.contains("raise --budget"), "{poor}");
    assert_eq!(asked(&world, 1), 0);
    assert!(world.channels_of(&world.workers[1]).is_empty());
}

//! Jobs from a user's command to the provider's account, with everything real: a node, workers and
//! the command. Each test has a chain of its own.

use std::time::Duration;

use anyhow::{ensure, Result};
use assay_client::{
    chain::{runtime, JobParameters, JobState, ProviderParameters},
    keys,
    primitives::Sampling,
    Error, Wait,
};
use assay_tests::{copy, eventually, Scene};
use serde_json::Value;

const ASY: u128 = 1_000_000_000_000;
const MILLI_ASY: u128 = ASY / 1_000;
const LOG: Duration = Duration::from_secs(60);

fn planck(value: &Value) -> u128 {
    value
        .as_str()
        .and_then(|digits| digits.parse().ok())
        .expect("an amount in planck")
}

/// A share in parts per million, rounded down.
fn share(amount: u128, ppm: u32) -> u128 {
    amount * u128::from(ppm) / 1_000_000
}

/// What a missed deadline does to the money: planck to the user, and planck burned.
fn compensation(
    jobs: &JobParameters,
    providers: &ProviderParameters,
    worst_case_fee: u128,
) -> (u128, u128) {
    let penalty = share(worst_case_fee, jobs.missed_penalty.0)
        .max(jobs.min_missed_penalty)
        .min(worst_case_fee);
    let burned = share(penalty, providers.compensation_burned.0);
    (penalty - burned, burned)
}

#[tokio::test]
async fn a_job_is_drawn_delivered_and_settled_to_the_last_planck() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let _worker = scene.worker(&provider, "worker")?;

    let result = scene.run("What is Assay?", &["--max-fee", "1 ASY"])?;
    assert!(
        result["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("Assay is")),
        "{result}"
    );
    let job = scene
        .chain
        .best()
        .await?
        .job(0)
        .await?
        .expect("the record is kept");
    let JobState::Settled {
        settlement,
        delivery,
        ..
    } = job.state
    else {
        panic!("`assay run` returned before the settlement")
    };
    let price = u128::from(job.prompt_len) + 3 * u128::from(delivery.output_len);
    assert_eq!(settlement.fee, price * MILLI_ASY);
    assert_eq!(
        settlement.provider + settlement.royalty + settlement.treasury + settlement.burned,
        settlement.fee
    );
    assert_eq!(planck(&result["refunded"]), ASY - settlement.fee);
    scene.check_money().await
}

/// With two workers and two prices, everyone is paid by the price of whoever was drawn. A third
/// worker that has the key of another, but not its ledger, is found out with the first job.
#[tokio::test]
async fn each_of_two_providers_is_paid_its_own_price() -> Result<()> {
    let scene = Scene::new().await?;
    let cheap = scene.provider("//Bob", 1, 3)?;
    let dear = scene.provider("//Eve", 2, 6)?;
    let workers = [scene.worker(&cheap, "cheap")?, scene.worker(&dear, "dear")?];

    for (provider, factor) in [(&cheap, 1), (&dear, 2)] {
        let named = provider.stash.to_string();
        scene.run(
            "What is a receipt?",
            &["--max-fee", "1 ASY", "--provider", &named],
        )?;
        let id = factor as u64 - 1;
        let job = scene
            .chain
            .best()
            .await?
            .job(id)
            .await?
            .expect("the record is kept");
        let JobState::Settled {
            assignment,
            delivery,
            ..
        } = job.state
        else {
            panic!("`assay run` returned before the settlement")
        };
        assert_eq!(assignment.provider, provider.stash);
        let price = u128::from(job.prompt_len) + 3 * u128::from(delivery.output_len);
        assert_eq!(delivery.fee, factor * price * MILLI_ASY);
    }

    let twin = scene.worker(&cheap, "twin")?;
    let twins = [&workers[0], &twin];
    for twin in twins {
        assert_eq!(twin.health()?, Ok(()));
    }
    let named = cheap.stash.to_string();
    scene.run("What is a bond?", &["--provider", &named])?;
    eventually("one of the twins is degraded", LOG, || {
        let reasons = twins.map(|twin| twin.health().map(|health| health.err()));
        let found = reasons.into_iter().collect::<Result<Vec<_>>>()?;
        let told = |why: &String| why.contains("job 2") && why.contains("ledger");
        Ok(found.iter().flatten().any(told).then_some(()))
    })?;
    scene.check_money().await
}

/// A worker whose operator cannot pay for deliveries takes no more jobs, and says what it needs.
#[tokio::test]
async fn a_worker_without_money_goes_offline_and_comes_back() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let worker = scene.worker(&provider, "worker")?;
    assert_eq!(worker.health()?, Ok(()));
    let operator = provider.assay.with_key(&provider.operator);
    operator.json(&["transfer", &provider.stash.to_string(), "9.94 ASY"])?;

    worker.wait_until_degraded("assay transfer", LOG)?;
    scene.wait_online(&provider, false).await?;
    let account = keys::account(&keys::load(&provider.operator)?).to_string();
    provider.assay.json(&["transfer", &account, "1 ASY"])?;
    scene.wait_online(&provider, true).await?;
    eventually("the worker serves again", LOG, || {
        Ok(worker.health()?.is_ok().then_some(()))
    })?;
    scene.check_money().await
}

#[tokio::test]
async fn a_worker_killed_between_assignment_and_delivery_delivers_once() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let mut worker = scene.worker(&provider, "worker")?;
    worker.daemon.kill()?;
    let job = scene.submit("What is a provider?", &[])?;
    scene.wait_assigned(job).await?;

    worker.start_again()?;
    scene.wait_settled(job).await?;
    let (delivered, declined, missed, _) = provider.record(&scene.chain.best().await?).await?;
    assert_eq!((delivered, declined, missed), (1, 0, 0));
    assert_eq!(
        scene.nonce(&provider.operator).await?,
        1,
        "one transaction, for one delivery"
    );
    scene.check_money().await
}

#[tokio::test]
async fn a_worker_killed_after_submitting_a_delivery_does_not_deliver_twice() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let mut worker = scene.worker(&provider, "worker")?;
    let job = scene.submit("What is a provider?", &[])?;
    worker.daemon.wait_for_log("delivery submitted", 0, LOG)?;
    worker.daemon.kill()?;

    worker.start_again()?;
    scene.wait_settled(job).await?;
    // A second delivery would be a failed transaction, and counted.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(
        scene.nonce(&provider.operator).await?,
        1,
        "one transaction, for one delivery"
    );
    let (delivered, ..) = provider.record(&scene.chain.best().await?).await?;
    assert_eq!(delivered, 1);
    scene.check_money().await
}

#[tokio::test]
async fn a_worker_survives_the_restart_of_its_node() -> Result<()> {
    let mut scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let mut worker = scene.worker(&provider, "worker")?;
    scene.node.restart()?;
    scene.chain = scene.node.chain().await?;

    scene.run("What is Assay?", &[])?;
    worker.daemon.check_alive()?;
    scene.check_money().await
}

#[tokio::test]
async fn a_silent_provider_pays_the_user_and_another_one_delivers() -> Result<()> {
    let scene = Scene::new().await?;
    let silent = scene.provider("//Bob", 1, 3)?;
    let job = scene.submit("What is a validator?", &[])?;
    let missed = scene.wait_assignment(job).await?;
    assert_eq!(missed.provider, silent.stash);
    let user = keys::account(&keys::load(scene.user.key())?);
    let snapshot = scene.chain.best().await?;
    let before = snapshot.balances(user).await?;
    let issued = snapshot.total_issuance().await?;
    let (jobs, providers) = (
        snapshot.job_parameters().await?,
        snapshot.provider_parameters().await?,
    );
    let (paid, burned) = compensation(&jobs, &providers, missed.worst_case_fee);
    ensure!(
        paid > 0 && paid == burned,
        "{paid} paid and {burned} burned"
    );
    let honest = scene.provider("//Eve", 1, 3)?;
    let _worker = scene.worker(&honest, "honest")?;

    scene.wait_settled(job).await?;
    let snapshot = scene.chain.best().await?;
    let record = snapshot.job(job).await?.expect("the record is kept");
    let JobState::Settled { settlement, .. } = record.state else {
        panic!("it is settled")
    };
    let (delivered, declined, missed, bond) = silent.record(&snapshot).await?;
    assert_eq!((delivered, declined, missed), (0, 0, 1));
    assert_eq!(
        bond,
        1_000 * ASY - paid - burned,
        "the bond lost the penalty"
    );
    let after = snapshot.balances(user).await?;
    assert_eq!(
        after.free + after.reserved + settlement.fee,
        before.free + before.reserved + paid,
        "the user has its half of the penalty, less the fee"
    );
    assert_eq!(
        snapshot.total_issuance().await?,
        issued - burned - settlement.burned,
        "the other half is burned, and a part of the protocol fee"
    );
    assert_eq!(honest.record(&snapshot).await?.0, 1);
    scene.check_money().await
}

#[tokio::test]
async fn a_job_that_nobody_answers_is_refunded_whole() -> Result<()> {
    let scene = Scene::new().await?;
    let silent = scene.provider("//Bob", 1, 3)?;
    let named = silent.stash.to_string();
    let job = scene.submit("What is a validator?", &["--provider", &named])?;
    let missed = scene.wait_assignment(job).await?;
    let user = keys::account(&keys::load(scene.user.key())?);
    let snapshot = scene.chain.best().await?;
    let before = snapshot.balances(user).await?;
    let issued = snapshot.total_issuance().await?;
    let (jobs, providers) = (
        snapshot.job_parameters().await?,
        snapshot.provider_parameters().await?,
    );
    let (paid, burned) = compensation(&jobs, &providers, missed.worst_case_fee);
    scene.wait_refunded(job).await?;

    let watched = scene.user.run(&["job", "watch", &job.to_string()])?;
    assert_eq!(watched.code, 1, "{watched:?}");
    let snapshot = scene.chain.best().await?;
    let after = snapshot.balances(user).await?;
    assert!(!after
        .holds
        .iter()
        .any(|(reason, amount)| reason.contains("Escrow") && *amount > 0));
    assert_eq!(
        after.free + after.reserved,
        before.free + before.reserved + paid
    );
    assert_eq!(snapshot.total_issuance().await?, issued - burned);
    let (.., bond) = silent.record(&snapshot).await?;
    assert_eq!(bond, 1_000 * ASY - paid - burned);
    scene.check_money().await
}

/// The worker serves the demo model alone, and is assigned a job for another listing.
#[tokio::test]
async fn a_worker_declines_what_it_does_not_serve() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let _worker = scene.worker(&provider, "worker")?;
    // The same files but for one byte of the tokenizer, so another model.
    let source = scene.folder().join("other-source");
    copy(&assay_tests::demo_source()?, &source)?;
    let tokenizer = source.join("tokenizer.json");
    std::fs::write(&tokenizer, std::fs::read_to_string(&tokenizer)? + "\n")?;
    let other = scene.import(&source, "other-model")?.display().to_string();
    let listing = scene.publisher.json(&["model", "register", &other])?;
    let listing = listing["listing"].as_str().expect("an id").to_owned();
    let prices = ["--input-price", "1 mASY", "--output-price", "3 mASY"];
    provider
        .assay
        .json(&[&["provider", "offer", "--model", &listing][..], &prices].concat())?;

    let arguments = [
        "job",
        "submit",
        "Hello",
        "--model-dir",
        &other,
        "--model",
        &listing,
    ];
    let json = scene
        .user
        .json(&[&arguments[..], &["--max-tokens", "8"]].concat())?;
    scene
        .wait_refunded(json["job"].as_u64().expect("a job"))
        .await?;
    let (delivered, declined, missed, bond) = provider.record(&scene.chain.best().await?).await?;
    assert_eq!((delivered, declined, missed, bond), (0, 1, 0, 1_000 * ASY));
    scene.check_money().await
}

#[tokio::test]
async fn a_price_change_does_not_touch_an_assigned_job() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let mut worker = scene.worker(&provider, "worker")?;
    worker.daemon.kill()?;
    let job = scene.submit("What is a receipt?", &[])?;
    scene.wait_assigned(job).await?;
    provider.offer(50, 70)?;
    worker.start_again()?;

    let fee = scene.wait_settled(job).await?;
    let record = scene
        .chain
        .best()
        .await?
        .job(job)
        .await?
        .expect("the record is kept");
    let JobState::Settled { delivery, .. } = record.state else {
        panic!("it is settled")
    };
    let price = u128::from(record.prompt_len) + 3 * u128::from(delivery.output_len);
    assert_eq!(fee, price * MILLI_ASY);
    scene.check_money().await
}

/// What the chain refuses is refused with its reason, and costs nothing but the fee of asking.
#[tokio::test]
async fn refusals_name_their_reason() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let model = scene.model_dir();

    let poor = scene.user.with_key("//Poor");
    let account = keys::account(&keys::load("//Poor")?).to_string();
    scene.user.json(&["transfer", &account, "1 ASY"])?;
    let refused = poor.run(&["run", "Hello", "--model-dir", &model, "--max-fee", "5 ASY"])?;
    ensure!(refused.code == 1, "{refused:?}");
    ensure!(refused.stderr.contains("assay balance"), "{refused:?}");

    let unknown = ["run", "Hello", "--model-dir", &model, "--model", "0xffff"];
    let refused = scene.user.run(&unknown)?;
    ensure!(
        refused.code == 2 && refused.stderr.contains("assay model list"),
        "{refused:?}"
    );

    // Each refusal, its exit code, and the flag that it names.
    for (extra, code, flag) in [
        (["--max-fee", "30 mASY"], 1, "--min-tokens"),
        (["--max-fee", "1 planck"], 1, "--max-fee"),
        (["--min-tokens", "0"], 2, "--min-tokens"),
        (["--min-tokens", "4096"], 2, "--min-tokens"),
    ] {
        let request = ["run", "Hello", "--model-dir", &model];
        let refused = scene.user.run(&[&request[..], &extra].concat())?;
        ensure!(
            refused.code == code && refused.stderr.contains(flag),
            "{extra:?}: {refused:?}"
        );
        ensure!(refused.stderr.lines().count() == 1, "{refused:?}");
    }

    provider.assay.json(&["provider", "offline"])?;
    let named = provider.stash.to_string();
    let offline = ["run", "Hello", "--model-dir", &model, "--provider", &named];
    let refused = scene
        .user
        .run(&[&offline[..], &["--max-fee", "1 ASY"]].concat())?;
    ensure!(
        refused.code != 0 && refused.stderr.contains("offline"),
        "{refused:?}"
    );

    let (listing, record) = scene.chain.best().await?.listings().await?.remove(0);
    let vocabulary = record.parts.0.spec.vocabulary;
    let call = runtime::tx().jobs().submit(
        listing,
        runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec(vec![1, vocabulary]),
        Sampling::GREEDY.into(),
        8,
        8,
        ASY,
        None,
    );
    let key = keys::load(scene.user.key())?;
    let refused = scene
        .chain
        .submit(&call, &key, Wait::InBlock, LOG)
        .await
        .err();
    let name = refused.as_ref().and_then(Error::dispatch_error);
    ensure!(name == Some("Jobs::TokenOutsideVocabulary"), "{refused:?}");
    scene.check_money().await
}

/// A tight fee is enough where the user says so, and the answer is as long as it pays for.
#[tokio::test]
async fn a_user_may_ask_for_less_than_the_whole_answer() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let _worker = scene.worker(&provider, "worker")?;

    let tight = ["--max-fee", "40 mASY", "--min-tokens", "4"];
    let result = scene.run("What is Assay?", &tight)?;
    let affordable = (40 - result["prompt_len"].as_u64().expect("a length")) / 3;
    let limit = result["assignment"]["token_limit"].as_u64();
    ensure!(
        (4..32).contains(&affordable) && limit == Some(affordable),
        "{result}"
    );
    ensure!(
        result["min_output_tokens"] == 4 && result["max_output_tokens"] == 32,
        "{result}"
    );
    scene.check_money().await
}

/// What nobody can be drawn for any more may be cleared away by whoever finds it, free of charge.
#[tokio::test]
async fn an_offer_for_a_retired_listing_is_evicted_by_anyone() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let (listing, _) = scene.chain.best().await?.listings().await?.remove(0);
    let (id, stash) = (format!("{listing:?}"), provider.stash.to_string());
    let evict = ["provider", "evict", "--listing", &id, "--provider", &stash];

    let refused = scene.user.run(&evict)?;
    ensure!(
        refused.code == 1 && refused.stderr.contains("The offer may stand"),
        "{refused:?}"
    );
    scene.publisher.json(&["model", "retire"])?;
    let user = keys::account(&keys::load(scene.user.key())?);
    let snapshot = scene.chain.best().await?;
    ensure!(
        snapshot.offer(listing, provider.stash).await?.is_some(),
        "a retirement alone removed the offer"
    );
    let caller = snapshot.balances(user).await?.free;
    let owner = snapshot.balances(provider.stash).await?;

    scene.user.json(&evict)?;
    let snapshot = scene.chain.best().await?;
    ensure!(
        snapshot.offer(listing, provider.stash).await?.is_none(),
        "the offer is still there"
    );
    ensure!(
        snapshot.balances(user).await?.free == caller,
        "the eviction was not free"
    );
    let returned = snapshot.balances(provider.stash).await?;
    ensure!(
        returned.free > owner.free
            && returned.free + returned.reserved == owner.free + owner.reserved,
        "the deposit did not go back: {owner:?}, {returned:?}"
    );
    let gone = scene.user.run(&evict)?;
    ensure!(gone.code == 1, "{gone:?}");
    scene.check_money().await
}

/// A publisher without money is still credited, and nothing that it does can stop a settlement.
#[tokio::test]
async fn an_empty_publisher_does_not_stop_a_settlement() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let _worker = scene.worker(&provider, "worker")?;
    let publisher = keys::account(&keys::load(scene.publisher.key())?);
    let free = scene.chain.best().await?.balances(publisher).await?.free;
    let rest = format!("{} planck", free - 20 * MILLI_ASY);
    scene
        .publisher
        .json(&["transfer", &provider.stash.to_string(), &rest])?;

    let result = scene.run("What is Assay?", &[])?;
    ensure!(result["text"].is_string(), "{result}");
    let snapshot = scene.chain.best().await?;
    let (id, _) = snapshot.listings().await?.remove(0);
    let pot = snapshot
        .listing_account(id)
        .await?
        .expect("every listing has one")
        .pot;
    ensure!(pot > 0, "no royalty was credited");
    scene.check_money().await
}

//! Disputes between real processes: challengers who are wrong and who are right, and what a kill in the middle
//! changes, which is nothing.

use std::{fs, time::Duration};

use anyhow::{ensure, Context, Result};
use assay_client::{keys, AccountId32};
use assay_tests::{demo_source, eventually, forged, Assay, Daemon, Marketplace, Outcome, Scene};
use serde_json::Value;

const QUESTION: &str = "What is Assay?";
const PATIENCE: Duration = Duration::from_secs(120);

fn expect(outcome: &Outcome, code: i32, part: &str) -> Result<()> {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(
        outcome.code == code && said.contains(part),
        "not {code} with {part:?}: {outcome:?}"
    );
    Ok(())
}

/// Everything that an account has, holds included.
async fn total(scene: &Scene, account: AccountId32) -> Result<u128> {
    let balances = scene.chain.best().await?.balances(account).await?;
    Ok(balances.free + balances.reserved)
}

fn account(assay: &Assay) -> Result<AccountId32> {
    Ok(keys::account(&keys::load(assay.key())?))
}

/// The first dispute of the list, once its stage says that.
fn wait_for_stage(scene: &Scene, part: &str) -> Result<Value> {
    eventually(&format!("a dispute waits: {part}"), PATIENCE, || {
        let list = scene.user.json(&["dispute", "list", "--mine"])?;
        let stage = list[0]["stage"].as_str().unwrap_or_default();
        Ok(stage.contains(part).then(|| list[0].clone()))
    })
}

/// `assay dispute watch`, in the background.
fn watch(scene: &Scene, file: &str, log: &str) -> Result<Daemon> {
    let model = scene.model_dir();
    let words = [
        "--output", "json", "dispute", "watch", file, "--model", &model,
    ];
    let words = scene.user.words(&words);
    Daemon::start("assay", &words, &scene.folder().join(log))
}

fn planck(value: &Value) -> Result<u128> {
    let text = value
        .as_str()
        .with_context(|| format!("{value} is no amount"))?;
    Ok(text.parse()?)
}

#[tokio::test]
async fn a_challenger_who_is_wrong_pays_whoever_is_killed_on_the_way() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let mut worker = scene.worker(&provider, "worker")?;
    let model = scene.model_dir();
    let saved = scene.folder().join("receipt.json").display().to_string();
    let job = scene.submit(QUESTION, &[])?;
    scene
        .wait_for(job, "delivered", |record| {
            let state = format!("{:?}", record.state);
            state.starts_with("Delivered").then_some(())
        })
        .await?;
    let keep = ["job", "status", &job.to_string()].map(str::to_owned);
    let record = scene.user.json(&keep.each_ref().map(String::as_str))?;
    fs::write(&saved, record["receipt"].to_string())?;

    // What is right is not disputed by mistake.
    let open = ["dispute", "open", &saved, "--model", &model];
    expect(&scene.user.run(&open)?, 1, "every token is right (")?;
    let at = [&open[..], &["--at", "3"]].concat();
    expect(&scene.user.run(&at)?, 2, "say --yes")?;
    let none = [&open[..], &["--at", "99"]].concat();
    expect(&scene.user.run(&none)?, 2, "has no token 99")?;

    let (user, stash) = (account(&scene.user)?, provider.stash);
    let at = [&at[..], &["--yes", "--no-watch"]].concat();
    expect(&scene.user.run(&at)?, 0, "the dispute is open")?;
    worker.daemon.kill()?;
    let before = (total(&scene, user).await?, total(&scene, stash).await?);
    let dispute = wait_for_stage(&scene, "the provider has to answer")?;
    ensure!(
        dispute["token"] == 3 && dispute["claim"]["job"] == job && dispute["turn"] == "provider",
        "{dispute}"
    );
    let bond = planck(&dispute["bond"])?;
    worker.start_again()?;
    wait_for_stage(&scene, "the challenger has to choose")?;

    // Nothing is wrong with what was shown, so that all the challenger can do is wait.
    let mut first = watch(&scene, &saved, "watch.log")?;
    std::thread::sleep(Duration::from_secs(2));
    first.kill()?;
    let again = ["dispute", "watch", &saved, "--model", &model];
    let outcome = scene
        .user
        .run(&[&["--output", "json"], &again[..]].concat())?;
    expect(&outcome, 1, "the provider is right, and the bond is lost")?;
    let ending: Value = serde_json::from_str(&outcome.stdout)?;
    let paid = planck(&ending["compensation"])?;
    ensure!(
        ending["verdict"] == "Acquitted"
            && ending["conviction"].is_null()
            && paid > 0
            && paid + planck(&ending["burned"])? == bond,
        "{ending} of a bond of {bond}"
    );
    let after = (total(&scene, user).await?, total(&scene, stash).await?);
    ensure!(
        before.0 - after.0 >= bond && after.1 - before.1 >= paid,
        "{before:?} {after:?} {ending}"
    );
    worker.daemon.wait_for_log("dispute won", 0, PATIENCE)?;
    ensure!(!worker.daemon.log()?.contains("dispute lost"));
    scene.check_money().await
}

#[tokio::test]
async fn a_lie_costs_its_provider_and_pays_who_took_it_to_the_chain() -> Result<()> {
    let market = Marketplace::of_one(&demo_source(), &[]).await?;
    let scene = &market.scene;
    let mut gateway = market.gateway("20 ASY", &["--deposit=4 ASY"])?;
    let model = gateway.model()?;
    let mut bought = Vec::new();
    for prompt in ["Assay is", "Once upon a time"] {
        bought.extend(gateway.ask(&model, prompt, 24, |_| Ok(()))?.bought);
    }
    gateway.daemon.kill()?;
    let server = market.servers.first().context("a provider")?;
    let data = gateway.data.display().to_string();
    let file = |name: &str| scene.folder().join(name).display().to_string();
    let mut answers = Vec::new();
    for request in &bought {
        answers.push(
            scene
                .user
                .json(&["gateway", "receipt", request, "--data", &data])?,
        );
    }
    let (truth, truth_file) = (&answers[0], file("truth.json"));
    fs::write(&truth_file, truth.to_string())?;
    let (lie, _) = forged(truth, 4, &server.provider.operator)?;
    let lie_file = file("lie.json");
    fs::write(&lie_file, lie.to_string())?;
    let (other, _) = forged(&answers[1], 7, &server.provider.operator)?;
    let other_file = file("other.json");
    fs::write(&other_file, other.to_string())?;
    let dir = scene.model_dir();

    // Whoever has the operator's key can sign what the worker never said; the worker cannot defend that.
    let told = scene.user.run(&["verify", &other_file, "--model", &dir])?;
    expect(&told, 1, &format!("`assay dispute open {other_file}"))?;
    let open = [
        "dispute",
        "open",
        &other_file,
        "--model",
        &dir,
        "--yes",
        "--no-watch",
    ];
    let opened = scene.user.run(&open)?;
    expect(&opened, 0, "the dispute is open")?;
    expect(&opened, 0, "token 8 of ")?;

    // Two tokens at one place need no game.
    let accuse = ["dispute", "accuse", &truth_file, &lie_file, "--yes"];
    let alone = scene
        .user
        .run(&["dispute", "accuse", &truth_file, "--yes"])?;
    expect(&alone, 1, "nothing of request")?;
    let bond = scene
        .chain
        .best()
        .await?
        .provider(server.provider.stash)
        .await?;
    let bond = bond.context("the provider is registered")?.bond;
    let ending = scene.user.json(&accuse)?;
    ensure!(
        ending["verdict"] == "Convicted"
            && ending["conviction"]["fault"] == "Equivocation"
            && planck(&ending["conviction"]["reward"])? > 0,
        "{ending}"
    );
    let left = scene
        .chain
        .best()
        .await?
        .provider(server.provider.stash)
        .await?;
    ensure!(
        left.is_none_or(|left| left.bond < bond),
        "nothing was slashed"
    );

    let mut watching = watch(scene, &other_file, "watch.log")?;
    std::thread::sleep(Duration::from_secs(2));
    watching.kill()?;
    let again = ["dispute", "watch", &other_file, "--model", &dir];
    let ending = scene.user.json(&again)?;
    ensure!(
        ending["verdict"] == "Convicted" && planck(&ending["conviction"]["reward"])? > 0,
        "{ending}"
    );
    // It is over, and asked again it says the same.
    let same = scene.user.json(&again)?;
    ensure!(same["dispute"] == ending["dispute"], "{same} {ending}");
    scene.check_money().await
}

//! Disputes between real processes: challengers who are wrong and who are right, a gateway that disputes by itself, a
//! delegate; and what kills and a pause in the middle change, which is nothing.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{bail, ensure, Context, Result};
use assay_client::{
    answer::Answer,
    chain::runtime::runtime_types::{
        assay_runtime::RuntimeCall, pallet_disputes::pallet::Call as Disputes,
    },
    keys, AccountId32,
};
use assay_tests::{
    cheat::{self, Ledger, Stake},
    copy, demo_source, eventually, forged, http, Assay, Daemon, Marketplace, Outcome, Scene,
    Worker,
};
use serde_json::Value;

const QUESTION: &str = "What is Assay?";
const PATIENCE: Duration = Duration::from_secs(120);
/// With what providers register.
const BOND: u128 = 1_000_000_000_000_000;

/// Blocks in which answers are disputed, and counted blocks for a move, where much is asked before.
const WINDOW: u32 = 240;
const REPLY: u32 = 20;

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

/// The games of a chain so far, which cost nobody who was right a fee.
async fn games(scene: &Scene) -> Result<Ledger> {
    let ledger = Ledger::read_all(&scene.chain).await?;
    for (dispute, game) in &ledger.games {
        ensure!(
            game.refused == 0,
            "moves of dispute {dispute} were refused: {game:?}"
        );
    }
    Ok(ledger)
}

#[tokio::test]
async fn a_challenger_who_is_wrong_pays_whoever_is_killed_on_the_way() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let mut worker = scene.worker(&provider, "worker")?;
    let model = scene.model_dir();
    let saved = scene.folder().join("receipt.json").display().to_string();
    let job = scene.buy(QUESTION, &saved).await?;

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

    // One that was killed before it had seen its dispute finds how that ended, and pays for no other.
    let plan = format!("{saved}.dispute");
    let mut forgetful: Value = serde_json::from_slice(&fs::read(&plan)?)?;
    forgetful["opened"] = Value::Null;
    forgetful["over"] = Value::Bool(false);
    fs::write(&plan, forgetful.to_string())?;
    let same = scene
        .user
        .run(&[&["--output", "json"], &open[..]].concat())?;
    expect(&same, 1, "the provider is right, and the bond is lost")?;
    let same: Value = serde_json::from_str(&same.stdout)?;
    ensure!(same["dispute"] == ending["dispute"], "{same} {ending}");
    // Nor does anybody pay who comes too late.
    scene.wait_settled(job).await?;
    let settled = total(&scene, user).await?;
    let later = scene.folder().join("later.json");
    fs::copy(&saved, &later)?;
    let later = later.display().to_string();
    let open = [
        "dispute", "open", &later, "--model", &model, "--at=3", "--yes",
    ];
    expect(&scene.user.run(&open)?, 1, "cannot be disputed any more")?;
    ensure!(total(&scene, user).await? == settled, "that cost something");
    scene.check_money().await
}

/// Waits until there are so many blocks more.
async fn pass(scene: &Scene, blocks: u32) -> Result<()> {
    let until = scene.chain.best().await?.number() + blocks;
    while scene.chain.best().await?.number() < until {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Puts a pipe in the place of a file. Who reads it from now on waits until somebody writes it.
fn into_pipe(file: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(file)?;
    fs::remove_file(file)?;
    let made = Command::new("mkfifo").arg(file).status()?;
    ensure!(made.success(), "mkfifo: {made}");
    Ok(bytes)
}

#[tokio::test]
async fn a_challenger_has_the_trace_before_it_commits() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let _worker = scene.worker(&provider, "worker")?;
    let saved = scene.folder().join("receipt.json").display().to_string();
    scene.buy(QUESTION, &saved).await?;
    let own = scene.folder().join("own");
    copy(&scene.model, &own)?;
    let manifest = own.join("manifest.json");
    let bytes = into_pipe(&manifest)?;

    let model = own.display().to_string();
    let words = ["dispute", "open", &saved, "--model", &model];
    let words = scene
        .user
        .words(&[&words[..], &["--at=3", "--yes"]].concat());
    let log = scene.folder().join("open.log");
    let mut open = Daemon::start("assay", &words, &log)?;
    // It reads the model for the bond, for the model's root, and for the trace.
    fs::write(&manifest, &bytes)?;
    open.wait_for_log("disputing token 3 of", 0, PATIENCE)?;
    fs::write(&manifest, &bytes)?;
    open.wait_for_log("computing the trace of token 3", 0, PATIENCE)?;
    pass(&scene, 2).await?;
    let said = open.log()?;
    ensure!(!said.contains("committed to the claim"), "{said}");
    fs::write(&manifest, &bytes)?;
    for then in ["committed to the claim", "is open, with a bond of"] {
        open.wait_for_log(then, 0, PATIENCE)?;
    }
    Ok(())
}

/// The manifest of the worker's model is a pipe, so that a trace can be computed once something is written to it.
#[tokio::test]
async fn nothing_is_begun_while_a_move_is_computed_and_a_trace_is_there_before_its_turn(
) -> Result<()> {
    const TRACE: &str = "computing the trace of a disputed token";
    let mut scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let mut worker = scene.server(&provider, "worker", &[])?;
    let manifest = scene.model.join("manifest.json");
    let intact = scene.folder().join("intact");
    copy(&scene.model, &intact)?;
    scene.model = intact;
    let model = scene.model_dir();
    let saved = scene.folder().join("receipt.json").display().to_string();
    scene.buy(QUESTION, &saved).await?;
    let bytes = into_pipe(&manifest)?;
    let open = ["dispute", "open", &saved, "--model", &model, "--at=3"];
    let open = [&open[..], &["--yes", "--no-watch"]].concat();
    expect(&scene.user.run(&open)?, 0, "the dispute is open")?;
    worker.daemon.wait_for_log(TRACE, 0, PATIENCE)?;
    let from = worker.daemon.log()?.len();
    scene.submit("Who are you?", &[])?;
    let waits = |worker: &Worker| -> Result<bool> {
        let metrics = http::get(worker.http_port, "/metrics")?.body;
        Ok(metrics.contains("\nassay_worker_requests_waiting 1\n"))
    };
    eventually(
        "a job waits",
        PATIENCE,
        || Ok(waits(&worker)?.then_some(())),
    )?;
    pass(&scene, 2).await?;
    let begun = worker.daemon.log()?[from..].contains("generating");
    ensure!(
        !begun && waits(&worker)?,
        "a job was begun, and a move is due"
    );
    fs::write(&manifest, &bytes)?;
    for then in ["dispute: the provider answers", "generating"] {
        worker.daemon.wait_for_log(then, from, PATIENCE)?;
    }

    wait_for_stage(&scene, "the challenger has to choose")?;
    // Who is started again has its trace before it is its turn, which here it never is.
    worker.daemon.kill()?;
    fs::remove_file(&manifest)?;
    fs::write(&manifest, &bytes)?;
    let from = worker.daemon.log()?.len();
    worker.start_again()?;
    worker.daemon.wait_for_log(TRACE, from, PATIENCE)?;
    Ok(())
}

#[tokio::test]
async fn a_lie_costs_its_provider_and_pays_who_took_it_to_the_chain() -> Result<()> {
    let market = Marketplace::of_one(&demo_source()?, &[]).await?;
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

#[tokio::test]
async fn verify_disputes_what_it_found_if_its_user_says_so_and_not_else() -> Result<()> {
    let mut scene = Scene::new().await?;
    cheat::govern(&scene, WINDOW, REPLY).await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let _worker = scene.worker(&provider, "worker")?;
    scene.damage_model()?;
    let saved = scene.folder().join("receipt.json").display().to_string();
    scene.buy(QUESTION, &saved).await?;
    let user = account(&scene.user)?;
    let (stake, had) = (
        Stake::at(&scene.chain.best().await?, provider.stash).await?,
        total(&scene, user).await?,
    );

    let model = scene.model_dir();
    let words = ["verify", &saved, "--model", &model];
    let command = format!("to dispute it: `assay dispute open {saved} --model {model}`");
    let asks = |outcome: &Outcome| outcome.stdout.matches("go on? [y/N]").count();
    for (typed, redirected, asked) in [
        ("n\n", "", 1),
        ("\n", "", 1),
        // Nobody is there any more, or never was.
        ("", "", 1),
        ("y\n", "<&-", 0),
        ("y\n", "</dev/null", 0),
    ] {
        let outcome = scene.user.in_terminal(&words, typed, redirected)?;
        expect(&outcome, 1, &command)?;
        ensure!(asks(&outcome) == asked, "{outcome:?}");
    }
    // The price is a question of its own; without an answer the verdict stands, and nothing was done.
    for typed in ["y\nn\n", "y\n"] {
        let outcome = scene.user.in_terminal(&words, typed, "")?;
        expect(&outcome, 1, "which is lost if the token is right")?;
        ensure!(asks(&outcome) == 2, "{outcome:?}");
    }
    let best = scene.chain.best().await?;
    ensure!(
        best.disputes().await?.is_empty() && total(&scene, user).await? == had,
        "something was disputed, or paid"
    );
    ensure!(!Path::new(&format!("{saved}.dispute")).exists(), "a plan");

    let outcome = scene.user.in_terminal(&words, "y\ny\n", "")?;
    expect(&outcome, 0, "is open, with a bond of")?;
    ensure!(asks(&outcome) == 2, "{outcome:?}");
    let ledger = games(&scene).await?;
    let [conviction] = &ledger.convictions[..] else {
        bail!("{:?}", ledger.convictions);
    };
    let answer = Answer::parse(&fs::read(&saved)?).map_err(anyhow::Error::msg)?;
    let left = stake.convicted(answer.signed.receipt.fee, conviction)?;
    let best = scene.chain.best().await?;
    let now = Stake::at(&best, provider.stash).await?;
    ensure!(
        now == left && conviction.challenger == user,
        "{now:?} is not {left:?}, {conviction:?}"
    );
    scene.check_money().await
}

#[tokio::test]
async fn a_gateway_takes_a_wrong_answer_to_the_chain_also_when_it_is_killed() -> Result<()> {
    let mut market = Marketplace::of_one(&demo_source()?, &[]).await?;
    market.scene.damage_model()?;
    let mut gateway = market.gateway("20 ASY", &["--deposit=4 ASY", "--check=100", "--dispute"])?;
    let (scene, server) = (&market.scene, &mut market.servers[0]);
    let bond = scene
        .chain
        .best()
        .await?
        .provider(server.provider.stash)
        .await?;
    let bond = bond.context("the provider is registered")?.bond;

    let model = gateway.model()?;
    gateway.ask(&model, "Assay is", 24, |_| Ok(()))?;
    gateway.daemon.wait_for_log("chooses hash", 0, PATIENCE)?;
    gateway.daemon.kill()?;
    let from = gateway.daemon.log()?.len();
    wait_for_stage(scene, "the challenger has to choose")?;
    gateway.start_again()?;
    let over = "the dispute is over, and its bond is back";
    gateway.daemon.wait_for_log(over, from, PATIENCE)?;

    // The last move would have been a proof with weights that are not the listing's.
    server
        .worker
        .daemon
        .wait_for_log("dispute lost", 0, PATIENCE)?;
    let log = server.worker.daemon.log()?;
    let told = log.matches("the chain would not take the move").count();
    ensure!(told == 1 && log.contains("proves the step"), "{log}");
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
    let ledger = games(scene).await?;
    let user = account(&scene.user)?;
    ensure!(
        ledger.games.len() == 1
            && matches!(&ledger.convictions[..], [one] if one.challenger == user && one.reward > 0),
        "{:?} {:?}",
        ledger.games,
        ledger.convictions
    );
    scene.check_money().await
}

/// The disk of one who scores answers goes bad, and it calls a right token wrong.
#[tokio::test]
async fn a_lying_checker_is_convicted_and_who_answered_right_keeps_its_bond() -> Result<()> {
    let floats = demo_source()?;
    let mut scene = Scene::of(&floats).await?;
    let honest = scene.provider("//Bob", 1, 3)?;
    let intact = scene.folder().join("of-bob");
    copy(&scene.model, &intact)?;
    let _worker = scene.worker_of(&honest, "honest", &[&intact])?;
    let file = |scene: &Scene, name: &str| scene.folder().join(name).display().to_string();
    let answer = file(&scene, "answer.json");
    scene.buy(QUESTION, &answer).await?;
    let checker = scene.provider("//Eve", 1, 3)?;
    let mut server = scene.server(&checker, "checker", &[])?;
    scene.wait_online(&checker, true).await?;
    scene.damage_model()?;

    let (text, data) = (floats.display().to_string(), file(&scene, "scores"));
    let by = checker.stash.to_string();
    let score = [
        "--output", "json", "verify", &answer, "--model", &text, "--by", &by, "--data", &data,
        "--budget", "5 ASY",
    ];
    // Its offer has to be final.
    let told = eventually("the checker is asked", PATIENCE, || {
        let told = scene.user.run(&score)?;
        Ok((!told.stderr.contains("cannot be asked")).then_some(told))
    })?;
    expect(&told, 1, "one of the two lies")?;
    let told: Value = serde_json::from_str(&told.stdout)?;
    let score = file(&scene, "score.json");
    fs::write(&score, told["score"].to_string())?;

    // Whoever has the weights sees which.
    let model = scene.model_dir();
    let open = |file| ["dispute", "open", file, "--model", &model, "--yes"];
    let verify = ["verify", &answer, "--model", &model];
    expect(&scene.user.run(&verify)?, 0, "every token is right (")?;
    let ending = scene.user.json(&open(&score))?;
    ensure!(ending["verdict"] == "Convicted", "{ending}");
    server.daemon.wait_for_log("dispute lost", 0, PATIENCE)?;

    let ledger = games(&scene).await?;
    let [convicted] = &ledger.convictions[..] else {
        bail!("{:?}", ledger.convictions)
    };
    let user = account(&scene.user)?;
    // What led to the dispute was to come ahead of whatever else waited.
    let tip = ledger.tips.get(&user).copied().unwrap_or_default();
    ensure!(tip > 0, "{:?}", ledger.tips);
    let fee = planck(&told["score"]["receipt"]["fee"])?;
    let rest = convicted.slashed() - convicted.refund;
    ensure!(
        convicted.provider == checker.stash
            && convicted.challenger == user
            && convicted.returned + convicted.refund >= fee
            && convicted.reward == rest * 4 / 10
            && convicted.burned == rest - convicted.reward
            && convicted.reward > 0,
        "of a fee of {fee}: {convicted:?}"
    );
    let bond = scene.chain.best().await?.provider(honest.stash).await?;
    let bond = bond.context("it is registered")?.bond;
    ensure!(bond == BOND, "{bond} planck are left of {BOND}");
    scene.check_money().await
}

/// Blocks that clocks stand still: more than a move may take.
const PAUSE: u32 = 16;

#[tokio::test]
async fn a_delegate_plays_on_behind_a_pause_and_moves_no_money() -> Result<()> {
    let mut scene = Scene::new().await?;
    cheat::govern(&scene, 30, 12).await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let mut worker = scene.worker(&provider, "worker")?;
    scene.damage_model()?;
    let (saved, model) = (scene.folder().join("receipt.json"), scene.model_dir());
    let saved = saved.display().to_string();
    scene.buy(QUESTION, &saved).await?;

    // Somebody else's bond is on its way out meanwhile.
    let leaving = scene.provider("//Eve", 1, 3)?;
    leaving.assay.json(&["provider", "unbond", "100 ASY"])?;
    let leaving_record = scene.chain.best().await?.provider(leaving.stash).await?;
    let leaving_record = leaving_record.context("it is registered")?;
    let due = leaving_record.unbonding.0.first().context("a chunk")?.due;

    let delegate = scene.user.with_key("//Ferdie");
    let who = account(&delegate)?;
    let before = total(&scene, who).await?;
    let name = who.to_string();
    let open = [
        "dispute",
        "open",
        &saved,
        "--model",
        &model,
        "--delegate",
        &name,
    ];
    let open = [&open[..], &["--yes", "--no-watch"]].concat();
    expect(&scene.user.run(&open)?, 0, "the dispute is open")?;
    let opened = wait_for_stage(&scene, "the challenger has to choose a hash")?;
    let pause = |on| RuntimeCall::Disputes(Disputes::pause { on });
    cheat::as_root(&scene.chain, pause(true)).await?;
    let since = scene.chain.best().await?.number();

    // All that a delegate needs is the answer.
    let copied = scene.folder().join("copied.json");
    fs::copy(&saved, &copied)?;
    let copied = copied.display().to_string();
    let words = delegate.words(&["dispute", "watch", &copied, "--model", &model]);
    let log = scene.folder().join("delegate.log");
    let mut watching = Daemon::start("assay", &words, &log)?;
    // Nobody plays with numbers or tokens that are not the answer's.
    let damaged = scene.folder().join("model").display().to_string();
    let words = ["dispute", "watch", &copied, "--model", &damaged];
    expect(&delegate.run(&words)?, 2, "layers.0.o.weights")?;
    let mut altered: Value = serde_json::from_slice(&fs::read(&saved)?)?;
    altered["prompt"][0] = altered["prompt"][1].clone();
    let altered_file = scene.folder().join("altered.json");
    fs::write(&altered_file, altered.to_string())?;
    let altered_file = altered_file.display().to_string();
    let words = ["dispute", "watch", &altered_file, "--model", &model];
    expect(&delegate.run(&words)?, 1, "the prompt is not the one")?;
    while scene.chain.best().await?.number() < since + PAUSE {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let paused = wait_for_stage(&scene, "the challenger has to choose a hash")?;
    ensure!(
        paused["state"] == opened["state"] && paused["deadline"] == opened["deadline"],
        "{opened} {paused}"
    );
    cheat::as_root(&scene.chain, pause(false)).await?;

    // Late by blocks, and in time by the clock.
    watching.wait_for_log("chooses number", 0, PATIENCE)?;
    let withdraw = ["provider", "withdraw"];
    let best = scene.chain.best().await?.number();
    if best < due + PAUSE {
        ensure!(
            leaving.assay.run(&withdraw)?.code != 0,
            "block {best} was not {due} and a pause"
        );
    }
    let words = ["dispute", "watch", &saved, "--model", &model];
    let ending = scene.user.json(&words)?;
    let conviction = &ending["conviction"];
    ensure!(
        ending["verdict"] == "Convicted"
            && conviction["challenger"] == account(&scene.user)?.to_string()
            && planck(&conviction["reward"])? > 0,
        "{ending}"
    );
    worker.daemon.wait_for_log("dispute lost", 0, PATIENCE)?;
    games(&scene).await?;
    let after = total(&scene, who).await?;
    ensure!(after == before, "the delegate had {before} and has {after}");
    eventually("what was unbonded is out", PATIENCE, || {
        Ok((leaving.assay.run(&withdraw)?.code == 0).then_some(()))
    })?;
    ensure!(
        scene.chain.best().await?.number() >= due + PAUSE,
        "it was out too early"
    );
    scene.check_money().await
}

//! What operators see and type: metrics as they are scraped, the rules and boards made of them, and a
//! validator from nothing to its first reward and out again.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{ensure, Context, Result};
use assay_tests::{eventually, http, programs, repository, Assay, Clients, Node, Scene};
use serde_json::Value;

/// Some eras of a development chain.
const ERAS: Duration = Duration::from_secs(300);
/// Long enough for a block with room for transactions, short enough for a test.
const EPOCH_SLOTS: u32 = 12;
const PATIENCE: Duration = Duration::from_secs(90);

/// A folder of what operators install.
fn ops(folder: &str) -> Result<PathBuf> {
    Ok(repository()?.join("ops").join(folder))
}

/// The series names that a page of `/metrics` shows, and those that Prometheus itself adds.
fn scraped(page: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        line.get(..end).unwrap_or_default().to_owned()
    };
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines.map(name).chain(["up".into()]).collect()
}

/// The value of a series on a page, such as `assay_jobs{state="settled"}`, whatever other labels it has.
fn value(page: &str, name: &str, label: &str) -> Option<f64> {
    let mut lines = page.lines().filter(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
            && line.contains(label)
    });
    lines.next()?.rsplit(' ').next()?.parse().ok()
}

/// What looks like a metric's name in an expression.
fn names_in(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // What stands in quotes is the value of a label.
    for part in expression.split('"').step_by(2) {
        let words = part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let is_metric = |word: &&str| {
            *word == "up" || word.starts_with("assay_") || word.starts_with("substrate_")
        };
        names.extend(words.filter(is_metric).map(str::to_owned));
    }
    names
}

/// The expressions of all panels and variables of a board.
fn expressions_of(board: &Value, found: &mut Vec<String>) {
    match board {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field.as_str() {
                    Some(expression) if name == "expr" => found.push(expression.into()),
                    // A variable's; that of a data source names a kind of it.
                    Some(query) if name == "query" && query.contains('(') => {
                        found.push(query.into())
                    }
                    _ => expressions_of(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions_of(item, found)),
        _ => {}
    }
}

/// The expressions of the rules. A rule's expression stands behind `expr:`, or indented below it.
fn expressions_of_rules(rules: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = rules.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim().strip_prefix("expr:") else {
            continue;
        };
        let mut expression = expression.trim().trim_start_matches('>').to_owned();
        let depth = |line: &str| line.len() - line.trim_start().len();
        while let Some(more) = lines.next_if(|next| depth(next) > depth(line)) {
            expression.push_str(more);
        }
        found.push(expression);
    }
    found
}

/// Every metric that a panel or a rule names, with where it is named.
fn named() -> Result<Vec<(String, String)>> {
    let mut expressions = Vec::new();
    for entry in fs::read_dir(ops("grafana")?)? {
        let path = entry?.path();
        let board: Value = serde_json::from_slice(&fs::read(&path)?)
            .with_context(|| format!("{} is no board", path.display()))?;
        let mut found = Vec::new();
        expressions_of(&board, &mut found);
        ensure!(found.len() > 10, "{} has no panels", path.display());
        expressions.extend(
            found
                .into_iter()
                .map(|text| (path.display().to_string(), text)),
        );
    }
    let path = ops("prometheus")?.join("alerts.yml");
    let rules = fs::read_to_string(&path)?;
    let found = expressions_of_rules(&rules);
    ensure!(
        found.len() == rules.matches("- alert:").count(),
        "a rule has no expression"
    );
    expressions.extend(
        found
            .into_iter()
            .map(|text| (path.display().to_string(), text)),
    );
    let mut named = Vec::new();
    for (place, expression) in expressions {
        let names = names_in(&expression);
        ensure!(!names.is_empty(), "{place}: {expression:?} names no metric");
        named.extend(names.into_iter().map(|name| (name, place.clone())));
    }
    Ok(named)
}

#[tokio::test]
async fn every_metric_of_boards_and_rules_is_scraped_from_a_real_node_and_a_real_worker(
) -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let worker = scene.worker(&provider, "worker")?;
    scene.run("What is Assay?", &["--max-fee", "1 ASY"])?;
    let node = |path| http::get(scene.node.metrics_port, path);

    // Gauges are those of a block some seconds ago, counters those of finalised blocks.
    let settled = r#"event="settled""#;
    let page = eventually("the settled job is counted", PATIENCE, || {
        let page = node("/metrics")?.body;
        let counted = value(&page, "assay_jobs_total", settled) >= Some(1.0);
        let shown = value(&page, "assay_jobs", r#"state="settled""#) >= Some(1.0);
        Ok((counted && shown).then_some(page))
    })?;
    let mut scraped_names = scraped(&page);
    scraped_names.extend(scraped(&http::get(worker.http_port, "/metrics")?.body));
    for (name, place) in named()? {
        ensure!(
            scraped_names.contains(&name),
            "{place} names {name}, which nobody shows"
        );
    }

    // And they say what is so.
    let at = |name, label| value(&page, name, label).with_context(|| format!("{name} is shown"));
    let best = scene.chain.best().await?;
    let issuance = best.total_issuance().await? as f64 / 1e12;
    ensure!((at("assay_issuance_asy", "")? - issuance).abs() < issuance / 1e3);
    ensure!(at("assay_providers", r#"state="online""#)? == 1.0);
    ensure!(at("assay_provider_bonds_asy", r#"state="active""#)? == 1_000.0);
    ensure!(at("assay_listings", r#"state="active""#)? == 1.0);
    ensure!(at("assay_jobs_total", r#"event="submitted""#)? == 1.0);
    ensure!(at("assay_jobs_total", r#"event="declined""#)? == 0.0);
    ensure!(at("assay_settled_asy_total", r#"to="provider""#)? > 0.0);
    ensure!(at("assay_transactions_total", "")? >= 5.0);
    ensure!(at("assay_validators", r#"set="active""#)? == 1.0);
    // Alice's keys are in this node's keystore.
    ensure!(at("assay_own_active", "")? == 1.0 && at("assay_own_disabled", "")? == 0.0);
    ensure!(at("assay_own_bond_asy", "")? >= at("assay_validator_min_bond_asy", "")?);
    ensure!(at("assay_own_era_points", "")? <= at("assay_era_points", "")?);
    Ok(())
}

#[test]
fn each_alert_has_a_case_in_which_it_fires_and_promtool_agrees() -> Result<()> {
    let folder = ops("prometheus")?;
    let rules = fs::read_to_string(folder.join("alerts.yml"))?;
    let cases = fs::read_to_string(folder.join("alerts_test.yml"))?;
    for line in rules.lines() {
        if let Some(alert) = line.trim().strip_prefix("- alert: ") {
            ensure!(
                cases.contains(&format!("alertname=\"{alert}\"")),
                "{alert} has no case"
            );
        }
    }
    for arguments in [
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts_test.yml"],
    ] {
        let promtool = Command::new("promtool")
            .args(arguments)
            .current_dir(&folder)
            .output();
        let Ok(output) = promtool else {
            eprintln!(
                "SKIPPED: promtool, which comes with Debian's package prometheus, is not here"
            );
            return Ok(());
        };
        ensure!(
            output.status.success(),
            "promtool {arguments:?}: {output:?}"
        );
    }
    Ok(())
}

#[test]
fn wallets_read_the_chain_and_send() -> Result<()> {
    let Some(clients) = Clients::find()? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let node = Node::development(folder.path())?;
    let checks = [
        "the_chain_says_how_to_show_money_and_addresses",
        "every_pallet_is_read",
        "a_transfer_with_default_options_arrives",
        "an_error_has_its_name",
        "what_is_on_hold_says_for_what",
    ];
    clients.check_at("node_polkadot.mjs", &node.url(), "//Eve", &checks)
}

/// A node of a development chain with Alice's keys, and one that was only now started for somebody else.
struct Validators {
    alice: Node,
    newcomer: Node,
    _folder: tempfile::TempDir,
}

impl Validators {
    /// On a development chain whose epochs are short, so that an era is over in half a minute.
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("chain.json");
        let written = Command::new(programs()?.join("assay-node"))
            .args(["export-chain-spec", "--chain", "dev", "--output"])
            .arg(&path)
            .output()?;
        ensure!(written.status.success(), "{written:?}");
        let mut spec: Value = serde_json::from_slice(&fs::read(&path)?)?;
        spec["genesis"]["runtimeGenesis"]["patch"]["timing"]["epochSlots"] = EPOCH_SLOTS.into();
        fs::write(&path, spec.to_string())?;

        let chain = format!("--chain={}", path.display());
        let alice = Node::bootnode(folder.path(), "alice", &[&chain, "--alice"])?;
        let bootnodes = format!("--bootnodes={}", alice.address());
        let identity = "--unsafe-force-node-key-generation";
        let arguments = [chain.as_str(), "--validator", identity, &bootnodes];
        let newcomer = Node::start(folder.path(), "newcomer", &arguments)?;
        Ok(Self {
            alice,
            newcomer,
            _folder: folder,
        })
    }
}

/// What a command that was asked wrongly says.
fn refusal(assay: &Assay, arguments: &[&str], part: &str) -> Result<()> {
    let outcome = assay.run(arguments)?;
    ensure!(outcome.code != 0, "assay {arguments:?} went through");
    ensure!(
        outcome.stderr.contains(part),
        "assay {arguments:?} says {}",
        outcome.stderr
    );
    ensure!(
        outcome.stderr.trim().lines().count() == 1,
        "{}",
        outcome.stderr
    );
    Ok(())
}

fn planck(value: &Value) -> Result<u128> {
    let digits = value
        .as_str()
        .with_context(|| format!("{value} is no amount"))?;
    Ok(digits.parse()?)
}

#[tokio::test]
async fn somebody_becomes_a_validator_is_paid_and_leaves() -> Result<()> {
    let validators = Validators::start()?;
    // Commands about keys go to the validator's own node.
    let eve = Assay::new(&validators.newcomer.url(), "//Eve");
    let ferdie = Assay::new(&validators.alice.url(), "//Ferdie");
    eventually("the new node has the chain", PATIENCE, || {
        let checks = eve.run(&["--output", "json", "doctor"])?;
        let checks: Value = serde_json::from_str(&checks.stdout).unwrap_or_default();
        let checks = checks.as_array().cloned().unwrap_or_default();
        let blocks = checks.iter().find(|check| check["check"] == "blocks");
        Ok(blocks
            .is_some_and(|check| check["ok"] == true)
            .then_some(()))
    })?;

    // Each step says what is missing for it.
    refusal(&eve, &["validator", "status"], "assay validator bond")?;
    refusal(&eve, &["validator", "validate"], "nothing is bonded")?;
    refusal(&eve, &["validator", "bond", "1 planck"], "below the least")?;
    let bonded = eve.json(&["validator", "bond", "5000 ASY"])?;
    ensure!(
        planck(&bonded["bond"])? == 5_000_000_000_000_000,
        "{bonded}"
    );
    refusal(
        &eve,
        &["validator", "validate"],
        "assay validator rotate-keys",
    )?;
    let keys = eve.json(&["validator", "rotate-keys"])?;
    let stands = eve.json(&["validator", "validate", "--commission", "10"])?;
    ensure!(
        stands["role"] == "Validator"
            && stands["commission"] == 100_000
            && stands["session_keys"] == keys["session_keys"]
            && stands["node_has_keys"] == true,
        "{stands}"
    );
    // Another node says that the keys are not there.
    let elsewhere = Assay::new(&validators.alice.url(), "//Eve");
    ensure!(elsewhere.json(&["validator", "status"])?["node_has_keys"] == false);

    let eve_account = stands["account"].as_str().context("an account")?.to_owned();
    refusal(
        &ferdie,
        &["validator", "nominate", &eve_account],
        "nothing is bonded",
    )?;
    ferdie.json(&["validator", "bond", "5000 ASY"])?;
    refusal(
        &ferdie,
        &["validator", "nominate", "//Dave"],
        "assay validator list",
    )?;
    let backs = ferdie.json(&["validator", "nominate", &eve_account])?;
    ensure!(backs["validator"] == eve_account.as_str(), "{backs}");

    let status = eventually("the new validator is paid for", ERAS, || {
        let status = eve.json(&["validator", "status"])?;
        let has_earned = status["unpaid"]
            .as_array()
            .is_some_and(|eras| !eras.is_empty());
        Ok(has_earned.then_some(status))
    })?;
    ensure!(
        status["active"] == true && status["elected"] == true,
        "{status}"
    );
    let nominators = status["nominators"].as_array().context("nominators")?;
    ensure!(nominators.len() == 1 && planck(&nominators[0]["amount"])? == 5_000_000_000_000_000);
    let page = http::get(validators.newcomer.metrics_port, "/metrics")?.body;
    ensure!(value(&page, "assay_own_active", "") == Some(1.0), "{page}");
    ensure!(value(&page, "assay_own_bond_asy", "") == Some(5_000.0));
    ensure!(value(&page, "assay_own_commission_ratio", "") == Some(0.1));

    // Anybody may pay; validator and nominator get what is told.
    let before = planck(&account(&ferdie, "//Ferdie")?["free"])?;
    let somebody = Assay::new(&validators.alice.url(), "//Dave");
    let paid = somebody.json(&["validator", "payout", &eve_account])?;
    let eras = paid["paid"].as_array().context("eras")?;
    let mut to_nominators = 0;
    for era in eras {
        to_nominators += planck(&era["nominators"])?;
        ensure!(planck(&era["own"])? > 0, "{paid}");
    }
    ensure!(to_nominators > 0, "{paid}");
    ensure!(planck(&account(&ferdie, "//Ferdie")?["free"])? == before + to_nominators);
    let again = somebody.run(&["validator", "payout", &eve_account, "--era", "0"])?;
    ensure!(
        again.code == 1 && again.stderr.contains("nothing is to be paid"),
        "{again:?}"
    );

    // And out again.
    refusal(
        &eve,
        &["validator", "unbond", "5000 ASY"],
        "validator chill",
    )?;
    refusal(&eve, &["validator", "purge-keys"], "unbond")?;
    ensure!(eve.json(&["validator", "chill"])?["role"] == "Idle");
    let leaving = eve.json(&["validator", "unbond", "5000 ASY"])?;
    ensure!(planck(&leaving["bond"])? == 0, "{leaving}");
    refusal(
        &eve,
        &["validator", "withdraw"],
        "nothing is due before session",
    )?;
    Ok(())
}

/// What an account has.
fn account(assay: &Assay, who: &str) -> Result<Value> {
    let json = assay.json(&["balance", who])?;
    Ok(json["accounts"][0].clone())
}

#[tokio::test]
async fn a_parameter_is_changed_by_referendum_from_the_command_line() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Node::development(folder.path())?;
    let alice = Assay::new(&node.url(), "//Alice");

    refusal(
        &alice,
        &["referendum", "status", "7"],
        "there is no referendum 7",
    )?;
    refusal(
        &alice,
        &["referendum", "propose", "--set", "jobs.nothing=1"],
        "there are",
    )?;
    refusal(
        &alice,
        &[
            "referendum",
            "propose",
            "--call",
            "0x0000",
            "--track",
            "root",
        ],
        "call",
    )?;
    let change = ["referendum", "propose", "--set", "jobs.challenge_blocks=7"];
    let proposed = alice.json(&change)?;
    ensure!(proposed["call"] == "Jobs.set_parameters", "{proposed}");
    let index = proposed["referendum"].to_string();
    let open = alice.json(&["referendum", "list"])?;
    ensure!(
        open[0]["track"] == "parameters"
            && open[0]["arguments"]
                .as_str()
                .is_some_and(|text| text.contains("challenge_blocks: 7")),
        "{open}"
    );
    refusal(
        &alice,
        &[
            "referendum",
            "vote",
            &index,
            "aye",
            "--amount",
            "9000000 ASY",
        ],
        "has only",
    )?;
    for voter in [
        "//Alice",
        "//Bob",
        "//Charlie",
        "//Dave",
        "//Eve",
        "//Ferdie",
    ] {
        let vote = [
            "referendum",
            "vote",
            &index,
            "aye",
            "--amount",
            "900000 ASY",
        ];
        let seen = alice.with_key(voter).json(&vote);
        // The last may come when it is decided.
        ensure!(seen.is_ok() || voter != "//Alice", "{seen:?}");
    }
    let chain = node.chain().await?;
    let ended = eventually("the referendum is approved", PATIENCE, || {
        let seen = alice.json(&["referendum", "status", &index])?;
        Ok((seen["state"] == "Approved").then_some(seen))
    })?;
    ensure!(ended["ended"].is_u64(), "{ended}");
    let start = std::time::Instant::now();
    loop {
        if chain.best().await?.job_parameters().await?.challenge_blocks == 7 {
            break;
        }
        ensure!(start.elapsed() < PATIENCE, "the parameter is as it was");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let back = alice.json(&["referendum", "unvote", &index])?;
    ensure!(back["vote"].is_null(), "{back}");
    ensure!(alice
        .json(&["referendum", "list"])?
        .as_array()
        .is_some_and(Vec::is_empty));
    Ok(())
}

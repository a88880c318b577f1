//! Exact models from the import to the verdict on an answer, and models of floats beside them.

use std::fs;

use anyhow::{ensure, Context, Result};
use assay_client::{primitives::seed, H256};
use assay_tests::{copy, demo_source, forged, Assay, Outcome, Scene};
use serde_json::{json, Value};

const QUESTION: &str = "What is Assay?";

/// `assay verify` where no node can be asked.
fn verify(receipt: &str, model: &str) -> Result<Outcome> {
    offline().run(&["verify", receipt, "--model", model])
}

fn offline() -> Assay {
    Assay::new("ws://127.0.0.1:1", "//Dave")
}

fn expect(outcome: &Outcome, code: i32, part: &str) -> Result<()> {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(
        outcome.code == code && said.contains(part),
        "not {code} with {part:?}: {outcome:?}"
    );
    Ok(())
}

/// One bit of one weight of another folder's.
fn flip_a_bit(folder: &std::path::Path) -> Result<()> {
    let path = folder.join("weights.bin");
    let mut bytes = fs::read(&path)?;
    // Behind both limbs of the embedding: a weight of the first layer.
    *bytes
        .get_mut(1_000_000)
        .context("the file is long enough")? ^= 1;
    Ok(fs::write(path, bytes)?)
}

#[tokio::test]
async fn an_exact_answer_is_verified_and_a_lie_is_found() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let _worker = scene.worker(&provider, "worker")?;
    let model = scene.model_dir();
    let file = |name: &str| scene.folder().join(name).display().to_string();

    let saved = file("receipt.json");
    let ask = ["run", QUESTION, "--model-dir", &model, "--max-tokens", "32"];
    let asked = scene
        .user
        .run(&[&ask[..], &["--receipt", &saved]].concat())?;
    expect(&asked, 0, &format!("assay verify {saved} --model {model}"))?;
    expect(&verify(&saved, &model)?, 0, "every token is right (")?;
    let again = scene
        .user
        .run(&[&ask[..], &["--receipt", &saved]].concat())?;
    expect(&again, 2, "exists already")?;

    // The same from the chain, and from the record that a command printed.
    let by_number = scene.user.run(&["verify", "0", "--model", &model])?;
    expect(&by_number, 0, "every token is right (")?;
    let record = scene.user.json(&["job", "status", "0"])?;
    let printed = file("record.json");
    fs::write(&printed, record.to_string())?;
    expect(&verify(&printed, &model)?, 0, "every token is right (")?;
    let receipt: Value = serde_json::from_slice(&fs::read(&saved)?)?;
    ensure!(record["receipt"] == receipt, "{record}");
    let verdict = offline().json(&["verify", &saved, "--model", &model])?;
    ensure!(
        verdict["verdict"] == "right"
            && verdict["claim"]["job"] == 0
            && verdict["source"] == "file",
        "{verdict}"
    );
    for answer in ["0", &saved] {
        let verdict = scene.user.json(&["verify", answer, "--model", &model])?;
        ensure!(
            verdict["verdict"] == "right" && verdict["source"] == "chain",
            "{answer}: {verdict}"
        );
    }

    // Only the chain knows how the job was drawn.
    let mut redrawn = receipt.clone();
    let (header, randomness) = (receipt["receipt"]["header"].clone(), H256::repeat_byte(7));
    redrawn["randomness"] = json!(randomness);
    redrawn["seed"] = json!(H256(seed(&serde_json::from_value(header)?, &randomness)));
    let path = file("redrawn.json");
    fs::write(&path, redrawn.to_string())?;
    expect(&verify(&path, &model)?, 0, "are the file's word")?;
    let held = scene.user.run(&["verify", &path, "--model", &model])?;
    expect(&held, 1, "the randomness is not the chain's")?;

    // A lie that is signed, and one that is not.
    let (lie, token) = forged(&receipt, 4, &provider.operator)?;
    let lying = file("lie.json");
    fs::write(&lying, lie.to_string())?;
    expect(&verify(&lying, &model)?, 1, "token 5 of ")?;
    let told = offline().run(&["--output", "json", "verify", &lying, "--model", &model])?;
    let verdict: Value = serde_json::from_str(&told.stdout)?;
    let first = &verdict["first_wrong"];
    ensure!(
        told.code == 1
            && verdict["verdict"] == "wrong"
            && first["token"] == 5
            && first["found"] == token
            && first["expected"] == receipt["output"][4],
        "{verdict}"
    );
    for (field, value, sentence) in [
        ("output", &lie["output"], "the output is not the one"),
        ("prompt", &lie["output"], "the prompt is not the one"),
        ("seed", &lie["receipt"]["header"], "the seed is"),
        ("receipt", &lie["receipt"], "the output is not the one"),
        ("signature", &lie["signature"], "the signature is not"),
    ] {
        let mut tampered = receipt.clone();
        tampered[field] = value.clone();
        let path = file("tampered.json");
        fs::write(&path, tampered.to_string())?;
        expect(&verify(&path, &model)?, 1, sentence)?;
    }

    // Asked with another model, nothing is said about the answer.
    let source = scene.folder().join("other-source");
    copy(&demo_source()?, &source)?;
    let config = source.join("generation_config.json");
    fs::write(config, r#"{"eos_token_id": [2, 3]}"#)?;
    let other = scene.import(&source, "other")?.display().to_string();
    expect(&verify(&saved, &other)?, 2, "is another model")?;
    let floats = demo_source()?.display().to_string();
    expect(&verify(&saved, &floats)?, 2, "assay model import")?;
    expect(&verify(&saved, "/nowhere/at/all")?, 2, "is not a folder")?;
    expect(&verify("/nowhere.json", &model)?, 2, "job's number")?;

    // Every knob of the sampling.
    let sampled = file("sampled.json");
    let story = [
        "run",
        "Tell me a story about a fox.",
        "--model-dir",
        &model,
        "--max-tokens",
        "48",
        "--receipt",
        &sampled,
        "--temperature",
        "1.3",
        "--top-k",
        "60",
        "--top-p",
        "0.97",
        "--min-p",
        "0.01",
        "--repetition-penalty",
        "1.2",
        "--nonce",
        "2",
    ];
    expect(&scene.user.run(&story)?, 0, "")?;
    expect(&verify(&sampled, &model)?, 0, "every token is right (")?;
    let sampled: Value = serde_json::from_slice(&fs::read(&sampled)?)?;
    let settings = &sampled["header"]["sampling"];
    ensure!(
        settings["min_p"] == 10_000 && settings["penalty"] == 1_200_000,
        "{settings}"
    );
    scene.check_money().await
}

/// Both kinds of model from one worker. What is of floats is called unverified wherever it is shown.
#[tokio::test]
async fn floats_are_served_as_unverified() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let floats = demo_source()?.display().to_string();
    let register = ["model", "register", &floats];
    let registered = scene.publisher.run(&register)?;
    expect(&registered, 0, "nobody can prove a wrong answer")?;
    let listed = scene.publisher.json(&["model", "list"])?;
    let of = |profile: &str| {
        let all = listed.as_array().into_iter().flatten();
        let mut found = all.filter(|listing| listing["profile"] == profile);
        let id = found.next().and_then(|listing| listing["listing"].as_str());
        id.map(str::to_owned)
            .with_context(|| format!("no {profile} in {listed}"))
    };
    let (exact, unverified) = (of("exact")?, of("unverified")?);
    let prices = ["--input-price", "1 mASY", "--output-price", "3 mASY"];
    let offer = ["provider", "offer", "--model", &unverified];
    let offered = provider.assay.json(&[&offer[..], &prices].concat())?;
    let profiles: Vec<&Value> = offered["offers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|offer| &offer["profile"])
        .collect();
    ensure!(
        profiles.len() == 2 && profiles.iter().any(|profile| **profile == "unverified"),
        "{offered}"
    );

    let folders = [scene.model.as_path(), &demo_source()?];
    let worker = scene.worker_of(&provider, "worker", &folders)?;
    let log = worker.daemon.log()?;
    for (id, engine) in [(&exact, "exact, "), (&unverified, "candle")] {
        let mut lines = log.lines().filter(|line| line.contains("model loaded"));
        ensure!(
            lines.any(|line| line.contains(id.as_str()) && line.contains(engine)),
            "{engine} does not serve {id}: {log}"
        );
    }

    let saved = scene.folder().join("receipt.json").display().to_string();
    let asked = scene.user.run(&[
        "run",
        QUESTION,
        "--model-dir",
        &floats,
        "--model",
        &unverified,
        "--max-tokens",
        "32",
        "--receipt",
        &saved,
    ])?;
    expect(&asked, 0, "Assay is")?;
    expect(&asked, 0, "unverified")?;
    expect(&verify(&saved, &floats)?, 2, "nobody can verify job 0")?;
    let by_number = scene.user.run(&["verify", "0", "--model", &floats])?;
    expect(&by_number, 2, "computed with floats")?;
    scene.check_money().await
}

#[tokio::test]
async fn a_folder_with_a_flipped_bit_is_refused_with_the_tensor() -> Result<()> {
    let scene = Scene::new().await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let broken = scene.folder().join("broken");
    copy(&scene.model, &broken)?;
    flip_a_bit(&broken)?;
    let path = broken.display().to_string();

    let refused = scene.worker_of(&provider, "worker", &[&broken]).err();
    let refusal = format!("{:#}", refused.context("the worker served it")?);
    ensure!(
        refusal.contains("layers.0.") && refusal.contains("does not have the hash"),
        "{refusal}"
    );
    let user = offline();
    expect(&user.run(&["model", "verify", &path])?, 1, "layers.0.")?;
    expect(
        &scene.publisher.run(&["model", "register", &path])?,
        2,
        "layers.0.",
    )?;
    let whole = scene.model_dir();
    expect(
        &user.run(&["model", "verify", &whole])?,
        0,
        "to the last byte",
    )?;
    expect(
        &user.run(&["model", "inspect", &whole])?,
        0,
        "layers.0.down.weights",
    )?;

    let inspected = user.json(&["model", "inspect", &whole])?;
    let listed = scene.publisher.json(&["model", "show"])?;
    ensure!(inspected["root"] == listed["root"], "{inspected} {listed}");
    let floats = demo_source()?.display().to_string();
    expect(
        &user.run(&["model", "verify", &floats])?,
        2,
        "assay model import",
    )?;
    expect(
        &user.run(&["model", "import", &floats, &whole])?,
        2,
        "exists already",
    )?;
    Ok(())
}

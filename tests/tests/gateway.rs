//! A gateway between clients that nobody here wrote and workers that are paid through channels, with everything
//! real: a node, workers that serve HTTPS, the gateway, and the clients as their makers ship them.

use std::{collections::BTreeSet, fs, slice, thread, time::Duration};

use anyhow::{bail, ensure, Context, Result};
use assay_client::primitives::WINDOW_TOKENS;
use assay_tests::{
    demo_source, endless_source, eventually, highest_fee, http, Clients, Gateway, Marketplace,
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// The scripts in `clients/`, and what each of them checks.
const SCRIPTS: [(&str, &[&str]); 4] = [
    (
        "python_openai.py",
        &[
            "models_are_listed_and_looked_up",
            "a_chat_is_answered_and_metered",
            "a_stream_says_what_a_whole_answer_says",
            "the_streaming_helper_gathers_an_answer",
            "a_text_is_completed",
            "two_choices_are_two_answers",
            "a_stop_string_ends_an_answer_and_is_not_shown",
            "a_limit_ends_an_answer",
            "log_probabilities_are_told",
            "the_likeliest_answer_is_always_the_same",
            "what_means_nothing_here_is_ignored",
            "an_unknown_model_is_not_found",
            "an_unknown_page_is_not_found",
            "bad_values_are_refused_by_name",
            "what_is_not_built_is_refused_and_not_ignored",
            "a_prompt_that_does_not_fit_is_refused",
            "a_refusal_is_not_sent_again",
            "a_lost_answer_is_fetched_again_and_made_once",
            "a_client_that_does_not_wait_disturbs_nobody",
            "eight_streams_at_once_are_as_one_alone",
        ],
    ),
    (
        "python_langchain.py",
        &[
            "a_message_is_answered",
            "a_chain_streams",
            "a_stream_is_metered",
            "a_batch_is_answered_in_order",
            "a_text_is_completed",
            "tools_are_refused",
        ],
    ),
    (
        "node_openai.mjs",
        &[
            "models_are_listed_and_looked_up",
            "a_chat_is_answered_and_metered",
            "a_stream_says_what_a_whole_answer_says",
            "the_streaming_helper_gathers_an_answer",
            "a_text_is_completed",
            "two_choices_are_two_answers",
            "a_stop_string_ends_an_answer_and_is_not_shown",
            "log_probabilities_are_told",
            "errors_have_their_own_types",
            "a_refusal_is_not_sent_again",
            "a_lost_answer_is_fetched_again_and_made_once",
            "a_client_that_does_not_wait_disturbs_nobody",
            "eight_streams_at_once_are_as_one_alone",
        ],
    ),
    (
        "node_ai.mjs",
        &[
            "a_prompt_is_answered_and_metered",
            "a_stream_says_what_a_whole_answer_says",
            "a_text_is_completed",
            "errors_are_told_and_not_retried",
        ],
    ),
];

/// The same before a gateway that may spend next to nothing.
const POOR_SCRIPT: (&str, &[&str]) = ("python_broke.py", &["who_has_no_money_is_told_so_once"]);

/// Whether the receipts of what was bought are right, to the last token. The gateway is not running.
fn verify(market: &Marketplace, gateway: &Gateway, bought: &[String]) -> Result<()> {
    ensure!(
        !bought.is_empty(),
        "nothing says where the answer came from"
    );
    let data = gateway.data.display().to_string();
    let file = market.scene.folder().join("receipt.json");
    let (path, model) = (file.display().to_string(), market.scene.model_dir());
    for request in bought {
        let ask = ["gateway", "receipt", request, "--data", &data];
        let receipt = market.scene.user.json(&ask)?;
        fs::write(&file, receipt.to_string())?;
        let judge = ["verify", &path, "--model", &model];
        let verdict = market.scene.user.json(&judge)?;
        ensure!(verdict["verdict"] == "right", "{request}: {verdict}");
    }
    Ok(())
}

#[tokio::test]
async fn official_clients_buy_answers_and_every_planck_is_accounted_for() -> Result<()> {
    let clients = Clients::find()?;
    // One provider, that has a place for each request that the scripts send at once.
    let mut market = Marketplace::of_one(&demo_source()?, &["--max-batch=24"]).await?;
    let mut gateway = market.gateway("40 ASY", &["--deposit=4 ASY"])?;
    let model = gateway.model()?;
    let before = market.balances().await?;

    // All at once, through one gateway: every script's requests have other ones beside them.
    if let Some(clients) = &clients {
        let (port, model) = (gateway.port, &model);
        thread::scope(|scope| {
            let runs = SCRIPTS.map(|(script, checks)| {
                scope.spawn(move || clients.check(script, port, model, checks))
            });
            let ended = runs.map(|run| run.join().expect("a script's thread ended"));
            ended.into_iter().collect::<Result<()>>()
        })?;
        let somebody = market.scene.user.with_key("//Ferdie");
        let (folder, dir) = (market.scene.folder(), &market.scene.model);
        let budget = ["--deposit=20 mASY"];
        let poor = Gateway::start(folder, "poor", &somebody, dir, "20 mASY", &budget)?;
        let (script, checks) = POOR_SCRIPT;
        clients.check(script, poor.port, model, checks)?;
    }
    let heard = gateway.ask(&model, "Assay is", 24, |_| Ok(()))?;
    ensure!(!heard.text.is_empty(), "{heard:?}");

    // One for the one provider, also for eight streams at once.
    let open = market.channels().await?.len();
    ensure!(open == 1, "{open} channels were opened");

    let books = gateway.books()?;
    gateway.daemon.kill()?;
    verify(&market, &gateway, &heard.bought)?;
    market.request_close().await?;
    market.wait_closed().await?;
    market.check_claims(&books, 0)?;
    market.check_balances(&before).await
}

/// Who has not the weights of a model pays somebody else than the provider who answered for a second look.
#[tokio::test]
async fn another_provider_scores_an_answer_that_cannot_be_computed_here() -> Result<()> {
    let mut market = Marketplace::open(&demo_source()?, &[]).await?;
    let user = market.scene.user.clone();
    let path = |name: &str| market.scene.folder().join(name).display().to_string();
    let receipt = path("receipt.json");
    market
        .scene
        .run("What is Assay?", &["--receipt", &receipt])?;
    let text = market.scene.folder().join("text");
    fs::create_dir(&text)?;
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(market.scene.model.join(name), text.join(name))?;
    }
    let saved: Value = serde_json::from_slice(&fs::read(&receipt)?)?;
    let by: Vec<_> = market
        .servers
        .iter()
        .map(|one| one.provider.stash.to_string())
        .collect();
    let (itself, other): (Vec<_>, Vec<_>) = by
        .iter()
        .partition(|one| saved["header"]["provider"] == **one);
    let (text, data) = (text.display().to_string(), path("scores"));
    let ask = |by: &str, more: &[&str]| -> Vec<String> {
        let words = [
            "verify", &receipt, "--model", &text, "--by", by, "--data", &data,
        ];
        words
            .iter()
            .chain(more)
            .map(|word| (*word).to_owned())
            .collect()
    };
    let run = |words: Vec<String>| {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        user.run(&words)
    };
    let budget = ["--budget", "2 ASY"];
    let without = run(ask(other[0], &[]))?;
    ensure!(without.code == 2, "{}", without.stderr);
    let own = run(ask(itself[0], &budget))?;
    ensure!(
        own.stderr.contains("gave the answer itself"),
        "{}",
        own.stderr
    );
    ensure!(market.channels().await?.is_empty(), "nothing is bought yet");

    let told = run(ask(other[0], &budget))?;
    ensure!(
        told.code == 0
            && told
                .stdout
                .contains("calls every token right, and signed it"),
        "{} {}",
        told.stdout,
        told.stderr
    );
    // The second is paid in the same channel, and can be held against the weights itself.
    let json = [&["--output", "json"][..], &budget].concat();
    let told = run(ask(other[0], &json))?;
    let told: Value = serde_json::from_str(&told.stdout)?;
    ensure!(
        told["verdict"] == "right" && told["first_wrong"].is_null(),
        "{told}"
    );
    let score = path("score.json");
    fs::write(&score, told["score"].to_string())?;
    let judged = user.json(&["verify", &score, "--model", &market.scene.model_dir()])?;
    ensure!(judged["verdict"] == "right", "{judged}");
    let channels = market.channels().await?;
    ensure!(channels.len() == 1, "{channels:?}");

    // The channel is the user's to close, like a gateway's.
    user.json(&["gateway", "close", "--data", &data])?;
    market.wait_closed().await?;
    let (_, closed) = market.book.channels.iter().next().context("a channel")?;
    let fee = told["score"]["receipt"]["fee"]
        .as_str()
        .context("a fee")?
        .parse::<u128>()?;
    ensure!(closed.settled() == 2 * fee, "{closed:?} for twice {fee}");
    market.scene.check_money().await
}

/// The answer is the same bits wherever it is computed, so that a client cannot tell that another provider
/// has gone on with it. What a worker is owed that is away is claimed by somebody who has its last vouchers.
#[tokio::test]
async fn a_stream_goes_on_elsewhere_when_its_worker_is_killed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let floats = endless_source(folder.path())?;
    // Slow, so that there is a middle to be killed in; and nothing is claimed before a channel closes.
    let slow = ["--threads=1", "--backend=portable"];
    let late = "--settle-threshold=100 ASY";
    let worker = [&slow[..], &[late]].concat();
    let mut market = Marketplace::open(&floats, &worker).await?;
    let mut gateway = market.gateway("20 ASY", &["--deposit=5 ASY"])?;
    let model = gateway.model()?;
    let before = market.balances().await?;

    let prompt = "Once upon a time";
    let whole = gateway.ask(&model, prompt, 400, |_| Ok(()))?;
    ensure!(
        whole.usage.is_some_and(|(_, told)| told == 400) && whole.bought.len() == 1,
        "{whole:?}"
    );

    let asked = market.channels().await?;
    let first = asked.first().context("a channel was opened")?.1.provider;
    let mut servers = market.servers.iter_mut();
    let killed = servers.find(|server| server.provider.stash == first);
    let killed = killed.context("its provider has a worker")?;
    let mut alive = true;
    let again = gateway.ask(&model, prompt, 400, |heard| {
        if alive && heard.text.len() > whole.text.len() / 4 {
            alive = false;
            killed.worker.daemon.kill()?;
        }
        Ok(())
    })?;
    ensure!(
        !alive && again.text == whole.text && again.usage == whole.usage,
        "{again:?}\nis not\n{whole:?}"
    );
    ensure!(again.bought.len() == 2, "nobody else was asked: {again:?}");

    // The dead one comes back to its ledger. The other one sleeps, once it has told a watchtower what it is owed.
    let books = gateway.books()?;
    let mut watched = String::new();
    for server in &mut market.servers {
        if server.provider.stash == first {
            server.worker.start_again()?;
            continue;
        }
        let file = market.scene.vouchers(&server.name);
        let owed: BTreeSet<_> = books.channels.values().map(|line| line.spent).collect();
        eventually("the last voucher is written down", PATIENCE, || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let amount = text
                .split_whitespace()
                .last()
                .and_then(|word| word.parse().ok());
            Ok(amount.filter(|amount| owed.contains(amount)))
        })?;
        server.worker.daemon.kill()?;
        watched = file.display().to_string();
    }
    gateway.daemon.kill()?;
    verify(&market, &gateway, &whole.bought)?;
    verify(&market, &gateway, &again.bought[1..])?;
    market.request_close().await?;
    let watchtower = market.scene.user.with_key("//Ferdie");
    let claimed = watchtower.json(&["channel", "watch", &watched, "--once"])?;
    ensure!(claimed["fee"].is_string(), "{claimed}");
    market.wait_closed().await?;
    market.check_claims(&books, highest_fee(4, WINDOW_TOKENS.into()))?;
    market.check_balances(&before).await
}

/// Who has only a model's text, and wants its answers checked, pays another provider to score them.
#[tokio::test]
async fn an_answer_that_cannot_be_computed_here_is_scored_by_the_other_provider() -> Result<()> {
    let floats = demo_source()?;
    let mut market = Marketplace::open(&floats, &[]).await?;
    let (folder, user) = (market.scene.folder(), &market.scene.user);
    let checks = ["--deposit=4 ASY", "--check=100", "--score"];
    let mut gateway = Gateway::start(folder, "gateway", user, &floats, "20 ASY", &checks)?;
    eventually("the gateway sees both offers", PATIENCE, || {
        let offers = gateway.models()?[0]["assay"]["offers"].as_u64();
        Ok((offers == Some(2)).then_some(()))
    })?;
    let model = gateway.model()?;
    let before = market.balances().await?;

    let heard = gateway.ask(&model, "Assay is", 24, |_| Ok(()))?;
    let [answered] = &heard.bought[..] else {
        bail!("the answer came in parts: {heard:?}")
    };
    let right = "assay_gateway_checks_total{verdict=\"right\"} 1";
    let port = gateway.port;
    eventually("the answer is scored", PATIENCE, || {
        let metrics = http::get(port, "/metrics")?;
        Ok(metrics.body.contains(right).then_some(()))
    })?;

    // The score is the other provider's first request, and as good a receipt as the answer's.
    let channels = market.channels().await?;
    ensure!(
        channels.len() == 2,
        "{} channels were opened",
        channels.len()
    );
    let of_score = channels.iter().map(|(id, _)| format!("{id:?}/0"));
    let of_score = of_score.filter(|request| request != answered);
    let of_score: Vec<String> = of_score.collect();

    let books = gateway.books()?;
    gateway.daemon.kill()?;
    verify(&market, &gateway, slice::from_ref(answered))?;
    verify(&market, &gateway, &of_score)?;
    market.request_close().await?;
    market.wait_closed().await?;
    market.check_claims(&books, 0)?;
    market.check_balances(&before).await
}

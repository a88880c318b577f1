//! What a channel's two ends are left with when processes end under load: in good order, or by `kill -9` at random
//! moments.
//!
//! ASSAY_KILLS says how often one is killed (6), ASSAY_SEED at which random moments; the seed of a run is printed.

use std::{
    env,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Arc, Mutex,
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{ensure, Context, Result};
use assay_client::primitives::{RECEIPT_TOKENS, WINDOW_TOKENS};
use assay_tests::{endless_source, eventually, http, Gateway, Marketplace};
use serde_json::{json, Value};

/// Clients that ask all the time.
const CLIENTS: u64 = 4;
const LONGEST: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(60);

/// Random numbers that are the same for the same seed.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    /// A number below `end`, by SplitMix64.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % end
    }

    async fn pause(&mut self, most: Duration) {
        let millis = self.below(most.as_millis() as u64);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

fn number(variable: &str, otherwise: u64) -> Result<u64> {
    match env::var(variable) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{variable}={text} is no number")),
        Err(_) => Ok(otherwise),
    }
}

/// What is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Victim {
    Gateway,
    Node,
    /// The one with this number.
    Worker(usize),
}

const VICTIMS: [Victim; 4] = [
    Victim::Gateway,
    Victim::Node,
    Victim::Worker(0),
    Victim::Worker(1),
];

/// Whom so many kills meet: everybody before anybody twice.
fn victims(kills: u64, dice: &mut Dice) -> Vec<Victim> {
    let mut victims = Vec::new();
    let mut left = Vec::new();
    for _ in 0..kills {
        if left.is_empty() {
            left.extend(VICTIMS);
        }
        victims.push(left.swap_remove(dice.below(left.len() as u64) as usize));
    }
    victims
}

/// What a client heard of all its answers.
#[derive(Default)]
struct Tally {
    whole: u64,
    /// Those that broke off in the middle.
    cut: u64,
    tokens: u64,
}

/// What clients and the test tell each other.
#[derive(Default)]
struct Signs {
    stop: AtomicBool,
    /// Clients that are in the middle of an answer.
    hearing: AtomicU64,
    /// Why the last answer that failed did so.
    refused: Mutex<String>,
}

/// Asks until it is told to stop. Whatever goes wrong is a reason to ask again.
fn client(port: u16, model: String, mut dice: Dice, signs: Arc<Signs>) -> Tally {
    let mut tally = Tally::default();
    while !signs.stop.load(Ordering::Relaxed) {
        let request = json!({
            "model": model,
            "prompt": format!("Once upon a time there were {} of them", dice.below(1_000)),
            "max_tokens": 1 + dice.below(LONGEST),
            "temperature": 0,
            "logprobs": 0,
        });
        let mut heard = 0;
        let ended = http::listen(port, request, |so_far| {
            if heard == 0 && so_far.tokens > 0 {
                signs.hearing.fetch_add(1, Ordering::Relaxed);
            }
            heard = so_far.tokens;
            Ok(())
        });
        tally.tokens += heard;
        if heard > 0 {
            signs.hearing.fetch_sub(1, Ordering::Relaxed);
        }
        match ended {
            Ok(_) => tally.whole += 1,
            Err(error) => {
                tally.cut += u64::from(heard > 0);
                *signs.refused.lock().expect("no client panics") = format!("{error:#}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
    tally
}

/// Kills a process, and starts it again a moment later.
async fn kill(
    victim: Victim,
    market: &mut Marketplace,
    gateway: &mut Gateway,
    dice: &mut Dice,
) -> Result<()> {
    const MOMENT: Duration = Duration::from_millis(800);
    match victim {
        Victim::Gateway => {
            gateway.daemon.kill()?;
            dice.pause(MOMENT).await;
            gateway.start_again()
        }
        Victim::Node => {
            market.scene.node.restart()?;
            market.scene.chain = market.scene.node.chain().await?;
            Ok(())
        }
        Victim::Worker(which) => {
            let server = market.servers.get_mut(which);
            let worker = &mut server.context("there are two workers")?.worker;
            worker.daemon.kill()?;
            dice.pause(MOMENT).await;
            worker.start_again()
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_or_paid_twice_whoever_is_killed() -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let seed = number("ASSAY_SEED", now.as_secs())?;
    let kills = number("ASSAY_KILLS", 6)?;
    let mut dice = Dice(seed);
    let victims = victims(kills, &mut dice);
    println!("{victims:?} are killed with ASSAY_SEED={seed}");

    let folder = tempfile::tempdir()?;
    let floats = endless_source(folder.path())?;
    let mut market = Marketplace::open(&floats, &["--threads=1", "--backend=portable"]).await?;
    // What four clients can buy from one kill to the next, on a machine that does nothing else.
    let budget = format!("{} ASY", 40 * kills);
    let mut gateway = market.gateway(&budget, &["--deposit=10 ASY"])?;
    let model = gateway.model()?;
    let before = market.balances().await?;

    let signs = Arc::new(Signs::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|index| {
            let (model, signs) = (model.clone(), signs.clone());
            let dice = Dice(seed.wrapping_add(index + 1));
            thread::spawn(move || client(gateway.port, model, dice, signs))
        })
        .collect();
    let mut killed = Ok(());
    for victim in &victims {
        dice.pause(Duration::from_secs(4)).await;
        let load = eventually("answers are under way", PATIENCE, || {
            Ok((signs.hearing.load(Ordering::Relaxed) > 1).then_some(()))
        })
        .with_context(|| {
            let refused = signs.refused.lock().expect("no client panics");
            let log = gateway.daemon.log_tail();
            format!("the last failure was: {refused}\nthe gateway said:\n{log}")
        });
        killed = match load {
            Ok(()) => kill(*victim, &mut market, &mut gateway, &mut dice).await,
            failed => failed,
        };
        if killed.is_err() {
            break;
        }
        market.book.catch_up(&market.scene.chain).await?;
    }
    signs.stop.store(true, Ordering::Relaxed);
    let mut tally = Tally::default();
    for client in clients {
        let one = client.join().expect("a client's thread ended");
        tally.whole += one.whole;
        tally.cut += one.cut;
        tally.tokens += one.tokens;
    }
    killed?;
    let Tally { whole, cut, tokens } = tally;
    println!("{whole} answers were whole and {cut} were cut; {tokens} tokens were heard");
    ensure!(whole > 0, "no answer was whole");
    let gateways = victims.iter().filter(|one| **one == Victim::Gateway);
    let gateways = gateways.count() as u64;
    ensure!(
        cut > 0 || gateways == 0,
        "the gateway was killed, and no answer was cut"
    );

    // It goes on as if nothing had been.
    eventually("there is an answer again", PATIENCE, || {
        Ok(gateway.ask(&model, "Assay is", 16, |_| Ok(())).ok())
    })?;
    eventually("no receipt is missing", PATIENCE, || {
        Ok(gateway.books()?.is_settled().then_some(()))
    })?;
    // One that it was opening when it was killed may come late, and is to be closed with the others.
    eventually("no channel is being opened", PATIENCE, || {
        let status: Value = serde_json::from_str(&http::get(gateway.port, "/status")?.body)?;
        let coming = status["coming"].as_array().context("coming")?;
        Ok(coming.is_empty().then_some(()))
    })?;
    let books = gateway.books()?;
    // What a worker makes beyond its last receipt dies with it: that was heard, and is not charged. What it signs
    // beyond what arrived is at most a window; a gateway that dies keeps one more part of an answer to itself.
    let nodes = victims.iter().filter(|one| **one == Victim::Node).count() as u64;
    let workers = kills - gateways - nodes;
    let (part, window) = (u64::from(RECEIPT_TOKENS), u64::from(WINDOW_TOKENS));
    let unpaid = CLIENTS * workers * part;
    let unheard = CLIENTS * (workers * window + gateways * (window + part));
    ensure!(
        (tokens.saturating_sub(unpaid)..=tokens + unheard).contains(&books.output_tokens),
        "{tokens} tokens were heard, and receipts are over {}, not {unpaid} fewer or {unheard} more at most",
        books.output_tokens
    );

    // Both ends have all receipts now, so they agree to the planck.
    market.request_close().await?;
    market.wait_closed().await?;
    market.check_claims(&books, 0)?;
    market.check_balances(&before).await
}

/// As a service manager ends it: what is under way is answered to its end, and what was earned is on the chain before
/// the process is gone.
#[tokio::test]
async fn a_worker_that_is_asked_to_end_finishes_its_answers_and_claims_them() -> Result<()> {
    const TOKENS: u32 = 400;
    let folder = tempfile::tempdir()?;
    let floats = endless_source(folder.path())?;
    let late = "--settle-threshold=100 ASY";
    let slow = ["--threads=1", "--backend=portable", late];
    let mut market = Marketplace::of_one(&floats, &slow).await?;
    let gateway = market.gateway("40 ASY", &["--deposit=20 ASY"])?;
    let model = gateway.model()?;
    let before = market.balances().await?;

    let begun = AtomicU64::new(0);
    let ended = thread::scope(|scope| {
        let (begun, gateway, model) = (&begun, &gateway, &model);
        let clients = (0..CLIENTS).map(|number| {
            let prompt = format!("Once upon a time there were {number} of them");
            scope.spawn(move || {
                let mut is_new = true;
                gateway.ask(model, &prompt, TOKENS, |_| {
                    begun.fetch_add(u64::from(std::mem::take(&mut is_new)), Ordering::Relaxed);
                    Ok(())
                })
            })
        });
        let clients: Vec<_> = clients.collect();
        eventually("all answers are under way", PATIENCE, || {
            Ok((begun.load(Ordering::Relaxed) == CLIENTS).then_some(()))
        })?;
        let worker = &mut market.servers[0].worker.daemon;
        let unfinished = clients.iter().filter(|one| !one.is_finished()).count();
        let status = worker.end()?;
        ensure!(unfinished > 0, "nothing was under way any more");
        ensure!(status.success(), "{status}:\n{}", worker.log_tail());
        for client in clients {
            let heard = client.join().expect("a client's thread ended")?;
            let output = heard.usage.map(|(_, output)| output);
            ensure!(output == Some(TOKENS.into()), "{heard:?}");
        }
        Ok(())
    });
    ended?;

    // Nobody is there any more who could claim or sign.
    market.book.catch_up(&market.scene.chain).await?;
    let books = gateway.books()?;
    ensure!(
        books.is_settled() && books.output_tokens == CLIENTS * u64::from(TOKENS),
        "{books:?}"
    );
    market.check_claims(&books, 0)?;
    market.request_close().await?;
    market.wait_closed().await?;
    market.check_claims(&books, 0)?;
    market.check_balances(&before).await
}

//! What a channel's two ends are left with when processes die: `kill -9` at random moments, under load.
//!
//! ASSAY_KILLS says how many (6), ASSAY_SEED which random moments; the seed of a run is printed.

use std::{
    env,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{ensure, Context, Result};
use assay_client::primitives::WINDOW_TOKENS;
use assay_tests::{endless_source, eventually, highest_fee, http, Gateway, Marketplace};
use serde_json::json;

/// Clients that ask all the time.
const CLIENTS: u64 = 4;
const LONGEST: u64 = 200;
/// More than the prompt of any request, also of one that goes on with a cut answer.
const PROMPT: u64 = 32 + LONGEST;
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

/// What a client heard of all its answers, whole or cut.
#[derive(Default)]
struct Tally {
    whole: u64,
    cut: u64,
    tokens: u64,
}

/// Asks until it is told to stop. Whatever goes wrong is a reason to ask again.
fn client(port: u16, model: String, mut dice: Dice, stop: Arc<AtomicBool>) -> Tally {
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        let request = json!({
            "model": model,
            "prompt": format!("Once upon a time there were {} of them", dice.below(1_000)),
            "max_tokens": 1 + dice.below(LONGEST),
            "temperature": 0,
            "logprobs": 0,
        });
        let mut heard = 0;
        let ended = http::listen(port, request, |so_far| {
            heard = so_far.tokens;
            Ok(())
        });
        tally.tokens += heard;
        match ended {
            Ok(_) => tally.whole += 1,
            Err(_) => {
                tally.cut += 1;
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
    tally
}

/// Kills one of the processes, and starts it again a moment later.
async fn kill_one(market: &mut Marketplace, gateway: &mut Gateway, dice: &mut Dice) -> Result<()> {
    const MOMENT: Duration = Duration::from_millis(800);
    match dice.below(4) {
        0 => {
            gateway.daemon.kill()?;
            dice.pause(MOMENT).await;
            gateway.start_again()
        }
        1 => {
            market.scene.node.restart()?;
            market.scene.chain = market.scene.node.chain().await?;
            Ok(())
        }
        which => {
            let server = market.servers.get_mut(which as usize - 2);
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
    println!("{kills} kills with ASSAY_SEED={seed}");
    let mut dice = Dice(seed);

    let folder = tempfile::tempdir()?;
    let floats = endless_source(folder.path())?;
    let mut market = Marketplace::open(&floats, &["--threads=1", "--backend=portable"]).await?;
    let mut gateway = market.gateway("200 ASY", &["--deposit=10 ASY"])?;
    let model = gateway.model()?;
    let before = market.balances().await?;

    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|index| {
            let (model, stop) = (model.clone(), stop.clone());
            let dice = Dice(seed.wrapping_add(index + 1));
            thread::spawn(move || client(gateway.port, model, dice, stop))
        })
        .collect();
    let mut killed = Ok(());
    for _ in 0..kills {
        dice.pause(Duration::from_secs(4)).await;
        killed = kill_one(&mut market, &mut gateway, &mut dice).await;
        if killed.is_err() {
            break;
        }
        market.book.catch_up(&market.scene.chain).await?;
    }
    stop.store(true, Ordering::Relaxed);
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

    // It goes on as if nothing had been.
    eventually("there is an answer again", PATIENCE, || {
        Ok(gateway.ask(&model, "Assay is", 16, |_| Ok(())).ok())
    })?;
    eventually("no receipt is missing", PATIENCE, || {
        Ok(gateway.books()?.is_settled().then_some(()))
    })?;
    let books = gateway.books()?;
    let forgiven = kills * CLIENTS * u64::from(WINDOW_TOKENS);
    ensure!(
        books.output_tokens.abs_diff(tokens) <= forgiven,
        "{tokens} tokens were heard, and receipts are over {}",
        books.output_tokens
    );

    market.request_close().await?;
    market.wait_closed().await?;
    let increment = highest_fee(PROMPT, WINDOW_TOKENS.into());
    market.check_claims(&books, u128::from(kills) * increment)?;
    market.check_balances(&before).await
}

//! `make demo`: a chain, a worker, a paid question, and who was paid what.

use std::{io::Write, path::Path, process::ExitCode, time::Instant};

use anyhow::{ensure, Context, Result};
use assay_client::{keys, AccountId32, Snapshot};
use assay_tests::{demo_model, Assay, Node, Worker};
use tokio::signal::unix::{signal, SignalKind};

const PUBLISHER: &str = "//Charlie";
const PROVIDER: &str = "//Bob";
const OPERATOR: &str = "//Bob//operator";
const USER: &str = "//Dave";
const QUESTION: &str = "What is Assay?";

/// From which the runtime derives its treasury's account.
const TREASURY_PALLET_ID: [u8; 8] = *b"asy/trsy";

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(error) = watch_signals() {
        eprintln!("demo: cannot listen for signals: {error}");
        return ExitCode::FAILURE;
    }
    match demo().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if assay_tests::stopped() => {
            eprintln!("demo: stopped; its chain and its folder are gone");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder is removed by its owner's destructor, which a signal alone would not run.
fn watch_signals() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        assay_tests::stop();
    });
    Ok(())
}

async fn demo() -> Result<()> {
    let start = Instant::now();
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let folder = folder.path();

    say("A chain of one validator, a block a second.")?;
    println!("$ assay-node --dev");
    std::io::stdout().flush()?;
    let node = Node::development(folder)?;
    let assay = Assay::new(&node.url(), PUBLISHER);
    let chain = node.chain().await?;

    say("Charlie publishes a model for 2 % of what it earns. The chain keeps its hashes.")?;
    typed(
        &assay,
        &["model", "register", &model_folder(), "--royalty", "2"],
    )?;

    say("Bob bonds 1,000 ASY, lets an operator key speak for him, and offers the model.")?;
    let provider = assay.with_key(PROVIDER);
    let operator = keys::account(&keys::load(OPERATOR)?).to_string();
    typed(
        &provider,
        &[
            "provider",
            "register",
            "--bond",
            "1000 ASY",
            "--operator",
            &operator,
        ],
    )?;
    typed(
        &provider,
        &[
            "provider",
            "offer",
            "--input-price",
            "1 mASY",
            "--output-price",
            "3 mASY",
        ],
    )?;
    typed(&provider, &["transfer", &operator, "10 ASY"])?;

    say("His worker loads the model and waits for jobs.")?;
    println!(
        "$ assay-worker --operator-key {OPERATOR} --model {}",
        shown(&demo_model())
    );
    let _worker = Worker::start(folder, "worker", &node.url(), OPERATOR)?;

    let people = People::new(&chain.best().await?)?;
    let before = people.balances(&chain.best().await?).await?;

    say("Dave asks. What he may owe at most is on hold until the answer is settled.")?;
    let user = assay.with_key(USER);
    let model_dir = model_folder();
    typed(
        &user,
        &[
            "run",
            QUESTION,
            "--model-dir",
            &model_dir,
            "--max-tokens",
            "64",
        ],
    )?;

    say("The receipt: the answer that Bob's operator signed and his bond answers for.")?;
    typed(&user, &["job", "status", "0"])?;

    let after = people.balances(&chain.best().await?).await?;
    say("Who was paid what, in ASY, transaction fees included.")?;
    table(&people, &before, &after)?;

    println!(
        "\nThat took {} s. To go on: leave `assay-node --dev` running in one terminal, follow the\n\
         same commands in another, and see README.md for providers, users and validators.",
        start.elapsed().as_secs()
    );
    Ok(())
}

fn model_folder() -> String {
    demo_model().display().to_string()
}

/// A path as a reader of the repository knows it.
fn shown(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let path = path.to_string_lossy().replace("/tests/../", "/");
    match root {
        Some(root) => path.replace(&format!("{}/", root.display()), ""),
        None => path,
    }
}

fn say(text: &str) -> Result<()> {
    println!("\n# {text}");
    Ok(std::io::stdout().flush()?)
}

/// Print a command as a user would type it, and run it.
fn typed(assay: &Assay, arguments: &[&str]) -> Result<()> {
    let words: Vec<String> = arguments
        .iter()
        .map(|word| match word.contains(' ') {
            true => format!("{word:?}"),
            false => shown(Path::new(word)),
        })
        .collect();
    println!("$ assay {} --key {}", words.join(" "), assay.key());
    assay.show(arguments)
}

struct People(Vec<(&'static str, AccountId32)>);

struct Balances {
    each: Vec<u128>,
    others: u128,
    issuance: u128,
}

impl People {
    fn new(snapshot: &Snapshot) -> Result<Self> {
        let of = |key| Ok::<_, assay_client::Error>(keys::account(&keys::load(key)?));
        Ok(Self(vec![
            ("user (Dave)", of(USER)?),
            ("provider (Bob)", of(PROVIDER)?),
            ("  its operator", of(OPERATOR)?),
            ("publisher (Charlie)", of(PUBLISHER)?),
            ("  unclaimed royalties", snapshot.royalty_account()?),
            ("treasury", keys::pallet_account(TREASURY_PALLET_ID)),
        ]))
    }

    async fn balances(&self, snapshot: &Snapshot) -> Result<Balances> {
        let total = |balances: assay_client::chain::Balances| balances.free + balances.reserved;
        let mut each = Vec::new();
        for (_, account) in &self.0 {
            each.push(total(snapshot.balances(*account).await?));
        }
        let mut others = 0;
        for account in snapshot.accounts().await? {
            if !self.0.iter().any(|(_, known)| *known == account) {
                others += total(snapshot.balances(account).await?);
            }
        }
        Ok(Balances {
            each,
            others,
            issuance: snapshot.total_issuance().await?,
        })
    }
}

fn table(people: &People, before: &Balances, after: &Balances) -> Result<()> {
    println!(
        "{:<22} {:>24} {:>24} {:>20}",
        "", "before", "after", "change"
    );
    let row = |name: &str, before: u128, after: u128| {
        println!(
            "{name:<22} {:>24} {:>24} {:>20}",
            fixed(before),
            fixed(after),
            change(before, after)
        );
    };
    for (index, (name, _)) in people.0.iter().enumerate() {
        row(name, before.each[index], after.each[index]);
    }
    row("all others", before.others, after.others);
    let burned = before
        .issuance
        .checked_sub(after.issuance)
        .context("money was created")?;
    row("burned", 0, burned);
    let sum = |balances: &Balances| balances.each.iter().sum::<u128>() + balances.others;
    row("sum", sum(before), sum(after) + burned);
    ensure!(
        sum(before) == before.issuance,
        "before, the accounts do not add up to the issuance"
    );
    ensure!(
        sum(after) == after.issuance,
        "after, the accounts do not add up to the issuance"
    );
    ensure!(
        sum(before) == sum(after) + burned,
        "the changes do not add up to zero"
    );
    println!("It adds up, to the last planck.");
    Ok(())
}

fn change(before: u128, after: u128) -> String {
    match after.cmp(&before) {
        std::cmp::Ordering::Less => format!("-{}", fixed(before - after)),
        std::cmp::Ordering::Equal => "0".into(),
        std::cmp::Ordering::Greater => format!("+{}", fixed(after - before)),
    }
}

/// ASY with all twelve decimals, so that a column can be added up by eye.
fn fixed(planck: u128) -> String {
    const ONE: u128 = 1_000_000_000_000;
    format!("{}.{:012}", planck / ONE, planck % ONE)
}

//! `make demo`: a chain, a worker, a paid question, who was paid what, whether the answer was right, and what becomes of
//! a provider whose answer was not.

use std::{fs, io::Write, path::Path, process::ExitCode, sync::Arc, time::Instant};

use anyhow::{ensure, Context, Result};
use assay_client::{keys, text::Message, AccountId32, Chain, Snapshot, Text};
use assay_tests::{
    cheat::{self, Ledger, Listed, CHEATS},
    demo_source, repository, Assay, Node, Worker,
};
use tokio::signal::unix::{signal, SignalKind};

const PUBLISHER: &str = "//Charlie";
const PROVIDER: &str = "//Bob";
const OPERATOR: &str = "//Bob//operator";
const USER: &str = "//Dave";
const LIAR: &str = "//Eve";
/// What she does.
const CHEAT: &str = "one unit in an activation";
const QUESTION: &str = "What is Assay?";

/// Names in the demo's folder.
const MODEL: &str = "assay-demo-exact";
const RECEIPT: &str = "receipt.json";
const LIE: &str = "lie.json";

/// From which the runtime derives its treasury's account.
const TREASURY_PALLET_ID: [u8; 8] = *b"asy/trsy";

const HELP: &str = "\
Shows Assay at work, in about a minute: starts a chain and a worker of this build in a folder that is removed
again, asks and pays a question, shows who was paid what, checks the answer, and has a provider convicted whose answer
was false. Each command is printed as it would be typed.

Usage: assay-demo

It takes no arguments, and is started in the repository, whose demo model it uses.";

#[tokio::main]
async fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--help" | "-h") => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some(other) => {
            eprintln!("demo: it takes no argument {other:?}; see `assay-demo --help`");
            return ExitCode::from(2);
        }
    }
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

/// A second provider, built for this: there is one wrong number behind its answer, which is in the file [`LIE`].
async fn sell_a_lie(chain: &Chain, model: &Path, folder: &Path) -> Result<Arc<cheat::Provider>> {
    let mut cheats = CHEATS.iter();
    let cheat = cheats.find(|cheat| cheat.name == CHEAT);
    let cheat = *cheat.context("a cheat of this name")?;
    let listed = Arc::new(Listed::find(chain.clone(), model).await?);
    let prompt = Text::open(model)?.chat(&[Message::new("user", QUESTION)])?;
    let people = Arc::new(cheat::People {
        stash: keys::load(LIAR)?,
        operator: keys::load(&format!("{LIAR}//operator"))?,
        user: keys::load(USER)?,
        challenger: keys::load(USER)?,
        friend: keys::load(&format!("{LIAR}//friend"))?,
    });
    let liar = cheat::sale::in_channel(listed, people, cheat, &prompt, folder).await?;
    fs::write(folder.join(LIE), liar.answer.to_json().to_string())?;
    Ok(Arc::new(liar))
}

async fn demo() -> Result<()> {
    let start = Instant::now();
    let source = demo_source()?.display().to_string();
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let folder = folder.path();

    say("A chain of one validator, a block a second.")?;
    println!("$ assay-node --dev");
    std::io::stdout().flush()?;
    let node = Node::development(folder)?;
    let assay = Assay::new(&node.url(), PUBLISHER).in_folder(folder);
    let chain = node.chain().await?;

    say(
        "Charlie makes integers of a model's floats, so that every machine computes the same bits.",
    )?;
    typed(&assay, &["model", "import", &source])?;

    say("He publishes it for 2 % of what it earns. The chain keeps its root.")?;
    typed(&assay, &["model", "register", MODEL, "--royalty", "2"])?;

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

    say("His worker holds the model against its root and waits for jobs.")?;
    println!("$ assay-worker --operator-key {OPERATOR} --model {MODEL}");
    let model = folder.join(MODEL);
    let _worker = Worker::start(folder, "worker", &node.url(), OPERATOR, &[&model], &[])?;

    let people = People::new(&chain.best().await?)?;
    let before = people.balances(&chain.best().await?).await?;

    say("Dave asks. What he may owe at most is on hold until the answer is settled.")?;
    let user = assay.with_key(USER);
    typed(
        &user,
        &[
            "run",
            QUESTION,
            "--model-dir",
            MODEL,
            "--max-tokens",
            "64",
            "--receipt",
            RECEIPT,
        ],
    )?;

    say("The receipt: the answer that Bob's operator signed and his bond answers for.")?;
    typed(&user, &["job", "status", "0"])?;

    let after = people.balances(&chain.best().await?).await?;
    say("Who was paid what, in ASY, transaction fees included.")?;
    table(&chain, &people, &before, &after).await?;

    say("Was the answer right? Dave computes it again, in one pass, from the receipt, which the node in ASSAY_CHAIN confirms.")?;
    typed(&user, &["verify", RECEIPT, "--model", MODEL])?;

    say("Eve bonds 1,000 ASY as well, and sells Dave sixteen tokens through a payment channel. One number inside the model she makes one larger, and one token another. She is paid.")?;
    let liar = sell_a_lie(&chain, &model, folder).await?;
    let defence = tokio::spawn(liar.clone().play());
    let people = People::of_dispute()?;
    let before = people.balances(&chain.best().await?).await?;

    say("Her operator signed that answer too. Dave computes it again.")?;
    refused(&user, &["verify", LIE, "--model", MODEL])?;

    say("He takes it to the chain, with a bond. Eve has to show hashes of all that she says she computed; he names the first wrong one, until one number is left, which the chain computes itself.")?;
    typed(&user, &["dispute", "open", LIE, "--model", MODEL, "--yes"])?;
    defence.abort();
    let located = liar.located().context("the game went to a number")?;
    let place = located.cell.place;
    println!(
        "# It was number {} of {:?} in layer {} at position {} that Eve had made larger.",
        located.cell.element, place.row, place.layer, place.position
    );

    let after = people.balances(&chain.best().await?).await?;
    say("Who lost and got what, in ASY: Dave has his fee back, and a share of Eve's bond for his trouble; the rest is burned.")?;
    table(&chain, &people, &before, &after).await?;

    println!(
        "\nThat took {} s. To go on: leave `assay-node --dev` running in one terminal, follow the\n\
         same commands in another, and see README.md for providers, users and validators.",
        start.elapsed().as_secs()
    );
    Ok(())
}

/// A word of a command as a reader of the repository would type it.
fn shown(word: &str) -> String {
    let word = match repository() {
        Ok(root) => word.replace(&format!("{}/", root.display()), ""),
        Err(_) => word.to_owned(),
    };
    match word.contains(' ') {
        true => format!("{word:?}"),
        false => word,
    }
}

fn say(text: &str) -> Result<()> {
    println!("\n# {text}");
    Ok(std::io::stdout().flush()?)
}

/// Print a command as a user would type it, and run it.
fn typed(assay: &Assay, arguments: &[&str]) -> Result<()> {
    print_command(assay, arguments);
    assay.show(arguments, 0)
}

/// The same for one that finds something wrong.
fn refused(assay: &Assay, arguments: &[&str]) -> Result<()> {
    print_command(assay, arguments);
    assay.show(arguments, 1)
}

fn print_command(assay: &Assay, arguments: &[&str]) {
    let words: Vec<String> = arguments.iter().map(|word| shown(word)).collect();
    // What signs nothing needs no key.
    let key = match arguments {
        ["verify", ..] | ["model", "import", ..] | ["job", "status", ..] => String::new(),
        _ => format!(" --key {}", assay.key()),
    };
    println!("$ assay {}{key}", words.join(" "));
}

struct People(Vec<(&'static str, AccountId32)>);

struct Balances {
    block: u32,
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

    /// Those who have a part in the dispute.
    fn of_dispute() -> Result<Self> {
        let of = |key| Ok::<_, assay_client::Error>(keys::account(&keys::load(key)?));
        Ok(Self(vec![
            ("user (Dave)", of(USER)?),
            ("provider (Eve)", of(LIAR)?),
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
            block: snapshot.number(),
            each,
            others,
            issuance: snapshot.total_issuance().await?,
        })
    }
}

async fn table(chain: &Chain, people: &People, before: &Balances, after: &Balances) -> Result<()> {
    let ledger = Ledger::read_all(chain).await?;
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
    let during = |entries: &[(u32, u128)]| -> u128 {
        let entries = entries.iter();
        let during = entries.filter(|(block, _)| *block > before.block && *block <= after.block);
        during.map(|(_, amount)| amount).sum()
    };
    let (minted, burned) = (during(&ledger.minted), during(&ledger.burned));
    if minted > 0 {
        row("minted", minted, 0);
    }
    row("burned", 0, burned);
    let sum = |balances: &Balances| balances.each.iter().sum::<u128>() + balances.others;
    row("sum", sum(before) + minted, sum(after) + burned);
    ensure!(
        sum(before) == before.issuance,
        "before, the accounts do not add up to the issuance"
    );
    ensure!(
        sum(after) == after.issuance,
        "after, the accounts do not add up to the issuance"
    );
    ensure!(
        sum(before) + minted == sum(after) + burned,
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

//! `make cheats`: every cheat against the shipped challenger, and every unjust challenger against the shipped
//! worker, on chains of their own. Prints what became of them, and writes it to the file that is named.

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{ensure, Context, Result};
use assay_exact::trace::Operator;
use assay_tests::{
    cheat::{self, honest, Cheat, CHEATS},
    endless_source, qwen3_source,
};
use tokio::{
    runtime::Handle,
    task::{self, JoinHandle},
};

/// Cases of one chain: as many as two cores can compute in time.
const AT_ONCE: usize = 20;
/// Numbers of a trace that are disputed besides one of each row.
const RANDOM: usize = 40;

const HELP: &str = "\
Plays every cheat against the shipped challenger, and every unjust challenger against the shipped worker, on chains of
their own, and prints what became of them.

Usage: assay-cheats [FILE]

FILE is where the tables are written as well. It is started in the repository, whose demo model it uses.";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let page = match arguments.as_slice() {
        [] => None,
        [only] => match only.to_str() {
            Some("--help" | "-h") => {
                println!("{HELP}");
                return ExitCode::SUCCESS;
            }
            Some(other) if other.starts_with('-') => return refused(other),
            _ => Some(only.clone()),
        },
        [_, more, ..] => return refused(&more.display().to_string()),
    };
    match cheats(page).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cheats: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn refused(argument: &str) -> ExitCode {
    eprintln!("cheats: it takes no argument {argument:?}; see `assay-cheats --help`");
    ExitCode::from(2)
}

async fn cheats(page: Option<PathBuf>) -> Result<()> {
    let start = Instant::now();
    let (mut lines, mut failed) = (Vec::new(), 0);
    let (in_jobs, in_channels): (Vec<Cheat>, Vec<Cheat>) =
        CHEATS.iter().partition(|cheat| cheat.in_job);
    let (with_norms, others): (Vec<Cheat>, Vec<Cheat>) =
        in_channels.into_iter().partition(|cheat| cheat.with_norms);
    let chains = others.chunks(AT_ONCE).chain([with_norms.as_slice()]);
    let chains = chains.chain(in_jobs.chunks(1));
    for cheats in chains {
        match cheat::play(cheats).await {
            Ok(ended) => lines.extend(ended),
            Err(error) => {
                eprintln!("{error}");
                failed += 1;
            }
        }
    }
    let cheats = cheat::table(&lines);
    println!("{cheats}");

    let (scenes, failures) = scenes().await;
    println!("{scenes}");
    failed += failures;

    let (games, longest) = sieges().await?;
    let rows = honest::table(&games);
    println!("{rows}");
    let longest = honest::table(&longest);
    println!("{longest}");
    println!(
        "{} cheats were convicted and {} unjust challengers lost in {} s",
        lines.len(),
        games.len(),
        start.elapsed().as_secs()
    );
    ensure!(failed == 0, "not everything ended as it has to");
    if let Some(page) = page {
        let text = format!(
            "# Cheats, and what became of them\n\n\
             Written by `make cheats`. Each cheat is a provider of its own with a real receipt in a channel of the demo model, on\n\
             development chains; `assay verify` finds the lie, and the shipped challenger takes it to the end. Amounts are in\n\
             ASY, of a bond of 1,000; bytes are those of all extrinsics of a game from the commitment on, in\n\
             blocks of a second. In every case balances and issuance add up to the planck.\n\n{cheats}\n\
             ## What takes more than two players\n\n{scenes}\n\
             ## Honest providers\n\n\
             An honest worker, and challengers that dispute one of its answers knowing better: one number of each row, and any\n\
             {RANDOM} others. Nobody was convicted; every challenger lost its bond, part of it to the provider. \"Largest\" is\n\
             the largest extrinsic, in bytes.\n\n{rows}\n\
             The last token of a much longer answer:\n\n{longest}"
        );
        std::fs::write(&page, text).with_context(|| page.display().to_string())?;
    }
    Ok(())
}

/// What does not end with a conviction alone, in Markdown, and how many of these went wrong.
async fn scenes() -> (String, usize) {
    let broken = apart(async || {
        let game = cheat::broken_model().await?;
        Ok(format!(
            "A model whose listed root binds a weight that is outside the format: {} transactions led to a number that \
             follows from it. The model is frozen, and nobody paid more than fees.",
            game.moves
        ))
    });
    let fork = apart(async || {
        let lost = |replayed: &cheat::Replayed| {
            format!(
                "{} moves were lost with {} blocks of the lighter branch",
                replayed.moves, replayed.blocks
            )
        };
        let liar = cheat::on_a_fork(cheat::Right::Challenger).await?;
        let honest = cheat::on_a_fork(cheat::Right::Provider).await?;
        Ok(format!(
            "One of two validators was cut off with both players behind it: {}. They were made again, and the provider \
             was convicted, {} blocks after the commitment. The same with an honest provider: {}, and it was acquitted.",
            lost(&liar),
            liar.game.last - liar.game.first,
            lost(&honest)
        ))
    });
    let alone = apart(async || {
        let told = cheat::node_left_alone().await?;
        Ok(format!(
            "An honest provider's node was alone for 70 blocks. It sold nothing on so old a block, its buyer was told \
             \"{told}\", nobody was blamed, and it sold again when its node had peers."
        ))
    });
    let (mut scenes, mut failures) = (String::new(), 0);
    for scene in [broken, fork, alone] {
        match scene.await.unwrap_or_else(|ended| Err(ended.into())) {
            Ok(scene) => scenes.push_str(&format!("* {scene}\n")),
            Err(error) => {
                eprintln!("{error:#}");
                failures += 1;
            }
        }
    }
    (scenes, failures)
}

/// Plays a scene on a thread of its own: waits that block would hold up those that share one.
fn apart(
    scene: impl AsyncFnOnce() -> Result<String> + Send + 'static,
) -> JoinHandle<Result<String>> {
    let runtime = Handle::current();
    task::spawn_blocking(move || runtime.block_on(scene()))
}

/// A flood of disputes over one answer, and some over a long one; the node is killed meanwhile.
async fn sieges() -> Result<(Vec<honest::Lost>, Vec<honest::Lost>)> {
    let folder = tempfile::tempdir()?;
    let drawn = [
        "--temperature=0.9",
        "--top-k=40",
        "--top-p=0.95",
        "--min-p=0.01",
        "--repetition-penalty=1.1",
    ];
    let mut siege = honest::Siege::new(&endless_source(folder.path())?).await?;
    let short = [&drawn[..], &["--max-tokens=32"]].concat();
    let short = siege.buy("What is Assay?", &short).await?;
    let position = 20;
    let layout = siege.layout(&short, position)?;
    let mut games = Vec::new();
    let rows = honest::each_row(&layout, 1);
    let (flood, rest) = rows.split_at(rows.len().min(honest::QUEUE));
    let any = honest::any(&layout, RANDOM, 2);
    games.extend(
        siege
            .endure(&short, position, flood, async |_| Ok(()))
            .await?,
    );
    let rest = [rest, &any[..]].concat();
    games.extend(
        siege
            .endure(&short, position, &rest, async |_| Ok(()))
            .await?,
    );

    // What only models with norms of queries and keys have.
    let mut normed = honest::Siege::new(&qwen3_source(folder.path())?).await?;
    let answer = normed.buy("What is Assay?", &drawn).await?;
    let layout = normed.layout(&answer, 3)?;
    let mut norms = honest::each_row(&layout, 4);
    norms.retain(|aim| {
        rows.iter()
            .all(|row| row.cell.place.row != aim.cell.place.row)
    });
    games.extend(normed.endure(&answer, 3, &norms, async |_| Ok(())).await?);
    let judged = honest::operators(&games);
    ensure!(
        judged.iter().eq(Operator::ALL),
        "only {judged:?} were judged"
    );
    drop(normed);

    let long = [&drawn[..], &["--max-tokens=440"]].concat();
    let long = siege.buy("Tell me everything.", &long).await?;
    let last = long.output.len() as u32 - 1;
    ensure!(last > 400, "an answer of {} tokens is not long", last + 1);
    let layout = siege.layout(&long, last)?;
    let aims = honest::any(&layout, 8, 3);
    let restart = async |siege: &mut honest::Siege| {
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        siege.scene.node.restart()?;
        siege.scene.chain = siege.scene.node.chain().await?;
        Ok(())
    };
    let longest = siege.endure(&long, last, &aims, restart).await?;
    Ok((games, longest))
}

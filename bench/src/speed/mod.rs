//! How fast exact answers are, beside llama.cpp and candle on the same machine, in the same shapes, with the
//! same number of threads, and beside what the machine's memory and multipliers give.
//!
//! 1. [`shape`]: what is measured.
//! 2. [`files`]: random models of these shapes.
//! 3. [`job`]: one measurement, in a process of its own, where [`measure`] has it done by [`exact`] or by
//!    [`candle`]; [`llama`] calls llama.cpp's own benchmark.
//! 4. [`machine`]: the ceilings.
//! 5. [`rounds`]: everything in turns, so that what disturbs the machine disturbs all.
//! 6. [`results`]: medians, tables and bars.

mod candle;
mod exact;
pub mod files;
mod job;
mod llama;
mod machine;
mod measure;
mod results;
mod rounds;
pub mod shape;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::{
    files::Files,
    llama::Llama,
    results::Results,
    rounds::{Plan, Work},
    shape::Shape,
};
use crate::report::Page;

const PAGE: &str = "docs/results/speed.md";

#[derive(clap::Args)]
pub struct Args {
    /// Threads of every engine; by default as many as there are cores for this program.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// How often everything is measured; medians are shown.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Measure only the shapes whose name contains this.
    #[arg(long, default_value = "")]
    shape: String,
    /// The folder in which scripts/peers built llama.cpp.
    #[arg(long, env = "ASSAY_PEERS_DIR")]
    peers: Option<PathBuf>,
    /// Tiny shapes, few tokens and one round, to see that everything works; no figure means anything.
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// Write the page to docs/results/speed.md.
    #[arg(long)]
    write: bool,
    /// One measurement, in JSON: how the program calls itself.
    #[arg(long, hide = true)]
    job: Option<String>,
}

/// Needs 6 GB below `TMPDIR` while it runs.
pub fn run(args: Args) -> Result<()> {
    if let Some(job) = &args.job {
        return measure::run(job);
    }
    let threads = match args.threads {
        Some(threads) => threads.into(),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let llama = Llama::find(args.peers.as_deref())?;
    let (shapes, work) = match args.quick {
        true => (&shape::TINY, Work::TINY),
        false => (&shape::REAL, Work::REAL),
    };
    let rounds = if args.quick { 1 } else { args.rounds };
    let shapes: Vec<&Shape> = shapes
        .iter()
        .filter(|shape| shape.name.contains(&args.shape))
        .collect();
    anyhow::ensure!(
        !shapes.is_empty(),
        "no shape is called {:?}: choose from {}",
        args.shape,
        shape::REAL.each_ref().map(|shape| shape.name).join(", ")
    );

    let mut page = Page::new("Speed");
    results::introduce(&mut page, threads, rounds, &work, llama.as_ref().ok());
    if let Err(missing) = &llama {
        page.add(format!("{missing}\n"));
    }
    let arena = machine::Arena::new(work.arena_bytes);
    for shape in shapes {
        let files = Files::create(shape)
            .with_context(|| format!("no model of the shape {} was made", shape.name))?;
        let plan = Plan::new(shape, &files, threads, &work, llama.as_ref().ok());
        let measured = plan.run(rounds, &arena)?;
        Results::new(shape, &work, &measured).show(&mut page, !args.quick)?;
    }
    if args.quick {
        eprintln!("everything ran; without --quick the figures are judged");
        return Ok(());
    }
    page.finish(args.write.then_some(Path::new(PAGE)))
}

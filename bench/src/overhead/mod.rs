//! What selling and buying answers costs beside computing them: payment, sealing, receipts and HTTP, with a real
//! node, worker and gateway.
//!
//! 1. [`vouchers`]: how many vouchers a core verifies.
//! 2. [`cpu`]: the processor's time of worker and gateway beside the engine's, at a real model's shape.
//! 3. [`latency`]: what the gateway adds to the first token, beside [`direct`], a client that pays the worker itself.

mod cpu;
mod direct;
mod latency;
mod model;
mod vouchers;

use std::path::Path;

use anyhow::Result;

use crate::{
    report::Page,
    speed::shape::{self, Shape},
};

const PAGE: &str = "docs/results/overhead.md";

/// The smallest that has room for the demo model's words.
const QUICK: Shape = Shape {
    name: "tiny-qwen2 with more words",
    vocabulary: 2048,
    ..shape::TINY[0]
};

#[derive(clap::Args)]
pub struct Args {
    /// Tokens of each answer whose processor time is measured.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    tokens: u32,
    /// Requests of each kind whose first token is waited for.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    requests: u32,
    /// A tiny shape and few requests, to see that everything works; no figure means anything.
    #[arg(long, conflicts_with = "write")]
    quick: bool,
    /// Write the page to docs/results/overhead.md.
    #[arg(long)]
    write: bool,
}

/// How much is measured.
struct Work {
    shape: &'static Shape,
    tokens: u32,
    requests: u32,
}

/// Needs 2 GB below `TMPDIR` while it runs, and the programs of this build.
pub fn run(args: Args) -> Result<()> {
    let [real, _] = &shape::REAL;
    let work = match args.quick {
        true => Work {
            shape: &QUICK,
            tokens: 64,
            requests: 5,
        },
        false => Work {
            shape: real,
            tokens: args.tokens,
            requests: args.requests,
        },
    };
    let mut page = Page::new("Overhead");
    page.add(format!(
        "What it costs to sell and buy answers beside computing them: a development node, a worker that serves \
         HTTPS, and a gateway, each a process of its own on this machine. Shape: {}, {} output tokens each.\n",
        work.shape.name, work.tokens
    ));
    vouchers::measure(&mut page);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(cpu::measure(&work, &mut page))?;
    runtime.block_on(latency::measure(&work, &mut page))?;
    if args.quick {
        eprintln!("everything ran; without --quick the figures are judged");
        return Ok(());
    }
    page.finish(args.write.then_some(Path::new(PAGE)))
}

//! What a dispute costs: its moves and bytes for real shapes, computed, and its traces for the demo model, measured.
//!
//! 1. [`shapes`]: the game over long answers of models of every size.
//! 2. [`judging`]: what the chain does with a proof.
//! 3. [`demo`]: how fast a worker has what it must show.

mod demo;
mod judging;
mod memory;
mod shapes;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::report::Page;

const PAGE: &str = "docs/results/dispute.md";

#[derive(clap::Args)]
pub struct Args {
    /// The demo model's Hugging Face folder.
    #[arg(long, default_value = "models/demo/assay-demo")]
    model: PathBuf,
    /// Nodes, and proofs of each row, that are asked for.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    asked: u32,
    /// Write the page to docs/results/dispute.md.
    #[arg(long)]
    write: bool,
}

pub fn run(args: Args) -> Result<()> {
    let mut page = Page::new("Disputes");
    shapes::compute(&mut page)?;
    judging::read(&mut page)?;
    demo::measure(&args.model, args.asked, &mut page)?;
    page.finish(args.write.then_some(Path::new(PAGE)))
}

//! `assay-worker selftest`.

use std::{process::ExitCode, sync::Arc, time::Instant};

use assay_cuda::{selftest, store::Store, Device};
use clap::Args;

use super::On;

#[derive(Clone, Debug, Args)]
pub struct Selftest {
    #[command(flatten)]
    pub(super) on: On,

    /// Positions that are compared on each shape, at least.
    #[arg(long, value_name = "N", default_value_t = 30_000)]
    tokens: usize,

    /// What the models are drawn from [default: another number each time].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

impl Selftest {
    /// Prints a table; fails where one bit differs.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let ordinal = self.on.ordinal()?;
        let seed = self.seed.unwrap_or_else(rand::random);
        let libraries = self.on.cuda_lib_dir.as_deref();
        let opened = assay_cuda::open(ordinal, libraries, Store::of_user().as_ref())?;
        let device: Arc<dyn Device> = opened.gpu;
        println!(
            "cuda:{ordinal} is {}; NVRTC {}; seed {seed}",
            device.name(),
            opened.compiler
        );
        println!("{:<32} {:>10} {:>10}", "shape", "positions", "wrong");
        let started = Instant::now();
        let mut wrong = 0usize;
        let mut tokens = 0usize;
        selftest::run(&device, self.tokens, seed, &mut |compared| {
            println!(
                "{:<32} {:>10} {:>10}",
                compared.shape, compared.tokens, compared.wrong
            );
            wrong = wrong.saturating_add(compared.wrong);
            tokens = tokens.saturating_add(compared.tokens);
        })?;
        println!("{:<32} {tokens:>10} {wrong:>10}", "all");
        println!("{} s", started.elapsed().as_secs());
        Ok(match wrong {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

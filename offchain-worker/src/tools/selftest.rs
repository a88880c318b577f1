//! `assay-worker selftest`.

use std::{process::ExitCode, time::Instant};

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
        println!(
            "cuda:{ordinal} is {}; NVRTC {}; seed {seed}",
            opened.device.name(),
            opened.compiler
        );
        let started = Instant::now();
        let right = table(&opened.device, self.tokens, seed)?;
        println!("{} s", started.elapsed().as_secs());
        Ok(match right {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

/// Prints what was compared, and says whether all of it was right.
fn table(device: &Device, tokens: usize, seed: u64) -> anyhow::Result<bool> {
    println!("{:<32} {:>10} {:>10}", "shape", "positions", "wrong");
    let (mut all, mut wrong) = (0usize, 0usize);
    selftest::run(device, tokens, seed, &mut |compared| {
        println!(
            "{:<32} {:>10} {:>10}",
            compared.shape, compared.tokens, compared.wrong
        );
        wrong = wrong.saturating_add(compared.wrong);
        all = all.saturating_add(compared.tokens);
    })?;
    println!("{:<32} {all:>10} {wrong:>10}", "all");
    Ok(wrong == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{self, interpreter::Interpreter};

    #[test]
    fn a_device_is_right_until_one_bit_is_wrong() {
        let Some(nvrtc) = common::nvrtc() else { return };
        let device = Interpreter::new(&common::ptx(&nvrtc, 80), 4);
        assert!(table(&device.device(), 1, 1).unwrap());
        device.flip_after(30);
        assert!(!table(&device.device(), 1, 1).unwrap());
    }
}

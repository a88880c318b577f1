//! What the worker does beside serving: it shows that a device gives the right bits, and how fast.

mod bench;
mod selftest;

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use clap::{Args, CommandFactory, FromArgMatches, Subcommand};

use crate::config::{Config, Device};

/// What the command line asks for.
pub enum Task {
    Serve(Box<Config>),
    Tool(Tool),
}

// All but serving. No doc comment: it would stand where --help says what the worker is.
#[derive(Clone, Debug, Subcommand)]
pub enum Tool {
    /// Compare a device with the processor, bit by bit, on models with random weights.
    Selftest(selftest::Selftest),
    /// Measure how fast a device computes a model with random weights, of the shape of Llama 3.1 8B.
    Bench(bench::Bench),
}

/// The device that a tool is about.
#[derive(Clone, Debug, Args)]
struct On {
    /// The GPU, by its number.
    #[arg(long, value_name = "cuda:N", default_value_t = Device::Cuda(0))]
    device: Device,

    /// Folder of NVRTC, NVIDIA's compiler of kernels, if it is in none of the usual ones.
    #[arg(long, value_name = "DIR", env = "ASSAY_CUDA_LIB_DIR")]
    cuda_lib_dir: Option<PathBuf>,
}

impl On {
    fn ordinal(&self) -> anyhow::Result<usize> {
        match self.device {
            Device::Cuda(ordinal) => Ok(ordinal),
            Device::Cpu => {
                bail!("the processor is what devices are compared with; name a GPU, such as cuda:0")
            }
        }
    }
}

impl Task {
    /// What this process was started with; ends it where that cannot be read.
    pub fn parse() -> Self {
        let matches = command().get_matches();
        let task = match matches.subcommand() {
            Some(_) => Tool::from_arg_matches(&matches).map(Self::Tool),
            None => Config::from_arg_matches(&matches).map(|config| Self::Serve(Box::new(config))),
        };
        task.unwrap_or_else(|error| error.format(&mut command()).exit())
    }
}

/// The options of serving, and the tools, which want none of these.
fn command() -> clap::Command {
    Tool::augment_subcommands(Config::command())
        .subcommand_required(false)
        .arg_required_else_help(false)
        .subcommand_negates_reqs(true)
        .args_conflicts_with_subcommands(true)
}

impl Tool {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Selftest(selftest) => selftest.run(),
            Self::Bench(bench) => bench.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_want_nothing_of_what_serving_wants() {
        command().debug_assert();
        let about = command().get_about().unwrap().to_string();
        assert!(about.starts_with("Sells inference"), "{about}");
        let matches = |line: &[&str]| {
            let line = ["assay-worker"].iter().chain(line);
            command().try_get_matches_from(line)
        };
        for tool in ["selftest", "bench"] {
            let found = matches(&[tool, "--device=cuda:1"]).unwrap();
            let tool = Tool::from_arg_matches(&found).unwrap();
            let on = match &tool {
                Tool::Selftest(selftest) => &selftest.on,
                Tool::Bench(bench) => &bench.on,
            };
            assert_eq!(on.ordinal().unwrap(), 1);
        }
        let serving = ["--operator-key=//Bob", "--model=a"];
        let found = matches(&serving).unwrap();
        assert!(found.subcommand().is_none() && Config::from_arg_matches(&found).is_ok());
        for wrong in [&[][..], &["--model=a"], &["--model=a", "selftest"]] {
            assert!(matches(wrong).is_err(), "{wrong:?}");
        }
        let on = On {
            device: Device::Cpu,
            cuda_lib_dir: None,
        };
        assert!(on.ordinal().unwrap_err().to_string().contains("cuda:0"));
    }
}

//! The command line.

use std::{
    net::SocketAddr, num::NonZeroUsize, path::PathBuf, str::FromStr, thread::available_parallelism,
};

use assay_exact::{
    cpu::{Cpu, CpuError},
    kernel::Backend,
};
use clap::{Parser, ValueEnum};

/// Sells inference on an Assay chain: answers the jobs that are assigned to a provider.
#[derive(Clone, Debug, Parser)]
#[command(name = "assay-worker", version)]
pub struct Config {
    /// WebSocket address of the node.
    #[arg(
        long,
        value_name = "URL",
        env = "ASSAY_CHAIN",
        default_value = "ws://127.0.0.1:9944"
    )]
    pub chain: String,

    /// The operator's key: a secret URI, or the file that holds one or a polkadot-js account. It
    /// signs receipts and pays the fees of deliveries.
    #[arg(
        long,
        value_name = "SURI|FILE",
        env = "ASSAY_OPERATOR_KEY",
        hide_env_values = true
    )]
    pub operator_key: String,

    /// Folder of a model to serve: an exact one that `assay model import` made, or one of floats as
    /// Hugging Face lays it out. May be given several times; each must be listed on the chain and
    /// offered by this provider.
    #[arg(long, value_name = "DIR", required = true)]
    pub model: Vec<PathBuf>,

    /// Where models are computed.
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub device: Device,

    /// Threads that compute exact models [default: one for each core].
    #[arg(long, value_name = "N", env = "ASSAY_THREADS")]
    pub threads: Option<NonZeroUsize>,

    /// Instruction set that computes exact models: auto, portable, avx2 or avx512. All give the same
    /// bits; auto takes the fastest that this processor has.
    #[arg(
        long,
        value_name = "SET",
        env = "ASSAY_BACKEND",
        default_value = "auto"
    )]
    pub backend: BackendChoice,

    /// File that remembers what was promised and delivered. Never run two workers of one provider
    /// with different ledgers.
    #[arg(long, value_name = "FILE", default_value = "assay-worker.redb")]
    pub ledger: PathBuf,

    /// Address at which /health and /metrics are served.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9616")]
    pub http: SocketAddr,

    /// How the log is written to standard error. RUST_LOG chooses what is in it.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Where models are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// The processor.
    Cpu,
}

/// Which instruction set computes exact models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendChoice {
    /// The fastest that this processor has.
    Auto,
    This(Backend),
}

impl FromStr for BackendChoice {
    type Err = <Backend as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            other => other.parse().map(Self::This),
        }
    }
}

impl Config {
    /// What computes exact models: one for all of them.
    pub fn cpu(&self) -> Result<Cpu, CpuError> {
        let backend = match self.backend {
            BackendChoice::Auto => Backend::best(),
            BackendChoice::This(backend) => backend,
        };
        let all = || available_parallelism().map_or(1, NonZeroUsize::get);
        Cpu::new(backend, self.threads.map_or_else(all, NonZeroUsize::get))
    }
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_documented() {
        let command = Config::command();
        command.clone().debug_assert();
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{} has no help",
                argument.get_id()
            );
        }
    }

    #[test]
    fn models_may_be_given_several_times() {
        let line = [
            "assay-worker",
            "--operator-key",
            "//Bob",
            "--model",
            "a",
            "--model",
            "b",
        ];
        let config = Config::try_parse_from(line).unwrap();
        assert_eq!(config.model, [PathBuf::from("a"), PathBuf::from("b")]);
        assert!(Config::try_parse_from(["assay-worker", "--operator-key", "//Bob"]).is_err());
    }

    fn parsed(extra: &[&str]) -> Result<Config, String> {
        let line = ["assay-worker", "--operator-key=//Bob", "--model=a"];
        Config::try_parse_from(line.iter().chain(extra)).map_err(|error| error.to_string())
    }

    #[test]
    fn threads_and_backend_are_taken_and_wrong_ones_refused_with_what_there_is() {
        let cpu = parsed(&["--threads=3", "--backend=portable"])
            .unwrap()
            .cpu();
        let cpu = cpu.unwrap();
        assert_eq!((cpu.threads(), cpu.backend()), (3, Backend::Portable));
        let cpu = parsed(&[]).unwrap().cpu().unwrap();
        assert_eq!(cpu.backend(), Backend::best());
        for wrong in ["--threads=0", "--threads=-1", "--threads=many"] {
            assert!(
                parsed(&[wrong]).unwrap_err().contains("--threads"),
                "{wrong}"
            );
        }
        let error = parsed(&["--backend=neon"]).unwrap_err();
        assert!(
            error.contains("neon") && error.contains("portable"),
            "{error}"
        );
        for backend in Backend::ALL {
            let parsed = parsed(&[&format!("--backend={backend}")]);
            let cpu = parsed.and_then(|config| config.cpu().map_err(|error| error.to_string()));
            assert_eq!(cpu.is_ok(), backend.is_available(), "{backend}");
        }
    }
}

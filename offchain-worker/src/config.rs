//! The command line.

use std::{net::SocketAddr, path::PathBuf};

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

    /// Folder of a model to serve, as Hugging Face lays it out. May be given several times; each
    /// must be listed on the chain and offered by this provider.
    #[arg(long, value_name = "DIR", required = true)]
    pub model: Vec<PathBuf>,

    /// Where models are computed.
    #[arg(long, value_enum, default_value_t = Device::Cpu)]
    pub device: Device,

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
    /// The processor, in f32.
    Cpu,
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
}

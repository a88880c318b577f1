//! The command line.

use std::{
    fmt, net::SocketAddr, num::NonZeroUsize, path::PathBuf, str::FromStr,
    thread::available_parallelism,
};

use assay_channel::SettlementPolicy;
use assay_client::Amount;
use assay_exact::{
    cpu::{Cpu, CpuError},
    kernel::Backend,
};
use clap::{Args, Parser, ValueEnum};

use crate::engine::{Places, Upstream};

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

    /// Where exact models are computed: cpu, or cuda:N for the GPU of that number. All give the same bits.
    #[arg(long, value_name = "cpu|cuda:N", env = "ASSAY_DEVICE", default_value_t = Device::Cpu)]
    pub device: Device,

    /// Folder of NVRTC, NVIDIA's compiler of kernels, if it is in none of the usual ones.
    #[arg(long, value_name = "DIR", env = "ASSAY_CUDA_LIB_DIR")]
    pub cuda_lib_dir: Option<PathBuf>,

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

    /// Requests that an exact model works at, or an upstream server is given, together. A job on the
    /// chain finds one place more. Models of floats answer one request at a time.
    #[arg(long, value_name = "N", env = "ASSAY_MAX_BATCH", default_value = "8")]
    pub max_batch: NonZeroUsize,

    /// Requests that wait for each model, jobs and streams counted apart. Streams beyond it are refused
    /// before they cost anything; jobs wait on the chain.
    #[arg(long, value_name = "N", env = "ASSAY_QUEUE", default_value = "16")]
    pub queue: NonZeroUsize,

    /// Memory for the keys and values of each exact model's requests, in MiB. A request starts when all
    /// that it can come to need is free; what is free meanwhile keeps beginnings of earlier prompts.
    #[arg(
        long,
        value_name = "MIB",
        env = "ASSAY_CACHE_MEMORY",
        default_value = "4096"
    )]
    pub cache_memory: NonZeroUsize,

    #[command(flatten)]
    pub upstream: UpstreamConfig,

    /// File that remembers what was promised and delivered. Never run two workers of one provider
    /// with different ledgers.
    #[arg(long, value_name = "FILE", default_value = "assay-worker.redb")]
    pub ledger: PathBuf,

    /// Address at which /health and /metrics are served.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:9616")]
    pub http: SocketAddr,

    #[command(flatten)]
    pub serve: ServeConfig,

    /// How the log is written to standard error. RUST_LOG chooses what is in it.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// A server that computes instead of this machine.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Upstream")]
pub struct UpstreamConfig {
    /// Let another server answer: the address of an OpenAI interface, such as http://127.0.0.1:8000/v1,
    /// whose /completions takes prompts as token ids. --model then names one folder of floats, for its
    /// tokenizer and its listing, which is an unverified one.
    #[arg(long, value_name = "URL", requires = "upstream_model")]
    pub upstream: Option<String>,

    /// File that holds the key that the server asks for.
    #[arg(long, value_name = "FILE", requires = "upstream")]
    pub upstream_key_file: Option<PathBuf>,

    /// The model's name at the server.
    #[arg(long, value_name = "NAME", requires = "upstream")]
    pub upstream_model: Option<String>,
}

/// A certificate and its key, in PEM, that somebody else keeps.
#[derive(Clone, Debug)]
pub struct Given {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The server of clients that pay through channels.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Channels")]
pub struct ServeConfig {
    /// Address at which clients with payment channels are served, over HTTPS. Without it the worker
    /// answers jobs alone.
    #[arg(long, value_name = "ADDR:PORT")]
    pub serve: Option<SocketAddr>,

    /// Serve over plain http, for development: loopback addresses alone.
    #[arg(long, requires = "serve", conflicts_with_all = ["tls_cert", "tls_key"])]
    pub serve_plain: bool,

    /// Certificate chain of the server, in PEM [default: one that signs itself, for a key that is kept
    /// beside the ledger].
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// Key of the certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Make the server's keys if they are not there, print what the chain must say of them, and end.
    #[arg(long)]
    pub print_keys: bool,

    /// Settle a channel when this much in it was earned and not settled.
    #[arg(long, value_name = "AMOUNT", default_value = "1 ASY")]
    pub settle_threshold: Amount,

    /// Settle a channel when anything in it has waited for this many blocks.
    #[arg(long, value_name = "BLOCKS", default_value_t = 2_400)]
    pub settle_age: u32,

    /// Write the last voucher of each channel to this file, for `assay channel watch` elsewhere.
    #[arg(long, value_name = "FILE")]
    pub vouchers: Option<PathBuf>,

    /// How long an answer waits for its next voucher, or for its client to take what is there, before it ends. While others
    /// wait for its place it is 20 seconds in all between two receipts, if this is not less.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub voucher_wait: u64,

    /// How long answers may go on when the worker is asked to end.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub drain: u64,
}

impl ServeConfig {
    pub fn policy(&self) -> SettlementPolicy {
        SettlementPolicy {
            threshold: self.settle_threshold.0,
            age_blocks: self.settle_age,
        }
    }

    pub fn given(&self) -> Option<Given> {
        let (certificate, key) = self.tls_cert.clone().zip(self.tls_key.clone())?;
        Some(Given { certificate, key })
    }
}

/// Where exact models are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let gpu = text.strip_prefix("cuda:").map(str::parse);
        match (text, gpu) {
            ("cpu", _) => Ok(Self::Cpu),
            (_, Some(Ok(ordinal))) => Ok(Self::Cuda(ordinal)),
            _ => Err(format!(
                "no device is named {text}; name cpu, or a GPU by its number, such as cuda:0"
            )),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
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

    /// The server that answers instead of this machine, if there is one.
    pub fn upstream(&self) -> Option<Upstream> {
        let UpstreamConfig {
            upstream,
            upstream_key_file,
            upstream_model,
        } = &self.upstream;
        Some(Upstream {
            url: upstream.clone()?,
            key_file: upstream_key_file.clone(),
            model: upstream_model.clone()?,
            requests: self.places().requests,
        })
    }

    /// How many requests a model works at together: the last place is left to jobs.
    pub fn places(&self) -> Places {
        Places {
            requests: self.max_batch.get().saturating_add(1),
            cache: self.cache_memory.get().saturating_mul(1 << 20),
        }
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
    fn an_upstream_server_is_named_with_its_model() {
        let upstream = "--upstream=http://127.0.0.1:8000/v1";
        let config = parsed(&[upstream, "--upstream-model=m", "--max-batch=3"]).unwrap();
        let found = config.upstream().unwrap();
        assert_eq!((found.model.as_str(), found.requests), ("m", 4));
        assert!(parsed(&[]).unwrap().upstream().is_none());
        let wrong: [&[&str]; 3] = [
            &[upstream],
            &["--upstream-model=m"],
            &["--upstream-key-file=k"],
        ];
        for wrong in wrong {
            assert!(
                parsed(wrong).unwrap_err().contains("--upstream"),
                "{wrong:?}"
            );
        }
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

    #[test]
    fn devices_are_named_as_they_are_shown() {
        for (device, found) in [
            ("cpu", Device::Cpu),
            ("cuda:0", Device::Cuda(0)),
            ("cuda:11", Device::Cuda(11)),
        ] {
            let config = parsed(&[&format!("--device={device}")]).unwrap();
            assert_eq!((config.device, found.to_string()), (found, device.into()));
        }
        assert_eq!(parsed(&[]).unwrap().device, Device::Cpu);
        for wrong in ["gpu", "cuda", "cuda:", "cuda:-1", "cuda:0,cpu", "CPU"] {
            let error = parsed(&[&format!("--device={wrong}")]).unwrap_err();
            assert!(error.contains("cuda:0"), "{error}");
        }
    }

    #[test]
    fn flags_of_the_server_that_contradict_each_other_are_refused() {
        for wrong in [
            &["--serve-plain"][..],
            &["--tls-cert=a"],
            &["--tls-key=a"],
            &[
                "--serve=127.0.0.1:1",
                "--serve-plain",
                "--tls-cert=a",
                "--tls-key=b",
            ],
            &["--settle-threshold=much"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
        let config = parsed(&["--settle-threshold=20 mASY", "--settle-age=9"]).unwrap();
        let policy = config.serve.policy();
        assert_eq!((policy.threshold, policy.age_blocks), (20_000_000_000, 9));
    }
}

//! One measurement in a process of its own: nothing of another engine's threads, pinned cores or memory is in
//! its way, and its peak of memory is its own.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

use super::{files::split_mix, shape::Family};

/// What a process of this program measures.
#[derive(Serialize, Deserialize)]
pub struct Job {
    pub engine: Engine,
    /// The model folder, or the GGUF file.
    pub model: PathBuf,
    pub vocabulary: usize,
    pub threads: usize,
    pub task: Task,
}

/// The engines that this program holds.
#[derive(Clone, Serialize, Deserialize)]
pub enum Engine {
    /// The backend's name.
    Exact(String),
    Candle(Family),
}

/// Something that takes time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Task {
    /// After a prompt, whose time does not count, `tokens` steps of `batch` sequences together.
    Decode {
        prompt: usize,
        tokens: usize,
        batch: usize,
    },
    /// The reading of a prompt, up to the logits of its last token.
    Prefill { tokens: usize },
    /// A whole answer, and then its checking.
    Answer { prompt: usize, tokens: usize },
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Of the task.
    pub seconds: f64,
    /// Of the answer's checking.
    pub checking_seconds: Option<f64>,
    pub memory: Option<Memory>,
}

/// What the process took, as Linux counts it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// The most that it had, mapped files included.
    pub peak_bytes: u64,
    /// Of mapped files, at the end. The kernel gives and takes these pages as it likes.
    pub mapped_bytes: u64,
}

impl Job {
    /// Starts this program with the job, and waits for its outcome.
    pub fn start(&self) -> Result<Outcome> {
        let output = Command::new(std::env::current_exe()?)
            .args(["speed", "--job", &serde_json::to_string(self)?])
            // candle asks this variable.
            .env("RAYON_NUM_THREADS", self.threads.to_string())
            .env_remove("CANDLE_NUM_THREADS")
            .output()?;
        ensure!(
            output.status.success(),
            "a measurement ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        serde_json::from_slice(&output.stdout).context("a measurement printed no outcome")
    }
}

impl Outcome {
    /// Of a task that took so long and whose engine is still there.
    pub fn of(time: Duration) -> Self {
        Self {
            seconds: time.as_secs_f64(),
            checking_seconds: None,
            memory: Memory::now(),
        }
    }
}

impl Memory {
    fn now() -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let bytes = |field| {
            let line = status.lines().find_map(|line| line.strip_prefix(field))?;
            let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
            Some(kibibytes * 1024)
        };
        Some(Self {
            peak_bytes: bytes("VmHWM:")?,
            mapped_bytes: bytes("RssFile:")?,
        })
    }
}

/// The result of some work, and its time.
pub fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let began = Instant::now();
    let result = work()?;
    Ok((result, began.elapsed()))
}

/// Random token ids; other ones for each `stream`.
pub fn tokens(vocabulary: usize, stream: usize, count: usize) -> Vec<u32> {
    let first = (stream as u64) << 32;
    (first..first + count as u64)
        .map(|index| (split_mix(index) % vocabulary as u64) as u32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_of_the_vocabulary_and_each_stream_has_its_own() {
        let (one, other) = (tokens(1000, 1, 64), tokens(1000, 2, 64));
        assert_eq!(one.len(), 64);
        assert!(one.iter().chain(&other).all(|token| *token < 1000));
        assert_ne!(one, other);
        assert_eq!(one[..32], tokens(1000, 1, 32));
    }
}

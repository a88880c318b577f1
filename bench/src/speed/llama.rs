//! llama.cpp at work, through its own benchmark program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{bail, ensure, Context, Result};
use serde::Deserialize;

use super::job::{Outcome, Task};

/// `llama-bench` as scripts/peers builds it.
pub struct Llama {
    program: PathBuf,
    /// Which llama.cpp it is, in words.
    pub version: String,
}

/// What `llama-bench` prints of one test, as far as it matters here.
#[derive(Deserialize)]
struct Test {
    /// Tokens a second.
    avg_ts: f64,
}

impl Llama {
    /// The program in `folder`, or else where scripts/peers puts it; or a line that says that it is not
    /// there.
    pub fn find(folder: Option<&Path>) -> Result<Result<Self, String>> {
        let folder = match folder {
            Some(folder) => folder.to_path_buf(),
            None => std::env::home_dir()
                .context("there is no home folder: name the peers' folder with --peers")?
                .join(".cache/assay/peers"),
        };
        let program = folder.join("llama-bench");
        if !program.is_file() {
            return Ok(Err(format!(
                "llama.cpp was not found at {} and was not measured: scripts/peers builds it.",
                program.display()
            )));
        }
        let version = fs::read_to_string(folder.join("llama-bench.version"))
            .unwrap_or_else(|_| "of an unknown version".into());
        Ok(Ok(Self {
            program,
            version: version.trim().into(),
        }))
    }

    /// Does a task once, after the program's own warming up.
    pub fn measure(&self, model: &Path, threads: usize, task: Task) -> Result<Outcome> {
        let (prompt, generated, depth) = match task {
            Task::Prefill { tokens } => (tokens, 0, 0),
            Task::Decode {
                prompt,
                tokens,
                batch: 1,
            } => (0, tokens, prompt),
            Task::Decode { .. } | Task::Answer { .. } => {
                bail!("llama-bench is not asked for {task:?}")
            }
        };
        let number = |number: usize| number.to_string();
        let output = Command::new(&self.program)
            .arg("--model")
            .arg(model)
            .args(["--n-prompt", &number(prompt)])
            .args(["--n-gen", &number(generated)])
            .args(["--n-depth", &number(depth)])
            .args(["--threads", &number(threads)])
            .args(["--repetitions", "1", "--n-gpu-layers", "0"])
            .args(["--output", "json"])
            .output()
            .with_context(|| format!("{} does not start", self.program.display()))?;
        ensure!(
            output.status.success(),
            "llama-bench ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        let tests: Vec<Test> =
            serde_json::from_slice(&output.stdout).context("llama-bench printed another JSON")?;
        let [test] = &tests[..] else {
            bail!(
                "llama-bench printed {} results in place of one",
                tests.len()
            );
        };
        Ok(Outcome {
            seconds: (prompt + generated) as f64 / test.avg_ts,
            checking_seconds: None,
            memory: None,
        })
    }
}

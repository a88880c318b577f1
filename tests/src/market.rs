//! The `assay` command, as a user types it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{ensure, Context, Result};
use serde_json::Value;

use crate::{eventually, programs};

/// Longer than a command waits for the chain before it gives up by itself.
const COMMAND: Duration = Duration::from_secs(600);

/// What it says when it would send a transaction in the place of another, and how often and how long to wait then.
const UNDER_WAY: &str = "another transaction of this account is under way";
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// The command, for one chain and one key.
#[derive(Clone)]
pub struct Assay {
    chain: String,
    key: String,
    /// Where it is typed; the folder of this process if none.
    folder: Option<PathBuf>,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The printed JSON of a command that succeeded.
    pub fn json(&self) -> Result<Value> {
        ensure!(
            self.code == 0,
            "it ended with {}: {}",
            self.code,
            self.stderr.trim()
        );
        serde_json::from_str(&self.stdout)
            .with_context(|| format!("this is no JSON: {}", self.stdout))
    }
}

impl Assay {
    pub fn new(chain: &str, key: &str) -> Self {
        Self {
            chain: chain.into(),
            key: key.into(),
            folder: None,
        }
    }

    /// The same with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: key.into(),
            ..self.clone()
        }
    }

    /// The same, typed in a folder, so that the paths that it takes and prints are relative to it.
    pub fn in_folder(&self, folder: &Path) -> Self {
        Self {
            folder: Some(folder.into()),
            ..self.clone()
        }
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// The words behind `assay`, for somebody else to run.
    pub fn words(&self, arguments: &[&str]) -> Vec<String> {
        let common = ["--chain", &self.chain, "--key", &self.key];
        let all = common.iter().chain(arguments);
        all.map(|word| (*word).to_owned()).collect()
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(programs()?.join("assay"));
        command
            .args(self.words(arguments))
            .env_remove("ASSAY_CHAIN")
            .env_remove("ASSAY_KEY")
            .env_remove("ASSAY_MODEL_DIR")
            .current_dir(self.folder.as_deref().unwrap_or(Path::new(".")))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Run and keep what it prints.
    pub fn run(&self, arguments: &[&str]) -> Result<Outcome> {
        let output = self
            .command(arguments)?
            .output()
            .context("starting assay")?;
        Ok(Outcome::of(output))
    }

    /// Run in a terminal, where somebody types these lines and then hangs up. What it prints comes as one text. `redirected` is
    /// what a shell takes behind a command, such as `<&-`.
    pub fn in_terminal(
        &self,
        arguments: &[&str],
        typed: &str,
        redirected: &str,
    ) -> Result<Outcome> {
        let program = programs()?.join("assay").display().to_string();
        let words = self.words(arguments);
        let quoted = [program].into_iter().chain(words);
        let quoted = quoted.map(|word| format!("'{}'", word.replace('\'', "'\\''")));
        let line = quoted.collect::<Vec<_>>().join(" ") + " " + redirected;
        // It gives a command a terminal, and its exit code.
        let mut terminal = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env_remove("ASSAY_CHAIN")
            .env_remove("ASSAY_KEY")
            .env_remove("ASSAY_MODEL_DIR")
            .current_dir(self.folder.as_deref().unwrap_or(Path::new(".")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting a terminal")?;
        let mut keyboard = terminal.stdin.take().context("a pipe")?;
        keyboard.write_all(typed.as_bytes())?;
        drop(keyboard);
        Ok(Outcome::of(terminal.wait_with_output()?))
    }

    /// Run for its result as JSON; a failure is an error.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = vec!["--output", "json"];
        all.extend(arguments);
        let mut outcome = self.run(&all)?;
        // A block that a network took back brings its transactions back a moment later.
        for _ in 0..ATTEMPTS {
            if !outcome.stderr.contains(UNDER_WAY) {
                break;
            }
            sleep(PAUSE);
            outcome = self.run(&all)?;
        }
        outcome
            .json()
            .with_context(|| format!("assay {}", arguments.join(" ")))
    }

    /// Run with its output going where ours goes; another exit code than `code` is an error.
    pub fn show(&self, arguments: &[&str], code: i32) -> Result<()> {
        let mut child = self.command(arguments)?.spawn().context("starting assay")?;
        let what = format!("assay {} ends", arguments.join(" "));
        let ended = eventually(&what, COMMAND, || Ok(child.try_wait()?));
        if ended.is_err() {
            child.kill()?;
            child.wait()?;
        }
        let status = ended?;
        ensure!(
            status.code() == Some(code),
            "assay {} ended with {status}",
            arguments.join(" ")
        );
        Ok(())
    }
}

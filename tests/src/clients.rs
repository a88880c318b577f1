//! OpenAI clients and another program that nobody here wrote, at work: the scripts in `clients/`.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::Value;

use crate::repository;

/// Where `scripts/clients` installed them.
pub struct Clients {
    folder: PathBuf,
    /// The scripts for Node, beside its packages.
    scripts: tempfile::TempDir,
}

impl Clients {
    /// None, said aloud, when `ASSAY_SKIP_CLIENTS` is 1.
    pub fn find() -> Result<Option<Self>> {
        if std::env::var("ASSAY_SKIP_CLIENTS").is_ok_and(|value| value == "1") {
            // Not by a macro: the harness keeps what a test that passes prints.
            let said = "SKIPPED: official clients, because ASSAY_SKIP_CLIENTS is 1";
            let _ = writeln!(std::io::stderr(), "{said}");
            return Ok(None);
        }
        let folder = match std::env::var_os("ASSAY_CLIENTS_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => {
                let home = std::env::var_os("HOME").context("HOME is not set")?;
                Path::new(&home).join(".cache/assay/clients")
            }
        };
        ensure!(
            folder.join("version").exists() && folder.join("promtool").exists(),
            "no clients in {}: run scripts/clients, or set ASSAY_SKIP_CLIENTS=1",
            folder.display()
        );
        // Node looks for packages where the script lies, and nowhere else.
        let scripts = tempfile::tempdir()?;
        for entry in fs::read_dir(repository()?.join("tests/clients"))? {
            let entry = entry?;
            fs::copy(entry.path(), scripts.path().join(entry.file_name()))?;
        }
        let packages = scripts.path().join("node_modules");
        std::os::unix::fs::symlink(folder.join("node_modules"), packages)?;
        Ok(Some(Self { folder, scripts }))
    }

    /// What reads Prometheus's rules.
    pub fn promtool(&self) -> Command {
        Command::new(self.folder.join("promtool"))
    }

    /// Python with these clients, about to run a program of one's own.
    pub fn python(&self, program: &str) -> Command {
        let mut python = Command::new(self.folder.join("python/bin/python"));
        python.args(["-c", program]);
        python
    }

    /// Runs a script against the server at `port`. Fails unless it made exactly these checks, and all went
    /// well.
    pub fn check(&self, script: &str, port: u16, model: &str, checks: &[&str]) -> Result<()> {
        self.check_at(
            script,
            &format!("http://127.0.0.1:{port}/v1"),
            model,
            checks,
        )
    }

    /// The same against what is at `url`, with another word about what to do there.
    pub fn check_at(&self, script: &str, url: &str, word: &str, checks: &[&str]) -> Result<()> {
        let interpreter = match script.ends_with(".py") {
            true => "python/bin/python",
            false => "python/bin/node",
        };
        let output = Command::new(self.folder.join(interpreter))
            .arg(self.scripts.path().join(script))
            .arg(url)
            .arg(word)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .with_context(|| format!("starting {script}"))?;
        let mut made = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let said: Value =
                serde_json::from_str(line).with_context(|| format!("{script} says {line:?}"))?;
            let check = said["check"].as_str().context("a check has a name")?;
            let error = said["error"].as_str().map(str::to_owned);
            made.insert(check.to_owned(), error);
        }
        let mut failures = Vec::new();
        for check in checks {
            match made.remove(*check) {
                Some(None) => {}
                Some(Some(error)) => failures.push(format!("{check}: {error}")),
                None => failures.push(format!("{check}: it was not made")),
            }
        }
        failures.extend(made.keys().map(|check| format!("{check}: not asked for")));
        if failures.is_empty() && output.status.success() {
            return Ok(());
        }
        bail!(
            "{script} ended with {}:\n{}\n{}",
            output.status,
            failures.join("\n"),
            String::from_utf8_lossy(&output.stderr)
        )
    }
}

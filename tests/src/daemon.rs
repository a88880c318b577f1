//! A process that is killed with its owner.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail, ensure, Context, Result};

/// Longer than a program needs to end in good order.
const END: Duration = Duration::from_secs(60);

static STOPPED: AtomicBool = AtomicBool::new(false);

/// Makes everything that waits here fail soon, so that a program that is asked to end does so by
/// way of its destructors.
pub fn stop() {
    STOPPED.store(true, Ordering::Relaxed);
}

/// Whether [`stop`] was called.
pub fn stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// The folder where cargo puts the programs of this build.
pub fn programs() -> Result<PathBuf> {
    let this = std::env::current_exe().context("the path of this program")?;
    let folder = this.parent().context("a program lies in a folder")?;
    // Tests lie one folder below the programs.
    let folder = match folder.ends_with("deps") {
        true => folder.parent().context("deps lies in a folder")?,
        false => folder,
    };
    Ok(folder.to_owned())
}

/// Ask until there is an answer, or fail after `limit` and say for what.
pub fn eventually<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        ensure!(!stopped(), "stopped while waiting until {what}");
        if let Some(answer) = ask().with_context(|| format!("waiting until {what}"))? {
            return Ok(answer);
        }
        ensure!(
            start.elapsed() < limit,
            "after {} s not yet: {what}",
            limit.as_secs()
        );
        sleep(Duration::from_millis(100));
    }
}

/// A running process whose output goes to a file.
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Start `program` of this build. Its output is added to `log`.
    pub fn start(program: &str, arguments: &[String], log: &Path) -> Result<Self> {
        Self::start_under(&[], program, arguments, log)
    }

    /// The same by way of a command that becomes the program, such as `ip netns exec NAME`.
    pub fn start_under(
        under: &[String],
        program: &str,
        arguments: &[String],
        log: &Path,
    ) -> Result<Self> {
        let path = programs()?.join(program);
        ensure!(
            path.exists(),
            "{} is not built: run `make build`",
            path.display()
        );
        let output = File::options().create(true).append(true).open(log)?;
        let mut words = under.iter().map(OsStr::new).chain([path.as_os_str()]);
        let first = words.next().unwrap_or(path.as_os_str());
        let child = Command::new(first)
            .args(words)
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {}", path.display()))?;
        Ok(Self {
            name: program.into(),
            child,
            log: log.into(),
        })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything that the process has said so far.
    pub fn log(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(&self.log)?).into_owned())
    }

    /// An error with the end of the log if the process is gone.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.log_tail()),
        }
    }

    pub fn log_tail(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// Wait until the process says `text`, counting only what it says after `from` bytes.
    pub fn wait_for_log(&mut self, text: &str, from: usize, limit: Duration) -> Result<()> {
        let what = format!("{} says {text:?}", self.name);
        let waited = eventually(&what, limit, || {
            self.check_alive()?;
            let log = self.log()?;
            Ok(log
                .get(from..)
                .is_some_and(|new| new.contains(text))
                .then_some(()))
        });
        waited.map_err(|error| anyhow!("{error:#}\n{}", self.log_tail()))
    }

    /// What `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks the process to end, as a service manager does, and waits until it has: how it ended.
    pub fn end(&mut self) -> Result<ExitStatus> {
        self.signal("-TERM")?;
        let what = format!("{} ends", self.name);
        eventually(&what, END, || Ok(self.child.try_wait()?))
    }

    /// Stop the process without ending it, or let it go on.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill")
            .arg(signal)
            .arg(self.id().to_string())
            .status()?;
        ensure!(status.success(), "kill {signal} {} failed", self.id());
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

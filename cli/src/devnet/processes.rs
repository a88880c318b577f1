//! The processes of a development network: started in the background, written down, stopped again.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

const RECORD: &str = "processes.json";
/// How long a process may take to end by itself.
const END: Duration = Duration::from_secs(20);
/// How long the ports of processes that were killed may stay taken.
pub const FREED: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);

/// A process that was started in the background.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Process {
    pub name: String,
    pub pid: u32,
    /// When it started, as the system tells it: another process may have got the same number since.
    started: Option<String>,
    /// What it was started with, its ports among it.
    #[serde(default)]
    arguments: Vec<String>,
}

impl Process {
    pub fn is_alive(&self) -> bool {
        match status(self.pid) {
            Status::Running(started) | Status::Ending(started) => self.started == started,
            Status::Gone => false,
        }
    }

    fn runs(&self) -> bool {
        matches!(status(self.pid), Status::Running(started) if self.started == started)
    }

    /// Asks it to end, and makes it end if it does not.
    fn stop(&self) {
        for (signal, patience) in [("-TERM", END), ("-KILL", END)] {
            if !self.is_alive() {
                return;
            }
            // A signal that cannot be sent shows in that the process is still there.
            let _ = Command::new("kill")
                .args([signal, &self.pid.to_string()])
                .stderr(Stdio::null())
                .status();
            let start = Instant::now();
            while self.is_alive() && start.elapsed() < patience {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

#[derive(PartialEq, Eq, Debug)]
enum Status {
    Running(Option<String>),
    /// It was killed, and threads that are left of it still hold its ports and files.
    Ending(Option<String>),
    Gone,
}

fn status(pid: u32) -> Status {
    if !Path::new("/proc/self/stat").exists() {
        let alive = Command::new("kill")
            .args(["-0", &pid.to_string()])
            .stderr(Stdio::null())
            .status();
        return match alive {
            Ok(status) if status.success() => Status::Running(None),
            _ => Status::Gone,
        };
    }
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(Status::Gone, |stat| of_stat(&stat))
}

fn of_stat(stat: &str) -> Status {
    // The program's name stands in brackets and may hold blanks; then comes the state, 17 fields on
    // the number of threads, and two more on the time of the start.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let started = fields.get(19).map(|field| (*field).to_owned());
    match (fields.first(), fields.get(17)) {
        (None, _) | (Some(&"Z"), None | Some(&("0" | "1"))) => Status::Gone,
        (Some(&"Z"), _) => Status::Ending(started),
        (Some(_), _) => Status::Running(started),
    }
}

/// What runs in a folder.
pub struct Processes {
    folder: PathBuf,
    all: Vec<Process>,
}

impl Processes {
    /// What was started in `folder`, running or not.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(RECORD);
        let all = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::Usage(format!(
                    "{}: is no list of processes: {error}; remove it once nothing of the network runs",
                    path.display()
                ))
            })?,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(unusable(&path, &error)),
        };
        Ok(Self {
            folder: folder.into(),
            all,
        })
    }

    pub fn alive(&self) -> Vec<Process> {
        let alive = self.all.iter().filter(|process| process.is_alive());
        alive.cloned().collect()
    }

    pub fn runs(&self, name: &str) -> bool {
        let mut named = self.all.iter().filter(|process| process.name == name);
        named.any(Process::runs)
    }

    /// Starts `program` of this build, unless it runs; what it says is added to `NAME.log` in the
    /// folder.
    pub fn start(
        &mut self,
        name: &str,
        program: &Path,
        arguments: &[String],
    ) -> Result<(), Failure> {
        let mut named = self.all.iter().filter(|process| process.name == name);
        if let Some(process) = named.find(|process| process.runs()) {
            if process.arguments == arguments {
                return Ok(());
            }
            return Err(Failure::Usage(format!(
                "{name} runs already, as process {}, and with other ports, folders or another budget; stop the network with \
                 `assay devnet down --dir {}`",
                process.pid,
                self.folder.display(),
            )));
        }
        let log = self.log(name);
        let output = File::options().create(true).append(true).open(&log);
        let output = output.map_err(|error| unusable(&log, &error))?;
        let errors = output.try_clone().map_err(|error| unusable(&log, &error))?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            // What a terminal sends to this command is not for the network.
            .process_group(0)
            .spawn()
            .map_err(|error| unusable(program, &error))?;
        let pid = child.id();
        let started = match status(pid) {
            Status::Running(started) | Status::Ending(started) => started,
            Status::Gone => None,
        };
        self.all.retain(|process| process.name != name);
        self.all.push(Process {
            name: name.into(),
            pid,
            started,
            arguments: arguments.to_vec(),
        });
        self.write()
    }

    /// Stops everything but what is to be kept, last started first; the names of what ran.
    pub fn stop(&mut self, kept: &[Process]) -> Result<Vec<String>, Failure> {
        let mut stopped = Vec::new();
        for process in self.all.iter().rev() {
            if kept.contains(process) || !process.is_alive() {
                continue;
            }
            process.stop();
            if process.is_alive() {
                return Err(Failure::Request(format!(
                    "{} does not end; end process {} by hand",
                    process.name, process.pid
                )));
            }
            stopped.push(process.name.clone());
        }
        self.all.retain(|process| kept.contains(process));
        self.write()?;
        Ok(stopped)
    }

    fn write(&self) -> Result<(), Failure> {
        let path = self.folder.join(RECORD);
        let bytes = serde_json::to_vec_pretty(&self.all).unwrap_or_default();
        fs::write(&path, bytes).map_err(|error| unusable(&path, &error))
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Waits until `is_ready`, as long as the process lives.
    pub fn wait(
        &self,
        name: &str,
        patience: Duration,
        is_ready: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        let log = self.log(name);
        let start = Instant::now();
        while !is_ready() {
            if !self.runs(name) {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let last = said.lines().last().unwrap_or("it said nothing").to_owned();
                return Err(Failure::Request(format!(
                    "{name} ended: {last}; look at {}",
                    log.display()
                )));
            }
            if start.elapsed() > patience {
                return Err(Failure::Request(format!(
                    "{name} is not ready after {} s; look at {}",
                    patience.as_secs(),
                    log.display()
                )));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

pub fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!(
        "{}: {error}; check the path and its permissions",
        path.display()
    ))
}

/// That nobody listens on these ports, or not for much longer.
pub fn check_ports(ports: &[(&str, u16)], patience: Duration) -> Result<(), Failure> {
    let start = Instant::now();
    for (what, port) in ports {
        while let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)) {
            if error.kind() == ErrorKind::AddrInUse && start.elapsed() < patience {
                std::thread::sleep(PAUSE);
                continue;
            }
            return Err(Failure::Usage(format!(
                "port {port}, for the {what}, cannot be used: {error}; end what listens there, or choose \
                 others with --node-port, --worker-port and --gateway-port"
            )));
        }
    }
    Ok(())
}

/// Whether a page of this machine is there and says that all is well.
pub fn is_well(port: u16, path: &str) -> bool {
    let page = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    page().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(processes: &mut Processes, name: &str) {
        let arguments = ["60".to_owned()];
        processes
            .start(name, Path::new("sleep"), &arguments)
            .unwrap();
    }

    #[test]
    fn what_was_started_is_found_and_stopped_by_another_command() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Processes::read(folder.path()).unwrap();
        assert!(first.alive().is_empty());
        sleeper(&mut first, "one");
        sleeper(&mut first, "two");
        let mut later = Processes::read(folder.path()).unwrap();
        assert_eq!(later.alive().len(), 2);
        assert_eq!(later.stop(&[]).unwrap(), ["two", "one"]);
        assert!(first.alive().is_empty());
        assert!(later.stop(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_runs_is_kept_and_what_is_missing_is_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Processes::read(folder.path()).unwrap();
        sleeper(&mut processes, "node");
        let mut later = Processes::read(folder.path()).unwrap();
        let kept = later.alive();
        sleeper(&mut later, "node");
        assert!(!later.runs("gateway"));
        sleeper(&mut later, "gateway");
        assert!(later.runs("gateway"));
        assert!(later.alive().starts_with(&kept));
        // A start that fails ends what it has started.
        assert_eq!(later.stop(&kept).unwrap(), ["gateway"]);
        assert_eq!(later.alive(), kept);

        let arguments = ["61".to_owned()];
        let other = later.start("node", Path::new("sleep"), &arguments);
        let message = other.unwrap_err().to_string();
        assert!(message.contains("with other ports"), "{message}");
        assert_eq!(later.stop(&[]).unwrap(), ["node"]);
    }

    #[test]
    fn a_process_is_gone_when_its_last_thread_is() {
        let stat = |state: &str, threads: u32| {
            let numbers = "0 ".repeat(16);
            of_stat(&format!("7 (a b) c) {state} {numbers}{threads} 0 99 0\n"))
        };
        let started = Some("99".to_owned());
        assert_eq!(stat("S", 1), Status::Running(started.clone()));
        assert_eq!(stat("Z", 1), Status::Gone);
        assert_eq!(stat("Z", 2), Status::Ending(started));
        assert_eq!(of_stat(""), Status::Gone);
    }

    #[test]
    fn a_port_that_becomes_free_is_waited_for() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let ports = [("node", port)];
        assert!(check_ports(&ports, Duration::ZERO).is_err());
        let freed = std::thread::spawn(move || {
            std::thread::sleep(PAUSE);
            drop(listener);
        });
        check_ports(&ports, END).unwrap();
        freed.join().unwrap();
    }

    #[test]
    fn a_stranger_with_the_number_of_one_of_ours_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Processes::read(folder.path()).unwrap();
        sleeper(&mut processes, "ours");
        let mut stranger = Processes {
            folder: folder.path().join("none"),
            all: processes.all.clone(),
        };
        std::fs::create_dir(&stranger.folder).unwrap();
        stranger.all[0].started = Some("1".into());
        assert!(stranger.stop(&[]).unwrap().is_empty());
        assert_eq!(processes.alive().len(), 1);
        processes.stop(&[]).unwrap();
    }

    #[test]
    fn a_process_that_ends_too_early_is_named_with_its_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Processes::read(folder.path()).unwrap();
        let arguments = ["-c", "echo first; echo no money >&2"].map(str::to_owned);
        processes
            .start("worker", Path::new("sh"), &arguments)
            .unwrap();
        let failed = processes.wait("worker", END, || false).unwrap_err();
        let message = failed.to_string();
        assert!(
            message.contains("worker ended: no money; look at"),
            "{message}"
        );
    }

    #[test]
    fn a_busy_port_is_named_with_the_way_out() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let failed = check_ports(&[("gateway", port)], Duration::ZERO);
        let message = failed.unwrap_err().to_string();
        assert!(
            message.contains(&format!("port {port}, for the gateway")),
            "{message}"
        );
        assert!(message.contains("--gateway-port"), "{message}");
    }
}

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
const PAUSE: Duration = Duration::from_millis(100);

/// A process that was started in the background.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Process {
    pub name: String,
    pub pid: u32,
    /// When it started, as the system tells it: another process may have got the same number since.
    started: Option<String>,
}

impl Process {
    pub fn is_alive(&self) -> bool {
        match status(self.pid) {
            Status::Running(started) => self.started == started,
            Status::Gone => false,
        }
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

enum Status {
    Running(Option<String>),
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
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return Status::Gone;
    };
    // The program's name stands in brackets and may hold blanks; the state and 18 numbers on is the
    // time of the start.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    match fields.first() {
        Some(&"Z") | None => Status::Gone,
        Some(_) => Status::Running(fields.get(19).map(|field| (*field).to_owned())),
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

    pub fn alive(&self) -> Vec<&Process> {
        self.all
            .iter()
            .filter(|process| process.is_alive())
            .collect()
    }

    /// Starts `program` of this build; what it says is added to `NAME.log` in the folder.
    pub fn start(
        &mut self,
        name: &str,
        program: &Path,
        arguments: &[String],
    ) -> Result<(), Failure> {
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
            Status::Running(started) => started,
            Status::Gone => None,
        };
        self.all.retain(|process| process.name != name);
        self.all.push(Process {
            name: name.into(),
            pid,
            started,
        });
        self.write()
    }

    /// Stops everything, last started first; the names of what ran.
    pub fn stop(&mut self) -> Result<Vec<String>, Failure> {
        let mut stopped = Vec::new();
        for process in self.all.iter().rev().filter(|process| process.is_alive()) {
            process.stop();
            if process.is_alive() {
                return Err(Failure::Request(format!(
                    "{} does not end; end process {} by hand",
                    process.name, process.pid
                )));
            }
            stopped.push(process.name.clone());
        }
        self.all.clear();
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
            let alive = self
                .all
                .iter()
                .any(|process| process.name == name && process.is_alive());
            if !alive {
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

/// That nobody listens on these ports.
pub fn check_ports(ports: &[(&str, u16)]) -> Result<(), Failure> {
    for (what, port) in ports {
        if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, *port)) {
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
        assert_eq!(later.stop().unwrap(), ["two", "one"]);
        assert!(first.alive().is_empty());
        assert!(later.stop().unwrap().is_empty());
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
        assert!(stranger.stop().unwrap().is_empty());
        assert_eq!(processes.alive().len(), 1);
        processes.stop().unwrap();
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
        let message = check_ports(&[("gateway", port)]).unwrap_err().to_string();
        assert!(
            message.contains(&format!("port {port}, for the gateway")),
            "{message}"
        );
        assert!(message.contains("--gateway-port"), "{message}");
    }
}

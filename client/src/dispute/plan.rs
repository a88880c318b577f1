//! What a challenger must not forget, in a file beside the answer's: on disk before the commitment is sent.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use subxt::utils::{AccountId32, H256};

use super::{charge::Charge, game::DisputeId};
use crate::Error;

const FORMAT: &str = "assay dispute v1";

/// A dispute that somebody decided to begin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    format: String,
    /// Hash of the chain's first block.
    pub genesis: H256,
    pub challenger: AccountId32,
    pub charge: Charge,
    pub delegate: Option<AccountId32>,
    /// Hides what is committed to.
    pub salt: H256,
    /// The best block when the dispute was last sent to be opened.
    #[serde(default)]
    pub sent: Option<u32>,
    /// The dispute, once it was seen on the chain.
    #[serde(default)]
    pub opened: Option<Opened>,
    /// That all of it is at its end.
    #[serde(default)]
    pub over: bool,
}

/// A dispute that was seen on the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Opened {
    pub dispute: DisputeId,
    /// The block at which it was seen.
    pub block: u32,
}

impl Plan {
    /// A new plan, with a salt that nobody can guess.
    pub fn new(
        genesis: H256,
        challenger: AccountId32,
        charge: Charge,
        delegate: Option<AccountId32>,
    ) -> Self {
        Self {
            format: FORMAT.into(),
            genesis,
            challenger,
            charge,
            delegate,
            salt: H256(rand::random()),
            sent: None,
            opened: None,
            over: false,
        }
    }

    /// Whether it ended before anything was opened, so that nothing follows from it any more.
    pub fn is_given_up(&self) -> bool {
        self.over && self.sent.is_none() && self.opened.is_none()
    }

    /// The file of the plan for the answer in this one.
    pub fn path(answer: &Path) -> PathBuf {
        let mut name = answer.as_os_str().to_owned();
        name.push(".dispute");
        name.into()
    }

    /// The plan for the answer in this file, if there is one.
    pub fn read(answer: &Path) -> Result<Option<Self>, Error> {
        let path = Self::path(answer);
        let refuse = |problem: String| {
            let next = "move it away to begin another dispute";
            Error::file(&path, problem, next)
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refuse(format!("cannot be read: {error}"))),
        };
        let plan: Self = serde_json::from_slice(&bytes)
            .map_err(|error| refuse(format!("is no plan of a dispute: {error}")))?;
        match plan.format == FORMAT {
            true => Ok(Some(plan)),
            false => Err(refuse(format!("is not in the format {FORMAT:?}"))),
        }
    }

    /// Puts the plan on disk.
    pub fn write(&self, answer: &Path) -> Result<(), Error> {
        let path = Self::path(answer);
        let part = {
            let mut name = path.clone().into_os_string();
            name.push(".part");
            PathBuf::from(name)
        };
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        let written = (|| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        })();
        written.map_err(|error: std::io::Error| {
            let problem = format!("cannot be written: {error}");
            Error::file(&path, problem, "check the folder")
        })
    }

    /// Removes the plan for the answer in this file, of which nothing was sent.
    pub fn remove(answer: &Path) -> Result<(), Error> {
        let path = Self::path(answer);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let problem = format!("cannot be removed: {error}");
                Err(Error::file(&path, problem, "check the folder"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let charge = Charge::Token { position: 4 };
        let delegate = Some(AccountId32([3; 32]));
        Plan::new(H256([1; 32]), AccountId32([2; 32]), charge, delegate)
    }

    #[test]
    fn a_plan_is_what_was_written_last() {
        let folder = tempfile::tempdir().unwrap();
        let answer = folder.path().join("answer.json");
        assert_eq!(Plan::read(&answer).unwrap(), None);
        let mut plan = plan();
        plan.write(&answer).unwrap();
        assert_eq!(Plan::read(&answer).unwrap(), Some(plan.clone()));
        plan.opened = Some(Opened {
            dispute: 7,
            block: 90,
        });
        plan.over = true;
        plan.write(&answer).unwrap();
        assert_eq!(Plan::read(&answer).unwrap(), Some(plan));
        let files = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["answer.json.dispute"]);
    }

    #[test]
    fn a_plan_that_led_to_nothing_is_given_up_and_can_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let answer = folder.path().join("answer.json");
        let mut plan = plan();
        assert!(!plan.is_given_up());
        plan.over = true;
        assert!(plan.is_given_up());
        let opened = Some(Opened {
            dispute: 7,
            block: 90,
        });
        for (sent, opened) in [(Some(89), None), (None, opened)] {
            let plan = Plan {
                sent,
                opened,
                ..plan.clone()
            };
            assert!(!plan.is_given_up());
        }
        plan.write(&answer).unwrap();
        for _ in 0..2 {
            Plan::remove(&answer).unwrap();
            assert_eq!(Plan::read(&answer).unwrap(), None);
        }
    }

    #[test]
    fn no_two_plans_have_one_salt() {
        assert_ne!(plan().salt, plan().salt);
    }

    #[test]
    fn what_is_no_plan_is_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let answer = folder.path().join("answer.json");
        let text = serde_json::to_string(&plan()).unwrap();
        for text in [
            "",
            "{}",
            &text.replace("dispute v1", "dispute v0"),
            &text[1..],
        ] {
            fs::write(Plan::path(&answer), text).unwrap();
            let message = Plan::read(&answer).unwrap_err().to_string();
            assert!(message.contains("answer.json.dispute"), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}

//! The last slot in which this node may have signed a block.
//!
//! Two blocks of one slot cost a validator its stake, and a clock that was set back brings slots again. A node that runs takes
//! none twice; this is what it remembers when it is started again. It lies beside the keys and not in the database, which
//! may be deleted while they stay.

use std::{
    fs::OpenOptions,
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

/// The file in which it is remembered, as a number in digits.
#[derive(Clone)]
pub struct Slots(PathBuf);

impl Slots {
    /// Those of the chain in this folder.
    pub fn of(folder: &Path) -> Self {
        Self(folder.join("last-slot"))
    }

    /// Takes a slot that is later than all before. It is on disk before anything is signed in it.
    pub fn take(&self, slot: u64) -> Result<(), String> {
        let path = self.0.display();
        let problem = |error: io::Error| format!("{path} cannot be used: {error}");
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false);
        let mut file = opened.open(&self.0).map_err(problem)?;
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(problem)?;
        // It is empty when the first slot was not written to its end: nothing was signed in that.
        if !text.is_empty() {
            let last: u64 = text.trim().parse().map_err(|_| {
                format!("{path} holds no slot: delete it when this node's clock is right and its keys are new")
            })?;
            if slot <= last {
                return Err(format!(
                    "slot {slot} is not after slot {last}, in which this node may have signed a block; if its clock was set \
                     back it goes on after that slot, or when other session keys are in force and {path} is deleted"
                ));
            }
        }
        // Always of the same length and in one piece, so that it is never half of a number.
        file.rewind()
            .and_then(|()| file.write_all(format!("{slot:020}\n").as_bytes()))
            .and_then(|()| file.sync_data())
            .map_err(problem)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_slot_is_taken_once_and_none_before_it_whoever_starts_again() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Slots::of(folder.path()).take(99), Ok(()));
        for _ in 0..2 {
            let again = Slots::of(folder.path());
            for slot in [0, 98, 99] {
                let refused = again.take(slot).unwrap_err();
                assert!(refused.contains("is not after slot"), "{refused}");
            }
        }
        for slot in [100, 102, u64::MAX] {
            assert_eq!(Slots::of(folder.path()).take(slot), Ok(()));
        }
        assert!(Slots::of(folder.path()).take(103).is_err());
    }

    #[test]
    fn a_first_slot_that_was_not_written_forbids_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("last-slot"), "").unwrap();
        assert_eq!(Slots::of(folder.path()).take(1), Ok(()));
        assert!(Slots::of(folder.path()).take(1).is_err());
    }

    #[test]
    fn nothing_is_signed_where_nothing_can_be_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere");
        let refused = Slots::of(&nowhere).take(1).unwrap_err();
        assert!(refused.contains("nowhere/last-slot cannot be used"));
        fs::write(folder.path().join("last-slot"), "soon").unwrap();
        let refused = Slots::of(folder.path()).take(1).unwrap_err();
        assert!(refused.contains("last-slot holds no slot"), "{refused}");
    }
}

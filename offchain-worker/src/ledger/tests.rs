use super::*;
use assay_primitives::{Anchor, Finish, JobId, Receipt};
use std::{env, fs, os::unix::fs::PermissionsExt, process::Command};

fn owner(provider: u8) -> Owner {
    Owner {
        genesis: H256::repeat_byte(9),
        provider: [provider; 32],
    }
}

fn key(job: JobId) -> Key {
    Key { job, seed: [7; 32] }
}

fn receipt() -> Receipt {
    Receipt {
        header: H256::repeat_byte(1),
        anchor: Anchor {
            number: 5,
            hash: H256::repeat_byte(2),
        },
        output_len: 2,
        output_root: H256::repeat_byte(3),
        finish: Finish::Eos,
        fee: 11,
    }
}

fn stages() -> Vec<Stage> {
    let answer = Answer {
        receipt: receipt(),
        signer: [1; 32],
        signature: [4; 64],
        output: vec![8, 1],
    };
    let reply = Reply::Answer(answer);
    let submission = Submission {
        signer: [1; 32],
        nonce: 3,
        hash: H256::repeat_byte(6),
        replaced: vec![H256::repeat_byte(5)],
        valid_until: 70,
        extrinsic: vec![1, 2, 3],
    };
    vec![
        Stage::Seen,
        Stage::Ready(Reply::Refusal {
            reason: "no such model here".into(),
        }),
        Stage::Ready(reply.clone()),
        Stage::Submitted(reply.clone(), submission.clone()),
        Stage::InBlock(reply, submission),
    ]
}

#[test]
fn every_stage_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let entries: Vec<(Key, Entry)> = stages()
        .into_iter()
        .enumerate()
        .map(|(job, stage)| {
            (
                key(job as JobId),
                Entry {
                    stage,
                    attempts: 2,
                    ..Entry::new(5, 15)
                },
            )
        })
        .collect();
    let mut ledger = Ledger::open(&path, &owner(1)).unwrap();
    for (key, entry) in entries.clone() {
        ledger.put(key, entry).unwrap();
    }
    drop(ledger);

    let ledger = Ledger::open(&path, &owner(1)).unwrap();
    let found: Vec<(Key, Entry)> = ledger
        .active()
        .map(|(key, entry)| (*key, entry.clone()))
        .collect();
    assert_eq!(found, entries);
}

#[test]
fn a_finished_duty_is_known_but_not_active() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let mut ledger = Ledger::open(&path, &owner(1)).unwrap();
    ledger.put(key(1), Entry::new(5, 15)).unwrap();
    let stage = Stage::Finished(Outcome::Delivered, Some(receipt()));
    ledger
        .put(
            key(1),
            Entry {
                stage,
                ..Entry::new(5, 15)
            },
        )
        .unwrap();
    assert_eq!(ledger.active().count(), 0);
    drop(ledger);

    let ledger = Ledger::open(&path, &owner(1)).unwrap();
    assert_eq!(ledger.active().count(), 0);
    assert!(ledger.knows(&key(1)).unwrap());
    assert!(!ledger.knows(&key(2)).unwrap());
    assert!(!ledger
        .knows(&Key {
            job: 1,
            seed: [8; 32]
        })
        .unwrap());
}

#[test]
fn other_duties_of_the_same_job_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(&folder.path().join("l"), &owner(1)).unwrap();
    let other = Key {
        seed: [255; 32],
        ..key(1)
    };
    ledger.put(key(1), Entry::new(5, 15)).unwrap();
    ledger.put(key(2), Entry::new(5, 15)).unwrap();
    assert!(!ledger.knows_another(&key(1)).unwrap());
    assert!(ledger.knows_another(&other).unwrap());
    ledger.put(other, Entry::new(6, 16)).unwrap();
    assert!(ledger.knows_another(&key(1)).unwrap());
    assert!(!ledger.knows_another(&key(2)).unwrap());
}

#[test]
fn a_pause_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    for paused in [false, true, false] {
        let mut ledger = Ledger::open(&path, &owner(1)).unwrap();
        ledger.set_paused(paused).unwrap();
        drop(ledger);
        assert_eq!(Ledger::open(&path, &owner(1)).unwrap().paused(), paused);
    }
}

#[test]
fn folders_are_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("mistyped");
    let error = Ledger::open(&missing.join("ledger.redb"), &owner(1)).err();
    let error = error.unwrap().to_string();
    let next = format!("`mkdir -p {}`", missing.display());
    assert!(error.contains(&next) && !error.contains('\n'), "{error}");
    assert!(!missing.exists());
}

#[test]
fn a_new_operator_signs_anew_what_the_old_one_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let mut ledger = Ledger::open(&path, &owner(1)).unwrap();
    for (job, stage) in stages().into_iter().enumerate() {
        ledger
            .put(
                key(job as JobId),
                Entry {
                    stage,
                    ..Entry::new(5, 15)
                },
            )
            .unwrap();
    }
    let before: Vec<Entry> = ledger.active().map(|(_, entry)| entry.clone()).collect();
    ledger.take_over(&[1; 32]).unwrap();
    assert!(ledger.active().map(|(_, entry)| entry).eq(&before));
    ledger.take_over(&[2; 32]).unwrap();
    for ((_, after), before) in ledger.active().zip(&before) {
        assert_eq!(after.submission(), None);
        assert_eq!(after.reply(), before.reply());
    }
}

#[test]
fn a_ledger_in_use_or_of_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let open = Ledger::open(&path, &owner(1)).unwrap();
    assert!(matches!(
        Ledger::open(&path, &owner(1)),
        Err(LedgerError::Locked(_))
    ));
    drop(open);
    assert!(matches!(
        Ledger::open(&path, &owner(2)),
        Err(LedgerError::Foreign(_))
    ));
    assert!(Ledger::open(&path, &owner(1)).is_ok());
}

#[test]
fn a_file_that_is_no_ledger_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = b"not a database, but somebody's notes\n".repeat(1000);
    fs::write(&path, &text).unwrap();
    let error = Ledger::open(&path, &owner(1)).err().unwrap().to_string();
    assert!(
        error.contains("notes.txt") && !error.contains('\n'),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), text);
}

#[test]
fn a_ledger_that_lost_all_that_it_held_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    assert!(!Ledger::is_there(&path).unwrap());
    fs::write(&path, "").unwrap();
    assert!(Ledger::is_there(&path).unwrap());
    let error = Ledger::open(&path, &owner(1)).err().unwrap().to_string();
    for part in ["ledger.redb", "is empty", "backup", "remove it"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains('\n'), "{error}");
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    // A link to a disk that is away.
    fs::remove_file(&path).unwrap();
    let away = folder.path().join("away");
    std::os::unix::fs::symlink(&away, &path).unwrap();
    assert!(Ledger::is_there(&path).unwrap());
    let refused = Ledger::open(&path, &owner(1)).err();
    assert!(matches!(refused, Some(LedgerError::Away(_))));
    // It is back.
    drop(Ledger::open(&away, &owner(1)).unwrap());
    assert!(Ledger::open(&path, &owner(1)).is_ok());
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
}

/// The largest file that the process of the next test may write is far smaller than a ledger, as on a full disk.
#[test]
fn a_ledger_for_which_there_is_no_space_leaves_nothing_behind() {
    const FULL: &str = "ASSAY_TEST_FULL";
    if let Some(folder) = env::var_os(FULL) {
        let refused = Ledger::open(&Path::new(&folder).join("ledger.redb"), &owner(1)).err();
        assert!(matches!(refused, Some(LedgerError::Storage { .. })));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    // What was left by one that was killed is no hindrance.
    fs::write(folder.path().join("ledger.redb.new"), "half a ledger").unwrap();
    let name = "ledger::tests::a_ledger_for_which_there_is_no_space_leaves_nothing_behind";
    // A write beyond the limit fails where its signal is ignored.
    let child = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact \"$1\"",
        ])
        .arg(env::current_exe().unwrap())
        .arg(name)
        .env(FULL, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    fs::write(folder.path().join("ledger.redb.new"), "half a ledger").unwrap();
    assert!(Ledger::open(&path, &owner(1)).is_ok());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn nobody_else_can_read_a_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    drop(Ledger::open(&path, &owner(1)).unwrap());
    assert_eq!(mode(), 0o600);
    // As earlier versions made it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    drop(Ledger::open(&path, &owner(1)).unwrap());
    assert_eq!(mode(), 0o600);
}

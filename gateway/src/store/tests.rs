use std::{env, fs, process::Command};

use assay_channel::{Ask, ChannelState, Facts, Payer, Terms, VoucherPair};
use assay_client::H256;
use assay_primitives::{Price, Sampling, Task};

use super::{
    backup::{write_new, BACKUP},
    file::FILE,
    *,
};

fn owner() -> Owner {
    Owner {
        genesis: H256::repeat_byte(1),
        account: [2; 32],
    }
}

fn opening(seed: u8) -> Opening {
    Opening {
        seed: [seed; 32],
        provider: [3; 32],
        epoch: 4,
        listing: H256::repeat_byte(5),
        model: "demo".into(),
        deposit: 100,
        since: 6,
        restored: false,
    }
}

fn channel(seed: u8) -> Channel {
    let opening = opening(seed);
    Channel {
        seed: opening.seed,
        provider: opening.provider,
        epoch: opening.epoch,
        listing: opening.listing,
        model: opening.model,
        deposit: opening.deposit,
        top_up: None,
        settled: 0,
        stage: Stage::Open,
        since: opening.since,
        retired: None,
    }
}

#[test]
fn a_channel_takes_the_place_of_its_opening_and_the_budget_counts_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &owner()).unwrap();
    store.put_opening(&opening(1)).unwrap();
    store.put_opening(&opening(2)).unwrap();
    assert_eq!(store.committed().unwrap(), 200);
    let id = H256::repeat_byte(9);
    store.put_channel(&id, &channel(1)).unwrap();
    assert_eq!(store.committed().unwrap(), 200);
    assert_eq!(store.openings().unwrap(), [opening(2)]);
    store.drop_opening(&[2; 32]).unwrap();
    assert_eq!(store.committed().unwrap(), 100);
}

#[test]
fn a_channel_takes_of_the_budget_what_may_be_in_it_and_gives_back_what_came_back() {
    let mut one = channel(1);
    one.top_up = Some(TopUp {
        amount: 50,
        since: 7,
    });
    one.settled = 30;
    assert_eq!((one.committed(), one.refunded()), (150, 0));
    one.stage = Stage::Closing(9);
    assert_eq!((one.committed(), one.refunded()), (150, 0));
    one.stage = Stage::Closed;
    assert_eq!((one.committed(), one.refunded()), (30, 70));
}

#[test]
fn an_answer_is_counted_once_however_often_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &owner()).unwrap();
    let id = H256::repeat_byte(9);
    let cost = Spending {
        requests: 1,
        prompt_tokens: 2,
        output_tokens: 3,
        fees: 4,
    };
    store.put_answer(&id, 0, "demo", b"", &cost).unwrap();
    assert_eq!(store.answer(&id, 0).unwrap(), None);
    store.put_answer(&id, 0, "demo", b"{}", &cost).unwrap();
    assert_eq!(store.answer(&id, 0).unwrap().as_deref(), Some(&b"{}"[..]));
    // Who counts it afterwards has no tokens of it.
    store.put_answer(&id, 0, "demo", b"", &cost).unwrap();
    assert_eq!(store.answer(&id, 0).unwrap().as_deref(), Some(&b"{}"[..]));
    store.put_answer(&id, 1, "demo", b"{}", &cost).unwrap();
    let twice = cost.plus(&cost);
    assert_eq!(store.spending().unwrap(), [("demo".to_owned(), twice)]);
}

#[test]
fn what_came_of_an_answer_goes_with_its_body() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &owner()).unwrap();
    let [id, other] = [8, 9].map(H256::repeat_byte);
    let fragment = |drawn| Fragment {
        tokens: vec![1, 2, 3],
        drawn,
    };
    for (id, seq) in [(&id, 0), (&id, 1), (&id, 300), (&other, 0)] {
        let bodies = [(seq, "{}".to_owned())];
        store.put_order(id, &[], &bodies).unwrap();
        store.put_fragment(id, seq, &fragment(seq > 0)).unwrap();
    }
    assert_eq!(store.with_bodies(&id).unwrap(), [0, 1, 300]);
    let cost = Spending::default();
    store.put_answer(&id, 1, "demo", b"{}", &cost).unwrap();
    assert_eq!(store.with_bodies(&id).unwrap(), [0, 300]);
    store.forget_requests(&id, 300).unwrap();
    assert_eq!(store.with_bodies(&id).unwrap(), [300]);
    let left = [(&id, 0), (&id, 1), (&id, 300), (&other, 0)]
        .map(|(id, seq)| store.fragment(id, seq).unwrap());
    let expected = [None, None, Some(fragment(true)), Some(fragment(false))];
    assert_eq!(left, expected);
}

#[test]
fn a_backup_from_before_a_table_was_added_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let id = H256::repeat_byte(9);
    let store = Store::open(&data, &owner()).unwrap();
    store.put_channel(&id, &channel(1)).unwrap();
    drop(store);
    Store::backup(&data, &backup).unwrap();
    let content = fs::read(&backup).unwrap();
    let tables = &content[BACKUP.len()..content.len() - 32];
    let tables = Vec::<Vec<(Vec<u8>, Vec<u8>)>>::decode_all(&mut &tables[..]).unwrap();
    let write = |tables: &[Vec<(Vec<u8>, Vec<u8>)>]| {
        let mut content = [BACKUP, &tables.encode()].concat();
        content.extend(assay_primitives::blake2_256(&content));
        fs::write(&backup, content).unwrap();
    };
    let restored = folder.path().join("restored");
    write(&[&tables[..], &tables[..1]].concat());
    let refused = Store::restore(&restored, &backup).unwrap_err().to_string();
    assert!(refused.contains("is no backup"), "{refused}");
    write(&tables[..8]);
    Store::restore(&restored, &backup).unwrap();
    let store = Store::open(&restored, &owner()).unwrap();
    assert_eq!(store.channels().unwrap().len(), 1);
    assert_eq!(store.fragment(&id, 0).unwrap(), None);
}

#[test]
fn what_another_version_wrote_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), &owner()).unwrap();
    let id = H256::repeat_byte(9);
    let pair = VoucherPair::sr25519(&[1; 32]);
    let terms = Terms {
        genesis: H256::repeat_byte(1),
        channel: id,
        provider: [3; 32],
        listing: H256::repeat_byte(5),
        voucher_key: pair.public(),
    };
    let mut payer = Payer::restore(terms, pair, 100, []);
    let facts = Facts {
        deposit: 100,
        settled: 0,
        state: ChannelState::Open,
    };
    payer.observe(facts).persisted().unwrap();
    let ask = Ask {
        secret: [7; 32],
        prompt_root: H256::zero(),
        prompt_len: 1,
        task: Task::Generate,
        sampling: Sampling::GREEDY,
        token_limit: 1,
        price: Price {
            input: 1,
            output: 1,
        },
        since: 6,
    };
    let step = payer.order(&[ask]).unwrap();
    store.put_records(&id, step.records()).unwrap();
    assert_eq!(store.records(&id).unwrap().len(), 2);
    // A request without its last field, as it was before there was one.
    let key = request_key(&id, 0);
    let row = store.value(RECORDS, &key).unwrap().unwrap();
    store.put(RECORDS, &key, &row[..row.len() - 4]).unwrap();
    let refused = store.records(&id).unwrap_err().to_string();
    let file = folder.path().join("gateway.redb");
    let begins = format!("{} has a record of a channel's payments", file.display());
    assert!(refused.starts_with(&begins), "{refused}");
    for next in [
        "use the version that wrote it",
        "`assay channel list`",
        "`assay channel close CHANNEL`",
    ] {
        assert!(refused.contains(next), "{next}: {refused}");
    }
}

#[test]
fn the_oldest_answers_go_first_whatever_channel_they_are_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), &owner()).unwrap();
    store.answers = 2;
    let cost = Spending::default();
    let ids = [9, 1, 5].map(H256::repeat_byte);
    for id in &ids {
        store.put_answer(id, 0, "demo", b"{}", &cost).unwrap();
        store.put_answer(id, 0, "demo", b"{ }", &cost).unwrap();
    }
    let kept = ids.map(|id| store.answer(&id, 0).unwrap().is_some());
    assert_eq!(kept, [false, true, true]);
    assert_eq!(store.spending().unwrap()[0].1, cost);
}

#[test]
fn a_backup_holds_everything_and_what_is_restored_is_retired() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let id = H256::repeat_byte(9);
    {
        let store = Store::open(&data, &owner()).unwrap();
        store.put_channel(&id, &channel(1)).unwrap();
        store.put_opening(&opening(2)).unwrap();
    }
    Store::backup(&data, &backup).unwrap();
    let again = Store::backup(&data, &backup).unwrap_err().to_string();
    assert!(
        again.ends_with("backup exists already; name a new file"),
        "{again}"
    );
    let restored = folder.path().join("restored");
    Store::restore(&restored, &backup).unwrap();
    let store = Store::open(&restored, &owner()).unwrap();
    let expected = Channel {
        retired: Some(RESTORED.into()),
        ..channel(1)
    };
    assert_eq!(store.channels().unwrap(), [(id, expected)]);
    assert!(store.openings().unwrap()[0].restored);

    let other = folder.path().join("other");
    let whole = fs::read(&backup).unwrap();
    // A letter in the model's name: it could still be read.
    let name = whole.windows(4).position(|part| part == b"demo").unwrap();
    for place in [name, BACKUP.len(), whole.len() - 1] {
        let mut bent = whole.clone();
        bent[place] ^= 1;
        fs::write(&backup, bent).unwrap();
        let refused = Store::restore(&other, &backup).unwrap_err().to_string();
        assert!(refused.contains("checksum"), "{place}: {refused}");
    }
    for length in [BACKUP.len(), BACKUP.len() + 40, whole.len() - 1] {
        fs::write(&backup, &whole[..length]).unwrap();
        let refused = Store::restore(&other, &backup).unwrap_err().to_string();
        assert!(refused.contains("cut short"), "{length}: {refused}");
    }
    fs::write(&backup, b"something else").unwrap();
    let refused = Store::restore(&other, &backup).unwrap_err().to_string();
    assert!(refused.contains("is no backup"), "{refused}");
    assert!(!other.exists());
    let none = Store::backup(&folder.path().join("nowhere"), &folder.path().join("b"));
    assert!(none.unwrap_err().to_string().contains("nowhere"));
}

#[test]
fn a_restore_that_breaks_off_leaves_nothing_that_passes_for_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let id = H256::repeat_byte(9);
    {
        let store = Store::open(&data, &owner()).unwrap();
        store.put_channel(&id, &channel(1)).unwrap();
        // What cannot be read stands for a process that is killed there.
        store.put(OPENINGS, b"", b"nonsense").unwrap();
    }
    Store::backup(&data, &backup).unwrap();
    let restored = folder.path().join("restored");
    for _ in 0..2 {
        let refused = Store::restore(&restored, &backup).unwrap_err();
        assert!(matches!(refused, StoreError::Record { .. }), "{refused}");
        assert!(!restored.join(FILE).exists());
    }
    // The next one takes nothing of it.
    let good = folder.path().join("good");
    fs::remove_dir_all(&data).unwrap();
    drop(Store::open(&data, &owner()).unwrap());
    Store::backup(&data, &good).unwrap();
    Store::restore(&restored, &good).unwrap();
    let store = Store::open(&restored, &owner()).unwrap();
    assert_eq!(store.channels().unwrap(), []);
    let again = Store::restore(&restored, &good).unwrap_err();
    assert!(matches!(again, StoreError::Exists(_)), "{again}");
}

#[test]
fn a_file_that_is_no_store_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    fs::write(&file, "something else ".repeat(1_000)).unwrap();
    let refused = Store::open(folder.path(), &owner()).err().unwrap();
    let refused = refused.to_string();
    let begins = format!("{} cannot be opened: ", file.display());
    assert!(refused.starts_with(&begins), "{refused}");
    for next in ["restore a backup", "`assay channel close CHANNEL`"] {
        assert!(refused.contains(next), "{next}: {refused}");
    }
}

#[test]
fn a_store_that_lost_all_that_it_held_is_not_taken_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let backup = folder.path().join("backup");
    drop(Store::open(folder.path(), &owner()).unwrap());
    Store::backup(folder.path(), &backup).unwrap();
    fs::write(&file, "").unwrap();
    let refused = [
        Store::open(folder.path(), &owner()),
        Store::found(folder.path()),
    ];
    for refused in refused {
        let refused = refused.err().unwrap().to_string();
        let begins = format!("{} is empty", file.display());
        assert!(refused.starts_with(&begins), "{refused}");
        for next in [
            "remove it",
            "`assay gateway restore FILE`",
            "`assay channel close CHANNEL`",
        ] {
            assert!(refused.contains(next), "{next}: {refused}");
        }
    }
    assert_eq!(fs::metadata(&file).unwrap().len(), 0);
    fs::remove_file(&file).unwrap();
    Store::restore(folder.path(), &backup).unwrap();
    assert!(Store::open(folder.path(), &owner()).is_ok());
    // Of a database with nothing in it, nobody knows what it was.
    fs::remove_file(&file).unwrap();
    drop(Database::create(&file).unwrap());
    let refused = Store::open(folder.path(), &owner()).err().unwrap();
    assert!(
        matches!(refused, StoreError::Unreadable { .. }),
        "{refused}"
    );
    // A link to a disk that is away.
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(folder.path().join("away"), &file).unwrap();
    let refused = Store::open(folder.path(), &owner()).err().unwrap();
    assert!(matches!(refused, StoreError::File { .. }), "{refused}");
}

/// The largest file that the process of this test may write is far smaller than a store, as on a full disk.
#[cfg(target_os = "linux")]
#[test]
fn a_store_for_which_there_is_no_room_leaves_nothing_behind() {
    const FULL: &str = "ASSAY_TEST_FULL";
    if let Some(folder) = env::var_os(FULL) {
        let refused = Store::open(Path::new(&folder), &owner()).err().unwrap();
        let refused = refused.to_string();
        assert!(refused.contains("room"), "{refused}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let left = || {
        let files = fs::read_dir(folder.path()).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    let draft = folder.path().join("gateway.redb.new");
    // What was left by one that was killed is no hindrance.
    fs::write(&draft, "half a store").unwrap();
    let child = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact \"$1\"",
        ])
        .arg(env::current_exe().unwrap())
        .arg("store::tests::a_store_for_which_there_is_no_room_leaves_nothing_behind")
        .env(FULL, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}"
    );
    assert!(left().is_empty(), "{:?}", left());

    fs::write(&draft, "half a store").unwrap();
    let store = Store::open(folder.path(), &owner()).unwrap();
    assert_eq!(left(), [FILE]);
    let again = Store::open(folder.path(), &owner()).err().unwrap();
    assert!(matches!(again, StoreError::Locked(_)), "{again}");
    drop(store);
    assert!(Store::open(folder.path(), &owner()).is_ok());
    // While another process makes one, this one waits for a better time.
    fs::remove_file(folder.path().join(FILE)).unwrap();
    let other = fs::File::create(&draft).unwrap();
    other.lock().unwrap();
    let refused = Store::open(folder.path(), &owner()).err().unwrap();
    assert!(matches!(refused, StoreError::Locked(_)), "{refused}");
    assert_eq!(left(), ["gateway.redb.new"]);
}

#[test]
fn a_backup_that_finds_no_room_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backup");
    let full = |file: &mut fs::File| {
        io::Write::write_all(file, BACKUP)?;
        Err(io::ErrorKind::StorageFull.into())
    };
    for _ in 0..2 {
        let refused = write_new(&to, full).unwrap_err().to_string();
        assert!(refused.ends_with("make room, and try again"), "{refused}");
        assert!(!to.exists());
    }
    // What was there before is not touched.
    fs::write(&to, "mine").unwrap();
    let refused = write_new(&to, full).unwrap_err().to_string();
    assert!(refused.contains("exists already"), "{refused}");
    assert_eq!(fs::read(&to).unwrap(), b"mine");
}

//! A worker that dies at any moment: what a client has seen is on the disk, and what is on the disk was
//! paid for.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use assay_channel::{anchor_age, record::PayeeRecord, wire, ChannelState, Facts};
use assay_primitives::Finish;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::mpsc};

use super::scene::*;
use crate::{
    ledger::{Change, Evidence, Ledger, LedgerError, Owner, RequestKey},
    serve::{books::Unsigned, Cashier, View},
};

async fn again(folder: &Path) -> (Worker, Payer) {
    let worker = Worker::start(&folder.join("ledger.redb"), Setup::default()).await;
    let id = channel(1);
    worker.observe(view(6, &[(id, open(DEPOSIT, 0))])).await;
    let payer = Payer::new(worker.address, id);
    (worker, payer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voucher_that_was_acknowledged_survives() {
    let (folder, worker, payer) = begin(Setup::default()).await;
    assert!(payer.pay(777).await.status().is_success());
    worker.crash().await;
    let (_worker, payer) = again(folder.path()).await;
    assert_eq!(payer.status().await.accepted, 777);
}

/// Whoever is answered can rely on it: the disk is never behind.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_answered_is_on_disk_already() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Owner {
        genesis: GENESIS,
        provider: PROVIDER,
    };
    let ledger = Ledger::open(&folder.path().join("l"), &owner).unwrap();
    let cashier = Cashier::start(ledger.channels(), operator()).unwrap();
    let id = channel(1);
    let told = cashier.ask(move |books| books.observe(view(5, &[(id, open(DEPOSIT, 0))])));
    told.await.unwrap();
    for cumulative in 1..30 {
        let voucher = pair(id).sign_voucher(GENESIS, id, cumulative);
        let taken = cashier.ask(move |books| books.take_voucher(&voucher));
        assert!(taken.await.unwrap().is_ok());
        let records = ledger.channels().records().unwrap();
        assert_eq!(records[&id], [PayeeRecord::Voucher(voucher)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_admitted_and_not_begun_is_free_and_can_be_asked_again() {
    let (folder, worker, payer) = begin(Setup {
        queue: 0,
        ..Setup::default()
    })
    .await;
    assert_eq!(payer.ask(0, 8, fee(8)).await.status(), 429);
    worker.crash().await;
    let (_worker, payer) = again(folder.path()).await;
    let status = payer.status().await;
    assert_eq!((status.accepted, status.spent), (fee(8), 0));
    assert_eq!(whole(payer.ask(0, 8, fee(8)).await).await.tokens.len(), 8);
}

/// What costs its sender nothing takes no room, neither in memory nor on the disk.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_never_began_leave_nothing_behind() {
    let (folder, worker, payer) = begin(Setup {
        queue: 0,
        ..Setup::default()
    })
    .await;
    let voucher = payer.voucher(fee(8));
    let post = |seq| payer.post(&[payer.sign(payer.header(seq, 8))], &voucher);
    // No place in the queue, a prompt that was not signed, no JSON, and too much of it.
    assert_eq!(payer.ask(0, 8, fee(8)).await.status(), 429);
    let other = post(1).json(&payer.body(7, 8)).send().await.unwrap();
    assert_eq!(other.status(), 400);
    let json = |body: String| {
        post(2)
            .header("content-type", "application/json")
            .body(body)
    };
    assert_eq!(json("{".into()).send().await.unwrap().status(), 400);
    // It is refused while it is still being sent, so its sender may see no more than the connection end.
    let _ = json("x".repeat(10 << 20)).send().await;
    // A client that hangs up in the middle of the body.
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nHost: worker\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n{}: {}\r\n{}: {}\r\n\r\n{{",
        wire::REQUEST_HEADER,
        wire::encode_headers(&[payer.sign(payer.header(3, 8))]),
        wire::VOUCHER_HEADER,
        wire::encode_voucher(&voucher)
    );
    let mut hanging = TcpStream::connect(worker.address).await.unwrap();
    hanging.write_all(head.as_bytes()).await.unwrap();
    while !payer.get("/receipts/3").await.status().is_success() {
        tokio::task::yield_now().await;
    }
    drop(hanging);
    for seq in 0..4 {
        while payer.get(&format!("/receipts/{seq}")).await.status() != 404 {
            tokio::task::yield_now().await;
        }
    }
    worker.crash().await;
    assert_eq!(rows(folder.path()).await, [PayeeRecord::Voucher(voucher)]);
}

/// What the disk has of the channel.
async fn rows(folder: &Path) -> Vec<PayeeRecord> {
    let owner = Owner {
        genesis: GENESIS,
        provider: PROVIDER,
    };
    // The worker that crashed may still be closing the file.
    let ledger = loop {
        match Ledger::open(&folder.join("ledger.redb"), &owner) {
            Err(LedgerError::Locked(_)) => tokio::task::yield_now().await,
            opened => break opened.unwrap(),
        }
    };
    let mut records = ledger.channels().records().unwrap();
    records.remove(&channel(1)).unwrap_or_default()
}

/// It knows nothing of channels that were opened since.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_makes_nobody_forget_money() {
    let (folder, worker, payer) = begin(Setup::default()).await;
    let channels = [(payer.id, open(DEPOSIT, 0))];
    worker.observe(view(50, &channels)).await;
    assert!(payer.pay(777).await.status().is_success());
    worker.crash().await;
    let ledger = folder.path().join("ledger.redb");
    let worker = Worker::start(&ledger, Setup::default()).await;
    worker.observe(view(49, &[])).await;
    worker.crash().await;
    let worker = Worker::start(&ledger, Setup::default()).await;
    worker.observe(view(3, &[])).await;
    worker.observe(view(51, &channels)).await;
    let payer = Payer::new(worker.address, payer.id);
    assert_eq!(payer.status().await.accepted, 777);
    worker.crash().await;
    // One that is in step is believed.
    let worker = Worker::start(&ledger, Setup::default()).await;
    worker.observe(view(51, &[])).await;
    worker.crash().await;
    assert!(rows(folder.path()).await.is_empty());
}

/// Its user has the rest back, and nothing that is served there can be claimed.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_behind_does_not_open_again_what_is_closed() {
    let (_folder, worker, payer) = begin(Setup::default()).await;
    let closed = Facts {
        state: ChannelState::Closed,
        ..open(DEPOSIT, 0)
    };
    worker.observe(view(50, &[(payer.id, closed)])).await;
    let older = view(49, &[(payer.id, open(DEPOSIT, 0))]);
    assert!(!worker.observe(older).await);
    let (status, code, _) = refusal(payer.ask(0, 8, fee(8)).await).await;
    assert_eq!((status, code.as_str()), (410, "channel_closed"));
}

/// Receipts would be anchored where every gateway takes them for a cheat's.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sold_by_a_chain_that_is_not_of_now() {
    let (folder, worker, payer) = begin(Setup::default()).await;
    let channels = [(payer.id, open(DEPOSIT, 0))];
    let old = |number| View {
        age: Duration::from_secs(181),
        ..view(number, &channels)
    };
    let deep = |number| View {
        behind: 33,
        ..view(number, &channels)
    };
    // Where a receipt can be disputed for 30 blocks, gateways take none whose anchor is more than 15 behind.
    let short = |age, behind| {
        move |number, channels: &[_]| View {
            age: Duration::from_secs(age),
            behind,
            anchor_age: anchor_age(30),
            ..view(number, channels)
        }
    };
    // As the first thing that a worker sees, and later.
    worker.crash().await;
    let worker = Worker::start(&folder.path().join("ledger.redb"), Setup::default()).await;
    let payer = Payer::new(worker.address, payer.id);
    let seen = [
        (10, old(10)),
        (12, deep(12)),
        (14, short(43, 0)(14, &channels)),
        (16, short(0, 8)(16, &channels)),
    ];
    for (number, seen) in seen {
        worker.observe(seen).await;
        let (status, code, _) = refusal(payer.ask(number, 8, fee(8)).await).await;
        assert_eq!((status, code.as_str()), (503, "chain_lost"));
        // What was earned and what was paid can be asked for all the same.
        assert_eq!(payer.status().await.deposit, DEPOSIT);
        worker
            .observe(short(41, 7)(number as u32 + 1, &channels))
            .await;
        whole(payer.ask(number, 8, 9 * fee(8)).await).await;
    }
    worker.observe(old(20)).await;
    assert_eq!(refusal(payer.ask(20, 8, 9 * fee(8)).await).await.0, 503);
}

/// Three blocks that are not final yet are three minutes there.
#[test]
fn on_a_chain_of_long_slots_a_node_in_step_sells() {
    for (slot, oldest) in [(2, 64), (6, 180), (30, 900), (60, 1_800)] {
        let aged = |age| View {
            age: Duration::from_secs(age),
            slot: Duration::from_secs(slot),
            ..view(10, &[])
        };
        assert_eq!(aged(oldest).sells_for(), Some(Duration::ZERO), "{slot} s");
        assert_eq!(aged(oldest + 1).sells_for(), None, "{slot} s");
    }
}

/// Its last receipt would be evidence against the provider, who did no wrong.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_when_the_chain_is_lost_ends_before_its_anchor_is_too_old() {
    // A slot of 6 s has a block: 286 s are less than 48 of the 64 blocks that a client accepts, and 66 s less than three
    // quarters of the 15 that it accepts where receipts can be disputed for 30.
    for (dispute_blocks, unsold, last) in [(600, 200, 286), (30, 50, 66)] {
        ends_before(anchor_age(dispute_blocks), unsold, last).await;
    }
}

/// Nothing is sold by a block of `unsold` seconds, and what was sold goes on for nearly two seconds behind one of `last`.
async fn ends_before(anchor_age: u32, unsold: u64, last: u64) {
    let (_folder, worker, payer) = begin(Setup::default()).await;
    let aged = |number, age| View {
        age: Duration::from_secs(age),
        anchor_age,
        ..view(number, &[(payer.id, open(DEPOSIT, 0))])
    };
    let mut stream = events(payer.ask(0, 400, fee(40)).await);
    let mut answer = Answer::default();
    read(&mut stream, &mut answer, 40).await;
    // Nothing is sold by so old a block any more, and what was sold goes on.
    worker.observe(aged(6, unsold)).await;
    assert_eq!(refusal(payer.ask(1, 8, 9 * fee(8)).await).await.0, 503);
    assert!(payer.pay(fee(50)).await.status().is_success());
    read(&mut stream, &mut answer, 50).await;
    assert_eq!(answer.tokens.len(), 50);
    worker.observe(aged(7, last)).await;
    let end = read(&mut stream, &mut answer, usize::MAX);
    let guarded = tokio::time::timeout(Duration::from_secs(30), end).await;
    guarded.expect("the answer goes on without the chain");
    let last = &answer.last().receipt;
    assert_eq!((last.finish, last.anchor.number), (Finish::Caller, 7));
    assert_eq!(last.fee, fee(50));
    // Nor does anything begin now, whenever it was admitted.
    let key = RequestKey {
        channel: payer.id,
        seq: 2,
    };
    let begun = worker
        .cashier
        .ask(move |books| books.begin(key, SECRET, prompt(2)));
    assert_eq!(begun.await.unwrap().unwrap_err(), Unsigned::ChainLost);
    worker.observe(aged(8, 0)).await;
    assert_eq!(
        whole(payer.ask(3, 8, 9 * fee(8)).await).await.tokens.len(),
        8
    );
}

/// Its user closed it, and the record was dropped, in blocks of which the worker saw none.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_went_unseen_is_gone() {
    let (folder, worker, payer) = begin(Setup {
        voucher_wait: Duration::from_secs(5),
        ..Setup::default()
    })
    .await;
    whole(payer.ask(0, 8, fee(8)).await).await;
    let mut stream = events(payer.ask(1, 400, fee(8) + fee(40)).await);
    let mut answer = Answer::default();
    read(&mut stream, &mut answer, 40).await;
    assert_eq!(answer.tokens.len(), 40);
    worker.observe(view(60, &[])).await;
    let (status, code, _) = refusal(payer.ask(2, 8, 9 * fee(8)).await).await;
    assert_eq!((status, code.as_str()), (410, "channel_closed"));
    let claims = worker.cashier.ask(|books| books.claims()).await.unwrap();
    assert_eq!(claims, []);
    // What is under way ends at what was paid.
    read(&mut stream, &mut answer, usize::MAX).await;
    assert_eq!(answer.last().receipt.fee, fee(40));
    worker.observe(view(61, &[])).await;
    let (status, code, _) = refusal(payer.ask(2, 8, 9 * fee(8)).await).await;
    assert_eq!((status, code.as_str()), (410, "channel_not_found"));
    worker.crash().await;
    assert_eq!(rows(folder.path()).await, []);

    // Whoever is still answered then is told why that ends, at once.
    let (_folder, worker, payer) = begin(Setup::default()).await;
    let mut stream = events(payer.ask(0, 400, fee(40)).await);
    let mut answer = Answer::default();
    read(&mut stream, &mut answer, 40).await;
    for block in [60, 61] {
        worker.observe(view(block, &[])).await;
    }
    let end = read(&mut stream, &mut answer, usize::MAX);
    let guarded = tokio::time::timeout(Duration::from_secs(30), end).await;
    guarded.expect("an answer goes on that nobody can be paid for");
    assert_eq!(answer.error.unwrap()["code"], "channel_closed");

    // With nothing under way it is gone at once.
    let (folder, worker, payer) = begin(Setup::default()).await;
    assert!(payer.pay(777).await.status().is_success());
    worker.observe(view(60, &[])).await;
    let (status, code, _) = refusal(payer.ask(0, 8, 777).await).await;
    assert_eq!((status, code.as_str()), (410, "channel_not_found"));
    worker.crash().await;
    assert_eq!(rows(folder.path()).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_answer_ends_at_its_last_receipt() {
    for seen in [1, 40] {
        let (folder, worker, payer) = begin(Setup::default()).await;
        let mut stream = events(payer.ask(0, 400, fee(64)).await);
        let mut answer = Answer::default();
        read(&mut stream, &mut answer, seen).await;
        worker.crash().await;
        let (_worker, payer) = again(folder.path()).await;
        let stored = payer.stored(0).await;
        assert!(stored.ended);
        let receipt = stored.receipt.unwrap();
        // No receipt is ahead of the disk, and the disk is at most one window ahead of the client.
        let held = answer.last().receipt.output_len;
        let length = receipt.receipt.output_len;
        assert!(held <= length && length <= held + 64);
        assert_eq!(payer.status().await.spent, fee(length));
        // Its tokens are there, for nothing.
        let replayed = whole(payer.ask(0, 400, fee(64)).await).await;
        assert_eq!(replayed.last(), &receipt);
        assert_eq!(replayed.tokens.len(), length as usize);
        assert_eq!(
            replayed.tokens[..held as usize],
            answer.tokens[..held as usize]
        );
        assert_eq!(payer.status().await.spent, fee(length));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ended_is_the_same_after_a_crash() {
    let (folder, worker, payer) = begin(Setup::default()).await;
    let answer = whole(payer.ask(0, 40, fee(40)).await).await;
    worker.crash().await;
    let (_worker, payer) = again(folder.path()).await;
    let replayed = whole(payer.ask(0, 40, fee(40)).await).await;
    assert_eq!(replayed.tokens, answer.tokens);
    assert_eq!(replayed.last(), answer.last());
    assert_eq!(replayed.last().receipt.finish, Finish::Length);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_kept_until_the_dispute_window_of_its_receipt_ends() {
    let (folder, worker, payer) = begin(Setup::default()).await;
    whole(payer.ask(0, 40, fee(40)).await).await;
    let key = RequestKey {
        channel: payer.id,
        seq: 0,
    };
    let evidence = |worker: &Worker| {
        let cashier = worker.cashier.clone();
        async move {
            cashier
                .ask(move |books| books.evidence(&key).unwrap())
                .await
                .unwrap()
        }
    };
    let kept = evidence(&worker).await.unwrap();
    assert_eq!((kept.prompt, kept.secret), (prompt(0), SECRET));
    assert_eq!(kept.output.len(), 40);
    // The receipt is anchored at 5 and can be disputed for 100 blocks.
    worker
        .observe(view(105, &[(payer.id, open(DEPOSIT, 0))]))
        .await;
    assert!(evidence(&worker).await.is_some());
    worker
        .observe(view(106, &[(payer.id, open(DEPOSIT, 0))]))
        .await;
    assert!(evidence(&worker).await.is_none());
    // What was earned is not forgotten, nor is the number, not even by a crash.
    worker.crash().await;
    let (worker, payer) = again(folder.path()).await;
    assert_eq!(payer.status().await.spent, fee(40));
    assert_eq!(
        refusal(payer.ask(0, 40, 2 * fee(40)).await).await.1,
        "used_seq"
    );
    assert!(evidence(&worker).await.is_none());
}

#[test]
fn forgetting_leaves_other_requests_and_channels_alone() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Owner {
        genesis: GENESIS,
        provider: PROVIDER,
    };
    let ledger = Ledger::open(&folder.path().join("l"), &owner)
        .unwrap()
        .channels();
    let key = |number, seq| RequestKey {
        channel: channel(number),
        seq,
    };
    let keys = [key(1, 0), key(1, 255), key(1, 256), key(2, 0)];
    for key in keys {
        let change = Change::Prompt {
            key,
            secret: [1; 32],
            prompt: vec![4],
        };
        let parts = (1..=2).map(|part| Change::Output {
            key,
            part,
            tokens: vec![part],
        });
        let changes: Vec<Change> = std::iter::once(change).chain(parts).collect();
        ledger.apply(&changes).unwrap();
    }
    let left = || keys.map(|key| ledger.evidence(&key).unwrap().is_some());
    let whole = Evidence {
        secret: [1; 32],
        prompt: vec![4],
        output: vec![1, 2],
    };
    assert_eq!(ledger.evidence(&key(1, 256)).unwrap(), Some(whole));
    ledger.apply(&[Change::ForgetBelow(key(1, 256))]).unwrap();
    assert_eq!(left(), [false, false, true, true]);
    ledger.apply(&[Change::Forget(channel(1))]).unwrap();
    assert_eq!(left(), [false, false, false, true]);
}

const CHILD: &str = "ASSAY_TEST_LEDGER";

/// Not a test: the process that the next one kills.
#[tokio::test(flavor = "multi_thread")]
async fn serve_until_killed() {
    let Ok(ledger) = std::env::var(CHILD) else {
        return;
    };
    let worker = Worker::start(Path::new(&ledger), Setup::default()).await;
    worker
        .observe(view(5, &[(channel(1), open(DEPOSIT, 0))]))
        .await;
    println!("\naddress {}", worker.address);
    std::future::pending::<()>().await;
}

fn child(ledger: &Path) -> (Child, std::net::SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "serve::tests::crash::serve_until_killed",
            "--exact",
            "--nocapture",
        ])
        .env(CHILD, ledger)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("address ")?.parse().ok());
    (child, address.expect("the child serves"))
}

/// The worker's process is really killed, over and over on one ledger, while four answers are under way.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_nothing_that_a_client_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger.redb");
    let mut seq = 0;
    let mut acknowledged = 0;
    let mut checked = 0;
    for round in 0..4u64 {
        let (mut process, address) = child(&ledger);
        let payer = Payer::new(address, channel(1));
        let mut answers = Vec::new();
        let spent = payer.status().await.spent;
        let (begun, mut first) = mpsc::unbounded_channel();
        for _ in 0..4 {
            let (number, payer, begun) = (seq, payer.clone(), begun.clone());
            seq += 1;
            let cumulative = spent + 4 * fee(64);
            answers.push(tokio::spawn(async move {
                let mut stream = events(payer.ask(number, 400, cumulative).await);
                let mut answer = Answer::default();
                read(&mut stream, &mut answer, 1).await;
                let _ = begun.send(());
                read(&mut stream, &mut answer, usize::MAX).await;
                (number, answer)
            }));
        }
        drop(begun);
        // In every other round something is under way for sure, however slow the machine is.
        if round % 2 == 1 {
            first.recv().await.expect("an answer begins");
        }
        tokio::time::sleep(Duration::from_millis(30 * (round + 1))).await;
        let voucher = spent + 4 * fee(64) + 1;
        if payer.pay(voucher).await.status().is_success() {
            acknowledged = voucher;
        }
        process.kill().unwrap();
        process.wait().unwrap();
        let mut seen = Vec::new();
        for answer in answers {
            // One that the kill met before its head arrived saw nothing.
            seen.extend(answer.await.ok());
        }

        let (worker, payer) = again(folder.path()).await;
        let status = payer.status().await;
        assert!(status.accepted >= acknowledged);
        assert!(status.spent <= status.accepted);
        for (number, answer) in seen {
            let Some(held) = answer.receipts.last() else {
                continue;
            };
            checked += 1;
            let stored = payer.stored(number).await.receipt.unwrap().receipt;
            let (held, length) = (held.receipt.output_len, stored.output_len);
            assert!(held <= length, "{held} {length}");
            assert!(answer.tokens.len() <= held as usize + 64);
        }
        worker.crash().await;
    }
    assert!(checked > 0, "no client held a receipt");
}

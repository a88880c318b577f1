//! Bad input: each kind is refused with its own error, nothing is charged for it, and those who are being
//! answered meanwhile notice nothing.

use std::{future::Future, sync::Arc, time::Duration};

use assay_channel::{wire, ChannelState, Facts, VoucherPair};
use assay_client::H256;
use assay_primitives::{Claim, SignedVoucher};
use serde_json::{json, Value};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::scene::*;
use crate::serve::Room;

/// Runs `bad` while an answer is on its way, which must end as if nothing had happened. `bad` says how much
/// it was rightly charged; nothing else is.
async fn beside_an_answer<F: Future<Output = u128>>(bad: impl FnOnce(Arc<Worker>, Payer) -> F) {
    let (_folder, worker, payer) = begin(Setup {
        body_timeout: Duration::from_millis(500),
        ..Setup::default()
    })
    .await;
    let mut stream = events(payer.ask(100, 120, fee(64)).await);
    let mut answer = Answer::default();
    read(&mut stream, &mut answer, 30).await;
    let worker = Arc::new(worker);
    let charged = bad(worker.clone(), payer.clone()).await;
    assert!(payer.pay(fee(120) + charged).await.status().is_success());
    read(&mut stream, &mut answer, usize::MAX).await;
    assert_eq!(answer.tokens, expected(&payer.header(100, 120), 100).await);
    assert_eq!(payer.status().await.spent, fee(120) + charged);
}

/// What a request is refused with.
async fn refused(
    payer: &Payer,
    header: assay_channel::SignedHeader,
    voucher: SignedVoucher,
) -> (u16, String, Value) {
    let request = payer.post(&[header], &voucher).json(&payer.body(0, 8));
    refusal(request.send().await.unwrap()).await
}

/// The head of a request of HTTP/1 whose body has so many bytes.
fn head(payer: &Payer, seq: u64, length: usize) -> String {
    format!(
        "POST /v1/completions HTTP/1.1\r\nHost: worker\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n{}: {}\r\n{}: {}\r\n\r\n",
        wire::REQUEST_HEADER,
        wire::encode_headers(&[payer.sign(payer.header(seq, 8))]),
        wire::VOUCHER_HEADER,
        wire::encode_voucher(&payer.voucher(DEPOSIT))
    )
}

/// Waits until the worker has room for so many bytes taken.
async fn is_held(room: &Room, bytes: usize) {
    let held = async {
        while room.held() != bytes {
            tokio::task::yield_now().await;
        }
    };
    let guarded = tokio::time::timeout(Duration::from_secs(20), held).await;
    guarded.unwrap_or_else(|_| panic!("{} bytes are held, not {bytes}", room.held()));
}

/// Opens channels 1 to `count` with this worker.
async fn payers(worker: &Worker, count: u8) -> Vec<Payer> {
    let payers: Vec<_> = (1..=count)
        .map(|number| Payer::new(worker.address, channel(number)))
        .collect();
    let channels: Vec<_> = payers
        .iter()
        .map(|payer| (payer.id, open(DEPOSIT, 0)))
        .collect();
    worker.observe(view(6, &channels)).await;
    payers
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_there_is_no_room_for_are_refused_and_cost_nothing() {
    let room = Room::new(256 << 10);
    let (_folder, worker, _) = begin(Setup {
        room: room.clone(),
        ..Setup::default()
    })
    .await;
    let payers = payers(&worker, 2).await;
    let (payer, other) = (&payers[0], &payers[1]);
    let mut slow = TcpStream::connect(worker.address).await.unwrap();
    slow.write_all(head(payer, 3, 200_000).as_bytes())
        .await
        .unwrap();
    slow.write_all(&[b' '; 100_000]).await.unwrap();
    is_held(&room, 100_000).await;
    let refused = payer.ask(0, 8, 2 * fee(8)).await;
    assert_eq!(refused.headers()["retry-after"], "1");
    let (status, code, _) = refusal(refused).await;
    assert_eq!((status, code.as_str()), (429, "rate_limit_exceeded"));
    // Another channel has room of its own.
    assert_eq!(whole(other.ask(0, 8, fee(8)).await).await.tokens.len(), 8);
    // Nor is there room for the rest of the body.
    slow.write_all(&[b' '; 100_000]).await.unwrap();
    let mut text = String::new();
    let _ = slow.read_to_string(&mut text).await;
    assert!(text.starts_with("HTTP/1.1 429"), "{text}");
    assert_eq!(payer.status().await.spent, 0);
    is_held(&room, 0).await;
    let answer = whole(payer.ask(0, 8, 2 * fee(8)).await).await;
    assert_eq!(answer.tokens.len(), 8);
}

/// What a head says costs nothing, and so it keeps nobody out.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_announced_and_do_not_come_keep_nobody_out() {
    const LEAST: usize = 64 << 10;
    let room = Room::default();
    let (_folder, worker, _) = begin(Setup {
        room: room.clone(),
        body_pause: Duration::from_secs(4),
        ..Setup::default()
    })
    .await;
    let payers = payers(&worker, 5).await;
    let mut idle = Vec::new();
    for (payer, seq) in payers[..4]
        .iter()
        .flat_map(|payer| (0..8).map(move |seq| (payer, seq)))
    {
        let mut stream = TcpStream::connect(worker.address).await.unwrap();
        let head = head(payer, seq, 4 << 20);
        stream.write_all(head.as_bytes()).await.unwrap();
        idle.push(stream);
    }
    is_held(&room, idle.len() * LEAST).await;
    assert_eq!(idle.len(), 32);
    let answer = whole(payers[4].ask(0, 8, fee(8)).await).await;
    assert_eq!(answer.tokens.len(), 8);
    // They are not waited for as long as a body may take.
    for mut stream in idle {
        let mut text = String::new();
        let end = stream.read_to_string(&mut text);
        let guarded = tokio::time::timeout(Duration::from_secs(15), end).await;
        guarded
            .expect("a body is waited for that does not come")
            .unwrap();
        assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    }
    is_held(&room, 0).await;
    for payer in &payers[..4] {
        assert_eq!(payer.status().await.spent, 0);
    }
}

/// To be given an answer again costs nothing, so there are bounds on how many of them wait for their reader.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_given_again_and_not_read_keep_nobody_out() {
    const LONG: u32 = 300;
    let room = Room::new(1 << 20);
    let (_folder, worker, _) = begin(Setup {
        room: room.clone(),
        ..Setup::default()
    })
    .await;
    let payers = payers(&worker, 2).await;
    let (payer, other) = (&payers[0], &payers[1]);
    let first = whole(payer.ask(0, LONG, fee(LONG)).await).await;
    is_held(&room, 0).await;
    let slow = narrow(&worker, payer).await;
    let mut unread = Vec::new();
    let refused = loop {
        let again = slow.ask(0, LONG, fee(LONG)).await;
        if !again.status().is_success() {
            break again;
        }
        unread.push(again);
        assert!(unread.len() < 16);
    };
    assert_eq!(refusal(refused).await.0, 429);
    assert!(unread.len() > 3);
    assert_eq!(whole(other.ask(0, 8, fee(8)).await).await.tokens.len(), 8);
    // Whoever reads has what it bought.
    let again = whole(unread.pop().unwrap()).await;
    assert_eq!(again.tokens, first.tokens);
    drop(unread);
    is_held(&room, 0).await;
}

/// Nor does one that was paid for wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_one_piece_of_which_nothing_is_taken_is_let_go() {
    let room = Room::default();
    let (_folder, worker, payer) = begin(Setup {
        room: room.clone(),
        voucher_wait: Duration::from_secs(2),
        ..Setup::default()
    })
    .await;
    let slow = narrow(&worker, &payer).await;
    let mut body = payer.body(0, 300);
    body["stream"] = json!(false);
    body["logprobs"] = json!(5);
    let header = payer.sign(payer.header(0, 300));
    let request = slow.post(&[header], &payer.voucher(fee(300)));
    let unread = request.json(&body).send().await.unwrap();
    assert!(unread.status().is_success());
    let begun = room.held();
    assert!(begun > 1 << 15, "{begun}");
    is_held(&room, 0).await;
    assert!(unread.bytes().await.is_err());
    assert_eq!(payer.status().await.spent, fee(300));
}

/// A connection has many heads, and none is longer than the headers of all choices need.
#[tokio::test(flavor = "multi_thread")]
async fn heads_are_as_long_as_they_need_to_be_and_no_longer() {
    let (_folder, worker, payer) = begin(Setup::default()).await;
    let many = narrow(&worker, &payer).await;
    for payer in [&payer, &many] {
        let headers: Vec<_> = (0..wire::MAX_CHOICES as u64)
            .map(|seq| payer.sign(payer.header(seq, 8)))
            .collect();
        let request = payer.post(&headers, &payer.voucher(0));
        let request = request.header(wire::SEAL_HEADER, wire::encode_seal(&[7; 32]));
        let request = request.header("content-type", wire::SEALED_TYPE);
        let (status, code, _) = refusal(request.body("x").send().await.unwrap()).await;
        assert_eq!((status, code.as_str()), (402, "insufficient_voucher"));
        let url = format!("{}/v1/models", payer.base);
        let request = payer.client.get(url).header("x-long", "x".repeat(17_000));
        assert_eq!(request.send().await.unwrap().status(), 431);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_not_for_this_channel_are_refused_each_with_its_own_error() {
    beside_an_answer(|_, payer| async move {
        let good = payer.voucher(fee(120));
        type Change = fn(&mut assay_channel::Header);
        let changes: [(Change, u16, &str); 9] = [
            (|h| h.genesis = H256::zero(), 402, "wrong_chain"),
            (|h| h.provider = [1; 32], 402, "wrong_provider"),
            (|h| h.listing = H256::zero(), 402, "wrong_listing"),
            (
                |h| {
                    h.claim = Claim::Channel {
                        id: channel(2),
                        seq: 0,
                    }
                },
                402,
                "wrong_channel",
            ),
            (|h| h.claim = Claim::Job(1), 400, "not_of_a_channel"),
            (|h| h.output_price = 1, 402, "price_too_low"),
            (|h| h.version = 9, 400, "unknown_version"),
            (|h| h.token_limit = 0, 400, "empty_request"),
            (|h| h.sampling.top_p = 0, 400, "invalid_sampling"),
        ];
        for (change, status, code) in changes {
            let mut header = payer.header(0, 8);
            change(&mut header);
            let found = refused(&payer, payer.sign(header), good).await;
            assert_eq!((found.0, found.1.as_str()), (status, code));
        }
        // Signed by another key, of the same kind and of the other one.
        for (pair, code) in [
            (VoucherPair::ed25519(&[77; 32]), "invalid_signature"),
            (VoucherPair::sr25519(&[77; 32]), "signer_mismatch"),
        ] {
            let header = pair.sign_header(payer.header(0, 8));
            let found = refused(&payer, header, good).await;
            assert_eq!((found.0, found.1.as_str()), (402, code));
        }
        0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_that_pay_nothing_here_are_refused_and_say_what_is_owed() {
    beside_an_answer(|worker, payer| async move {
        let header = payer.sign(payer.header(0, 8));
        let now = fee(64);
        // Lower than the last one, or a replay of it: no refusal, and no money either.
        for cumulative in [1, now] {
            let response = payer.pay(cumulative).await;
            let status: assay_channel::ChannelStatus = response.json().await.unwrap();
            assert_eq!(status.accepted, now);
            let (status, code, owed) =
                refused(&payer, header.clone(), payer.voucher(cumulative)).await;
            assert_eq!((status, code.as_str()), (402, "insufficient_voucher"));
            assert_eq!(owed["accepted"], now.to_string());
            assert_eq!(owed["required"], (now + fee(8)).to_string());
        }
        // Beyond the deposit.
        let (status, code, owed) =
            refused(&payer, header.clone(), payer.voucher(DEPOSIT + 1)).await;
        assert_eq!((status, code.as_str()), (402, "amount_exceeds_deposit"));
        assert_eq!(owed["deposit"], DEPOSIT.to_string());
        // For another chain, and for a channel that is not this provider's.
        let foreign = pair(payer.id).sign_voucher(H256::zero(), payer.id, DEPOSIT);
        let (status, code, told) = refused(&payer, header.clone(), foreign).await;
        assert_eq!((status, code.as_str()), (402, "invalid_signature"));
        // Whoever cannot sign for a channel is not told what is in it.
        assert!(told.is_null(), "{told}");
        let response = payer.post_voucher(&foreign).await;
        let (status, code, told) = refusal(response).await;
        assert_eq!((status, code.as_str()), (402, "invalid_signature"));
        assert!(told.is_null(), "{told}");
        let stranger = Payer::new(worker.address, channel(9));
        let (status, code, _) = refusal(stranger.ask(0, 8, DEPOSIT).await).await;
        assert_eq!((status, code.as_str()), (410, "channel_not_found"));
        // In the path of one channel with the voucher of another.
        let url = format!("{}/v1/channels/{:?}/voucher", payer.base, payer.id);
        let voucher = wire::encode_voucher(&stranger.voucher(1));
        let request = payer.client.post(url).header(wire::VOUCHER_HEADER, voucher);
        let (status, code, _) = refusal(request.send().await.unwrap()).await;
        assert_eq!((status, code.as_str()), (402, "wrong_channel"));
        // None at all, and none that can be read.
        let bare = payer.client.post(format!("{}/v1/completions", payer.base));
        let response = bare.json(&payer.body(0, 8)).send().await.unwrap();
        let (status, code, _) = refusal(response).await;
        assert_eq!((status, code.as_str()), (402, "payment_required"));
        let garbled = payer.client.post(format!("{}/v1/completions", payer.base));
        let garbled = garbled.header(wire::VOUCHER_HEADER, "%%%");
        let (status, code, _) = refusal(garbled.send().await.unwrap()).await;
        assert_eq!((status, code.as_str()), (400, "malformed_payment"));
        let vouchers = &worker.metrics.channels.vouchers;
        assert_eq!(vouchers.with_label_values(&["stale"]).get(), 2);
        assert_eq!(vouchers.with_label_values(&["wrong_channel"]).get(), 1);
        0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_what_was_signed_costs_nothing() {
    beside_an_answer(|_, payer| async move {
        let header = payer.sign(payer.header(0, 8));
        // The answer under way may take what it needs of it.
        let voucher = payer.voucher(fee(120) + fee(8));
        let send = |body: Value| {
            let request = payer
                .post(std::slice::from_ref(&header), &voucher)
                .json(&body);
            async { refusal(request.send().await.unwrap()).await }
        };
        let with = |field: &str, value: Value| {
            let mut body = payer.body(0, 8);
            body[field] = value;
            body
        };
        let other_secret = json!({ "secret": wire::encode_hex(&[1u8; 32]) });
        for (body, code) in [
            (with("prompt", json!([5, 6])), "prompt_mismatch"),
            (with("prompt", json!(prompt(1))), "prompt_mismatch"),
            (with("assay", other_secret), "prompt_mismatch"),
            (with("assay", json!({})), "prompt_mismatch"),
            (with("assay", Value::Null), "prompt_mismatch"),
            (
                with("logit_bias", json!({ "5": 1 })),
                "unsupported_parameter",
            ),
        ] {
            let (status, found, _) = send(body).await;
            assert_eq!((status, found.as_str()), (400, code));
        }
        // Each chunk of the answer would say the model's name again.
        let long = format!("{}:{LISTING:?}", "x".repeat(600));
        for model in ["nobody's", &long] {
            let (status, code, _) = send(with("model", json!(model))).await;
            assert_eq!((status, code.as_str()), (404, "model_not_found"));
        }
        // The number is still good.
        let answer = whole(payer.ask(0, 8, fee(120) + fee(8)).await).await;
        assert_eq!(answer.tokens.len(), 8);
        fee(8)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_too_long_too_slow_or_cut_off_are_refused() {
    beside_an_answer(|worker, payer| async move {
        let header = payer.sign(payer.header(0, 8));
        let voucher = payer.voucher(fee(120) + fee(8));
        // 10 MiB of JSON.
        let long = format!("{{\"prompt\": \"{}\"}}", "x".repeat(10 << 20));
        let request = payer
            .post(std::slice::from_ref(&header), &voucher)
            .header("content-type", "application/json")
            .body(long);
        // The answer may come while the body is still being sent, and then it is the connection that ends.
        if let Ok(response) = request.send().await {
            assert_eq!(response.status(), 413);
        }
        // A body that never comes.
        let mut loris = TcpStream::connect(worker.address).await.unwrap();
        let head = format!(
            "POST /v1/completions HTTP/1.1\r\nHost: worker\r\nContent-Type: application/json\r\n\
             Content-Length: 100\r\n{}: {}\r\n{}: {}\r\n\r\n{{",
            wire::REQUEST_HEADER,
            wire::encode_headers(std::slice::from_ref(&header)),
            wire::VOUCHER_HEADER,
            wire::encode_voucher(&voucher)
        );
        loris.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        loris.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 408"), "{text}");
        // A sealed body that ends before its last frame.
        let (key, mut sealer, _) = assay_channel::seal::seal_request(
            &seal_key().public(),
            &binding(payer.id),
            &mut rand::rng(),
        )
        .unwrap();
        let request = payer
            .post(std::slice::from_ref(&header), &voucher)
            .header(wire::SEAL_HEADER, wire::encode_seal(&key))
            .header("content-type", wire::SEALED_TYPE)
            .body(sealer.push(payer.body(0, 8).to_string().as_bytes()));
        let (status, code, _) = refusal(request.send().await.unwrap()).await;
        assert_eq!((status, code.as_str()), (422, "seal_broken"));
        // Half of a seal.
        let request = payer
            .post(&[header], &voucher)
            .header(wire::SEAL_HEADER, wire::encode_seal(&key));
        let (status, code, _) =
            refusal(request.json(&payer.body(0, 8)).send().await.unwrap()).await;
        assert_eq!((status, code.as_str()), (422, "seal_broken"));
        0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logprobs_that_an_engine_does_not_give_are_refused_and_cost_nothing() {
    let (_folder, _worker, payer) = begin(Setup {
        gives_logprobs: false,
        ..Setup::default()
    })
    .await;
    let mut body = payer.body(0, 8);
    body["logprobs"] = json!(0);
    let header = payer.sign(payer.header(0, 8));
    let request = payer.post(&[header], &payer.voucher(fee(8)));
    let (status, code, _) = refusal(request.json(&body).send().await.unwrap()).await;
    assert_eq!((status, code.as_str()), (400, "unsupported_parameter"));
    assert_eq!(payer.status().await.spent, 0);
    // The same header is good without them.
    let answer = whole(payer.ask(0, 8, fee(8)).await).await;
    assert_eq!(answer.tokens.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_ends_sells_nothing_more_but_keeps_its_promises() {
    let (_folder, worker, payer) = begin(Setup::default()).await;
    let mut stream = events(payer.ask(0, 120, fee(50)).await);
    let mut answer = Answer::default();
    read(&mut stream, &mut answer, 40).await;
    let closing = |state| {
        let facts = Facts {
            state,
            ..open(DEPOSIT, 0)
        };
        view(6, &[(payer.id, facts)])
    };
    worker
        .observe(closing(ChannelState::Closing { finalize_at: 16 }))
        .await;
    let (status, code, _) = refusal(payer.pay(fee(120)).await).await;
    assert_eq!((status, code.as_str()), (410, "channel_closing"));
    let (status, code, _) = refusal(payer.ask(1, 8, fee(50) + fee(8)).await).await;
    assert_eq!((status, code.as_str()), (410, "channel_closing"));
    // What was paid for is served.
    read(&mut stream, &mut answer, 50).await;
    assert_eq!(answer.tokens.len(), 50);
    let policy = assay_channel::SettlementPolicy {
        threshold: u128::MAX,
        age_blocks: u32::MAX,
    };
    let due = worker.cashier.ask(move |books| books.due(&policy, false));
    let (deadline, claim) = due.await.unwrap()[0];
    assert_eq!((deadline, claim.amount), (16, fee(32)));
    let summary = worker.cashier.ask(|books| books.summary()).await.unwrap();
    assert_eq!((summary.closing, summary.deadline), (1, Some(16)));

    worker.observe(closing(ChannelState::Closed)).await;
    let (status, code, _) = refusal(payer.pay(fee(120)).await).await;
    assert_eq!((status, code.as_str()), (410, "channel_closed"));
    let due = worker.cashier.ask(move |books| books.due(&policy, true));
    assert!(due.await.unwrap().is_empty());
    // Its record has gone from the chain: nothing is known of it any more.
    worker.observe(view(7, &[])).await;
    let (status, code, _) = refusal(payer.pay(fee(120)).await).await;
    assert_eq!((status, code.as_str()), (410, "channel_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_about_a_channel_are_for_whoever_has_its_key() {
    let (_folder, _worker, payer) = begin(Setup::default()).await;
    whole(payer.ask(0, 4, fee(4)).await).await;
    let forged = VoucherPair::ed25519(&[77; 32]).sign_voucher(GENESIS, payer.id, 1);
    for path in ["", "/receipts/0"] {
        let url = format!("{}/v1/channels/{:?}{path}", payer.base, payer.id);
        let bare = payer.client.get(&url).send().await.unwrap();
        assert_eq!(refusal(bare).await.1, "payment_required");
        let request = payer.client.get(&url);
        let request = request.header(wire::VOUCHER_HEADER, wire::encode_voucher(&forged));
        let (status, code, _) = refusal(request.send().await.unwrap()).await;
        assert_eq!((status, code.as_str()), (402, "invalid_signature"));
        assert!(payer.get(path).await.status().is_success());
    }
    assert_eq!(
        refusal(payer.get("/receipts/7").await).await.1,
        "unknown_seq"
    );
    assert_eq!(
        refusal(payer.get("/receipts/x").await).await.1,
        "unknown_seq"
    );
    let url = format!("{}/v1/channels/0x12", payer.base);
    let response = payer.client.get(url).send().await.unwrap();
    assert_eq!(refusal(response).await.1, "channel_not_found");
    let url = format!("{}/v1/channels/{:?}/voucher", payer.base, payer.id);
    let response = payer.client.get(url).send().await.unwrap();
    assert_eq!(refusal(response).await.0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sold_before_the_chain_was_seen_or_when_it_is_not_offered() {
    let folder = tempfile::tempdir().unwrap();
    let worker = Worker::start(&folder.path().join("ledger.redb"), Setup::default()).await;
    let payer = Payer::new(worker.address, channel(1));
    assert_eq!(refusal(payer.ask(0, 4, fee(4)).await).await.0, 503);
    let mut bare = view(5, &[(payer.id, open(DEPOSIT, 0))]);
    bare.offers.clear();
    worker.observe(bare).await;
    let (status, code, _) = refusal(payer.ask(0, 4, fee(4)).await).await;
    assert_eq!((status, code.as_str()), (410, "not_offered"));
    let models = payer.client.get(format!("{}/v1/models", payer.base));
    let models: Value = models.send().await.unwrap().json().await.unwrap();
    assert_eq!(models["data"], json!([]));
    worker
        .observe(view(6, &[(payer.id, open(DEPOSIT, 0))]))
        .await;
    let models = payer.client.get(format!("{}/v1/models", payer.base));
    let models: Value = models.send().await.unwrap().json().await.unwrap();
    assert_eq!(models["data"][0]["id"], format!("demo:{LISTING:?}"));
    assert_eq!(models["data"][0]["verifiable"], true);
    assert_eq!(whole(payer.ask(0, 4, fee(4)).await).await.tokens.len(), 4);
    // Prompt and answer together are more than is offered.
    let (status, code, _) = refusal(payer.ask(1, 493, fee(493) + fee(4)).await).await;
    assert_eq!((status, code.as_str()), (400, "context_length_exceeded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_seen_more_of_the_chain_is_waited_for() {
    let (_folder, worker, payer) = begin(Setup {
        chain_wait: Duration::from_secs(60),
        ..Setup::default()
    })
    .await;
    let new = Payer::new(worker.address, channel(2));
    let (paid, opened) = (payer.pay(2 * DEPOSIT), new.ask(0, 4, fee(4)));
    let seen = async {
        // A block that brings neither changes nothing.
        worker
            .observe(view(6, &[(payer.id, open(DEPOSIT, 0))]))
            .await;
        let channels = [(payer.id, open(2 * DEPOSIT, 0)), (new.id, open(DEPOSIT, 0))];
        worker.observe(view(7, &channels)).await;
    };
    let (paid, opened, ()) = futures::join!(paid, opened, seen);
    assert!(paid.status().is_success());
    assert_eq!(whole(opened).await.tokens.len(), 4);
}

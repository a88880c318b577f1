//! Answers for money: what is computed is paid before, and what is charged was served.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use assay_channel::seal;
use assay_primitives::{salted_token_root, Finish, Side};
use serde_json::json;

use super::scene::*;

/// Window and receipt of the protocol, in tokens.
const WINDOW: u32 = assay_primitives::WINDOW_TOKENS;
/// Nearly as long as the model's context.
const LONG: u32 = 480;
const RECEIPT: u32 = assay_primitives::RECEIPT_TOKENS;

fn patient() -> Setup {
    Setup::default()
}

fn impatient() -> Setup {
    Setup {
        voucher_wait: Duration::from_millis(300),
        ..Setup::default()
    }
}

/// Patient, but for those who keep others waiting.
fn crowded() -> Setup {
    Setup {
        crowded_wait: Duration::from_secs(1),
        ..Setup::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_with_receipts_that_the_operator_signed() {
    let (_folder, worker, payer) = begin(patient()).await;
    let answer = whole(payer.ask(0, 40, fee(40)).await).await;
    let header = payer.header(0, 40);
    assert_eq!(answer.tokens, expected(&header, 0).await);
    assert_eq!(answer.finish.as_deref(), Some("length"));
    let lengths: Vec<u32> = answer
        .receipts
        .iter()
        .map(|signed| signed.receipt.output_len)
        .collect();
    assert_eq!(lengths, [0, RECEIPT, 40]);
    for signed in &answer.receipts {
        assert!(signed.is_signed(&operator().public_key().0));
        let receipt = &signed.receipt;
        assert_eq!(receipt.header, header.hash());
        assert_eq!(receipt.anchor.number, 5);
        assert_eq!(receipt.fee, fee(receipt.output_len));
        let tokens = &answer.tokens[..receipt.output_len as usize];
        let root = salted_token_root(&SECRET, Side::Output, tokens);
        assert_eq!(receipt.output_root, root);
    }
    assert_eq!(answer.last().receipt.finish, Finish::Length);
    let status = payer.status().await;
    assert_eq!((status.accepted, status.spent), (fee(40), fee(40)));
    let stored = payer.stored(0).await;
    assert_eq!(stored.receipt.as_ref(), Some(answer.last()));
    assert!(stored.ended);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_wait_for_the_voucher_that_pays_for_them() {
    let (_folder, _worker, payer) = begin(patient()).await;
    let mut stream = events(payer.ask(0, 200, fee(WINDOW)).await);
    let mut answer = Answer::default();
    read(&mut stream, &mut answer, WINDOW as usize).await;
    assert_eq!(answer.last().receipt.output_len, WINDOW);
    // Nothing more comes before the money does.
    let more = read(&mut stream, &mut answer, WINDOW as usize + 1);
    let early = tokio::time::timeout(Duration::from_millis(300), more).await;
    assert!(early.is_err());
    assert_eq!(answer.tokens.len(), WINDOW as usize);
    // The window moves with the receipts: a larger voucher does not make it longer.
    assert!(payer.pay(fee(WINDOW + 10)).await.status().is_success());
    read(&mut stream, &mut answer, WINDOW as usize + 10).await;
    let status = payer.status().await;
    assert_eq!(status.spent, fee(WINDOW));
    assert!(payer.pay(fee(200)).await.status().is_success());
    read(&mut stream, &mut answer, usize::MAX).await;
    assert_eq!(answer.tokens, expected(&payer.header(0, 200), 0).await);
    assert_eq!(payer.status().await.spent, fee(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_another_voucher_an_answer_ends_with_its_receipt() {
    let (_folder, _worker, payer) = begin(impatient()).await;
    let answer = whole(payer.ask(0, 200, fee(50)).await).await;
    assert_eq!(answer.tokens.len(), 50);
    let last = answer.last();
    assert_eq!(last.receipt.finish, Finish::Caller);
    assert_eq!(last.receipt.fee, fee(50));
    assert_eq!(payer.status().await.spent, fee(50));
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_answers_share_one_sum() {
    let (_folder, _worker, payer) = begin(impatient()).await;
    let sum = 3 * fee(20) + fee(0);
    let mut running = Vec::new();
    for seq in 0..3u64 {
        let payer = payer.clone();
        running.push(tokio::spawn(async move {
            let response = payer.ask(seq, 100, sum).await;
            // One that comes when the others have been promised everything is refused.
            if !response.status().is_success() {
                let (status, code, _) = refusal(response).await;
                assert_eq!((status, code.as_str()), (402, "insufficient_voucher"));
                return None;
            }
            Some(whole(response).await)
        }));
    }
    let mut charged = 0;
    for answer in running {
        let Some(answer) = answer.await.unwrap() else {
            continue;
        };
        assert_eq!(answer.last().receipt.finish, Finish::Caller);
        charged += answer.last().receipt.fee;
        assert_eq!(
            answer.last().receipt.output_len as usize,
            answer.tokens.len()
        );
    }
    let status = payer.status().await;
    assert_eq!(status.spent, charged);
    // All that was paid for was served, and no token more.
    assert!(charged <= sum && charged + 10 > sum, "{charged} of {sum}");
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_parallel_streams_that_pay_as_they_go_all_end_well() {
    const LIMIT: u32 = 2 * WINDOW;
    let (_folder, _worker, payer) = begin(patient()).await;
    // Each pays its first window with its request. Nobody pays more before all are admitted: that would be promised to
    // those who are there.
    let mut responses = Vec::new();
    let mut sum = 0;
    for seq in 0..8 {
        sum += fee(WINDOW);
        responses.push(payer.ask(seq, LIMIT, sum).await);
    }
    let sum = Arc::new(Mutex::new(sum));
    let mut running = Vec::new();
    for response in responses {
        let (payer, sum) = (payer.clone(), sum.clone());
        running.push(tokio::spawn(async move {
            let mut stream = events(response);
            let mut answer = Answer::default();
            for paid in (WINDOW..LIMIT).step_by(RECEIPT as usize) {
                let receipted = paid + RECEIPT - WINDOW;
                read(&mut stream, &mut answer, receipted as usize).await;
                let cumulative = {
                    let mut sum = sum.lock().unwrap();
                    *sum += fee(paid + RECEIPT) - fee(paid);
                    *sum
                };
                assert!(payer.pay(cumulative).await.status().is_success());
            }
            read(&mut stream, &mut answer, usize::MAX).await;
            answer
        }));
    }
    for (seq, answer) in (0u64..).zip(running) {
        let answer = answer.await.unwrap();
        let header = payer.header(seq, LIMIT);
        assert_eq!(answer.tokens, expected(&header, seq).await);
        assert_eq!(answer.last().receipt.finish, Finish::Length);
    }
    let status = payer.status().await;
    let all = 8 * fee(LIMIT);
    assert_eq!((status.accepted, status.spent), (all, all));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_header_again_gives_the_same_answer_for_nothing() {
    let (_folder, _worker, payer) = begin(patient()).await;
    let first = whole(payer.ask(3, 40, fee(40)).await).await;
    let again = whole(payer.ask(3, 40, fee(40)).await).await;
    assert_eq!(again.tokens, first.tokens);
    assert_eq!(again.last(), first.last());
    assert_eq!(again.finish, first.finish);
    let status = payer.status().await;
    assert_eq!((status.accepted, status.spent), (fee(40), fee(40)));
    // Another request under the same number is refused, whatever it pays.
    let (status, code, _) = refusal(payer.ask(3, 41, 2 * fee(60)).await).await;
    assert_eq!((status, code.as_str()), (409, "used_seq"));
    assert_eq!(payer.status().await.accepted, fee(40));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_finds_its_receipt_later() {
    let (_folder, worker, payer) = begin(patient()).await;
    let mut stream = events(payer.ask(0, 400, fee(WINDOW)).await);
    let mut answer = Answer::default();
    read(&mut stream, &mut answer, 10).await;
    drop(stream);
    let stored = loop {
        let stored = payer.stored(0).await;
        if stored.ended {
            break stored;
        }
        tokio::task::yield_now().await;
    };
    let receipt = stored.receipt.unwrap().receipt;
    assert_eq!(receipt.finish, Finish::Caller);
    assert!(receipt.output_len as usize >= answer.tokens.len());
    assert!(receipt.output_len <= WINDOW);
    assert_eq!(payer.status().await.spent, receipt.fee);
    // The engine is free again.
    while worker.shop.load().running > 0 {
        tokio::task::yield_now().await;
    }
}

/// On a connection that stays, and that others could read their answers from.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_of_its_answer_has_gone() {
    let (_folder, worker, payer) = begin(impatient()).await;
    let slow = narrow(&worker, &payer).await;
    // All is paid for, and it is more than what waits on the way to the client.
    let unread = slow.ask(0, LONG, fee(LONG)).await;
    assert_eq!(unread.version(), reqwest::Version::HTTP_2);
    let stored = loop {
        let stored = payer.stored(0).await;
        if stored.ended {
            break stored;
        }
        tokio::task::yield_now().await;
    };
    let receipt = stored.receipt.unwrap().receipt;
    assert_eq!(receipt.finish, Finish::Caller);
    assert!(receipt.output_len < LONG);
    while worker.shop.load().running > 0 {
        tokio::task::yield_now().await;
    }
}

/// Has all places taken by answers that do not go on, and sees that they keep them while nobody else waits, and no longer.
/// `paid` is how many tokens of an answer each of these clients pays for.
async fn who_goes_on_is_let_in(worker: &Worker, idle: &Payer, payer: &Payer, paid: u32) {
    let other = Payer::new(worker.address, channel(2));
    let channels = [payer.id, other.id].map(|id| (id, open(DEPOSIT, 0)));
    worker.observe(view(6, &channels)).await;
    let mut held = Vec::new();
    let mut sum = 0;
    for seq in 0..8 {
        sum += fee(paid);
        held.push(idle.ask(seq, LONG, sum).await);
    }
    tokio::time::sleep(3 * crowded().crowded_wait).await;
    assert_eq!(worker.shop.load().running, 8);
    let asked = async { whole(other.ask(0, 8, fee(8)).await).await };
    let guarded = tokio::time::timeout(Duration::from_secs(5), asked).await;
    let answer = guarded.expect("a place is kept for whoever does nothing");
    assert_eq!(answer.tokens, expected(&other.header(0, 8), 0).await);
    let mut ended = 0;
    for seq in 0..8 {
        let stored = payer.stored(seq).await;
        if stored.ended {
            ended += 1;
            let receipt = stored.receipt.unwrap().receipt;
            assert_eq!(receipt.finish, Finish::Caller);
            assert!((1..LONG).contains(&receipt.output_len));
        }
    }
    assert!(ended > 0);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_pay_keeps_no_place_from_others() {
    let (_folder, worker, payer) = begin(crowded()).await;
    who_goes_on_is_let_in(&worker, &payer, &payer, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_keeps_no_place_from_others() {
    let (_folder, worker, payer) = begin(crowded()).await;
    let idle = narrow(&worker, &payer).await;
    who_goes_on_is_let_in(&worker, &idle, &payer, LONG).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_string_ends_an_answer_with_its_receipt() {
    let (_folder, _worker, payer) = begin(patient()).await;
    let ask = |seq, stop: Option<String>| {
        let mut header = payer.header(0, 60);
        header.claim = assay_primitives::Claim::Channel { id: payer.id, seq };
        let mut body = payer.body(0, 60);
        body["stream"] = json!(false);
        body["stop"] = json!(stop);
        let voucher = payer.voucher(2 * fee(60));
        let request = payer.post(&[payer.sign(header)], &voucher).json(&body);
        async {
            request
                .send()
                .await
                .unwrap()
                .json::<serde_json::Value>()
                .await
                .unwrap()
        }
    };
    let whole = ask(0, None).await;
    let text = whole["choices"][0]["text"].as_str().unwrap();
    let stop: String = text.chars().skip(12).take(4).collect();
    let cut = ask(1, Some(stop.clone())).await;
    let choice = &cut["choices"][0];
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["text"], text[..text.find(&stop).unwrap()]);
    let parts: assay_channel::wire::ChunkParts =
        serde_json::from_value(choice["assay"].clone()).unwrap();
    let receipt = parts.receipt.unwrap().receipt;
    assert_eq!(receipt.finish, Finish::Caller);
    // All tokens were paid for ahead, so how many the engine made before it heard of the stop depends on the machine.
    assert_eq!(receipt.output_len as usize, parts.tokens.len());
    assert_eq!(payer.status().await.spent, fee(60) + receipt.fee);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_choice_has_its_own_header_and_receipt() {
    let (_folder, _worker, payer) = begin(patient()).await;
    let warm = |seq, nonce| {
        let mut header = payer.header(0, 12);
        header.claim = assay_primitives::Claim::Channel { id: payer.id, seq };
        header.sampling.temperature = 1_000_000;
        header.sampling.nonce = nonce;
        payer.sign(header)
    };
    let headers = [warm(0, 5), warm(1, 6)];
    let mut body = payer.body(0, 12);
    body["n"] = json!(2);
    body["temperature"] = json!(1);
    body["seed"] = json!(5);
    body["stream"] = json!(false);
    let voucher = payer.voucher(2 * fee(12));
    let response = payer.post(&headers, &voucher).json(&body).send().await;
    let answer: serde_json::Value = response.unwrap().json().await.unwrap();
    let mut texts = Vec::new();
    for (index, header) in headers.iter().enumerate() {
        let choice = &answer["choices"][index];
        let parts: assay_channel::wire::ChunkParts =
            serde_json::from_value(choice["assay"].clone()).unwrap();
        assert_eq!(parts.tokens, expected(&header.header, 0).await);
        let receipt = parts.receipt.unwrap().receipt;
        assert_eq!(receipt.header, header.header.hash());
        assert_eq!(receipt.output_len, 12);
        texts.push(parts.tokens);
    }
    assert_ne!(texts[0], texts[1]);
    assert_eq!(payer.status().await.spent, 2 * fee(12));
    // A choice without a header is nobody's.
    body["n"] = json!(3);
    let headers = [warm(2, 5), warm(3, 6)];
    let voucher = payer.voucher(6 * fee(12));
    let refused = payer.post(&headers, &voucher).json(&body).send().await;
    let (status, code, _) = refusal(refused.unwrap()).await;
    assert_eq!((status, code.as_str()), (400, "malformed_payment"));
    // Nor is a header that no choice is for. Neither of them began, so nothing is charged.
    body["n"] = json!(1);
    let refused = payer.post(&headers, &voucher).json(&body).send().await;
    let (status, code, _) = refusal(refused.unwrap()).await;
    assert_eq!((status, code.as_str()), (400, "malformed_payment"));
    assert_eq!(payer.status().await.spent, 2 * fee(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_bodies_are_opened_and_answered_sealed() {
    let (_folder, _worker, payer) = begin(patient()).await;
    let header = payer.sign(payer.header(0, 8));
    let plain = payer.body(0, 8).to_string();
    let send = |recipient: [u8; 32], channel| {
        let (payer, header, plain) = (payer.clone(), header.clone(), plain.clone());
        async move {
            let bound = binding(channel);
            let (key, sealer, opener) =
                seal::seal_request(&recipient, &bound, &mut rand::rng()).unwrap();
            let request = payer
                .post(&[header], &payer.voucher(fee(8)))
                .header(
                    assay_channel::wire::SEAL_HEADER,
                    assay_channel::wire::encode_seal(&key),
                )
                .header("content-type", assay_channel::wire::SEALED_TYPE)
                .body(sealer.finish(plain.as_bytes()));
            (request.send().await.unwrap(), opener)
        }
    };
    // To another key, and for another channel: refused, and nothing charged.
    let stranger = seal::SealKey::from_bytes(&[8; 32]).unwrap().public();
    for (key, channel) in [(stranger, payer.id), (seal_key().public(), channel(9))] {
        let (response, _) = send(key, channel).await;
        let (status, code, _) = refusal(response).await;
        assert_eq!((status, code.as_str()), (422, "seal_broken"));
        assert_eq!(payer.status().await.spent, 0);
    }
    // The same header is good for another try.
    let (response, opener) = send(seal_key().public(), payer.id).await;
    assert!(response.status().is_success());
    let seal = response.headers()[assay_channel::wire::SEAL_HEADER]
        .to_str()
        .unwrap();
    let seal = assay_channel::wire::decode_seal(seal).unwrap();
    let mut opener = opener.begin(&seal).unwrap();
    let sealed = response.bytes().await.unwrap();
    assert!(!sealed.windows(8).any(|bytes| bytes == b"\"choices"));
    let plain = String::from_utf8(opener.push(&sealed).unwrap()).unwrap();
    opener.finish().unwrap();
    assert!(plain.contains("\"choices") && plain.trim_end().ends_with("data: [DONE]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_charges_nothing_and_the_same_header_is_good_later() {
    let (_folder, _worker, payer) = begin(Setup {
        queue: 0,
        ..patient()
    })
    .await;
    for _ in 0..2 {
        let response = payer.ask(0, 8, fee(8)).await;
        assert!(response.headers().contains_key("retry-after"));
        let (status, code, _) = refusal(response).await;
        assert_eq!((status, code.as_str()), (429, "rate_limit_exceeded"));
        let status = payer.status().await;
        assert_eq!((status.accepted, status.spent), (fee(8), 0));
    }
}

/// A choice that has a place waits with its receipt for the others.
#[tokio::test(flavor = "multi_thread")]
async fn where_one_choice_finds_no_place_none_is_charged() {
    let (_folder, worker, payer) = begin(Setup {
        queue: 1,
        ..patient()
    })
    .await;
    // What waits stays where it is.
    worker.generator.hold(true);
    let headers = [0, 1].map(|seq| {
        let mut header = payer.header(0, 8);
        header.claim = assay_primitives::Claim::Channel { id: payer.id, seq };
        payer.sign(header)
    });
    let mut body = payer.body(0, 8);
    body["n"] = json!(2);
    let request = payer.post(&headers, &payer.voucher(2 * fee(8)));
    let refused = request.json(&body).send().await.unwrap();
    assert!(refused.headers().contains_key("retry-after"));
    let (status, code, _) = refusal(refused).await;
    assert_eq!((status, code.as_str()), (429, "rate_limit_exceeded"));
    let status = payer.status().await;
    assert_eq!((status.accepted, status.spent), (2 * fee(8), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_nothing_new_is_sold_and_every_answer_gets_its_receipt() {
    let (_folder, worker, payer) = begin(patient()).await;
    let mut stream = events(payer.ask(0, 400, fee(WINDOW)).await);
    let mut answer = Answer::default();
    read(&mut stream, &mut answer, WINDOW as usize).await;
    let draining = tokio::spawn({
        let shop = worker.shop.clone();
        async move { shop.drain(Duration::from_millis(200)).await }
    });
    loop {
        let (status, code, _) = refusal(payer.ask(1, 4, fee(WINDOW) + fee(4)).await).await;
        if status == 503 {
            assert_eq!(code, "draining");
            break;
        }
    }
    read(&mut stream, &mut answer, usize::MAX).await;
    draining.await.unwrap();
    assert_eq!(answer.last().receipt.finish, Finish::Caller);
    assert_eq!(answer.last().receipt.fee, fee(WINDOW));
    let due = worker.cashier.ask(|books| books.claims()).await.unwrap();
    assert_eq!(due[0].amount, fee(WINDOW));
}

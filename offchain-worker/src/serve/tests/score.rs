//! Scores for money: one prefill over an answer of somebody, and a receipt over what came of it.

use assay_primitives::{salted_token_root, Claim, Finish, Sampling, Side, Task, TokenId, PPM_ONE};
use serde_json::json;

use super::scene::*;
use assay_channel::{wire, Header, PaymentError};
use reqwest::Response;

const LENGTH: u32 = 40;

/// The answer that is scored: a sampled one, so that its seed matters.
fn answered(payer: &Payer) -> Header {
    Header {
        sampling: Sampling {
            temperature: PPM_ONE,
            ..Sampling::GREEDY
        },
        ..payer.header(0, LENGTH)
    }
}

/// Request `seq`: to score this answer to the prompt of request 0.
fn to_score(payer: &Payer, seq: u64, answer: &[TokenId]) -> (Header, Vec<TokenId>) {
    let answered = answered(payer);
    let tokens = [&prompt(0)[..], answer].concat();
    let header = Header {
        claim: Claim::Channel { id: payer.id, seq },
        prompt_root: salted_token_root(&SECRET, Side::Prompt, &tokens),
        prompt_len: tokens.len() as u32,
        task: Task::Score {
            seed: assay_channel::seed(&answered.hash()).into(),
            answer_at: prompt(0).len() as u32,
        },
        token_limit: answer.len() as u32,
        output_price: 0,
        ..answered
    };
    (header, tokens)
}

async fn ask_at(payer: &Payer, path: &str, header: Header, tokens: &[TokenId]) -> Response {
    let voucher = payer.voucher(PRICE.fee(header.prompt_len, 0).unwrap());
    let request = payer
        .client
        .post(format!("{}{path}", payer.base))
        .header(
            wire::REQUEST_HEADER,
            wire::encode_headers(&[payer.sign(header)]),
        )
        .header(wire::VOUCHER_HEADER, wire::encode_voucher(&voucher));
    let body = json!({
        "model": format!("{LISTING:?}"),
        "prompt": tokens,
        "assay": { "secret": wire::encode_hex(&SECRET) },
    });
    request.json(&body).send().await.unwrap()
}

async fn ask(payer: &Payer, (header, tokens): (Header, Vec<TokenId>)) -> Response {
    ask_at(payer, "/v1/score", header, &tokens).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_score_says_how_many_tokens_are_right_for_the_price_of_a_prompt() {
    let (_folder, _worker, payer) = begin(Setup::default()).await;
    let truth = expected(&answered(&payer), 0).await;
    assert_eq!(truth.len(), LENGTH as usize);
    let mut charged = 0;
    for (seq, wrong) in [None, Some(0), Some(17), Some(39)].into_iter().enumerate() {
        let mut answer = truth.clone();
        if let Some(wrong) = wrong {
            answer[wrong] ^= 1;
        }
        let asked = to_score(&payer, seq as u64, &answer);
        let hash = asked.0.hash();
        // Vouchers are over all that was bought.
        assert!(payer.pay(charged + 120).await.status().is_success());
        let score = whole(ask(&payer, asked.clone()).await).await;
        assert!(score.error.is_none() && score.tokens.is_empty());
        let said = |receipt: &assay_primitives::Receipt| (receipt.output_len, receipt.finish);
        let said: Vec<_> = score
            .receipts
            .iter()
            .map(|one| said(&one.receipt))
            .collect();
        let last = match wrong {
            None => (LENGTH, Finish::Length),
            Some(wrong) => (wrong as u32, Finish::Mismatch),
        };
        assert_eq!(said, [(0, Finish::Caller), last]);
        for signed in &score.receipts {
            assert!(signed.is_signed(&operator().public_key().0));
            let receipt = &signed.receipt;
            assert_eq!((receipt.header, receipt.fee), (hash, 120));
            let none = salted_token_root(&SECRET, Side::Output, &[]);
            assert_eq!(receipt.output_root, none);
        }
        charged += 120;
        assert_eq!(payer.status().await.spent, charged);
        let stored = payer.stored(seq as u64).await;
        assert_eq!(stored.receipt.as_ref(), Some(score.last()));
        assert!(stored.ended);
        // Asked again it is told again.
        let again = whole(ask(&payer, asked).await).await;
        assert_eq!(again.receipts, [score.last().clone()]);
        assert_eq!(payer.status().await.spent, charged);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_another_seed_another_answer_is_right() {
    let (_folder, _worker, payer) = begin(Setup::default()).await;
    let truth = expected(&answered(&payer), 0).await;
    let (mut header, tokens) = to_score(&payer, 0, &truth);
    if let Task::Score { seed, .. } = &mut header.task {
        seed.0[0] ^= 1;
    }
    let score = whole(ask(&payer, (header, tokens)).await).await;
    assert_eq!(score.last().receipt.finish, Finish::Mismatch);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_score_is_refused_and_costs_nothing() {
    let (_folder, _worker, payer) = begin(Setup::default()).await;
    let answer = vec![7; 10];
    let (header, tokens) = to_score(&payer, 0, &answer);
    let no_score = PaymentError::NoScore.code();
    let dear = PRICE.output;
    let cases: [(&str, &str, Header); 6] = [
        ("/v1/completions", "wrong_task", header.clone()),
        (
            "/v1/score",
            "wrong_task",
            Header {
                task: Task::Generate,
                output_price: dear,
                token_limit: 1,
                ..header.clone()
            },
        ),
        (
            "/v1/score",
            no_score,
            Header {
                output_price: dear,
                ..header.clone()
            },
        ),
        (
            "/v1/score",
            no_score,
            Header {
                token_limit: 11,
                ..header.clone()
            },
        ),
        (
            "/v1/score",
            "price_too_low",
            Header {
                input_price: PRICE.input - 1,
                ..header.clone()
            },
        ),
        (
            "/v1/score",
            "prompt_mismatch",
            Header {
                prompt_root: Default::default(),
                ..header.clone()
            },
        ),
    ];
    for (seq, (path, expected, header)) in (1..).zip(cases) {
        // A number that was signed for one request is of no other.
        let header = Header {
            claim: Claim::Channel { id: payer.id, seq },
            ..header
        };
        assert!(payer.pay(200).await.status().is_success());
        let (_, code, _) = refusal(ask_at(&payer, path, header, &tokens).await).await;
        assert_eq!(code, expected, "case {seq}");
    }
    let seedless = Header {
        task: Task::Score {
            seed: Default::default(),
            answer_at: 0,
        },
        ..header.clone()
    };
    let (_, code, _) = refusal(ask_at(&payer, "/v1/score", seedless, &tokens).await).await;
    assert_eq!(code, no_score);
    assert_eq!(payer.status().await.spent, 0);
    // The number is still free.
    let score = whole(ask(&payer, (header, tokens)).await).await;
    assert_eq!(score.receipts.len(), 2);
}

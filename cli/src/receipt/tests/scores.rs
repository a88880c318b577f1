//! Receipts of scores, in the file of an answer's.

use assay_exact::answer::Wrong;

use super::*;

const SEED: H256 = H256([9; 32]);

/// A score of an answer of four tokens, of which three were looked at, that says this.
fn score(right: u32, finish: Finish) -> Answer {
    let mut score = in_channel();
    let secret = [7; 32];
    score.output = vec![8, 9, 3, 11];
    let request = [&score.prompt[..], &score.output].concat();
    let header = &mut score.header;
    header.prompt_root = salted_token_root(&secret, Side::Prompt, &request);
    header.prompt_len = request.len() as u32;
    header.task = Task::Score {
        seed: SEED,
        answer_at: score.prompt.len() as u32,
    };
    header.token_limit = 3;
    header.output_price = 0;
    let receipt = &mut score.signed.receipt;
    receipt.header = header.hash();
    receipt.output_len = right;
    receipt.output_root = salted_token_root(&secret, Side::Output, &[]);
    receipt.finish = finish;
    receipt.fee = header.fee(right).unwrap();
    score.seed = SEED.0;
    let voucher_key = keys::load("//Dave//voucher").unwrap();
    let payload = SignedHeader::<()>::signing_payload(&receipt.header);
    score.origin = Origin::Channel {
        secret: H256(secret),
        key: VoucherKey::Sr25519(voucher_key.public_key().0.into()),
        signature: VoucherSignature::Sr25519(voucher_key.sign(&payload).0.into()),
    };
    signed_again(score)
}

#[test]
fn a_score_is_written_and_read_like_an_answer() {
    let score = score(2, Finish::Mismatch);
    let json = score.to_json();
    assert_eq!(Answer::parse(json.to_string().as_bytes()), Ok(score));
    assert_eq!(json["header"]["task"]["score"]["answer_at"], 3);
    assert_eq!(json["receipt"]["finish"], "Mismatch");
    assert_eq!(in_channel().to_json()["header"]["task"], "generate");
}

#[test]
fn the_parts_of_a_score_fit_one_another() {
    for (right, finish) in [
        (3, Finish::Length),
        (2, Finish::Mismatch),
        (0, Finish::Mismatch),
        (0, Finish::Caller),
    ] {
        assert_eq!(score(right, finish).check(), Ok(()), "{finish:?}");
    }
    for (right, finish) in [
        (2, Finish::Length),
        (3, Finish::Mismatch),
        (4, Finish::Length),
        (3, Finish::Eos),
        (4, Finish::Caller),
    ] {
        let sentence = score(right, finish).check().unwrap_err();
        assert!(sentence.contains("of no score"), "{sentence}");
    }
    type Change = (&'static str, fn(&mut Answer));
    let cases: [Change; 5] = [
        ("the prompt", |a| a.output[3] ^= 1),
        ("the prompt", |a| a.prompt[0] ^= 1),
        ("begins at 3", |a| {
            let first = a.output.remove(0);
            a.prompt.push(first);
        }),
        ("the output", |a| {
            a.signed.receipt.output_root = H256::zero()
        }),
        ("the seed", |a| a.seed[0] ^= 1),
    ];
    for (expected, change) in cases {
        let mut score = score(2, Finish::Mismatch);
        change(&mut score);
        let sentence = signed_again(score).check().unwrap_err();
        assert!(sentence.contains(expected), "{sentence}");
    }
    // And an answer calls nothing wrong.
    let mut answer = in_channel();
    answer.signed.receipt.finish = Finish::Mismatch;
    let sentence = signed_again(answer).check().unwrap_err();
    assert!(sentence.contains("only a score"), "{sentence}");
}

/// What the model says, what the score says, and where that is false.
#[test]
fn a_score_is_false_where_it_contradicts_the_model() {
    let wrong = |index| Wrong {
        index,
        found: Some(3),
        expected: Some(4),
    };
    let cases = [
        (None, 3, Finish::Length, None),
        (Some(2), 2, Finish::Mismatch, None),
        (Some(0), 0, Finish::Caller, None),
        // It calls a wrong token right.
        (Some(1), 3, Finish::Length, Some(1)),
        (Some(1), 2, Finish::Mismatch, Some(1)),
        // It calls a right token wrong.
        (None, 1, Finish::Mismatch, Some(1)),
        (Some(2), 1, Finish::Mismatch, Some(1)),
        // It says nothing of what is wrong.
        (Some(2), 1, Finish::Caller, None),
    ];
    for (first, right, finish, expected) in cases {
        let score = score(right, finish);
        let found = score.false_at(first.map(wrong)).map(|wrong| wrong.index);
        assert_eq!(found, expected, "{first:?}, {right} {finish:?}");
    }
    assert_eq!(score(3, Finish::Length).checked(), [8, 9, 3]);
    assert!(score(3, Finish::Length).request().stop_tokens.is_empty());
    let answer = in_channel();
    assert_eq!(answer.false_at(Some(wrong(1))), Some(wrong(1)));
    assert_eq!(answer.checked(), answer.output);
}

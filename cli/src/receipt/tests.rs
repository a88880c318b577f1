use assay_client::{keys, listing_id, AccountId32, Keypair, SignedReceipt, H256};
use assay_primitives::{
    salted_token_root, token_root, Anchor, Claim, Finish, ModelRoot, Price, Receipt, RequestHeader,
    Sampling, Side, SignedHeader, Task, VoucherKey, VoucherSignature,
};
use serde_json::Value;

use super::*;

mod scores;

fn key() -> Keypair {
    keys::load("//Bob//operator").unwrap()
}

/// A receipt whose parts fit one another.
pub fn answer() -> Answer {
    let model = (H256::repeat_byte(1), vec![3]);
    answer_of(model, vec![5, 6, 7], vec![8, 9, 3])
}

/// The same of the model with this root and these stop tokens. The last token of the output is one of them, or
/// the limit ended it.
pub fn answer_of(
    (root, stop_tokens): (ModelRoot, Vec<TokenId>),
    prompt: Vec<TokenId>,
    output: Vec<TokenId>,
) -> Answer {
    let stopped = output.last().is_some_and(|last| stop_tokens.contains(last));
    let model = ListedModel {
        root,
        publisher: AccountId32([2; 32]),
        royalty: 20_000,
        profile: "exact".into(),
        stop_tokens,
    };
    let header = RequestHeader {
        version: 1,
        genesis: H256::repeat_byte(3),
        claim: Claim::Job(7),
        provider: AccountId32([4; 32]),
        listing: listing_id(&model.root, &model.publisher, model.royalty),
        prompt_root: token_root(&prompt),
        prompt_len: prompt.len() as u32,
        task: Task::Generate,
        sampling: Sampling::GREEDY,
        token_limit: 10,
        input_price: 1 << 70,
        output_price: 2,
    };
    let randomness = H256::repeat_byte(5);
    let price = Price {
        input: header.input_price,
        output: header.output_price,
    };
    let receipt = Receipt {
        header: header.hash(),
        anchor: Anchor {
            number: 11,
            hash: H256::repeat_byte(6),
        },
        output_len: output.len() as u32,
        output_root: token_root(&output),
        finish: match stopped {
            true => Finish::Eos,
            false => Finish::Length,
        },
        fee: price.fee(prompt.len() as u32, output.len() as u32).unwrap(),
    };
    signed_again(Answer {
        seed: seed(&header.hash(), &randomness),
        header,
        origin: Origin::Job { randomness },
        model,
        prompt,
        output,
        signed: SignedReceipt {
            receipt,
            operator: keys::account(&key()),
            signature: vec![],
        },
    })
}

/// The same under a channel, ended by its user.
pub fn in_channel() -> Answer {
    let mut answer = answer();
    let secret = [7; 32];
    answer.header.claim = Claim::Channel {
        id: H256::repeat_byte(8),
        seq: 9,
    };
    answer.header.prompt_root = salted_token_root(&secret, Side::Prompt, &answer.prompt);
    let receipt = &mut answer.signed.receipt;
    receipt.output_root = salted_token_root(&secret, Side::Output, &answer.output);
    receipt.finish = Finish::Caller;
    receipt.header = answer.header.hash();
    answer.seed = seed(&receipt.header, &H256::zero());
    let voucher_key = keys::load("//Dave//voucher").unwrap();
    let payload = SignedHeader::<()>::signing_payload(&receipt.header);
    answer.origin = Origin::Channel {
        secret: H256(secret),
        key: VoucherKey::Sr25519(voucher_key.public_key().0.into()),
        signature: VoucherSignature::Sr25519(voucher_key.sign(&payload).0.into()),
    };
    signed_again(answer)
}

/// The same, as its operator would sign it.
fn signed_again(mut answer: Answer) -> Answer {
    let payload = answer.signed.receipt.signing_payload();
    answer.signed.signature = vec![1];
    answer.signed.signature.extend(key().sign(&payload).0);
    answer
}

#[test]
fn what_is_written_is_read_alone_and_inside_a_jobs_record() {
    // Two signatures over the same are never equal.
    let answer = answer();
    let alone = answer.to_json();
    let read = |json: &Value| Answer::parse(json.to_string().as_bytes());
    assert_eq!(read(&alone), Ok(answer.clone()));
    assert_eq!(alone["header"]["input_price"], (1u128 << 70).to_string());
    assert_eq!(alone["claim"]["job"], 7);
    let record = serde_json::json!({ "job": 7, "state": "Settled", "receipt": alone });
    assert_eq!(read(&record), Ok(answer));

    let answer = in_channel();
    let json = answer.to_json();
    assert_eq!(read(&json), Ok(answer));
    assert_eq!(json["claim"]["channel"]["seq"], 9);
    assert!(json.get("randomness").is_none(), "{json}");
}

#[test]
fn what_is_no_receipt_is_refused_with_what_is_wrong() {
    let with = |change: fn(&mut Value)| {
        let mut json = answer().to_json();
        change(&mut json);
        Answer::parse(json.to_string().as_bytes()).unwrap_err()
    };
    for (problem, expected) in [
        (with(|json| json["format"] = "v0".into()), "v0"),
        (with(|json| json["extra"] = 1.into()), "extra"),
        (
            with(|json| json["header"]["version"] = 2.into()),
            "version 2",
        ),
        (
            with(|json| json["model"]["royalty"] = 1_000_001.into()),
            "a royalty of 1000001",
        ),
        (
            with(|json| json["output"] = "x".into()),
            "is no receipt: output: ",
        ),
        (with(|json| json["operator"] = "5F".into()), "operator: "),
        (with(|json| json["prompt"][1] = (-1).into()), "prompt[1]: "),
        (
            with(|json| json["header"]["sampling"]["top_k"] = "1".into()),
            "header.sampling.top_k: ",
        ),
        (
            with(|json| json["signature"] = "0xzz".into()),
            "hexadecimal",
        ),
        (
            with(|json| json["receipt"]["fee"] = "-1".into()),
            "receipt.fee: \"-1\" is no amount",
        ),
        (
            with(|json| json["secret"] = format!("{:?}", H256::zero()).into()),
            "no receipt of a job",
        ),
        (
            with(|json| json["claim"] = in_channel().to_json()["claim"].clone()),
            "no receipt of a channel's request",
        ),
        (
            with(|json| {
                *json = in_channel().to_json();
                json["voucher_key"] = "0x02".into();
            }),
            "no voucher key",
        ),
        (
            with(|json| *json = serde_json::json!({ "job": 7, "receipt": null })),
            "holds no receipt",
        ),
    ] {
        assert!(problem.contains(expected), "{problem}");
    }
    assert!(Answer::parse(b"{").unwrap_err().contains("JSON"));
}

/// Each change leaves a receipt in which exactly that does not fit, and the sentence names it.
#[test]
fn a_part_that_does_not_fit_is_named() {
    assert_eq!(answer().check(), Ok(()));
    type Change = (&'static str, fn(&mut Answer));
    let cases: [Change; 14] = [
        ("the output", |a| a.output[1] = 10),
        ("the output", |a| a.output.push(3)),
        ("the prompt", |a| a.prompt[0] = 10),
        ("another request", |a| a.header.token_limit = 11),
        ("another request", |a| a.header.sampling.nonce = 1),
        ("the seed", |a| a.seed[0] ^= 1),
        ("the seed", |a| {
            let randomness = H256::zero();
            a.origin = Origin::Job { randomness };
        }),
        ("the model", |a| a.model.root = H256::zero()),
        ("the model", |a| a.model.royalty = 0),
        ("a stop token", |a| a.model.stop_tokens = vec![4]),
        ("the limit", |a| a.signed.receipt.finish = Finish::Length),
        ("its user", |a| a.signed.receipt.finish = Finish::Caller),
        ("the fee", |a| a.signed.receipt.fee += 1),
        ("the signature", |a| a.signed.signature[5] ^= 1),
    ];
    let in_channels: [Change; 5] = [
        ("the request is not signed", |a| a.origin = other_key(a)),
        ("the output", |a| {
            a.signed.receipt.output_root = token_root(&a.output)
        }),
        ("the prompt", |a| a.prompt[1] = 1),
        ("another request", |a| {
            let id = H256::repeat_byte(8);
            a.header.claim = Claim::Channel { id, seq: 10 };
        }),
        ("the seed", |a| a.seed[0] ^= 1),
    ];
    assert_eq!(in_channel().check(), Ok(()));
    let cases = cases.map(|(expected, change)| (answer(), expected, change));
    let in_channels = in_channels.map(|(expected, change)| (in_channel(), expected, change));
    let cases = cases.into_iter().chain(in_channels);
    for (index, (mut changed, expected, change)) in cases.enumerate() {
        change(&mut changed);
        // A signature over the change mends nothing but the signature.
        for (mended, changed) in [(true, signed_again(changed.clone())), (false, changed)] {
            let found = changed.check();
            if mended && expected == "the signature" {
                assert_eq!(found, Ok(()));
                continue;
            }
            let sentence = found.unwrap_err();
            assert!(sentence.contains(expected), "{index}: {sentence}");
            assert!(!sentence.contains('\n'), "{sentence}");
        }
    }
}

/// The proof of a channel's request with a key that did not sign it.
pub fn other_key(answer: &Answer) -> Origin {
    let Origin::Channel {
        secret, signature, ..
    } = answer.origin
    else {
        panic!("a job has no voucher key");
    };
    let key = VoucherKey::Sr25519(key().public_key().0.into());
    Origin::Channel {
        secret,
        key,
        signature,
    }
}

#[test]
fn a_lie_that_is_signed_fits_and_only_the_model_can_tell() {
    let mut lie = answer();
    lie.output[0] = 10;
    lie.signed.receipt.output_root = token_root(&lie.output);
    assert!(lie.check().unwrap_err().contains("the signature"));
    assert_eq!(signed_again(lie).check(), Ok(()));
}

#[test]
fn where_a_file_is_wanted_a_number_leads_to_one() {
    let said = |path| read(Path::new(path)).unwrap_err().to_string();
    let number = said("4711");
    assert!(
        number.contains("`assay job watch 4711 --receipt job-4711.json`"),
        "{number}"
    );
    let file = said("no-such-file.json");
    assert!(!file.contains("a job's number"), "{file}");
    let either = read_unless_job(Path::new("no-such-file.json")).unwrap_err();
    assert!(either.to_string().contains("a job's number"), "{either}");
}

#[test]
fn a_receipt_never_replaces_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("receipt.json");
    let target = Target::new(path.clone()).unwrap();
    let answer = answer();
    target.save(&answer).unwrap();
    assert_eq!(read(&path).unwrap(), answer);
    assert!(matches!(target.save(&answer), Err(Failure::Usage(_))));
    assert!(matches!(Target::new(path.clone()), Err(Failure::Usage(_))));
    assert!(Target::new(path.join("inside")).is_err());
    assert!(Target::new(folder.path().join("no/such")).is_err());
}

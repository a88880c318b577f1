//! The golden bytes of channels, primitives/vectors/channel.json: whoever writes another client holds their own
//! against them. `ASSAY_UPDATE_VECTORS=1` writes the file anew; its bytes must never change.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use assay_channel::{Header, SignedHeader, SignedReceipt, VoucherPair};
use assay_primitives::{
    channel_id, salted_token_root, Anchor, Claim, Finish, Receipt, Sampling, Side, SignedVoucher,
    Task, Voucher, VoucherKey, VoucherSignature, FORMAT_VERSION,
};
use codec::{DecodeAll, Encode};
use serde_json::{json, Value};
use sp_core::{sr25519, Pair, H256};
use sp_runtime::MultiSignature;

const SECRET: [u8; 32] = [0x5a; 32];
const NUMBER: u64 = 7;

fn file(name: &str) -> PathBuf {
    Path::new("../primitives/vectors").join(name)
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn pairs() -> [(&'static str, [u8; 32], VoucherPair); 2] {
    let (sr, ed) = ([1; 32], [2; 32]);
    [
        ("sr25519", sr, VoucherPair::sr25519(&sr)),
        ("ed25519", ed, VoucherPair::ed25519(&ed)),
    ]
}

fn public(pair: &VoucherPair) -> [u8; 32] {
    match pair.public() {
        VoucherKey::Sr25519(key) => key.0,
        VoucherKey::Ed25519(key) => key.0,
    }
}

fn genesis() -> H256 {
    H256::repeat_byte(0x11)
}

fn root(side: Side, length: u32) -> (Value, H256) {
    let tokens: Vec<u32> = (0..length).map(|token| token * 1_000 + 1).collect();
    let root = salted_token_root(&SECRET, side, &tokens);
    let side = match side {
        Side::Prompt => "prompt",
        Side::Output => "output",
    };
    let json = json!({ "secret": hex(SECRET), "side": side, "tokens": tokens, "root": hex(root) });
    (json, root)
}

fn header(prompt_root: H256) -> Header {
    Header {
        version: FORMAT_VERSION,
        genesis: genesis(),
        claim: Claim::Channel {
            id: channel_id(&genesis(), NUMBER),
            seq: 3,
        },
        provider: [0x22; 32],
        listing: H256::repeat_byte(0x33),
        prompt_root,
        prompt_len: 40,
        task: Task::Generate,
        sampling: Sampling {
            temperature: 700_000,
            top_k: 40,
            top_p: 950_000,
            min_p: 50_000,
            penalty: 1_100_000,
            nonce: 9,
        },
        token_limit: 256,
        input_price: 1_000,
        output_price: 3_000,
    }
}

fn of_header(header: &Header) -> Value {
    let hash = header.hash();
    let Sampling {
        temperature,
        top_k,
        top_p,
        min_p,
        penalty,
        nonce,
    } = header.sampling;
    let task = match header.task {
        Task::Generate => json!("generate"),
        Task::Score { seed, answer_at } => json!({ "seed": hex(seed), "answer_at": answer_at }),
    };
    let signed: Vec<Value> = pairs()
        .iter()
        .map(|(kind, _, pair)| {
            let signed = pair.sign_header(header.clone());
            json!({ "kind": kind, "public": hex(public(pair)), "encoded": hex(signed.encode()) })
        })
        .collect();
    json!({
        "version": header.version, "genesis": hex(header.genesis),
        "channel": hex(channel_id(&genesis(), NUMBER)), "seq": 3,
        "provider": hex(header.provider), "listing": hex(header.listing),
        "prompt_root": hex(header.prompt_root), "prompt_len": header.prompt_len, "task": task,
        "temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p,
        "penalty": penalty, "nonce": nonce, "token_limit": header.token_limit,
        "input_price": header.input_price.to_string(),
        "output_price": header.output_price.to_string(),
        "encoded": hex(header.encode()), "hash": hex(hash),
        "seed": hex(header.seed(&hash, &H256::zero())),
        "payload": hex(SignedHeader::signing_payload(&hash)), "signed": signed,
    })
}

/// All of the file. sr25519 signatures are never twice the same.
fn vectors() -> Value {
    let genesis = genesis();
    let channel = channel_id(&genesis, NUMBER);
    let keys: Vec<Value> = pairs()
        .iter()
        .map(|(kind, seed, pair)| {
            json!({ "kind": kind, "seed": hex(seed), "public": hex(public(pair)),
                    "encoded": hex(pair.public().encode()) })
        })
        .collect();
    let cumulative = 1_234_567_890_123u128;
    let voucher = Voucher {
        genesis,
        channel,
        cumulative,
    };
    let vouchers: Vec<Value> = pairs()
        .iter()
        .map(|(kind, _, pair)| {
            let signed = pair.sign_voucher(genesis, channel, cumulative);
            json!({ "kind": kind, "genesis": hex(genesis), "channel": hex(channel),
                    "cumulative": cumulative.to_string(), "payload": hex(voucher.signing_payload()),
                    "public": hex(public(pair)), "encoded": hex(signed.encode()) })
        })
        .collect();
    let (prompt, prompt_root) = root(Side::Prompt, 40);
    let (output, output_root) = root(Side::Output, 64);
    let mut roots = vec![prompt, output];
    for (side, length) in [(Side::Prompt, 1), (Side::Output, 0), (Side::Output, 97)] {
        roots.push(root(side, length).0);
    }
    let header = header(prompt_root);
    let hash = header.hash();
    let score = Header {
        task: Task::Score {
            seed: H256::repeat_byte(0x66),
            answer_at: 24,
        },
        token_limit: 16,
        output_price: 0,
        ..header.clone()
    };
    let receipt = Receipt {
        header: hash,
        anchor: Anchor {
            number: 4_321,
            hash: H256::repeat_byte(0x44),
        },
        output_len: 64,
        output_root,
        finish: Finish::Caller,
        fee: 40 * 1_000 + 64 * 3_000,
    };
    let operator = sr25519::Pair::from_seed(&[3; 32]);
    let signature = MultiSignature::Sr25519(operator.sign(&receipt.signing_payload()));
    let payload = receipt.signing_payload();
    let signed_receipt = SignedReceipt {
        receipt: receipt.clone(),
        signature,
    };
    json!({
        "channel": { "genesis": hex(genesis), "number": NUMBER, "id": hex(channel) },
        "keys": keys,
        "vouchers": vouchers,
        "roots": roots,
        "header": of_header(&header),
        "score": of_header(&score),
        "receipt": {
            "header": hex(hash), "anchor_number": 4_321, "anchor_hash": hex(receipt.anchor.hash),
            "output_len": 64, "output_root": hex(output_root), "finish": 2,
            "fee": receipt.fee.to_string(), "payload": hex(payload),
            "operator": hex(operator.public()), "encoded": hex(signed_receipt.encode()),
        },
    })
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().expect("a text");
    hex::decode(text.strip_prefix("0x").expect("0x")).expect("hexadecimal digits")
}

/// Takes what is random out of both, when it was seen to be right.
fn without_random(mut vectors: Value) -> Value {
    let genesis = genesis();
    for voucher in vectors["vouchers"].as_array_mut().expect("vouchers") {
        let signed = SignedVoucher::decode_all(&mut &bytes(&voucher["encoded"])[..]).unwrap();
        let key = pairs()
            .into_iter()
            .find(|(kind, ..)| voucher["kind"] == *kind);
        assert!(signed.is_signed(genesis, &key.unwrap().2.public()));
        if let VoucherSignature::Sr25519(_) = signed.signature {
            voucher["encoded"] = hex((signed.channel, signed.cumulative).encode()).into();
        }
    }
    for header in ["header", "score"] {
        for one in vectors[header]["signed"].as_array_mut().expect("headers") {
            let signed = SignedHeader::decode_all(&mut &bytes(&one["encoded"])[..]).unwrap();
            let key = pairs().into_iter().find(|(kind, ..)| one["kind"] == *kind);
            assert!(signed.is_signed(&key.unwrap().2.public()));
            if let VoucherSignature::Sr25519(_) = signed.signature {
                one["encoded"] = hex(signed.header.encode()).into();
            }
        }
    }
    let receipt = &mut vectors["receipt"];
    let signed = SignedReceipt::decode_all(&mut &bytes(&receipt["encoded"])[..]).unwrap();
    let operator: [u8; 32] = bytes(&receipt["operator"]).try_into().unwrap();
    assert!(signed.is_signed(&operator));
    receipt["encoded"] = hex(signed.receipt.encode()).into();
    vectors
}

#[test]
fn the_golden_bytes_are_what_they_were() {
    let path = file("channel.json");
    if std::env::var_os("ASSAY_UPDATE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(&vectors()).unwrap();
        fs::write(&path, text + "\n").unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let kept: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(without_random(kept), without_random(vectors()));
}

/// What the script says of the vectors in this file. Without Python nothing is checked, so that nothing passes.
fn python(vectors: &Path) -> Output {
    let run = Command::new("python3")
        .arg(file("check.py"))
        .arg(vectors)
        .output();
    run.unwrap_or_else(|error| {
        panic!(
            "python3, which computes the golden bytes again, does not start: {error}; install python3, as \
             scripts/setup does"
        )
    })
}

/// The same bytes from another language, which shares no code with this one.
#[test]
fn python_comes_to_the_same_bytes() {
    let output = python(&file("channel.json"));
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("channel.json: all bytes agree"), "{out}");
}

/// The script must see a difference wherever there is one.
#[test]
fn python_sees_each_changed_value() {
    let text = fs::read_to_string(file("channel.json")).unwrap();
    let kept: Value = serde_json::from_str(&text).unwrap();
    let places = [
        "/channel/id",
        "/keys/0/encoded",
        "/keys/1/encoded",
        "/vouchers/0/payload",
        "/vouchers/1/encoded",
        "/roots/0/root",
        "/roots/4/root",
        "/header/encoded",
        "/header/hash",
        "/header/seed",
        "/header/payload",
        "/header/signed/1/encoded",
        "/score/encoded",
        "/score/task/seed",
        "/receipt/payload",
        "/receipt/encoded",
    ];
    for place in places {
        let mut changed = kept.clone();
        let value = changed.pointer_mut(place).expect(place);
        let mut wrong = bytes(value);
        // Inside the signature where the value has one.
        let near_end = wrong.len() - 20;
        wrong[near_end] ^= 1;
        *value = hex(wrong).into();
        let path = std::env::temp_dir().join(format!(
            "assay-vectors-{}-{}.json",
            std::process::id(),
            place.replace('/', "-")
        ));
        fs::write(&path, changed.to_string()).unwrap();
        let output = python(&path);
        let _ = fs::remove_file(&path);
        // Of sr25519 the script knows the bytes and not the curve.
        let sees = place != "/receipt/encoded";
        assert_eq!(!output.status.success(), sees, "{place}");
    }
}

use assay_primitives::Finish;
use serde_json::json;

use super::*;
use crate::fixture::*;

fn ordered(count: usize) -> (Vec<SignedHeader>, SignedVoucher) {
    let asks = vec![ask(&[1, 2, 3], 100); count];
    let order = payer().order(&asks).unwrap().persisted();
    (order.headers, order.voucher)
}

#[test]
fn headers_and_vouchers_come_through_as_text() {
    for count in [1, 2, MAX_CHOICES] {
        let (headers, voucher) = ordered(count);
        let text = encode_headers(&headers);
        assert_eq!(text.matches(',').count() + 1, count);
        assert_eq!(decode_headers(&text), Ok(headers));
        assert_eq!(decode_voucher(&encode_voucher(&voucher)), Ok(voucher));
    }
    assert_eq!(decode_seal(&encode_seal(&[7; 32])), Ok([7; 32]));
}

#[test]
fn what_is_no_header_is_refused_by_name() {
    let (headers, voucher) = ordered(1);
    let what = REQUEST_HEADER;
    assert_eq!(decode_headers(""), Err(WireError::Scale { what }));
    assert_eq!(decode_headers("%"), Err(WireError::Base64 { what }));
    let one = encode_headers(&headers);
    let longer = STANDARD.encode([headers[0].encode(), vec![0]].concat());
    assert_eq!(decode_headers(&longer), Err(WireError::Scale { what }));
    assert!(decode_headers(&format!("{one},")).is_err());
    let many = vec![one.as_str(); MAX_CHOICES + 1].join(",");
    let count = MAX_CHOICES + 1;
    assert_eq!(
        decode_headers(&many),
        Err(WireError::TooMany { what, count })
    );
    let what = VOUCHER_HEADER;
    let cut = STANDARD.encode(&voucher.encode()[1..]);
    assert_eq!(decode_voucher(&cut), Err(WireError::Scale { what }));
    let what = SEAL_HEADER;
    let short = STANDARD.encode([7; 31]);
    assert_eq!(decode_seal(&short), Err(WireError::Scale { what }));
    let what = "a thing";
    for text in ["00", "0x0", "0xzz"] {
        assert_eq!(decode_hex::<u8>(what, text), Err(WireError::Hex { what }));
    }
    assert_eq!(
        decode_hex::<u8>(what, "0x0000"),
        Err(WireError::Scale { what })
    );
}

/// The shapes of docs/channels.md.
#[test]
fn the_json_is_that_of_the_page() {
    let status = ChannelStatus {
        deposit: u128::MAX,
        settled: 1,
        accepted: 3,
        spent: 2,
    };
    let page = json!({
        "deposit": "340282366920938463463374607431768211455",
        "settled": "1", "accepted": "3", "spent": "2",
    });
    assert_eq!(serde_json::to_value(status).unwrap(), page);
    assert_eq!(
        serde_json::from_value::<ChannelStatus>(page).unwrap(),
        status
    );
    let mut owed = Owed {
        required: None,
        channel: status,
    };
    for required in [None, Some(9)] {
        owed.required = required;
        let json = serde_json::to_value(owed).unwrap();
        assert_eq!(json.get("required").is_some(), required.is_some());
        assert_eq!(json["spent"], "2");
        assert_eq!(serde_json::from_value::<Owed>(json).unwrap(), owed);
    }
    let mut payee = payee();
    let (headers, voucher) = ordered(1);
    payee.admit(&voucher, &headers, &PRICE).unwrap().persisted();
    let receipt = issue(&mut payee, 0, &[], Some(Finish::Caller));
    let chunk = ChunkParts {
        tokens: vec![4, 5],
        receipt: Some(receipt.clone()),
    };
    let json = serde_json::to_value(&chunk).unwrap();
    assert_eq!(json["tokens"], json!([4, 5]));
    assert_eq!(json["receipt"], encode_hex(&receipt));
    assert_eq!(serde_json::from_value::<ChunkParts>(json).unwrap(), chunk);
    let stored = payee.stored(0).unwrap();
    let json = serde_json::to_value(&stored).unwrap();
    assert_eq!(json["ended"], true);
    assert_eq!(
        serde_json::from_value::<StoredReceipt>(json).unwrap(),
        stored
    );
    let none = json!({ "receipt": null, "ended": true });
    assert_eq!(
        serde_json::from_value::<StoredReceipt>(none)
            .unwrap()
            .receipt,
        None
    );
    let parts = json!({ "secret": format!("0x{}", "5a".repeat(32)), "more": 1 });
    let parts: RequestParts = serde_json::from_value(parts).unwrap();
    assert_eq!(parts.secret, [0x5a; 32]);
    let short = json!({ "secret": "0x5a" });
    assert!(serde_json::from_value::<RequestParts>(short).is_err());
}

/// From `printf abc | sha256sum`.
#[test]
fn the_tls_key_is_pinned_by_its_sha_256() {
    let hash = format!("{:x}", tls_key_hash(b"abc"));
    assert!(hash.starts_with("ba7816bf8f01cfea414140de5dae2223"));
}

use super::*;

#[test]
fn sampling_out_of_range_is_refused() {
    use SamplingError::*;
    let with = |change: &dyn Fn(&mut Sampling)| {
        let mut sampling = Sampling::GREEDY;
        change(&mut sampling);
        sampling.validate()
    };
    for temperature in [0, 1_000, 10_000_000] {
        assert_eq!(with(&|s| s.temperature = temperature), Ok(()));
    }
    for temperature in [1, 999] {
        let error = with(&|s| s.temperature = temperature);
        assert_eq!(error, Err(TemperatureTooLow));
    }
    for temperature in [10_000_001, u32::MAX] {
        let error = with(&|s| s.temperature = temperature);
        assert_eq!(error, Err(TemperatureTooHigh));
    }
    assert_eq!(with(&|s| s.top_k = u32::MAX), Ok(()));
    assert_eq!(with(&|s| s.top_p = 1), Ok(()));
    assert_eq!(with(&|s| s.top_p = 0), Err(TopP));
    assert_eq!(with(&|s| s.top_p = PPM_ONE + 1), Err(TopP));
    assert_eq!(with(&|s| s.min_p = PPM_ONE), Ok(()));
    assert_eq!(with(&|s| s.min_p = PPM_ONE + 1), Err(MinP));
    for penalty in [500_000, 4_000_000] {
        assert_eq!(with(&|s| s.penalty = penalty), Ok(()));
    }
    for penalty in [0, 499_999, 4_000_001] {
        assert_eq!(with(&|s| s.penalty = penalty), Err(Penalty));
    }
}

/// The table of docs/jobs.md §3.
#[test]
fn header_and_seed_are_pinned() {
    let header = RequestHeader {
        version: FORMAT_VERSION,
        genesis: H256::repeat_byte(0x11),
        claim: Claim::Job(0x0102_0304_0506_0708),
        provider: H256::repeat_byte(0x22),
        listing: H256::repeat_byte(0x33),
        prompt_root: H256::repeat_byte(0x44),
        prompt_len: 5,
        task: Task::Generate,
        sampling: Sampling {
            temperature: 700_000,
            top_k: 40,
            top_p: 950_000,
            min_p: 50_000,
            penalty: 1_100_000,
            nonce: 9,
        },
        token_limit: 64,
        input_price: 1,
        output_price: 2,
    };
    let mut expected = vec![0x3c];
    expected.extend(b"assay/header/v1");
    expected.extend(1u16.to_le_bytes());
    expected.extend([0x11; 32]);
    expected.push(0);
    expected.extend(0x0102_0304_0506_0708u64.to_le_bytes());
    expected.extend([0x22; 32]);
    expected.extend([0x33; 32]);
    expected.extend([0x44; 32]);
    expected.extend(5u32.to_le_bytes());
    expected.push(0);
    for field in [700_000u32, 40, 950_000, 50_000, 1_100_000] {
        expected.extend(field.to_le_bytes());
    }
    expected.extend(9u64.to_le_bytes());
    expected.extend(64u32.to_le_bytes());
    expected.extend(1u128.to_le_bytes());
    expected.extend(2u128.to_le_bytes());
    assert_eq!(expected.len(), 224);
    let hash = header.hash();
    assert_eq!(hash, H256(blake2_256(&expected)));

    let randomness = H256::repeat_byte(0x55);
    let mut expected = vec![0x34];
    expected.extend(b"assay/seed/v1");
    expected.extend(hash.as_bytes());
    expected.extend(randomness.as_bytes());
    assert_eq!(header.seed(&hash, &randomness), blake2_256(&expected));
}

#[test]
fn a_score_is_of_tokens_that_it_brings_with_their_seed() {
    let seed = H256::repeat_byte(0x66);
    let answer_at = 40;
    let answer = RequestHeader {
        version: FORMAT_VERSION,
        genesis: H256::repeat_byte(0x11),
        claim: Claim::Channel {
            id: H256::repeat_byte(0x77),
            seq: 3,
        },
        provider: [0x22; 32],
        listing: H256::repeat_byte(0x33),
        prompt_root: H256::repeat_byte(0x44),
        prompt_len: 50,
        task: Task::Generate,
        sampling: Sampling::GREEDY,
        token_limit: 64,
        input_price: 3,
        output_price: 5,
    };
    let score = RequestHeader {
        task: Task::Score { seed, answer_at },
        ..answer.clone()
    };
    let task = score.task.encode();
    assert_eq!(task, [&[1][..], &[0x66; 32], &40u32.to_le_bytes()].concat());
    assert_ne!(score.hash(), answer.hash());
    assert_eq!(score.seed(&score.hash(), &H256::zero()), seed.0);

    assert_eq!(answer.fee(7), Some(185));
    assert_eq!(
        (answer.positions(7), score.positions(7)),
        (Some(57), Some(50))
    );
    assert_eq!(answer.positions(u32::MAX), None);
}

/// Anybody may verify a receipt in another language; these bytes must never change.
#[test]
fn the_signing_payload_is_pinned() {
    let receipt = Receipt {
        header: H256::repeat_byte(0x11),
        anchor: Anchor {
            number: 7,
            hash: H256::repeat_byte(0x22),
        },
        output_len: 3,
        output_root: H256::repeat_byte(0x33),
        finish: Finish::Length,
        fee: 5_000_000_000,
    };
    let mut expected = vec![64];
    expected.extend_from_slice(b"assay/receipt/v1");
    expected.extend_from_slice(&[0x11; 32]);
    expected.extend_from_slice(&7u32.to_le_bytes());
    expected.extend_from_slice(&[0x22; 32]);
    expected.extend_from_slice(&3u32.to_le_bytes());
    expected.extend_from_slice(&[0x33; 32]);
    expected.push(1);
    expected.extend_from_slice(&5_000_000_000u128.to_le_bytes());
    assert_eq!(receipt.signing_payload(), expected);

    for (index, finish) in [
        Finish::Eos,
        Finish::Length,
        Finish::Caller,
        Finish::Mismatch,
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(finish.encode(), [index as u8]);
    }
}

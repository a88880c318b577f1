use rand::{rngs::StdRng, SeedableRng};

use super::*;

fn rng() -> StdRng {
    StdRng::seed_from_u64(5)
}

fn key(byte: u8) -> SealKey {
    SealKey::from_bytes(&[byte; 32]).unwrap()
}

fn binding() -> Binding {
    Binding {
        genesis: H256::repeat_byte(1),
        provider: [2; 32],
        channel: H256::repeat_byte(3),
    }
}

/// A request body of three frames, opened by `key` under `binding` after `change`.
fn sealed(
    key_byte: u8,
    binding_at_opener: Binding,
    change: impl Fn(&mut Vec<u8>),
) -> Result<Vec<u8>, SealError> {
    let (encapsulated, mut sealer, _) =
        seal_request(&key(1).public(), &binding(), &mut rng()).unwrap();
    let mut body = sealer.push(b"first ");
    body.extend(sealer.push(b"other "));
    body.extend(sealer.finish(b"third"));
    change(&mut body);
    let (mut opener, _) = open_request(&key(key_byte), &binding_at_opener, &encapsulated)?;
    let plain = opener.push(&body)?;
    opener.finish()?;
    Ok(plain)
}

/// Length of each of the first two frames, with its head.
const FRAME: usize = LENGTH_BYTES + 6 + TAG_BYTES;

#[test]
fn what_is_sealed_is_opened() {
    let opened = sealed(1, binding(), |_| ());
    assert_eq!(opened.unwrap(), b"first other third");
}

#[test]
fn sizes_around_a_frame_come_through_in_any_pieces() {
    for length in [0, 1, MAX_FRAME - 1, MAX_FRAME, MAX_FRAME + 1, 3 * MAX_FRAME] {
        let plain: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        for piece in [1, 7, 4096, usize::MAX] {
            if piece == 1 && length > MAX_FRAME {
                continue;
            }
            let (encapsulated, sealer, _) =
                seal_request(&key(1).public(), &binding(), &mut rng()).unwrap();
            let body = sealer.finish(&plain);
            let (mut opener, _) = open_request(&key(1), &binding(), &encapsulated).unwrap();
            let mut opened = Vec::new();
            for bytes in body.chunks(piece.min(body.len())) {
                opened.extend(opener.push(bytes).unwrap());
                assert!(opener.buffer.len() <= MAX_FRAME + TAG_BYTES + LENGTH_BYTES);
            }
            opener.finish().unwrap();
            assert!(opened == plain, "{length} bytes in pieces of {piece}");
        }
    }
}

#[test]
fn a_response_streams_to_whoever_asked_and_to_nobody_else() {
    let mut rng = rng();
    let recipient = key(1).public();
    let (first, _, mine) = seal_request(&recipient, &binding(), &mut rng).unwrap();
    let (_, _, another) = seal_request(&recipient, &binding(), &mut rng).unwrap();
    let (_, response) = open_request(&key(1), &binding(), &first).unwrap();
    let (encapsulated, mut sealer) = response.begin(&mut rng).unwrap();
    let mut opener = mine.begin(&encapsulated).unwrap();
    for word in [&b"data: one\n\n"[..], b"data: two\n\n"] {
        // Each piece is there as soon as it was sealed.
        assert_eq!(opener.push(&sealer.push(word)).unwrap(), word);
    }
    assert!(!opener.is_ended());
    assert_eq!(opener.push(&sealer.finish(b"")).unwrap(), b"");
    opener.finish().unwrap();

    let (encapsulated, sealer) = response.begin(&mut rng).unwrap();
    let body = sealer.finish(b"secret");
    let mut opener = another.begin(&encapsulated).unwrap();
    assert_eq!(opener.push(&body), Err(SealError::DoesNotOpen));
    // An answer given twice uses two keys.
    let (again, sealer) = response.begin(&mut rng).unwrap();
    assert_ne!(again, encapsulated);
    assert_ne!(sealer.finish(b"secret"), body);
}

#[test]
fn another_key_chain_provider_or_channel_does_not_open_it() {
    let refused = Err(SealError::DoesNotOpen);
    assert_eq!(sealed(9, binding(), |_| ()), refused);
    for change in [
        |b: &mut Binding| b.genesis = H256::zero(),
        |b: &mut Binding| b.provider = [9; 32],
        |b: &mut Binding| b.channel = H256::zero(),
    ] {
        let mut other = binding();
        change(&mut other);
        assert_eq!(sealed(1, other, |_| ()), refused);
    }
}

#[test]
fn cut_reordered_repeated_and_altered_frames_are_refused() {
    let open = |change: &dyn Fn(&mut Vec<u8>)| sealed(1, binding(), change);
    // At a border of frames, and inside one.
    for length in [0, 1, FRAME, 2 * FRAME, 2 * FRAME + 5] {
        let cut = open(&|body| body.truncate(length));
        assert_eq!(cut, Err(SealError::Truncated), "{length} bytes");
    }
    let refused = Err(SealError::DoesNotOpen);
    let swapped = open(&|body| body[..2 * FRAME].rotate_left(FRAME));
    assert_eq!(swapped, refused);
    let dropped = open(&|body| drop(body.drain(..FRAME)));
    assert_eq!(dropped, refused);
    let repeated = open(&|body| {
        let first = body[..FRAME].to_vec();
        body.splice(FRAME..FRAME, first);
    });
    assert_eq!(repeated, refused);
    assert_eq!(open(&|body| body[LENGTH_BYTES] ^= 1), refused);
    // The marker cannot be moved to an earlier frame, nor taken off the last.
    let marked = open(&|body| {
        body.truncate(2 * FRAME);
        body[FRAME + 3] |= 0x80;
    });
    assert_eq!(marked, refused);
    assert_eq!(open(&|body| body[2 * FRAME + 3] &= 0x7f), refused);
    let trailing = open(&|body| body.push(0));
    assert_eq!(trailing, Err(SealError::Trailing));
    let long = open(&|body| body[2] = 1);
    assert!(matches!(long, Err(SealError::FrameLength(_))));
    let short = open(&|body| body[0] = 15);
    assert_eq!(short, Err(SealError::FrameLength(15)));
}

#[test]
fn keys_that_are_none_are_refused() {
    let sealed = seal_request(&[0; 32], &binding(), &mut rng());
    assert_eq!(sealed.map(drop), Err(SealError::BadKey));
    let opened = open_request(&key(1), &binding(), &[0; 32]);
    assert_eq!(opened.map(drop), Err(SealError::BadEncapsulation));
}

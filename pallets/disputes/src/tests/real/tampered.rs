//! True proofs with something changed in them, and with something that they must not open.

use assay_exact::trace::{Opening, Proof, Tree};
use codec::{DecodeAll, Encode};
use frame_support::{
    assert_noop,
    storage::{with_transaction, TransactionOutcome},
};
use sp_runtime::DispatchError;

use super::{
    operators::{answered, pick, rows, POSITION},
    *,
};
use crate::{tests::fuzz, Call, Error, StepRecord};

/// What `act` gives; what it does is undone.
fn undone<R>(act: impl FnOnce() -> R) -> R {
    let mut result = None;
    let _ = with_transaction(|| {
        result = Some(act());
        TransactionOutcome::Rollback(Ok::<_, DispatchError>(()))
    });
    result.unwrap()
}

/// Games of Carl's, each over another row: `at_a_step` sees each step of each before its true proof is given, and
/// who says that an element is what it is not has a `change`.
fn each_step(
    change: Option<i64>,
    numbers: &mut Numbers,
    mut at_a_step: impl FnMut(&Given, DisputeId, &mut Player, &StepRecord),
) {
    with_model(|engine| {
        let layout = Disputes::layout(&answered(engine).header, POSITION).unwrap();
        for span in rows(&layout) {
            let given = answered(engine);
            let number = given.dispute(CARL, POSITION);
            let mut player = Player::honest(trace_of(engine, &given, POSITION));
            let (leaf, element) = pick(&layout, &span, numbers);
            match change {
                // A false token is another answer.
                Some(_) if span.place.row == Row::Token => continue,
                Some(change) => player.lie(leaf, element, change),
                None => {}
            }
            while !is_over(number) {
                match stage(number) {
                    Stage::Step(step) => {
                        at_a_step(&given, number, &mut player, &step);
                        let target = target_of(&player.truth, &step);
                        let proof = player.prove(&given, &target).unwrap();
                        prove(operator(PETRA), number, proof).unwrap();
                    }
                    before => descend(
                        number,
                        &given,
                        POSITION,
                        &mut player,
                        &before,
                        &mut |stage| towards(leaf, element, numbers, stage),
                    ),
                }
            }
            let expected = match change {
                Some(_) => Verdict::Convicted,
                None => Verdict::Acquitted,
            };
            assert_eq!(verdict(), expected, "{:?}", span.place);
            begin_again();
        }
    });
}

/// The bytes with something changed, as a wire, a bad program or a bad will changes them.
fn changed(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    // Parts come last.
    let from = match numbers.below(3) {
        0 => bytes.len().saturating_sub(16),
        _ => 0,
    };
    let place = from + numbers.below(bytes.len() - from);
    let end = bytes.len().min(place + 1 + numbers.below(40));
    match numbers.below(7) {
        0 => bytes[place] ^= 1 << numbers.below(8),
        1 => bytes[place] = numbers.draw() as u8,
        2 => bytes.truncate(place),
        3 => bytes.push(numbers.draw() as u8),
        4 => drop(bytes.drain(place..end)),
        5 => bytes.extend_from_within(place..end),
        // Where a length is, one of hundreds of millions.
        _ => bytes[place..end.min(place + 4)].fill(0xfe),
    }
    bytes.truncate(crate::MAX_PROOF_BYTES as usize);
    bytes
}

/// Whether the bytes are a proof that has other parts than this one, and opens the same.
fn has_other_parts(bytes: &[u8], proof: &[u8]) -> bool {
    let [changed, proof] = [bytes, proof].map(|mut bytes| Proof::decode_all(&mut bytes));
    let (Ok(changed), Ok(proof)) = (changed, proof) else {
        return false;
    };
    let same = Proof {
        parts: proof.parts.clone(),
        ..changed.clone()
    };
    same == proof && changed.parts != proof.parts
}

/// Sends a proof, what follows is undone: whether the game goes on or ends, and how, or why it was refused.
fn outcome(number: DisputeId, proof: Vec<u8>) -> Result<Option<Verdict>, DispatchError> {
    undone(|| {
        let call = Call::prove {
            dispute: number,
            state: dispute(number).state,
            proof: proof.try_into().unwrap(),
        };
        fuzz::dispatched(call, RuntimeOrigin::signed(operator(PETRA)))?;
        Ok(is_over(number).then(verdict))
    })
}

#[test]
fn a_changed_proof_shows_nothing_but_its_own_parts() {
    let mut numbers = Numbers::new(12);
    let mut own_parts = 0;
    each_step(
        None,
        &mut Numbers::new(13),
        |given, number, player, step| {
            let target = target_of(&player.truth, step);
            let proof = player.prove(given, &target).unwrap();
            for _ in 0..16 {
                let bytes = changed(&proof, &mut numbers);
                if bytes == proof {
                    continue;
                }
                let outcome = outcome(number, bytes.clone());
                if has_other_parts(&bytes, &proof) {
                    // Its own false parts may convict who gives them.
                    own_parts += 1;
                    assert_ne!(outcome, Ok(Some(Verdict::Acquitted)), "{target:?}");
                } else {
                    let refused = Err(Error::<Test>::InvalidProof.into());
                    assert_eq!(outcome, refused, "{target:?}");
                }
            }
        },
    );
    assert!(own_parts > 10, "{own_parts}");
}

#[test]
fn no_change_of_a_proof_acquits_a_false_number() {
    let mut numbers = Numbers::new(14);
    each_step(
        Some(1),
        &mut Numbers::new(15),
        |given, number, player, step| {
            let target = target_of(&player.truth, step);
            let proof = player.prove(given, &target).unwrap();
            for _ in 0..16 {
                let outcome = outcome(number, changed(&proof, &mut numbers));
                assert_ne!(outcome, Ok(Some(Verdict::Acquitted)), "{target:?}");
            }
        },
    );
}

/// While parts are shown, which only a true proof leads to.
#[test]
fn any_bytes_are_refused_or_good_while_parts_are_shown() {
    let mut numbers = Numbers::new(16);
    let mut shown = 0;
    each_step(
        None,
        &mut Numbers::new(17),
        |given, number, player, step| {
            let target = target_of(&player.truth, step);
            let proof = player.prove(given, &target).unwrap();
            undone(|| {
                prove(operator(PETRA), number, proof).unwrap();
                if is_over(number) {
                    return;
                }
                shown += 1;
                for _ in 0..20 {
                    let bytes: Vec<u8> = (0..numbers.below(300))
                        .map(|_| numbers.draw() as u8)
                        .collect();
                    for call in fuzz::calls(&bytes, number, dispute(number).state) {
                        for who in [PETRA, CARL, SAM] {
                            let origin = RuntimeOrigin::signed(who);
                            let _ = undone(|| fuzz::dispatched(call.clone(), origin));
                        }
                    }
                }
            });
        },
    );
    assert!(shown > 3, "{shown}");
}

/// The law by which a trace is a computation and no wish: a step follows from what lies before it.
#[test]
fn a_proof_opens_nothing_at_or_behind_its_number() {
    let mut before = 0;
    for change in [None, Some(1)] {
        each_step(
            change,
            &mut Numbers::new(18),
            |given, number, player, step| {
                let target = target_of(&player.truth, step);
                let leaves = player.truth.layout().leaves();
                let proof = player.prove(given, &target).unwrap();
                let proof = Proof::decode_all(&mut &proof[..]).unwrap();
                // The same proof, which opens one more leaf on the way to the same root.
                let mut with = |leaf: u64| {
                    let mut opened = proof.trace.leaves.clone();
                    let place = opened
                        .binary_search_by_key(&leaf, |(index, _)| *index)
                        .err()?;
                    opened.insert(place, (leaf, player.leaf_at(leaf)));
                    let node = |level, index| Trees::node(player, Tree::Trace, level, index);
                    let trace = Opening::new(opened, leaves, node).unwrap();
                    Some(Proof {
                        trace,
                        ..proof.clone()
                    })
                };
                for leaf in [step.leaf, step.leaf + 1, leaves - 1] {
                    if leaf < leaves {
                        let proof = with(leaf).unwrap().encode();
                        let by = operator(PETRA);
                        assert_noop!(prove(by, number, proof), Error::<Test>::InvalidProof);
                    }
                }
                let first = (0..step.leaf).find_map(with);
                if let Some(proof) = first {
                    before += 1;
                    let without = outcome(number, player.prove(given, &target).unwrap());
                    assert!(without.is_ok());
                    assert_eq!(outcome(number, proof.encode()), without);
                }
            },
        );
    }
    assert!(before > 100, "{before}");
}

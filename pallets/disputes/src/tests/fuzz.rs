//! Bytes from anywhere: no panic, nothing that is refused changes anything or is free, and nothing takes more
//! weight than it says, or more memory than is good.

use std::collections::BTreeSet;

use assay_exact::trace::Proof;
use codec::{Compact, Decode, DecodeAll, Encode};
use frame_support::{
    dispatch::{GetDispatchInfo, Pays},
    traits::UnfilteredDispatchable,
};
use proptest::{collection::vec, prelude::*};
use sp_core::H256;
use sp_runtime::DispatchResult;

use super::{forged::after, memory::most};
use crate::{
    mock::*, Answer, Call, Choice, Evidence, Parameters, ParametersOf, Revelation, Stage,
    StatementOf, MAX_PROOF_BYTES,
};

/// Bytes that a call may hold at once, with what the mock's storage takes.
const MEMORY: usize = 1 << 20;
/// Bytes that a decoded proof may hold: a dozen times its length, and what a list grows by.
const DECODED: usize = 1 << 18;
/// Moves to a step of [`after`].
const MOVES: u32 = 8;

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: cases.and_then(|n| n.parse().ok()).unwrap_or(200),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A value out of random bytes, with as many zeros behind them as it needs.
fn made<V: Decode>(bytes: &[u8]) -> Option<V> {
    let mut long = bytes.to_vec();
    long.resize(bytes.len() + 4_096, 0);
    V::decode(&mut &long[..]).ok()
}

/// A few, or as many as a proof may have.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => vec(any::<u8>(), 0..300),
        1 => vec(any::<u8>(), 300..MAX_PROOF_BYTES as usize + 1),
    ]
}

/// Moves in a dispute, at the state in which it is.
pub fn calls(bytes: &[u8], number: u64, state: H256) -> Vec<Call<Test>> {
    let mut calls = Vec::new();
    if let Some(answer) = made::<Answer<u64>>(bytes) {
        calls.push(Call::answer {
            dispute: number,
            state,
            answer,
        });
    }
    if let Some(revelation) = made::<Revelation>(bytes) {
        calls.push(Call::reveal {
            dispute: number,
            state,
            revelation,
        });
    }
    if let Some(choice) = made::<Choice>(bytes) {
        calls.push(Call::choose {
            dispute: number,
            state,
            choice,
        });
    }
    if let Ok(proof) = bytes.to_vec().try_into() {
        calls.push(Call::prove {
            dispute: number,
            state,
            proof,
        });
    }
    calls.push(Call::timeout { dispute: number });
    if let Some(dispute) = made::<u64>(bytes) {
        calls.push(Call::timeout { dispute });
    }
    if let Some(hash) = made::<H256>(bytes) {
        calls.push(Call::commit { hash });
    }
    calls
}

/// What governance may do.
fn orders(bytes: &[u8]) -> Vec<Call<Test>> {
    let mut orders = Vec::new();
    if let Some(parameters) = made::<ParametersOf<Test>>(bytes) {
        orders.push(Call::set_parameters { parameters });
    }
    // Those that are refused least.
    if let Some((reply_blocks, leaves_per_block, live)) = made::<(u64, u64, u8)>(bytes) {
        let parameters = Parameters {
            reply_blocks,
            leaves_per_block,
            live_disputes: u32::from(live % 18),
            ..parameters()
        };
        orders.push(Call::set_parameters { parameters });
    }
    if let Some(on) = made::<bool>(bytes) {
        orders.push(Call::pause { on });
    }
    orders
}

pub fn dispatched(call: Call<Test>, origin: RuntimeOrigin) -> DispatchResult {
    let before = sp_io::storage::root(sp_runtime::StateVersion::V1);
    let outer = RuntimeCall::Disputes(call);
    assert!(RuntimeCall::decode_all(&mut &outer.encode()[..]).is_ok());
    let info = outer.get_dispatch_info();
    let (done, memory) = most(|| {
        frame_support::storage::with_storage_layer(|| outer.dispatch_bypass_filter(origin))
    });
    assert!(memory < MEMORY, "{memory} bytes");
    let post = done.unwrap_or_else(|error| error.post_info);
    if let Some(weight) = post.actual_weight {
        assert!(weight.all_lte(info.call_weight), "{weight:?}: {info:?}");
    }
    if done.is_err() {
        assert_eq!(before, sp_io::storage::root(sp_runtime::StateVersion::V1));
        assert_eq!(post.pays_fee, Pays::Yes);
    }
    check_books();
    done.map(|_| ()).map_err(|error| error.error)
}

#[test]
fn a_forged_trace_leads_through_every_stage_without_parts() {
    let stages: BTreeSet<String> = (0..=MOVES)
        .map(|moves| {
            TestExt::new().execute_with(|| {
                let (_, number, _) = after(moves, 12);
                match stage(number) {
                    Stage::Answer => "answer",
                    Stage::Nodes { .. } => "nodes",
                    Stage::Node { .. } => "node",
                    Stage::Leaves { .. } => "leaves",
                    Stage::Step(_) => "step",
                    Stage::Parts { .. } => "parts",
                }
                .into()
            })
        })
        .collect();
    let stages: Vec<&str> = stages.iter().map(String::as_str).collect();
    assert_eq!(stages, ["answer", "leaves", "node", "nodes", "step"]);
}

/// Lists that say that they are as long as a list can be, and those with the most entries for their bytes.
#[test]
fn no_proof_takes_more_memory_than_its_length_allows() {
    let length = MAX_PROOF_BYTES as usize;
    let endless = Compact(u32::MAX).encode();
    let long = Compact(1u32 << 29).encode();
    let nothing = Compact(0u32).encode();
    // Where each of a proof's lists begins, after lists that are empty.
    let mut proofs = Vec::new();
    for before in 0..11 {
        for many in [&endless, &long, &Compact((length / 6) as u32).encode()] {
            for entry in [&[0][..], &[1, 0, 0, 0], &[255], many] {
                let mut bytes = nothing.repeat(before);
                bytes.extend(many);
                let left = length - bytes.len();
                bytes.extend(entry.iter().cycle().take(left));
                proofs.push(bytes);
            }
        }
    }
    // As many entries as there is room for, and nothing wrong.
    let most_of = |opened: Vec<u8>, before: usize, after: usize, bytes: usize| {
        let room = length - before - after - 4;
        let entries = room / bytes;
        let count = Compact(entries as u32).encode();
        let mut proof = nothing.repeat(before);
        proof.extend(count);
        proof.extend(opened.repeat(entries));
        proof.extend(nothing.repeat(after));
        proof
    };
    let wide = [
        // Leaves, hashes, tensors, parts.
        most_of(vec![0; 9], 0, 10, 9),
        most_of(vec![0; 32], 1, 9, 32),
        most_of(vec![0; 6], 6, 4, 6),
        most_of(vec![0; 8], 10, 0, 8),
    ];
    for proof in &wide {
        assert!(Proof::decode_all(&mut &proof[..]).is_ok());
    }
    proofs.extend(wide);
    let mut peak = 0;
    for proof in &proofs {
        assert!(proof.len() <= length);
        let (_, memory) = most(|| Proof::decode_all(&mut &proof[..]).is_ok());
        peak = peak.max(memory);
    }
    assert!(peak < DECODED, "{peak} bytes");
    TestExt::new().execute_with(|| {
        let (_, number, _) = after(MOVES, 12);
        for proof in proofs {
            let call = Call::prove {
                dispute: number,
                state: dispute(number).state,
                proof: proof.try_into().unwrap(),
            };
            let refused = dispatched(call, RuntimeOrigin::signed(PETRA));
            assert_eq!(refused, Err(crate::Error::<Test>::InvalidProof.into()));
        }
    });
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn moves_out_of_random_bytes_are_refused_or_good(
        bytes in bytes(),
        moves in 0..=MOVES,
        position in 0..40u32,
    ) {
        TestExt::new().execute_with(|| {
            let (_, number, _) = after(moves, position);
            let state = dispute(number).state;
            for call in calls(&bytes, number, state) {
                for who in [PETRA, CARL, SAM] {
                    let _ = dispatched(call.clone(), RuntimeOrigin::signed(who));
                }
            }
            for call in orders(&bytes) {
                let refused = dispatched(call.clone(), RuntimeOrigin::signed(PETRA));
                assert_eq!(refused, Err(sp_runtime::DispatchError::BadOrigin));
                let _ = dispatched(call, RuntimeOrigin::root());
            }
            pass(2);
        });
    }

    #[test]
    fn statements_out_of_random_bytes_are_refused_or_good(
        bytes in vec(any::<u8>(), 0..1_200),
        position in prop::option::of(any::<u32>()),
    ) {
        TestExt::new().execute_with(|| {
            let given = Given::in_channel(channel(9_000), 0, vec![10; 4]);
            commit(CARL, &given.claim);
            pass(1);
            let mut statements = vec![given.statement()];
            statements.extend(made::<StatementOf<Test>>(&bytes));
            for statement in statements {
                let (claim, salt) = (given.claim, SALT);
                let open = Call::open {
                    claim,
                    statement: statement.clone(),
                    position,
                    salt,
                    delegate: None,
                };
                let _ = dispatched(open, RuntimeOrigin::signed(CARL));
                if let Some(evidence) = made::<Evidence<_>>(&bytes) {
                    let accuse = Call::accuse {
                        claim,
                        statement,
                        evidence,
                        salt,
                    };
                    let _ = dispatched(accuse, RuntimeOrigin::signed(CARL));
                }
            }
        });
    }
}

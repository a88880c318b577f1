//! Bytes from anywhere: no panic, and nothing that is refused changes anything.

use codec::{Decode, DecodeAll, Encode};
use frame_support::traits::UnfilteredDispatchable;
use proptest::{collection::vec, prelude::*};
use sp_core::H256;

use super::forged::{at_a_step, disputed};
use crate::{mock::*, Answer, Call, Choice, Evidence, Revelation, StatementOf};

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

fn calls(bytes: &[u8], number: u64, state: H256) -> Vec<Call<Test>> {
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
    calls
}

fn dispatched(call: Call<Test>, who: u64) {
    let before = sp_io::storage::root(sp_runtime::StateVersion::V1);
    let outer = RuntimeCall::Disputes(call);
    assert!(RuntimeCall::decode_all(&mut &outer.encode()[..]).is_ok());
    let done = frame_support::storage::with_storage_layer(|| {
        outer
            .dispatch_bypass_filter(RuntimeOrigin::signed(who))
            .map(|_| ())
            .map_err(|error| error.error)
    });
    if done.is_err() {
        assert_eq!(before, sp_io::storage::root(sp_runtime::StateVersion::V1));
    }
    check_books();
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn moves_out_of_random_bytes_are_refused_or_good(
        bytes in vec(any::<u8>(), 0..300),
        at_the_end in any::<bool>(),
        position in 0..40u32,
    ) {
        TestExt::new().execute_with(|| {
            let (_, number, _) = match at_the_end {
                true => at_a_step(position),
                false => disputed(position),
            };
            let state = dispute(number).state;
            for call in calls(&bytes, number, state) {
                for who in [PETRA, CARL, SAM] {
                    dispatched(call.clone(), who);
                }
            }
        });
    }

    #[test]
    fn statements_out_of_random_bytes_are_refused_or_good(
        bytes in vec(any::<u8>(), 0..400),
        position in prop::option::of(any::<u32>()),
    ) {
        TestExt::new().execute_with(|| {
            let given = Given::in_channel(channel(9_000), 0, vec![10; 4]);
            commit(CARL, &given.claim);
            pass(1);
            let mut statements = vec![given.statement()];
            statements.extend(made::<StatementOf<Test>>(&bytes));
            for statement in statements {
                let salt = SALT;
                dispatched(
                    Call::open {
                        claim: given.claim,
                        statement: statement.clone(),
                        position,
                        salt,
                        delegate: None,
                    },
                    CARL,
                );
                if let Some(evidence) = made::<Evidence<_>>(&bytes) {
                    let claim = given.claim;
                    dispatched(
                        Call::accuse {
                            claim,
                            statement,
                            evidence,
                            salt,
                        },
                        CARL,
                    );
                }
            }
        });
    }
}

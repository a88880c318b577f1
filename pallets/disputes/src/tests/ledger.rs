//! Whatever is called in whatever order: the books are in order after each call, and every planck of
//! everybody is explained by what the disputes ended with.

use std::collections::BTreeMap;

use assay_primitives::Balance;
use frame_support::{storage::with_storage_layer, traits::fungible::Inspect};
use proptest::{collection::vec, prelude::*, sample::select};

use super::forged::Forged;
use crate::{mock::*, Choice, DisputeId, Event, Evidence, Question, Stage, Verdict};

const CHALLENGERS: [u64; 3] = [CARL, CORA, SAM];

#[derive(Clone, Debug)]
enum Step {
    Commit {
        who: u64,
        request: usize,
    },
    Open {
        who: u64,
        request: usize,
        position: Option<u32>,
    },
    Accuse {
        who: u64,
        request: usize,
    },
    Provider {
        place: usize,
    },
    Challenger {
        place: usize,
        choice: u32,
    },
    Timeout {
        place: usize,
    },
    Pass(u64),
    Pause(bool),
    Settle {
        channel: usize,
        cumulative: Balance,
    },
    Close {
        channel: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let who = || select(&CHALLENGERS[..]);
    let request = || 0..6usize;
    prop_oneof![
        4 => (who(), request()).prop_map(|(who, request)| Step::Commit { who, request }),
        8 => (who(), request(), prop::option::weighted(0.8, 0..3u32))
            .prop_map(|(who, request, position)| Step::Open { who, request, position }),
        1 => (who(), request()).prop_map(|(who, request)| Step::Accuse { who, request }),
        8 => (0..6usize).prop_map(|place| Step::Provider { place }),
        8 => ((0..6usize), 0..70u32).prop_map(|(place, choice)| Step::Challenger { place, choice }),
        2 => (0..6usize).prop_map(|place| Step::Timeout { place }),
        4 => (1..4u64).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Pause),
        2 => (0..3usize, 0..DEPOSIT).prop_map(|(channel, cumulative)| Step::Settle { channel, cumulative }),
        1 => (0..3usize).prop_map(|channel| Step::Close { channel }),
    ]
}

/// What the disputes and convictions of a story did to each account.
#[derive(Default)]
struct Ledger {
    challengers: BTreeMap<DisputeId, (u64, Balance)>,
    gained: BTreeMap<u64, Balance>,
    lost: BTreeMap<u64, Balance>,
    burned: Balance,
}

impl Ledger {
    fn gain(&mut self, who: u64, amount: Balance) {
        *self.gained.entry(who).or_default() += amount;
    }

    fn lose(&mut self, who: u64, amount: Balance) {
        *self.lost.entry(who).or_default() += amount;
    }

    fn read(&mut self) {
        for record in System::events() {
            let event = match record.event {
                RuntimeEvent::Disputes(event) => event,
                // Its provider's part matures; the rest stays with the user until it is paid as dues.
                RuntimeEvent::Channels(pallet_channels::Event::Settled { settlement, .. }) => {
                    self.lose(UMA, settlement.provider);
                    self.gain(PETRA, settlement.provider);
                    continue;
                }
                RuntimeEvent::Channels(pallet_channels::Event::DuesPaid { dues, .. }) => {
                    self.lose(UMA, dues.total());
                    self.burned += dues.burned;
                    continue;
                }
                _ => continue,
            };
            match event {
                Event::Opened {
                    dispute,
                    challenger,
                    bond,
                    ..
                } => {
                    self.challengers.insert(dispute, (challenger, bond));
                }
                Event::Convicted {
                    provider,
                    challenger,
                    slashed,
                    ..
                } => {
                    self.gain(UMA, slashed.refund);
                    self.gain(challenger, slashed.reward);
                    self.burned += slashed.burned;
                    let all = slashed.refund + slashed.reward + slashed.burned;
                    self.lose(provider, all);
                }
                Event::Ended {
                    dispute,
                    verdict,
                    compensation,
                    burned,
                } => {
                    let (challenger, bond) = self.challengers.remove(&dispute).unwrap();
                    match verdict {
                        Verdict::Acquitted => assert_eq!(compensation + burned, bond),
                        // What a crowd added.
                        _ => assert!(compensation == 0 && burned < bond),
                    }
                    self.lose(challenger, compensation + burned);
                    self.gain(PETRA, compensation);
                    self.burned += burned;
                }
                _ => {}
            }
        }
        System::reset_events();
    }
}

fn total(who: u64) -> Balance {
    <Balances as Inspect<u64>>::total_balance(&who)
}

fn run(steps: Vec<Step>) {
    TestExt::new().execute_with(|| {
        // Six requests of three channels, one of which has settled nothing yet; the last receipt is false on
        // its face.
        let ids = [channel(9_000), channel(8_000), channel(0)];
        let output: Vec<u32> = (10..14).collect();
        let mut requests: Vec<Given> = [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (1, 1)]
            .into_iter()
            .map(|(id, seq)| Given::in_channel(ids[id], seq, output.clone()))
            .collect();
        let last = requests.pop().unwrap();
        requests.push(last.with_receipt(|receipt| receipt.fee += 1));
        // What a channel owes for what it paid is none of the disputes' business.
        for id in &ids[..2] {
            Channels::pay_dues(RuntimeOrigin::signed(SAM), *id).unwrap();
        }
        System::reset_events();
        let everybody = [UMA, CARL, CORA, SAM, PETRA];
        let before: Vec<Balance> = everybody.into_iter().map(total).collect();
        let issued = Balances::total_issuance();
        let mut ledger = Ledger::default();
        for step in steps {
            take(step, &requests, &ids);
            ledger.read();
            check_books();
            let of = |sums: &BTreeMap<u64, Balance>, who| sums.get(&who).copied().unwrap_or(0);
            for (who, before) in everybody.into_iter().zip(&before) {
                assert_eq!(
                    total(who) + of(&ledger.lost, who),
                    before + of(&ledger.gained, who),
                    "{who}"
                );
            }
            assert_eq!(Balances::total_issuance() + ledger.burned, issued);
        }
        // Nothing is stranded.
        let _ = Disputes::pause(RuntimeOrigin::root(), false);
        pass(250);
        ledger.read();
        assert_eq!(crate::Disputes::<Test>::iter().count(), 0);
        assert_eq!(crate::Commitments::<Test>::iter().count(), 0);
        assert_eq!(crate::Traces::<Test>::iter().count(), 0);
        assert_eq!(crate::Dockets::<Test>::iter().count(), 0);
        assert!(ledger.challengers.is_empty());
        assert_eq!(provider(PETRA).disputes, 0);
        for who in CHALLENGERS {
            assert_eq!(total(who), free(who));
        }
    });
}

fn take(step: Step, requests: &[Given], ids: &[sp_core::H256; 3]) {
    let nth = |place: usize| crate::Disputes::<Test>::iter_keys().nth(place);
    // What is refused changes nothing; the books are checked after it as well.
    let _ = with_storage_layer(|| -> sp_runtime::DispatchResult {
        match step {
            Step::Commit { who, request } => {
                let claim = &requests[request].claim;
                let hash = assay_primitives::dispute::commitment(claim, &who, &SALT);
                Disputes::commit(RuntimeOrigin::signed(who), hash)
            }
            Step::Open {
                who,
                request,
                position,
            } => requests[request].open(who, position),
            Step::Accuse { who, request } => requests[request].accuse(who, Evidence::Face),
            Step::Provider { place } => match nth(place) {
                Some(number) => provider_moves(number, requests),
                None => Ok(()),
            },
            Step::Challenger { place, choice } => match nth(place) {
                Some(number) => {
                    let record = dispute(number);
                    let choice = match record.stage {
                        Stage::Leaves { .. } => Choice::Element {
                            leaf: choice % 8,
                            element: choice / 8,
                        },
                        Stage::Parts { .. } => Choice::Part(choice),
                        _ => Choice::Node(choice),
                    };
                    choose(record.challenger, number, choice)
                        .map(|_| ())
                        .map_err(|error| error.error)
                }
                None => Ok(()),
            },
            Step::Timeout { place } => match nth(place) {
                Some(number) => Disputes::timeout(RuntimeOrigin::signed(SAM), number)
                    .map(|_| ())
                    .map_err(|error| error.error),
                None => Ok(()),
            },
            Step::Pass(blocks) => {
                pass(blocks);
                Ok(())
            }
            Step::Pause(on) => Disputes::pause(RuntimeOrigin::root(), on),
            Step::Settle {
                channel,
                cumulative,
            } => settle(ids[channel], cumulative),
            Step::Close { channel } => {
                Channels::close(RuntimeOrigin::signed(PETRA), ids[channel], None)
            }
        }
    });
}

/// Petra plays as well as she can with a trace that she made up.
fn provider_moves(number: DisputeId, requests: &[Given]) -> sp_runtime::DispatchResult {
    let record = dispute(number);
    let given = requests
        .iter()
        .find(|given| given.claim == record.claim)
        .unwrap();
    let forged = |position| Forged::of(given, position);
    let done = match (record.stage, record.question) {
        (Stage::Answer, Question::Header) => {
            let shown = crate::Answer::Header(given.signed_header());
            answer(operator(PETRA), number, shown)
        }
        (Stage::Answer, Question::Token { position, .. }) => {
            let shown = forged(position).answer(given, position);
            answer(operator(PETRA), number, shown)
        }
        (Stage::Node { level, index, .. }, Question::Token { position, .. }) => reveal(
            operator(PETRA),
            number,
            forged(position).below(level, index),
        ),
        (Stage::Step(_), _) => prove(operator(PETRA), number, vec![0; 9]),
        _ => return Ok(()),
    };
    done.map(|_| ()).map_err(|error| error.error)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_planck_is_explained_and_nothing_is_stranded(steps in vec(step(), 1..60)) {
        run(steps);
    }
}

use super::*;
use crate::{tests::chain_of, AccountId, Runtime, RuntimeEvent, System, ASY};
use alloc::collections::{BTreeMap, BTreeSet};
use assay_primitives::{Claim, Outcome, Settlement};
use pallet_validators::{BondRecord, Bonds, Role};
use sp_keyring::Sr25519Keyring;

/// Values by name and label, those of several pages added up.
type Sums = BTreeMap<(String, String), u128>;

fn sums(figures: impl IntoIterator<Item = Figure>) -> Sums {
    let mut sums = Sums::new();
    for figure in figures {
        let label = figure.label.map(|(_, value)| value.into_owned());
        let of = (figure.name.into_owned(), label.unwrap_or_default());
        let value = match figure.value {
            Value::Number(number) => number.into(),
            Value::Money(planck) => planck,
            Value::Share(parts) => parts.into(),
        };
        *sums.entry(of).or_default() += value;
    }
    sums
}

fn of(sums: &Sums, name: &str, label: &str) -> u128 {
    let found = sums.get(&(name.into(), label.into()));
    *found.unwrap_or_else(|| panic!("{name}{{{label}}} is not told"))
}

fn all_pages() -> (Vec<Figure>, usize) {
    let (mut figures, mut pages, mut next) = (Vec::new(), 0, None);
    loop {
        let (page, following) = present(next);
        figures.extend(page);
        pages += 1;
        match following {
            None => return (figures, pages),
            following => next = following,
        }
    }
}

fn insert_bonds(number: u32) {
    for index in 0..number {
        let mut who = [9; 32];
        who[..4].copy_from_slice(&index.to_be_bytes());
        let bond = BondRecord {
            amount: ASY,
            unbonding: Default::default(),
            role: Role::Idle,
        };
        Bonds::<Runtime>::insert(AccountId::new(who), bond);
    }
}

#[test]
fn records_on_several_pages_are_all_counted_once() {
    for number in [0, 1, 498, 499, 500, 1_203] {
        chain_of("development").execute_with(|| {
            let before = all_pages().1;
            insert_bonds(number);
            let (figures, pages) = all_pages();
            // The one of the genesis besides.
            assert_eq!(pages, before + (number as usize + 1) / 500);
            let sums = sums(figures);
            assert_eq!(of(&sums, "assay_stakers", "idle"), number.into());
            assert_eq!(of(&sums, "assay_stakers", "validator"), 1);
            assert_eq!(
                of(&sums, "assay_stake_asy", "idle"),
                u128::from(number) * ASY
            );
        });
    }
}

#[test]
fn names_follow_the_conventions_and_no_two_figures_are_one() {
    chain_of("development").execute_with(|| {
        let gauges = all_pages().0;
        let own = validator(&Sr25519Keyring::Alice.public().0);
        let counters = brought();
        assert!(gauges.len() > 30 && own.len() > 5 && counters.len() > 30);
        let mut seen = BTreeSet::new();
        let mut kinds: BTreeMap<Text, (Text, Option<Text>)> = BTreeMap::new();
        for (figure, counts) in gauges
            .iter()
            .chain(&own)
            .map(|figure| (figure, false))
            .chain(counters.iter().map(|figure| (figure, true)))
        {
            let name = &figure.name;
            assert!(name.starts_with("assay_"), "{name}");
            let stem = name.strip_suffix("_total");
            assert_eq!(stem.is_some(), counts, "{name}");
            let unit = match figure.value {
                Value::Number(_) => !name.contains("_asy") && !name.ends_with("_ratio"),
                Value::Money(_) => stem.unwrap_or(name).ends_with("_asy"),
                Value::Share(_) => name.ends_with("_ratio"),
            };
            assert!(unit, "{name} is a {:?}", figure.value);
            assert!(figure.help.ends_with('.'), "{name}: {}", figure.help);
            assert!(
                seen.insert((name.clone(), figure.label.clone())),
                "{figure:?}"
            );
            let label = figure.label.as_ref().map(|(label, _)| label.clone());
            let kind = (figure.help.clone(), label);
            assert_eq!(*kinds.entry(name.clone()).or_insert(kind.clone()), kind);
        }
    });
}

#[test]
fn a_chain_at_its_beginning_says_what_it_has() {
    chain_of("development").execute_with(|| {
        let sums = sums(all_pages().0);
        assert_eq!(
            of(&sums, "assay_issuance_asy", ""),
            pallet_balances::TotalIssuance::<Runtime>::get()
        );
        assert_eq!(of(&sums, "assay_validators", "active"), 1);
        assert_eq!(of(&sums, "assay_validators", "candidates"), 1);
        assert_eq!(of(&sums, "assay_jobs", "waiting"), 0);
        assert_eq!(of(&sums, "assay_disputes_paused", ""), 0);
        pallet_disputes::Pallet::<Runtime>::pause(crate::RuntimeOrigin::root(), true).unwrap();
        assert_eq!(
            of(&self::sums(all_pages().0), "assay_disputes_paused", ""),
            1
        );
    });
}

#[test]
fn a_node_finds_its_validator_by_the_key_that_it_has() {
    chain_of("development").execute_with(|| {
        let own = sums(validator(&Sr25519Keyring::Alice.public().0));
        let bond = Bonds::<Runtime>::get(Sr25519Keyring::AliceStash.to_account_id()).unwrap();
        assert_eq!(of(&own, "assay_own_bond_asy", ""), bond.amount);
        for (name, value) in [
            ("active", 1),
            ("elected", 1),
            ("candidate", 1),
            ("disabled", 0),
        ] {
            assert_eq!(of(&own, &format!("assay_own_{name}"), ""), value, "{name}");
        }
        assert!(validator(&Sr25519Keyring::Bob.public().0).is_empty());
        assert!(validator(b"no key").is_empty());
    });
}

#[test]
fn open_referenda_are_counted_by_how_far_they_are() {
    chain_of("development").execute_with(|| {
        assert_eq!(
            of(&sums(all_pages().0), "assay_runtime_version", ""),
            crate::VERSION.spec_version.into()
        );
        System::set_block_number(1);
        let who = crate::RuntimeOrigin::signed(Sr25519Keyring::Bob.to_account_id());
        let counted = || {
            let sums = sums(all_pages().0);
            ["preparing", "deciding", "confirming"].map(|state| of(&sums, "assay_referenda", state))
        };
        assert_eq!(counted(), [0, 0, 0]);
        for _ in 0..2 {
            pallet_referenda::Pallet::<Runtime>::submit(
                who.clone(),
                Box::new(frame_system::RawOrigin::Root.into()),
                frame_support::traits::Bounded::Inline(Default::default()),
                frame_support::traits::schedule::DispatchTime::After(1),
            )
            .unwrap();
        }
        assert_eq!(counted(), [2, 0, 0]);
        let change = |index, deciding| {
            pallet_referenda::ReferendumInfoFor::<Runtime>::mutate(index, |slot| match slot {
                Some(pallet_referenda::ReferendumInfo::Ongoing(status)) => {
                    status.deciding = Some(deciding)
                }
                _ => panic!("referendum {index} is not open"),
            })
        };
        let since = |confirming| pallet_referenda::DecidingStatus {
            since: 1,
            confirming,
        };
        change(0, since(None));
        assert_eq!(counted(), [1, 1, 0]);
        change(0, since(Some(9)));
        assert_eq!(counted(), [1, 0, 1]);
        pallet_referenda::ReferendumInfoFor::<Runtime>::insert(
            0,
            pallet_referenda::ReferendumInfo::Killed(5),
        );
        assert_eq!(counted(), [1, 0, 0]);
    });
}

#[test]
fn what_a_block_brought_is_in_its_events() {
    chain_of("development").execute_with(|| {
        // Genesis has no events.
        System::set_block_number(1);
        let who = Sr25519Keyring::Bob.to_account_id();
        let settlement = Settlement {
            fee: 100,
            provider: 90,
            royalty: 2,
            treasury: 5,
            burned: 3,
        };
        let enacted = |id, result| pallet_scheduler::Event::<Runtime>::Dispatched {
            task: (5, 0),
            id,
            result,
        };
        let events: [RuntimeEvent; 15] = [
            pallet_jobs::Event::<Runtime>::Settled {
                job: 1,
                provider: who.clone(),
                settlement,
            }
            .into(),
            pallet_jobs::Event::<Runtime>::SentBack {
                job: 2,
                provider: who.clone(),
                outcome: Outcome::Declined,
                compensation: 0,
            }
            .into(),
            pallet_channels::Event::<Runtime>::Settled {
                channel: Default::default(),
                provider: who.clone(),
                settled: 100,
                settlement,
            }
            .into(),
            pallet_disputes::Event::<Runtime>::Opened {
                dispute: 3,
                claim: Claim::Job(1),
                provider: who.clone(),
                challenger: who.clone(),
                bond: 7,
            }
            .into(),
            pallet_disputes::Event::<Runtime>::Ended {
                dispute: 3,
                verdict: pallet_disputes::Verdict::Acquitted,
                compensation: 1,
                burned: 6,
            }
            .into(),
            pallet_providers::Event::<Runtime>::Compensated {
                provider: who.clone(),
                beneficiary: who.clone(),
                amount: 4,
                burned: 5,
            }
            .into(),
            pallet_validators::Event::<Runtime>::RewardPaid {
                validator: who.clone(),
                era: 1,
                own: 11,
                nominators: 2,
            }
            .into(),
            pallet_offences::Event::Offence {
                kind: *b"grandpa:equivoca",
                slot: Vec::new(),
            }
            .into(),
            pallet_referenda::Event::<Runtime>::Approved { index: 1 }.into(),
            pallet_referenda::Event::<Runtime>::Killed {
                index: 2,
                tally: pallet_conviction_voting::Tally::from_parts(1, 2, 3),
            }
            .into(),
            enacted(Some([1; 32]), Ok(())).into(),
            enacted(Some([2; 32]), Err(sp_runtime::DispatchError::BadOrigin)).into(),
            // A referendum that wakes itself up.
            enacted(None, Ok(())).into(),
            pallet_scheduler::Event::<Runtime>::CallUnavailable {
                task: (5, 1),
                id: Some([3; 32]),
            }
            .into(),
            pallet_transaction_payment::Event::<Runtime>::TransactionFeePaid {
                who,
                actual_fee: 21,
                tip: 1,
            }
            .into(),
        ];
        events.into_iter().for_each(System::deposit_event);
        let told = sums(brought());
        for (name, label, value) in [
            ("assay_jobs_total", "settled", 1),
            ("assay_jobs_total", "declined", 1),
            ("assay_jobs_total", "missed", 0),
            ("assay_channels_total", "settled", 1),
            ("assay_settled_asy_total", "provider", 180),
            ("assay_settled_asy_total", "publisher", 4),
            ("assay_settled_asy_total", "treasury", 10),
            ("assay_settled_asy_total", "burned", 6),
            ("assay_disputes_total", "opened", 1),
            ("assay_disputes_total", "acquitted", 1),
            ("assay_disputes_total", "convicted", 0),
            ("assay_provider_slashed_asy_total", "missed_deadline", 9),
            ("assay_provider_slashed_asy_total", "wrong_answer", 0),
            ("assay_validator_rewards_asy_total", "", 13),
            ("assay_offences_total", "grandpa", 1),
            ("assay_offences_total", "babe", 0),
            ("assay_referenda_total", "approved", 1),
            ("assay_referenda_total", "killed", 1),
            ("assay_referenda_total", "submitted", 0),
            ("assay_enactments_total", "taken", 1),
            ("assay_enactments_total", "failed", 2),
            ("assay_transactions_total", "", 1),
            ("assay_transaction_fees_asy_total", "", 21),
        ] {
            assert_eq!(of(&told, name, label), value, "{name}{{{label}}}");
        }
    });
}

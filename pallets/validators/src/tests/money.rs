//! Random stories, told to the pallet and to a model of its money.

use super::ledger::{Ledger, ACCOUNTS};
use crate::mock::*;
use assay_primitives::Balance;
use proptest::prelude::*;
use sp_runtime::{Perbill, Permill};
use sp_staking::offence::{OffenceDetails, OnOffenceHandler};

#[derive(Clone, Debug)]
enum Step {
    Bond {
        who: u64,
        amount: Balance,
    },
    BondExtra {
        who: u64,
        amount: Balance,
    },
    Validate {
        who: u64,
    },
    Nominate {
        who: u64,
        validator: u64,
    },
    Chill {
        who: u64,
    },
    Unbond {
        who: u64,
        amount: Balance,
    },
    UnbondAll {
        who: u64,
    },
    Withdraw {
        who: u64,
    },
    Offend {
        who: u64,
        sessions_ago: u32,
        fraction: Perbill,
        reporter: u64,
    },
    NextSession,
}

fn step() -> impl Strategy<Value = Step> {
    let who = || prop::sample::select(ACCOUNTS.to_vec());
    let amount = || {
        prop_oneof![
            0..3 * LITTLE,
            0..2 * BOND,
            Just(BOND),
            Just(LITTLE),
            Just(ENDOWMENT)
        ]
    };
    let fraction = prop_oneof![
        Just(Perbill::one()),
        Just(Perbill::from_parts(562_500_000)),
        (0..1_000_000_000u32).prop_map(Perbill::from_parts)
    ];
    let reporter = prop::sample::select(vec![SAM, SAM, VITO, NINA, NOBODY]);
    prop_oneof![
        4 => (who(), amount()).prop_map(|(who, amount)| Step::Bond { who, amount }),
        3 => (who(), amount()).prop_map(|(who, amount)| Step::BondExtra { who, amount }),
        3 => who().prop_map(|who| Step::Validate { who }),
        6 => (who(), who()).prop_map(|(who, validator)| Step::Nominate { who, validator }),
        2 => who().prop_map(|who| Step::Chill { who }),
        4 => (who(), amount()).prop_map(|(who, amount)| Step::Unbond { who, amount }),
        2 => who().prop_map(|who| Step::UnbondAll { who }),
        3 => who().prop_map(|who| Step::Withdraw { who }),
        3 => (who(), 0..8u32, fraction, reporter).prop_map(
            |(who, sessions_ago, fraction, reporter)| Step::Offend {
                who,
                sessions_ago,
                fraction,
                reporter,
            }
        ),
        8 => Just(Step::NextSession),
    ]
}

fn apply(ledger: &mut Ledger, step: &Step) {
    let by = RuntimeOrigin::signed;
    let (actual, expected) = match *step {
        Step::Bond { who, amount } => (
            Validators::bond(by(who), amount).is_ok(),
            ledger.bond(who, amount),
        ),
        Step::BondExtra { who, amount } => (
            Validators::bond_extra(by(who), amount).is_ok(),
            ledger.bond_extra(who, amount),
        ),
        Step::Validate { who } => (
            Validators::validate(by(who), Permill::zero()).is_ok(),
            ledger.validate(who),
        ),
        Step::Nominate { who, validator } => (
            Validators::nominate(by(who), validator).is_ok(),
            ledger.nominate(who, validator),
        ),
        Step::Chill { who } => (chill(who).is_ok(), ledger.chill(who)),
        Step::Unbond { who, amount } => (unbond(who, amount).is_ok(), ledger.unbond(who, amount)),
        Step::UnbondAll { who } => {
            let Some(all) = bond(who).map(|record| record.amount) else {
                return;
            };
            (unbond(who, all).is_ok(), ledger.unbond(who, all))
        }
        Step::Withdraw { who } => (withdraw(who).is_ok(), ledger.withdraw(who)),
        Step::Offend {
            who,
            sessions_ago,
            fraction,
            reporter,
        } => {
            let Some(session) = Session::current_index().checked_sub(sessions_ago) else {
                return;
            };
            let details = OffenceDetails {
                offender: (who, ()),
                reporters: vec![reporter],
            };
            <Validators as OnOffenceHandler<_, _, _>>::on_offence(&[details], &[fraction], session);
            carry_out_all();
            ledger.slash(who, session, fraction, reporter);
            return;
        }
        Step::NextSession => {
            run_to_session(Session::current_index() + 1);
            System::reset_events();
            ledger.next_session();
            return;
        }
    };
    assert_eq!(actual, expected, "{step:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 160,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_money_of_any_story_is_accounted_for(steps in prop::collection::vec(step(), 120)) {
        let story = TestExt::new().with_keys(&ACCOUNTS);
        story.execute_with(|| {
            let issuance = Balances::total_issuance();
            let mut ledger = Ledger::new();
            for step in &steps {
                apply(&mut ledger, step);
                ledger.compare();
                check_books();
                assert_eq!(Balances::total_issuance(), issuance);
            }
        });
    }
}

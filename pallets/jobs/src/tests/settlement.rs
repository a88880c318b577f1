use crate::{mock::*, Event, HoldReason, JobState, Jobs as JobRecords, Outputs};
use assay_primitives::{Balance, ModelCatalogue, Settlement, PPM_ONE};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::Permill;

/// Eight tokens in and five out: 603 planck, of which the protocol takes 30.
const FEE: Balance = 8 * PRICE.input + 5 * PRICE.output;

fn settlement(id: u64) -> Settlement {
    match job(id).state {
        JobState::Settled { settlement, .. } => settlement,
        state => panic!("job {id} is not settled: {state:?}"),
    }
}

fn maturing(stash: u64) -> Balance {
    held(pallet_providers::HoldReason::Maturing, stash)
}

fn pot() -> Balance {
    pallet_models::Accounts::<Test>::get(listing()).unwrap().pot
}

#[test]
fn a_fee_is_divided_to_the_last_planck_when_the_window_is_over() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        answer(id, 5);
        let (issuance, treasury) = (Balances::total_issuance(), free(TREASURY));
        run_to(13);
        assert_eq!(escrow(UMA), FEE);
        run_to(14);
        // Two per cent, five per cent and half of it, each rounded down; the provider takes the
        // remainder.
        let expected = Settlement {
            fee: 603,
            provider: 561,
            royalty: 12,
            treasury: 15,
            burned: 15,
        };
        assert_eq!(settlement(id), expected);
        assert_eq!(escrow(UMA), 0);
        assert_eq!(maturing(PETRA), 561);
        assert_eq!(pot(), 12);
        assert_eq!(free(TREASURY), treasury + 15);
        assert_eq!(Balances::total_issuance(), issuance - 15);
        assert_eq!(job(id).escrow, 0);
        let record = provider(PETRA);
        assert_eq!(
            (record.exposure, record.open_jobs, record.record.earned),
            (0, 0, 561)
        );
        assert_eq!(record.burned.amount, 15);
        System::assert_last_event(
            Event::Settled {
                job: id,
                provider: PETRA,
                settlement: expected,
            }
            .into(),
        );
    });
}

/// A full step is a sixteenth of what is missing.
const FULL_STEP: u32 = PPM_ONE / 2 / 16;

#[test]
fn the_score_grows_with_the_protocol_fee_when_the_job_is_paid() {
    TestExt::new().execute_with(|| {
        let score = || provider(PETRA).record.score;
        let id = assigned();
        answer(id, 5);
        run_to(13);
        assert_eq!(score(), PPM_ONE / 2);
        run_to(14);
        assert_eq!(30 * 2, FULL_STEP_FEE);
        assert_eq!(score(), PPM_ONE / 2 + FULL_STEP / 2);
    });
}

#[test]
fn the_parameters_of_the_settlement_are_those_of_its_block() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        answer(id, 5);
        let changed = crate::Parameters {
            protocol_fee: Permill::from_percent(100),
            burned_share: Permill::from_percent(100),
            ..parameters()
        };
        assert_ok!(Jobs::set_parameters(RuntimeOrigin::root(), changed));
        run_to(14);
        // The royalty comes first; the protocol cannot take more than is left.
        let expected = Settlement {
            fee: 603,
            provider: 0,
            royalty: 12,
            treasury: 0,
            burned: 591,
        };
        assert_eq!(settlement(id), expected);
    });
}

#[test]
fn a_treasury_that_cannot_be_paid_leaves_its_share_to_the_provider() {
    TestExt::new().endow(TREASURY, 0).execute_with(|| {
        let id = assigned();
        answer(id, 5);
        run_to(14);
        let expected = Settlement {
            fee: 603,
            provider: 576,
            royalty: 12,
            treasury: 0,
            burned: 15,
        };
        assert_eq!(settlement(id), expected);
        assert_eq!(free(TREASURY), 0);
        assert_eq!(maturing(PETRA), 576);
        // The score has not been earned with what came back.
        assert_eq!(provider(PETRA).record.score, PPM_ONE / 2 + FULL_STEP / 4);
    });
}

#[test]
fn a_share_that_reaches_the_existential_deposit_makes_the_treasury() {
    TestExt::new()
        .endow(TREASURY, 0)
        .parameters(|p| p.burned_share = Permill::zero())
        .execute_with(|| {
            let id = Ask {
                prompt: vec![7; 30],
                max_fee: 100_000,
                ..Ask::default()
            }
            .accepted();
            set_offer(
                PETRA,
                assay_primitives::Price {
                    input: 80,
                    output: 1,
                },
                5,
            );
            run_to(3);
            answer(id, 1);
            run_to(14);
            assert_eq!(settlement(id).treasury, 120);
            assert_eq!(free(TREASURY), 120);
        });
}

#[test]
fn a_royalty_account_that_does_not_exist_leaves_its_share_to_the_provider() {
    TestExt::new()
        .endow(Models::account_id(), 0)
        .execute_with(|| {
            let id = assigned();
            answer(id, 5);
            run_to(14);
            let expected = Settlement {
                fee: 603,
                provider: 573,
                royalty: 0,
                treasury: 15,
                burned: 15,
            };
            assert_eq!(settlement(id), expected);
            assert_eq!(pot(), 0);
        });
}

#[test]
fn a_publisher_who_has_spent_everything_is_still_paid() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        assert_ok!(Balances::transfer_all(
            RuntimeOrigin::signed(PAULA),
            SAM,
            false
        ));
        answer(id, 5);
        run_to(14);
        assert_ok!(Models::claim_royalties(
            RuntimeOrigin::signed(SAM),
            listing()
        ));
        assert_eq!(free(PAULA), EXISTENTIAL_DEPOSIT + 12);
    });
}

#[test]
fn a_provider_that_has_spent_everything_is_still_paid() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        assert_ok!(Balances::transfer_all(
            RuntimeOrigin::signed(PETRA),
            SAM,
            false
        ));
        answer(id, 5);
        run_to(14);
        assert_eq!(maturing(PETRA), 561);
        assert_eq!(free(PETRA), EXISTENTIAL_DEPOSIT);
    });
}

#[test]
fn a_provider_may_be_its_own_user() {
    TestExt::new().execute_with(|| {
        let before = free(PETRA);
        let id = Ask {
            user: PETRA,
            ..Ask::default()
        }
        .accepted();
        run_to(3);
        answer(id, 5);
        run_to(14);
        assert_eq!(maturing(PETRA), 561);
        run_to(100);
        assert_eq!(free(PETRA), before - (603 - 561));
        let missed = Ask {
            user: PETRA,
            ..Ask::default()
        }
        .accepted();
        run_to(120);
        assert!(matches!(job(missed).state, JobState::Refunded { .. }));
        assert_eq!(provider(PETRA).bond, BOND - 500);
        let deposit = held(HoldReason::JobDeposit, PETRA);
        assert_eq!(free(PETRA) + deposit, before - (603 - 561) + 250);
    });
}

#[test]
fn earnings_mature_and_are_released_by_the_chain() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        let before = free(PETRA);
        answer(id, 5);
        run_to(14);
        // Forty blocks after settlement, gathered with others up to the next fifth block.
        run_to(55);
        assert_eq!((maturing(PETRA), free(PETRA)), (561, before));
        run_to(56);
        assert_eq!((maturing(PETRA), free(PETRA)), (0, before + 561));
        assert_eq!(provider(PETRA).maturing, 0);
    });
}

#[test]
fn a_settled_job_stays_readable_and_is_then_removed_with_its_deposit_returned() {
    TestExt::new().execute_with(|| {
        let before = free(UMA);
        let id = assigned();
        answer(id, 5);
        run_to(33);
        assert_eq!(Jobs::output(id), Some(stopped(5)));
        assert!(held(HoldReason::JobDeposit, UMA) > 0);
        run_to(34);
        System::assert_has_event(Event::Removed { job: id }.into());
        assert!(!JobRecords::<Test>::contains_key(id) && !Outputs::<Test>::contains_key(id));
        assert_eq!(held(HoldReason::JobDeposit, UMA), 0);
        assert_eq!(free(UMA), before - FEE);
    });
}

#[test]
fn a_retired_listing_is_dropped_when_its_last_job_is_over() {
    TestExt::new().execute_with(|| {
        let id = assigned();
        let uses = || {
            pallet_models::Accounts::<Test>::get(listing())
                .unwrap()
                .uses
        };
        assert_eq!(uses(), 2, "one offer and one job");
        assert_ok!(Models::retire(RuntimeOrigin::signed(PAULA), listing()));
        answer(id, 5);
        let drop = || Models::drop_retired(RuntimeOrigin::signed(SAM), listing());
        assert_noop!(drop(), pallet_models::Error::<Test>::ListingInUse);
        run_to(14);
        assert_eq!(uses(), 1);
        assert_ok!(Providers::remove_offer(
            RuntimeOrigin::signed(PETRA),
            listing()
        ));
        assert_noop!(drop(), pallet_models::Error::<Test>::PotNotEmpty);
        assert_ok!(Models::claim_royalties(
            RuntimeOrigin::signed(SAM),
            listing()
        ));
        assert_ok!(drop());
        assert_eq!(<Models as ModelCatalogue<u64>>::listing(&listing()), None);
        // What the job was is still readable.
        assert_eq!(settlement(id).royalty, 12);
    });
}

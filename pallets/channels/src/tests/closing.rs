use crate::{mock::*, Agenda, ChannelState, Error, Event, HoldReason};
use assay_primitives::{Balance, ChannelId, SignedVoucher};
use frame_support::{assert_noop, assert_ok, dispatch::Pays};
use sp_core::H256;
use sp_runtime::DispatchResult;

fn close(by: u64, id: ChannelId, last: Option<(SignedVoucher, Balance)>) -> DispatchResult {
    Channels::close(RuntimeOrigin::signed(by), id, last)
}

fn finalize(id: ChannelId) -> frame_support::dispatch::DispatchResultWithPostInfo {
    Channels::finalize(RuntimeOrigin::signed(SAM), id)
}

#[test]
fn a_provider_has_the_window_to_settle_and_then_the_user_is_refunded() {
    TestExt::new().execute_with(|| {
        let before = free(UMA);
        let id = opened();
        run_to(3);
        request_close(id);
        assert_eq!(channel(id).state, ChannelState::Closing { finalize_at: 13 });
        System::assert_last_event(
            Event::CloseRequested {
                channel: id,
                provider: PETRA,
                finalize_at: 13,
            }
            .into(),
        );
        run_to(8);
        assert_ok!(settle(id, 4_000));
        run_to(13);
        // Seven of a hundred are owed to publisher and protocol.
        assert_eq!(in_channels(UMA), DEPOSIT - 3_720);
        run_to(14);
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 33 });
        assert_eq!(in_channels(UMA), 0);
        let deposit = held(HoldReason::ChannelDeposit, UMA);
        assert_eq!(free(UMA), before - 4_000 - deposit);
        run_to(33);
        assert!(Channels::channel(id).is_some());
        run_to(34);
        assert_eq!(Channels::channel(id), None);
        assert_eq!(free(UMA), before - 4_000);
        assert!(Channels::channels_of_user(UMA).is_empty());
        assert!(Channels::channels_of_provider(PETRA).is_empty());
        assert_eq!(Agenda::<Test>::iter().count(), 0);
    });
}

#[test]
fn only_the_user_asks_to_close_and_once() {
    TestExt::new().execute_with(|| {
        let by = RuntimeOrigin::signed;
        let id = opened();
        for who in [URS, PETRA, operator(PETRA), SAM] {
            assert_noop!(Channels::request_close(by(who), id), Error::<Test>::NotUser);
        }
        let unknown = Channels::request_close(by(UMA), H256::zero());
        assert_noop!(unknown, Error::<Test>::UnknownChannel);
        request_close(id);
        run_to(5);
        // Asking again does not begin the window anew.
        let again = Channels::request_close(by(UMA), id);
        assert_noop!(again, Error::<Test>::AlreadyClosing);
        run_to(12);
        let late = Channels::request_close(by(UMA), id);
        assert_noop!(late, Error::<Test>::ChannelClosed);
    });
}

#[test]
fn a_provider_closes_at_once_by_stash_or_operator() {
    TestExt::new().execute_with(|| {
        for who in [PETRA, operator(PETRA)] {
            let before = free(UMA);
            let id = opened();
            let deposit = held(HoldReason::ChannelDeposit, UMA);
            let maturing_before = maturing(PETRA);
            // It has a voucher for more than it is owed.
            assert_ok!(close(who, id, Some((voucher(id, 90_000), 1_000))));
            assert_eq!(maturing(PETRA), maturing_before + 930);
            assert_eq!((free(UMA), in_channels(UMA)), (before - 1_000 - deposit, 0));
            let remove_at = System::block_number() + 20;
            assert_eq!(channel(id).state, ChannelState::Closed { remove_at });
            System::assert_last_event(
                Event::Closed {
                    channel: id,
                    user: UMA,
                    refund: DEPOSIT - 1_000,
                    remove_at,
                }
                .into(),
            );
            assert_noop!(close(who, id, None), Error::<Test>::ChannelClosed);
            run_to(remove_at + 1);
        }
    });
}

#[test]
fn nobody_else_closes_at_once() {
    TestExt::new().execute_with(|| {
        let id = opened();
        for who in [UMA, SAM, PIUS, operator(PIUS)] {
            assert_noop!(close(who, id, None), Error::<Test>::NotProvider);
        }
        // A former operator does not speak for the provider any more.
        let new = 77;
        assert_ok!(Providers::rotate_operator(
            RuntimeOrigin::signed(PETRA),
            new
        ));
        assert_noop!(close(operator(PETRA), id, None), Error::<Test>::NotProvider);
        assert_noop!(
            close(new, H256::zero(), None),
            Error::<Test>::UnknownChannel
        );
        assert_ok!(close(new, id, None));
    });
}

#[test]
fn the_last_voucher_is_checked_as_any_other() {
    TestExt::new().execute_with(|| {
        let (id, other) = (opened(), opened());
        let wrong = Some((voucher(other, 500), 500));
        assert_noop!(close(PETRA, id, wrong), Error::<Test>::WrongChannel);
        let forged = Some((voucher_of(URS, hash_of(0), id, 500), 500));
        assert_noop!(close(PETRA, id, forged), Error::<Test>::InvalidSignature);
        let too_much = Some((voucher(id, 500), 501));
        assert_noop!(
            close(PETRA, id, too_much),
            Error::<Test>::AmountExceedsVoucher
        );
        let over = Some((voucher(id, DEPOSIT + 1), 500));
        assert_noop!(close(PETRA, id, over), Error::<Test>::VoucherExceedsDeposit);
        // A watchtower has settled it before.
        assert_ok!(settle(id, 500));
        assert_ok!(close(PETRA, id, Some((voucher(id, 500), 500))));
        assert_eq!(channel(id).settled, 500);
    });
}

#[test]
fn a_provider_may_close_what_the_user_asked_to_close() {
    TestExt::new().execute_with(|| {
        let id = opened();
        request_close(id);
        run_to(4);
        assert_ok!(close(PETRA, id, Some((voucher(id, 500), 500))));
        // The step at the end of the window is taken back.
        assert_eq!(
            Agenda::<Test>::iter_keys().collect::<Vec<_>>(),
            vec![(24, id)]
        );
        run_to(25);
        assert_eq!(Channels::channel(id), None);
    });
}

#[test]
fn a_record_is_kept_until_what_it_paid_has_matured() {
    TestExt::new().maturing_blocks(40).execute_with(|| {
        let id = opened();
        run_to(6);
        assert_ok!(close(PETRA, id, Some((voucher(id, 500), 500))));
        // Forty blocks, and the rest of an eighth of them.
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 50 });
        run_to(50);
        assert!(maturing(PETRA) > 0 && Channels::channel(id).is_some());
        run_to(51);
        assert!(maturing(PETRA) == 0 && Channels::channel(id).is_none());
    });
}

#[test]
fn the_user_of_a_provider_that_has_left_is_refunded() {
    TestExt::new().execute_with(|| {
        let before = free(UMA);
        let id = opened();
        assert_ok!(settle(id, 500));
        run_to(30);
        leave(PETRA);
        request_close(id);
        run_to(System::block_number() + 11);
        assert_eq!(in_channels(UMA), 0);
        run_to(System::block_number() + 20);
        assert_eq!(free(UMA), before - 500);
    });
}

#[test]
fn anyone_takes_a_step_that_is_due_and_pays_nothing_for_it() {
    TestExt::new().execute_with(|| {
        MaxAgendaWeight::set(frame_support::weights::Weight::zero());
        let id = opened();
        assert_noop!(finalize(id), Error::<Test>::NotDue);
        request_close(id);
        run_to(10);
        assert_noop!(finalize(id), Error::<Test>::NotDue);
        run_to(15);
        // Not taken yet: the provider may still settle.
        assert_ok!(settle(id, 500));
        let info = finalize(id).unwrap();
        assert_eq!(info.pays_fee, Pays::No);
        assert_eq!(channel(id).state, ChannelState::Closed { remove_at: 35 });
        assert_noop!(settle(id, 600), Error::<Test>::ChannelClosed);
        assert_noop!(finalize(id), Error::<Test>::NotDue);
        run_to(35);
        assert_eq!(finalize(id).unwrap().pays_fee, Pays::No);
        assert_noop!(finalize(id), Error::<Test>::UnknownChannel);
        System::assert_last_event(Event::Removed { channel: id }.into());
    });
}

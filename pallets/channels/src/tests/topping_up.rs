use crate::{mock::*, Agenda, ChannelState, Channels as Records, Error, Event};
use assay_primitives::{Balance, ChannelId};
use frame_support::{assert_noop, assert_ok};
use sp_core::H256;
use sp_runtime::{DispatchResult, TokenError};

fn top_up(by: u64, id: ChannelId, amount: Balance) -> DispatchResult {
    Channels::top_up(RuntimeOrigin::signed(by), id, amount)
}

#[test]
fn what_is_added_can_be_spent() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_ok!(settle(id, DEPOSIT));
        let more = settle(id, DEPOSIT + 500);
        assert_noop!(more, Error::<Test>::VoucherExceedsDeposit);
        assert_ok!(top_up(UMA, id, 700));
        let rest = || in_channels(UMA) - channel(id).dues.total();
        assert_eq!((channel(id).deposit, rest()), (DEPOSIT + 700, 700));
        System::assert_last_event(
            Event::ToppedUp {
                channel: id,
                amount: 700,
                deposit: DEPOSIT + 700,
            }
            .into(),
        );
        assert_ok!(settle(id, DEPOSIT + 500));
        assert_eq!(rest(), 200);
    });
}

#[test]
fn topping_up_cancels_a_close() {
    TestExt::new().execute_with(|| {
        // Nothing is an amount too.
        for amount in [0, 700] {
            let id = opened();
            request_close(id);
            run_to(System::block_number() + 5);
            assert_ok!(top_up(UMA, id, amount));
            assert_eq!(channel(id).state, ChannelState::Open);
            assert_eq!(Agenda::<Test>::iter().count(), 0);
            run_to(System::block_number() + 30);
            assert_eq!(channel(id).state, ChannelState::Open);
            assert_ok!(settle(id, DEPOSIT + amount));
            // Asked for again, the window begins anew.
            request_close(id);
            let finalize_at = System::block_number() + 10;
            assert_eq!(channel(id).state, ChannelState::Closing { finalize_at });
            assert_ok!(top_up(UMA, id, 0));
        }
    });
}

#[test]
fn only_the_user_tops_up() {
    TestExt::new().execute_with(|| {
        let id = opened();
        request_close(id);
        for who in [URS, PETRA, operator(PETRA), SAM] {
            assert_noop!(top_up(who, id, 1), Error::<Test>::NotUser);
        }
        let unknown = top_up(UMA, H256::zero(), 1);
        assert_noop!(unknown, Error::<Test>::UnknownChannel);
    });
}

#[test]
fn a_closed_channel_is_not_topped_up() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_ok!(Channels::close(RuntimeOrigin::signed(PETRA), id, None));
        assert_noop!(top_up(UMA, id, 1), Error::<Test>::ChannelClosed);
        let other = opened();
        request_close(other);
        run_to(12);
        assert_noop!(top_up(UMA, other, 1), Error::<Test>::ChannelClosed);
    });
}

#[test]
fn nobody_tops_up_for_a_provider_that_has_left() {
    TestExt::new().execute_with(|| {
        let id = opened();
        leave(PETRA);
        assert_noop!(top_up(UMA, id, 1), Error::<Test>::ProviderGone);
        register_provider(PETRA);
        assert_noop!(top_up(UMA, id, 1), Error::<Test>::ProviderGone);
    });
}

#[test]
fn what_is_added_must_be_there_and_fit() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_noop!(top_up(UMA, id, ENDOWMENT), TokenError::FundsUnavailable);
        let before = channel(id);
        Records::<Test>::mutate(id, |channel| {
            channel.as_mut().unwrap().deposit = Balance::MAX;
        });
        assert_noop!(top_up(UMA, id, 1), Error::<Test>::Overflow);
        Records::<Test>::insert(id, before);
    });
}

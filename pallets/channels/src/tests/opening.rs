use crate::{mock::*, ChannelRecordOf, ChannelState, Error, Event, HoldReason, NextChannel};
use assay_primitives::{channel_id, ChannelId, VoucherKey};
use codec::MaxEncodedLen;
use frame_support::{assert_noop, assert_ok};
use sp_core::H256;
use sp_runtime::{DispatchResult, TokenError};

fn try_open(provider: u64, deposit: u128) -> DispatchResult {
    let by = RuntimeOrigin::signed(UMA);
    Channels::open(by, provider, listing(), key_of(UMA), deposit)
}

#[test]
fn a_channel_holds_its_deposit_and_is_found_by_both_sides() {
    TestExt::new().execute_with(|| {
        let before = free(UMA);
        run_to(5);
        assert_ok!(try_open(PETRA, DEPOSIT));
        let id = channel_id(&hash_of(0), 0);
        let record = channel(id);
        assert_eq!(
            (record.user, record.provider, record.listing),
            (UMA, PETRA, listing())
        );
        assert_eq!((record.epoch, record.opened_at), (1, 5));
        assert_eq!(record.voucher_key, key_of(UMA));
        assert_eq!((record.deposit, record.settled), (DEPOSIT, 0));
        assert_eq!(record.state, ChannelState::Open);

        let bytes = ChannelRecordOf::<Test>::max_encoded_len() + 2 * (8 + 32);
        let deposit = 1_000 + bytes as u128;
        assert_eq!(in_channels(UMA), DEPOSIT);
        assert_eq!(held(HoldReason::ChannelDeposit, UMA), deposit);
        assert_eq!(free(UMA), before - DEPOSIT - deposit);
        assert_eq!(Channels::channels_of_user(UMA), vec![id]);
        assert_eq!(Channels::channels_of_provider(PETRA), vec![id]);
        assert_eq!(
            Channels::channels_of_provider(PIUS),
            Vec::<ChannelId>::new()
        );
        System::assert_last_event(
            Event::Opened {
                channel: id,
                user: UMA,
                provider: PETRA,
                listing: listing(),
                deposit: DEPOSIT,
            }
            .into(),
        );
    });
}

#[test]
fn a_channel_needs_an_active_listing() {
    TestExt::new().execute_with(|| {
        let by = RuntimeOrigin::signed;
        let unknown = Channels::open(by(UMA), PETRA, H256::zero(), key_of(UMA), DEPOSIT);
        assert_noop!(unknown, Error::<Test>::UnknownListing);
        assert_ok!(Models::retire(by(PAULA), listing()));
        assert_noop!(try_open(PETRA, DEPOSIT), Error::<Test>::ListingNotActive);
    });
}

#[test]
fn a_channel_needs_a_provider_that_serves_it() {
    TestExt::new().execute_with(|| {
        let by = RuntimeOrigin::signed;
        assert_noop!(try_open(SAM, DEPOSIT), Error::<Test>::UnknownProvider);

        assert_ok!(Providers::set_online(by(PETRA), false));
        assert_noop!(try_open(PETRA, DEPOSIT), Error::<Test>::ProviderOffline);
        assert_ok!(Providers::set_online(by(PETRA), true));

        assert_ok!(Providers::update_info(by(PETRA), info(b"")));
        assert_noop!(
            try_open(PETRA, DEPOSIT),
            Error::<Test>::ProviderHasNoEndpoint
        );
        assert_ok!(Providers::update_info(
            by(PETRA),
            info(b"https://petra.example")
        ));

        assert_ok!(Providers::remove_offer(by(PETRA), listing()));
        assert_noop!(try_open(PETRA, DEPOSIT), Error::<Test>::ProviderHasNoOffer);
        set_offer(PETRA);
        assert_ok!(try_open(PETRA, DEPOSIT));
    });
}

#[test]
fn a_channel_needs_a_deposit_that_its_user_has() {
    TestExt::new().execute_with(|| {
        let too_small = try_open(PETRA, MIN_DEPOSIT - 1);
        assert_noop!(too_small, Error::<Test>::DepositTooSmall);
        assert_noop!(try_open(PETRA, ENDOWMENT), TokenError::FundsUnavailable);
        assert_ok!(try_open(PETRA, MIN_DEPOSIT));
    });
}

/// Two channels cannot promise the same money.
#[test]
fn what_one_channel_holds_another_cannot() {
    TestExt::new().execute_with(|| {
        let most = free(UMA) - 10 * MIN_DEPOSIT;
        assert_ok!(try_open(PETRA, most));
        assert_noop!(try_open(PIUS, most), TokenError::FundsUnavailable);
        assert_noop!(
            Balances::transfer_allow_death(RuntimeOrigin::signed(UMA), SAM, most),
            TokenError::FundsUnavailable
        );
        assert_eq!(in_channels(UMA), most);
    });
}

#[test]
fn an_id_is_never_used_twice() {
    TestExt::new().execute_with(|| {
        let first = opened();
        assert_ok!(Channels::close(RuntimeOrigin::signed(PETRA), first, None));
        run_to(100);
        assert_eq!(Channels::channel(first), None);
        let second = opened();
        assert_ne!(first, second);
        assert_eq!(Channels::channel(first), None);
        // The same number on another chain is another channel.
        assert_ne!(second, channel_id(&hash_of(1), 1));

        NextChannel::<Test>::put(u64::MAX);
        assert_noop!(try_open(PETRA, DEPOSIT), Error::<Test>::Overflow);
    });
}

#[test]
fn one_user_may_have_several_channels_to_one_provider() {
    TestExt::new().execute_with(|| {
        let (first, second) = (opened(), opened());
        assert_ne!(first, second);
        assert_eq!(in_channels(UMA), 2 * DEPOSIT);
        assert_ok!(settle(first, 400));
        assert_eq!((channel(first).settled, channel(second).settled), (400, 0));
    });
}

#[test]
fn a_listing_is_not_dropped_while_a_channel_names_it() {
    TestExt::new().execute_with(|| {
        let by = RuntimeOrigin::signed;
        let id = opened();
        for stash in [PETRA, PIUS] {
            assert_ok!(Providers::remove_offer(by(stash), listing()));
        }
        assert_ok!(Models::retire(by(PAULA), listing()));
        let in_use = || {
            let drop = Models::drop_retired(by(PAULA), listing());
            assert_noop!(drop, pallet_models::Error::<Test>::ListingInUse);
        };
        in_use();
        assert_ok!(settle(id, 10_000));
        assert_ok!(Channels::close(by(PETRA), id, None));
        assert_ok!(Models::claim_royalties(by(PAULA), listing()));
        // What a closed channel paid can be disputed, and the model judges.
        in_use();
        run_to(30);
        assert_ok!(Models::drop_retired(by(PAULA), listing()));
        // For the check of the books.
        list_model();
    });
}

#[test]
fn a_voucher_key_is_no_account() {
    TestExt::new().execute_with(|| {
        let id = opened();
        let VoucherKey::Sr25519(key) = channel(id).voucher_key else {
            panic!("Uma signs with sr25519")
        };
        // Nothing that the key could sign for as an account is the channel's.
        let account = u64::from_le_bytes(key.0[..8].try_into().unwrap());
        let by = || RuntimeOrigin::signed(account);
        assert_noop!(Channels::request_close(by(), id), Error::<Test>::NotUser);
        assert_noop!(Channels::top_up(by(), id, 0), Error::<Test>::NotUser);
        assert_noop!(Channels::close(by(), id, None), Error::<Test>::NotProvider);
    });
}

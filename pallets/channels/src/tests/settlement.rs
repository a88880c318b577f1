use crate::{mock::*, Channels as Records, Error, Event};
use assay_primitives::{Balance, ChannelId, Dues, Settlement, SignedVoucher, Voucher, PPM_ONE};
use frame_support::{assert_noop, assert_ok, traits::ConstU32, BoundedVec};
use sp_core::H256;
use sp_runtime::DispatchResult;

fn settle_by(by: u64, voucher: SignedVoucher, amount: Balance) -> DispatchResult {
    Channels::settle(RuntimeOrigin::signed(by), voucher, amount)
}

type Vouchers = BoundedVec<(SignedVoucher, Balance), ConstU32<100>>;

fn settle_many(vouchers: Vec<(SignedVoucher, Balance)>) -> DispatchResult {
    let vouchers = Vouchers::try_from(vouchers).unwrap();
    Channels::settle_many(RuntimeOrigin::signed(SAM), vouchers)
}

fn pot() -> Balance {
    held(pallet_models::HoldReason::Royalty, Models::account_id())
}

#[test]
fn what_is_owed_is_settled_and_not_what_the_voucher_allows() {
    TestExt::new().execute_with(|| {
        let id = opened();
        let (uma, petra) = (free(UMA), free(PETRA));
        let issued = Balances::total_issuance();
        // The voucher pays a window ahead of what was used.
        assert_ok!(settle_by(PETRA, voucher(id, 60_000), 10_030));
        // Two percent, five percent, half of the five: rounded down, the provider has the rest.
        let settlement = Settlement {
            fee: 10_030,
            provider: 9_329,
            royalty: 200,
            treasury: 251,
            burned: 250,
        };
        System::assert_has_event(
            Event::Settled {
                channel: id,
                provider: PETRA,
                settled: 10_030,
                settlement,
            }
            .into(),
        );
        assert_eq!(channel(id).settled, 10_030);
        assert_eq!(channel(id).dues, settlement.dues());
        // The dues are owed, and stay where they are.
        assert_eq!((free(UMA), in_channels(UMA)), (uma, DEPOSIT - 9_329));
        assert_eq!((free(PETRA), maturing(PETRA)), (petra, 9_329));
        assert_eq!((free(TREASURY), pot()), (EXISTENTIAL_DEPOSIT, 0));
        assert_eq!(Balances::total_issuance(), issued);

        // The same voucher pays what was used later, and only that.
        assert_ok!(settle_by(PETRA, voucher(id, 60_000), 12_030));
        assert_eq!(
            (channel(id).settled, maturing(PETRA)),
            (12_030, 9_329 + 1_860)
        );
        assert_ok!(Channels::close(RuntimeOrigin::signed(PETRA), id, None));
        assert_eq!((free(UMA), in_channels(UMA)), (uma + DEPOSIT - 12_030, 0));
        assert_eq!(free(TREASURY), EXISTENTIAL_DEPOSIT + 251 + 50);
        assert_eq!(pot(), 200 + 40);
        assert_eq!(Balances::total_issuance(), issued - 250 - 50);
        assert_eq!(channel(id).dues, Dues::default());
    });
}

#[test]
fn anyone_settles_with_keys_of_both_kinds() {
    TestExt::new().execute_with(|| {
        for user in [UMA, URS] {
            let id = open(user, PETRA, DEPOSIT);
            for (at, by) in [SAM, user, PIUS, operator(PETRA), PETRA]
                .into_iter()
                .enumerate()
            {
                let amount = 100 * (at as u128 + 1);
                assert_ok!(settle_by(by, voucher(id, amount), amount));
                assert_eq!(channel(id).settled, amount);
            }
        }
    });
}

#[test]
fn a_voucher_pays_once() {
    TestExt::new().execute_with(|| {
        let id = opened();
        let first = voucher(id, 500);
        assert_ok!(settle_by(PETRA, first, 500));
        assert_noop!(settle_by(PETRA, first, 500), Error::<Test>::NothingToSettle);
        let lower = voucher(id, 499);
        assert_noop!(settle_by(PETRA, lower, 499), Error::<Test>::NothingToSettle);
        assert_noop!(settle_by(PETRA, first, 0), Error::<Test>::NothingToSettle);
        assert_ok!(settle_by(PETRA, voucher(id, 501), 501));
        assert_eq!(in_channels(UMA), DEPOSIT - 501 + channel(id).dues.total());
    });
}

#[test]
fn no_more_is_settled_than_the_voucher_allows() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_noop!(
            settle_by(PETRA, voucher(id, 500), 501),
            Error::<Test>::AmountExceedsVoucher
        );
        let mut raised = voucher(id, 500);
        raised.cumulative = 600;
        for amount in [1, 500, 600] {
            let taken = settle_by(PETRA, raised, amount);
            assert_noop!(taken, Error::<Test>::InvalidSignature);
        }
    });
}

#[test]
fn a_voucher_over_more_than_the_deposit_pays_nothing() {
    TestExt::new().execute_with(|| {
        let id = opened();
        // Uma has money enough; it is not in this channel.
        open(UMA, PIUS, DEPOSIT);
        let over = voucher(id, DEPOSIT + 1);
        for amount in [1, DEPOSIT, DEPOSIT + 1] {
            let taken = settle_by(PETRA, over, amount);
            assert_noop!(taken, Error::<Test>::VoucherExceedsDeposit);
        }
        assert_ok!(settle(id, DEPOSIT));
        assert_eq!(in_channels(UMA), DEPOSIT + channel(id).dues.total());
    });
}

#[test]
fn a_voucher_is_for_its_own_channel() {
    TestExt::new().execute_with(|| {
        // The same user, provider and voucher key.
        let (first, second) = (opened(), opened());
        let mut moved = voucher(first, 500);
        moved.channel = second;
        assert_noop!(
            settle_by(PETRA, moved, 500),
            Error::<Test>::InvalidSignature
        );
        moved.channel = H256::zero();
        assert_noop!(settle_by(PETRA, moved, 500), Error::<Test>::UnknownChannel);
    });
}

#[test]
fn a_voucher_is_for_its_own_chain() {
    TestExt::new().execute_with(|| {
        let id = opened();
        let elsewhere = voucher_of(UMA, hash_of(1), id, 500);
        let taken = settle_by(PETRA, elsewhere, 500);
        assert_noop!(taken, Error::<Test>::InvalidSignature);
    });
}

#[test]
fn only_the_voucher_key_signs() {
    TestExt::new().execute_with(|| {
        let id = opened();
        // Another key, a key of the other kind, and a wallet's signature in brackets.
        let bracketed = {
            let (genesis, cumulative) = (hash_of(0), 500);
            let voucher = Voucher {
                genesis,
                channel: id,
                cumulative,
            };
            let payload = [b"<Bytes>", &voucher.signing_payload()[..], b"</Bytes>"].concat();
            SignedVoucher {
                channel: id,
                cumulative,
                signature: signature_of(UMA, &payload),
            }
        };
        let others = [PETRA, URS].map(|other| voucher_of(other, hash_of(0), id, 500));
        for voucher in others.into_iter().chain([bracketed]) {
            let taken = settle_by(PETRA, voucher, 500);
            assert_noop!(taken, Error::<Test>::InvalidSignature);
        }
    });
}

#[test]
fn a_closed_channel_pays_nothing() {
    TestExt::new().execute_with(|| {
        let id = opened();
        let kept = voucher(id, 500);
        assert_ok!(Channels::close(RuntimeOrigin::signed(PETRA), id, None));
        assert_noop!(settle_by(PETRA, kept, 500), Error::<Test>::ChannelClosed);
        run_to(100);
        assert_noop!(settle_by(PETRA, kept, 500), Error::<Test>::UnknownChannel);
    });
}

#[test]
fn a_provider_that_left_and_came_back_is_another() {
    TestExt::new().execute_with(|| {
        let id = opened();
        let kept = voucher(id, 500);
        leave(PETRA);
        assert_noop!(settle_by(SAM, kept, 500), Error::<Test>::ProviderGone);
        assert_ok!(settle_many(vec![]));
        register_provider(PETRA);
        assert_noop!(settle_by(PETRA, kept, 500), Error::<Test>::ProviderGone);
        let by = RuntimeOrigin::signed;
        let last = Some((kept, 500));
        assert_noop!(
            Channels::close(by(PETRA), id, last),
            Error::<Test>::ProviderGone
        );
        let before = free(UMA);
        assert_ok!(Channels::close(by(PETRA), id, None));
        assert_eq!(free(UMA), before + DEPOSIT);
    });
}

#[test]
fn many_are_settled_at_once() {
    TestExt::new().execute_with(|| {
        let ids: Vec<ChannelId> = [UMA, URS, UMA]
            .map(|user| open(user, PETRA, DEPOSIT))
            .to_vec();
        // Two vouchers of one channel are worth the later.
        let vouchers = vec![
            (voucher(ids[0], 900), 300),
            (voucher(ids[1], 400), 400),
            (voucher(ids[0], 900), 800),
            (voucher(ids[2], 500), 500),
        ];
        assert_ok!(settle_many(vouchers));
        let settled: Vec<_> = ids.iter().map(|id| channel(*id).settled).collect();
        assert_eq!(settled, [800, 400, 500]);
        // Each is divided by itself, and seven of a hundred are owed to others than the provider.
        assert_eq!(
            (in_channels(UMA), in_channels(URS)),
            (2 * DEPOSIT - 1_209, DEPOSIT - 372)
        );
        let record = provider(PETRA);
        assert_eq!((record.channel_exposure, maturing(PETRA)), (1_700, 1_581));
        assert_eq!(record.record.earned, 1_581);
    });
}

#[test]
fn many_are_settled_for_one_provider_at_a_time() {
    TestExt::new().execute_with(|| {
        let [first, second] = [PETRA, PIUS].map(|provider| open(UMA, provider, DEPOSIT));
        let vouchers = [first, second].map(|id| (voucher(id, 500), 500));
        assert_noop!(settle_many(vouchers.to_vec()), Error::<Test>::OtherProvider);
        // One that would pay nothing is skipped, whoever's it is.
        assert_ok!(settle(second, 500));
        assert_ok!(settle_many(vouchers.to_vec()));
        assert_eq!(
            (channel(first).settled, channel(second).settled),
            (500, 500)
        );
    });
}

#[test]
fn many_settled_at_once_are_worth_as_much_as_one_by_one() {
    let amounts = [1, 19, 20, 99, 333, 5_050, 77_777];
    let story = |at_once: bool| {
        TestExt::new().execute_with(|| {
            let vouchers = amounts.map(|amount| {
                let id = opened();
                (voucher(id, amount), amount)
            });
            if at_once {
                assert_ok!(settle_many(vouchers.to_vec()));
            } else {
                for (voucher, amount) in vouchers {
                    assert_ok!(settle_by(SAM, voucher, amount));
                }
            }
            let dues = vouchers.map(|(voucher, _)| channel(voucher.channel).dues);
            (
                maturing(PETRA),
                provider(PETRA).channel_exposure,
                in_channels(UMA),
                dues,
            )
        })
    };
    assert_eq!(story(true), story(false));
}

#[test]
fn anyone_has_the_dues_of_an_open_channel_paid() {
    TestExt::new().execute_with(|| {
        let id = opened();
        let pay = |id| Channels::pay_dues(RuntimeOrigin::signed(SAM), id);
        assert_noop!(pay(id), Error::<Test>::NothingDue);
        assert_noop!(pay(H256::zero()), Error::<Test>::UnknownChannel);
        assert_ok!(settle(id, 1_000));
        let issued = Balances::total_issuance();
        assert_ok!(pay(id));
        let dues = Dues {
            royalty: 20,
            treasury: 25,
            burned: 25,
        };
        System::assert_last_event(Event::DuesPaid { channel: id, dues }.into());
        assert_eq!((pot(), free(TREASURY)), (20, EXISTENTIAL_DEPOSIT + 25));
        assert_eq!(Balances::total_issuance(), issued - 25);
        assert_eq!(provider(PETRA).burned.amount, 25);
        assert_eq!(in_channels(UMA), DEPOSIT - 1_000);
        assert_noop!(pay(id), Error::<Test>::NothingDue);
        // What is settled later is owed anew.
        assert_ok!(settle(id, 2_000));
        request_close(id);
        assert_ok!(pay(id));
        assert_eq!((pot(), channel(id).dues), (40, Dues::default()));
    });
}

#[test]
fn where_a_watchtower_was_faster_the_others_are_settled_all_the_same() {
    TestExt::new().execute_with(|| {
        let [done, closed, gone, open] = [(); 4].map(|()| opened());
        let vouchers = [done, closed, gone, open].map(|id| (voucher(id, 500), 500));
        let close = |id| Channels::close(RuntimeOrigin::signed(PETRA), id, None);
        assert_ok!(close(gone));
        run_to(50);
        assert_ok!(close(closed));
        assert_ok!(settle(done, 500));
        assert_eq!(Channels::channel(gone), None);
        assert_ok!(settle_many(vouchers.to_vec()));
        assert_eq!((channel(done).settled, channel(open).settled), (500, 500));
        assert_eq!(channel(closed).settled, 0);
        // All of it again changes nothing.
        let before = in_channels(UMA);
        assert_ok!(settle_many(vouchers.to_vec()));
        assert_eq!(in_channels(UMA), before);
    });
}

#[test]
fn one_false_voucher_among_many_settles_none() {
    TestExt::new().execute_with(|| {
        let (first, second) = (opened(), opened());
        let good = (voucher(first, 500), 500);
        let forged = voucher_of(URS, hash_of(0), second, 500);
        for (voucher, amount, error) in [
            (forged, 500, Error::<Test>::InvalidSignature),
            (voucher(second, 500), 501, Error::AmountExceedsVoucher),
            (
                voucher(second, DEPOSIT + 1),
                5,
                Error::VoucherExceedsDeposit,
            ),
        ] {
            assert_noop!(settle_many(vec![good, (voucher, amount)]), error);
        }
        assert_ok!(settle_many(vec![good]));
    });
}

#[test]
fn a_channel_that_is_closing_pays_until_it_is_closed() {
    TestExt::new().execute_with(|| {
        let id = opened();
        request_close(id);
        assert_ok!(settle(id, 500));
        run_to(11);
        // The window ends with this block, not before it.
        assert_ok!(settle(id, 600));
        run_to(12);
        assert_noop!(settle(id, 700), Error::<Test>::ChannelClosed);
        assert_eq!(channel(id).settled, 600);
    });
}

#[test]
fn a_provider_answers_for_what_a_channel_paid_until_it_has_matured() {
    TestExt::new().execute_with(|| {
        let id = opened();
        let free_bond = || provider(PETRA).free_bond(BOND, 4);
        assert_ok!(settle(id, 1_000));
        run_to(2);
        assert_ok!(settle(id, 1_500));
        let record = provider(PETRA);
        assert_eq!((record.channel_exposure, record.exposure), (1_500, 0));
        assert_eq!(free_bond(), 4 * BOND - 1_500);
        assert_eq!((record.maturing, maturing(PETRA)), (1_395, 1_395));
        // Both are due at the same eighth of the maturing time: 16 blocks and the rest of two.
        run_to(18);
        assert_eq!(provider(PETRA).channel_exposure, 1_500);
        run_to(19);
        let record = provider(PETRA);
        assert_eq!((record.channel_exposure, maturing(PETRA)), (0, 0));
        assert_eq!(free_bond(), 4 * BOND);
    });
}

#[test]
fn a_provider_may_unbond_while_channels_mature() {
    TestExt::new().execute_with(|| {
        let id = opened();
        assert_ok!(settle(id, DEPOSIT));
        assert_ok!(Providers::unbond(RuntimeOrigin::signed(PETRA), BOND));
    });
}

#[test]
fn what_a_channel_pays_counts_in_the_record() {
    TestExt::new().execute_with(|| {
        let id = opened();
        // A protocol fee of 50 of the 60 that are worth a full step.
        assert_ok!(settle(id, 1_000));
        let record = provider(PETRA).record;
        assert_eq!(record.earned, 930);
        assert_eq!(record.score, PPM_ONE / 2 + (PPM_ONE / 2 / 16) * 50 / 60);
        assert_eq!((record.assigned, record.delivered), (0, 0));
    });
}

#[test]
fn a_share_that_cannot_be_paid_is_owed_while_the_channel_is_open() {
    TestExt::new().endow(TREASURY, 0).execute_with(|| {
        let id = opened();
        let pay = || Channels::pay_dues(RuntimeOrigin::signed(SAM), id);
        // The treasury's 25 would not keep its account alive.
        assert_ok!(settle(id, 1_000));
        assert_ok!(pay());
        assert_eq!((free(TREASURY), channel(id).dues.treasury), (0, 25));
        assert_eq!((pot(), maturing(PETRA)), (20, 930));
        // Two such shares would not either, and five do.
        assert_ok!(settle(id, 2_000));
        assert_ok!(pay());
        assert_eq!((free(TREASURY), channel(id).dues.treasury), (0, 50));
        assert_ok!(settle(id, 5_000));
        assert_ok!(pay());
        assert_eq!((free(TREASURY), channel(id).dues.treasury), (125, 0));
    });
}

#[test]
fn a_share_that_cannot_be_paid_at_the_end_is_the_users() {
    TestExt::new().endow(TREASURY, 0).execute_with(|| {
        let before = free(UMA);
        let id = opened();
        assert_ok!(settle(id, 1_000));
        assert_ok!(Channels::close(RuntimeOrigin::signed(PETRA), id, None));
        assert_eq!((free(TREASURY), channel(id).dues), (0, Dues::default()));
        run_to(60);
        assert_eq!(free(UMA), before - 975);
    });
}

#[test]
fn a_provider_may_be_its_own_user() {
    TestExt::new().execute_with(|| {
        let before = free(PETRA);
        let id = open(PETRA, PETRA, DEPOSIT);
        assert_ok!(settle(id, 1_000));
        assert_eq!((maturing(PETRA), in_channels(PETRA)), (930, DEPOSIT - 930));
        assert_ok!(Channels::close(RuntimeOrigin::signed(PETRA), id, None));
        run_to(60);
        // It has paid the royalty and the protocol fee.
        assert_eq!(free(PETRA), before - 70);
    });
}

#[test]
fn a_settlement_of_one_planck_is_the_providers() {
    TestExt::new().execute_with(|| {
        let id = opened();
        for amount in 1..=19 {
            assert_ok!(settle(id, amount));
        }
        assert_eq!((maturing(PETRA), pot()), (19, 0));
        assert_eq!(provider(PETRA).channel_exposure, 19);
    });
}

#[test]
fn the_books_would_tell() {
    TestExt::new().execute_with(|| {
        let id = opened();
        let told = |change: &dyn Fn(), number: &str| {
            frame_support::storage::with_transaction(|| {
                change();
                let error = format!("{:?}", Channels::do_try_state().unwrap_err());
                assert!(error.contains(number), "{error}");
                let undone: Result<(), sp_runtime::DispatchError> = Ok(());
                sp_runtime::TransactionOutcome::Rollback(undone)
            })
            .unwrap();
        };
        let mutate = |change: fn(&mut crate::ChannelRecordOf<Test>)| {
            Records::<Test>::mutate(id, |channel| change(channel.as_mut().unwrap()));
        };
        told(&|| mutate(|channel| channel.deposit += 1), "channels 1");
        told(
            &|| mutate(|channel| channel.settled = DEPOSIT + 1),
            "channels 2",
        );
        told(&|| mutate(|channel| channel.refunded = 1), "channels 2");
        told(&|| mutate(|channel| channel.dues.royalty = 1), "channels 2");
        told(
            &|| crate::UserChannels::<Test>::remove(UMA, id),
            "channels 3",
        );
        told(
            &|| crate::ProviderChannels::<Test>::remove(PETRA, id),
            "channels 3",
        );
        let stray = || crate::UserChannels::<Test>::insert(URS, id, ());
        told(&stray, "channels 3");
        told(&|| crate::Agenda::<Test>::insert(7, id, ()), "channels 4");
        let closing = crate::ChannelState::Closing { finalize_at: 9 };
        let unfiled = || {
            Records::<Test>::mutate(id, |channel| channel.as_mut().unwrap().state = closing);
        };
        told(&unfiled, "channels 4");
        told(&|| mutate(|channel| channel.epoch = 2), "channels 5");
        told(&|| crate::NextChannel::<Test>::put(0), "channels 6");
    });
}

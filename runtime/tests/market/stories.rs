//! Stories in which every planck is followed.

use assay_primitives::{dispute::commitment, Anchor, Finish, Receipt};
use assay_runtime::{
    treasury_account, Balance, Balances, Channels, Disputes, Governance, Hash, Jobs, Models,
    Providers, Runtime, RuntimeCall, RuntimeOrigin, Signature, System, ASY, MICRO_ASY, MILLI_ASY,
};
use codec::{Encode, MaxEncodedLen};
use pallet_jobs::{JobRecordOf, JobState};
use sp_keyring::Sr25519Keyring::{self, Alice, Charlie, Eve, Ferdie};

use crate::{
    blocks::{block, development, dispatch, held, open_market, owned, run_to, BOND, ENDOWMENT},
    calls::{
        answer_assigned, job, list_model, listing_of, open_channel, recent_channel, register,
        set_offer, submit, voucher, WORD,
    },
    contests::request,
};

/// The command tells with these whether an account can pay, in a test of this name.
#[test]
fn deposits_are_those_of_the_largest_records() {
    use pallet_channels::HoldReason::ChannelDeposit;
    use pallet_jobs::HoldReason::JobDeposit;
    use pallet_models::HoldReason::ListingDeposit;
    use pallet_providers::HoldReason::ProviderDeposit;

    development().execute_with(|| {
        let [publisher, stash, user] = [Charlie, Alice, Ferdie].map(|key| key.to_account_id());
        let listing = listing_of(Charlie);
        block(true, || {
            dispatch(&publisher, list_model()).unwrap();
            dispatch(&stash, register(Sr25519Keyring::Two, BOND)).unwrap();
        });
        assert_eq!(held(ListingDeposit, &publisher), 15_410 * MICRO_ASY);
        assert_eq!(held(ProviderDeposit, &stash), 30_660 * MICRO_ASY);
        block(true, || {
            dispatch(&stash, set_offer(listing, 1, 3, 1)).unwrap();
            dispatch(&user, submit(listing, 7, 64, 1, ASY, None)).unwrap();
        });
        assert_eq!(held(ProviderDeposit, &stash), (30_660 + 10_640) * MICRO_ASY);
        assert_eq!(held(JobDeposit, &user), 20_780 * MICRO_ASY);
        block(true, || {
            dispatch(&user, open_channel(Alice, Ferdie, ASY)).unwrap();
        });
        assert_eq!(held(ChannelDeposit, &user), 13_940 * MICRO_ASY);
    });
}

/// Records that were made at one price and go at another, both ways.
#[test]
fn deposits_come_back_whole_whatever_governance_makes_of_them() {
    use assay_runtime::governance::{Parameters, DEPOSIT_BASE, DEPOSIT_PER_BYTE};
    use pallet_jobs::HoldReason::JobDeposit;
    use pallet_models::HoldReason::ListingDeposit;
    use pallet_providers::HoldReason::ProviderDeposit;

    let cheaper = (*DEPOSIT_BASE.start(), *DEPOSIT_PER_BYTE.start());
    let dearer = (*DEPOSIT_BASE.end(), *DEPOSIT_PER_BYTE.end());
    for (deposit_base, deposit_per_byte) in [cheaper, dearer] {
        development().execute_with(|| {
            let accounts = [Charlie, Alice, Ferdie].map(|key| key.to_account_id());
            let [publisher, stash, user] = &accounts;
            let listing = listing_of(Charlie);
            block(true, || {
                dispatch(publisher, list_model()).unwrap();
                dispatch(stash, register(Sr25519Keyring::Two, BOND)).unwrap();
                dispatch(stash, set_offer(listing, 1, 3, 1)).unwrap();
                dispatch(user, submit(listing, 7, 64, 1, ASY, None)).unwrap();
                let cancel = pallet_jobs::Call::cancel { job: 0 };
                dispatch(user, cancel.into()).unwrap();
            });
            let deposits = || {
                [
                    held(ListingDeposit, publisher),
                    held(ProviderDeposit, stash),
                    held(JobDeposit, user),
                ]
            };
            let taken = deposits();
            assert_eq!(taken, [15_410, 41_300, 20_780].map(|n| n * MICRO_ASY));
            block(true, || {
                let parameters = Parameters {
                    deposit_base,
                    deposit_per_byte,
                    ..Default::default()
                };
                let root = RuntimeOrigin::root();
                Governance::set_parameters(root, parameters).unwrap();
                // An offer that is made anew is the old record.
                dispatch(stash, set_offer(listing, 2, 4, 1)).unwrap();
            });
            assert_eq!(deposits(), taken);
            block(true, || {
                use pallet_models::Call::{drop_retired, retire};
                use pallet_providers::Call::{remove_offer, unbond};
                dispatch(stash, remove_offer { listing }.into()).unwrap();
                dispatch(stash, unbond { amount: BOND }.into()).unwrap();
                dispatch(publisher, retire { listing }.into()).unwrap();
                dispatch(publisher, drop_retired { listing }.into()).unwrap();
            });
            // The record of the job stays for 600 blocks, and the bond for 40.
            run_to(605);
            block(true, || {
                use pallet_providers::Call::{deregister, withdraw_unbonded};
                dispatch(stash, withdraw_unbonded {}.into()).unwrap();
                dispatch(stash, deregister {}.into()).unwrap();
            });
            assert_eq!(deposits(), [0; 3]);
            for account in &accounts {
                assert_eq!(Balances::free_balance(account), ENDOWMENT);
            }
        });
    }
}

#[test]
fn one_job_from_submission_to_removal_moves_exactly_its_fee() {
    use pallet_jobs::HoldReason::{Escrow, JobDeposit};

    // Eight tokens at 1 and four at 3 thousandths of an ASY.
    const FEE: Balance = 20 * MILLI_ASY;
    const ROYALTY_PAID: Balance = 400 * MICRO_ASY;
    const BURNED: Balance = 500 * MICRO_ASY;
    const TO_TREASURY: Balance = 500 * MICRO_ASY;
    const TO_PROVIDER: Balance = FEE - ROYALTY_PAID - BURNED - TO_TREASURY;

    development().execute_with(|| {
        let [publisher, stash, operator, user] =
            [Charlie, Alice, Sr25519Keyring::Two, Ferdie].map(|key| key.to_account_id());
        let listing = listing_of(Charlie);
        let issued = Balances::total_issuance();
        let treasury = owned(&treasury_account());

        block(true, || {
            dispatch(&publisher, list_model()).unwrap();
            dispatch(&stash, register(Sr25519Keyring::Two, BOND)).unwrap();
            dispatch(&stash, set_offer(listing, 1, 3, 1)).unwrap();
            dispatch(&user, submit(listing, 8, 16, 1, ASY, None)).unwrap();
        });
        let prompt: pallet_jobs::TokensOf<Runtime> = vec![WORD; 8].try_into().unwrap();
        let bytes = JobRecordOf::<Runtime>::max_encoded_len() + prompt.encoded_size() + 16 * 4;
        let deposit = 10 * MILLI_ASY + bytes as Balance * 10 * MICRO_ASY;
        assert_eq!(
            (held(Escrow, &user), held(JobDeposit, &user)),
            (ASY, deposit)
        );
        assert_eq!(Balances::free_balance(&user), ENDOWMENT - ASY - deposit);

        run_to(3);
        // The draw releases what eight tokens in and sixteen out can never cost.
        assert_eq!(held(Escrow, &user), 56 * MILLI_ASY);
        let settled = block(true, || {
            let (sender, call) = answer_assigned(0, 4);
            assert_eq!(sender, operator);
            dispatch(&sender, call).unwrap();
        });
        assert_eq!((settled.settled, held(Escrow, &user)), (0, FEE));

        run_to(8);
        assert!(matches!(job(0).state, JobState::Delivered(..)));
        assert_eq!(block(true, || {}).settled, 1);
        assert_eq!(System::block_number(), 9);
        assert_eq!(owned(&user), ENDOWMENT - FEE);
        assert_eq!((held(Escrow, &user), held(JobDeposit, &user)), (0, deposit));
        assert_eq!(owned(&stash), ENDOWMENT + TO_PROVIDER);
        assert_eq!(
            held(pallet_providers::HoldReason::Maturing, &stash),
            TO_PROVIDER
        );
        assert_eq!(Models::account(listing).unwrap().pot, ROYALTY_PAID);
        assert_eq!(owned(&treasury_account()), treasury + TO_TREASURY);
        assert_eq!(Balances::total_issuance(), issued - BURNED);

        run_to(38);
        assert_eq!(
            held(pallet_providers::HoldReason::Maturing, &stash),
            TO_PROVIDER
        );
        run_to(39);
        assert_eq!(held(pallet_providers::HoldReason::Maturing, &stash), 0);
        block(true, || {
            let call = RuntimeCall::Models(pallet_models::Call::claim_royalties { listing });
            dispatch(&user, call).unwrap();
        });
        assert_eq!(owned(&publisher), ENDOWMENT + ROYALTY_PAID);
        assert_eq!(Models::account(listing).unwrap().pot, 0);

        run_to(608);
        assert!(Jobs::output(0).is_some());
        run_to(609);
        assert!(Jobs::job(0).is_none() && Jobs::output(0).is_none());
        assert_eq!(Balances::free_balance(&user), ENDOWMENT - FEE);
        assert_eq!(held(JobDeposit, &user), 0);
        assert_eq!(Balances::total_issuance(), issued - BURNED);
    });
}

#[test]
fn one_channel_from_opening_to_removal_moves_exactly_what_was_settled() {
    use pallet_channels::HoldReason::{ChannelDeposit, Deposit};

    const FEE: Balance = 3 * ASY;
    const ROYALTY_PAID: Balance = 60 * MILLI_ASY;
    const BURNED: Balance = 75 * MILLI_ASY;
    const TO_TREASURY: Balance = 75 * MILLI_ASY;
    const TO_PROVIDER: Balance = FEE - ROYALTY_PAID - BURNED - TO_TREASURY;

    development().execute_with(|| {
        let [stash, operator, user, watchtower] =
            [Alice, Sr25519Keyring::Two, Ferdie, Eve].map(|key| key.to_account_id());
        let issued = Balances::total_issuance();
        let treasury = owned(&treasury_account());
        open_market();
        block(true, || {
            dispatch(&user, open_channel(Alice, Ferdie, 10 * ASY)).unwrap();
        });
        let id = recent_channel(0);
        let deposit = held(ChannelDeposit, &user);
        let channel = || Channels::channel(id).unwrap();
        assert_eq!(held(Deposit, &user), 10 * ASY);
        assert_eq!(channel().epoch, 1);

        // Anybody settles what is owed, with a voucher that pays a little ahead.
        let voucher = voucher(id, 4 * ASY, Ferdie);
        let effect = block(true, || {
            let amount = FEE;
            let settle = pallet_channels::Call::settle { voucher, amount };
            dispatch(&watchtower, settle.into()).unwrap();
        });
        // Royalty and protocol fee are owed until the channel closes.
        assert_eq!((effect.vouchers, effect.burned), (1, 0));
        assert_eq!(held(Deposit, &user), 10 * ASY - TO_PROVIDER);
        assert_eq!(
            held(pallet_providers::HoldReason::Maturing, &stash),
            TO_PROVIDER
        );
        assert_eq!(
            Providers::provider(stash.clone()).unwrap().channel_exposure,
            FEE
        );
        let pot = || Models::account(listing_of(Charlie)).unwrap().pot;
        assert_eq!((pot(), owned(&treasury_account())), (0, treasury));

        // The user asks to close in block 4; its window ends with block 14.
        block(true, || {
            let call = pallet_channels::Call::request_close { channel: id };
            dispatch(&user, call.into()).unwrap();
        });
        run_to(13);
        assert_eq!(held(Deposit, &user), 10 * ASY - TO_PROVIDER);
        assert_eq!(block(true, || {}).burned, BURNED);
        assert_eq!(held(Deposit, &user), 0);
        assert_eq!(pot(), ROYALTY_PAID);
        assert_eq!(owned(&treasury_account()), treasury + TO_TREASURY);
        assert_eq!(owned(&user), ENDOWMENT - FEE);
        assert_eq!(held(ChannelDeposit, &user), deposit);
        block(true, || {
            let call = pallet_channels::Call::close {
                channel: id,
                last: Some((voucher, 4 * ASY)),
            };
            assert!(dispatch(&operator, call.into()).is_err());
        });
        run_to(73);
        assert!(Channels::channel(id).is_some());
        run_to(74);
        assert_eq!(Channels::channel(id), None);
        assert_eq!(Balances::free_balance(&user), ENDOWMENT - FEE);
        assert_eq!(owned(&stash), ENDOWMENT + TO_PROVIDER);
        assert_eq!(held(pallet_providers::HoldReason::Maturing, &stash), 0);
        assert_eq!(Balances::total_issuance(), issued - BURNED);
    });
}

#[test]
fn a_receipt_for_what_nobody_asked_costs_the_provider() {
    use pallet_disputes::{Call, HoldReason::ChallengeBond, Statement};

    const FEE: Balance = ASY;
    /// A tenth of the bond is more than sixty fees.
    const SLASH: Balance = BOND / 10;

    development().execute_with(|| {
        let [stash, operator, user, challenger] =
            [Alice, Sr25519Keyring::Two, Ferdie, Eve].map(|key| key.to_account_id());
        open_market();
        block(true, || {
            dispatch(&user, open_channel(Alice, Ferdie, 10 * ASY)).unwrap();
        });
        let id = recent_channel(0);
        let voucher = voucher(id, 4 * ASY, Ferdie);
        block(true, || {
            let amount = 3 * ASY;
            dispatch(
                &user,
                pallet_channels::Call::settle { voucher, amount }.into(),
            )
            .unwrap();
        });
        let maturing = held(pallet_providers::HoldReason::Maturing, &stash);
        let claim = assay_primitives::Claim::Channel { id, seq: 5 };
        let anchor = System::block_number() - 1;
        let (header, _) = request(claim).unwrap();
        let receipt = Receipt {
            header: header.hash(),
            anchor: Anchor {
                number: anchor,
                hash: System::block_hash(anchor),
            },
            output_len: 4,
            output_root: Hash::repeat_byte(8),
            finish: Finish::Caller,
            fee: FEE,
        };
        let signature = Sr25519Keyring::Two.sign(&receipt.signing_payload());
        let salt = Hash::repeat_byte(7);
        block(true, || {
            let hash = commitment(&claim, &challenger, &salt);
            dispatch(&challenger, Call::commit { hash }.into()).unwrap();
        });
        block(true, || {
            let statement = Statement {
                receipt,
                signature: Some(Signature::Sr25519(signature)),
                header: Some(header),
            };
            let call = Call::open {
                claim,
                statement,
                position: None,
                salt,
                delegate: None,
            };
            dispatch(&challenger, call.into()).unwrap();
        });
        assert_eq!(held(ChallengeBond, &challenger), 10 * ASY);
        assert_eq!(Disputes::disputes_of_provider(stash.clone()), [0]);
        let opened = System::block_number();
        run_to(opened + 20);
        assert!(Disputes::dispute(0).is_some());
        // Nothing that anybody shows makes up for a signature that is not there.
        block(true, || {
            let (dispute, state) = (0, Disputes::dispute(0).unwrap().state);
            let proof = Default::default();
            let call = Call::prove {
                dispute,
                state,
                proof,
            };
            assert!(dispatch(&operator, call.into()).is_err());
        });
        run_to(opened + 22);
        assert!(Disputes::dispute(0).is_none());
        let reward = (SLASH + maturing - FEE) * 4 / 10;
        assert_eq!(owned(&challenger), ENDOWMENT + reward);
        assert_eq!(Balances::free_balance(&challenger), ENDOWMENT + reward);
        // Royalty and protocol fee are owed until the channel closes.
        assert_eq!(owned(&user), ENDOWMENT - maturing + FEE);
        assert_eq!(owned(&stash), ENDOWMENT - SLASH);
        assert_eq!(held(pallet_providers::HoldReason::Maturing, &stash), 0);
    });
}

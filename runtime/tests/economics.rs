//! Fees, rewards and issuance on the whole runtime.

mod genesis;

use assay_primitives::{Market, ProviderRewards, ValidatorRewards};
use assay_runtime::{
    treasury_account, AccountId, Balance, Balances, BlockNumber, Providers, Runtime, RuntimeOrigin,
    Session, System, Validators, ASY, EXISTENTIAL_DEPOSIT,
};
use frame_support::{
    assert_ok,
    traits::{
        fungible::{Inspect, InspectHold, Mutate},
        tokens::{Fortitude, Precision, Preservation},
    },
};
use pallet_authorship::EventHandler;
use pallet_transaction_payment::OnChargeTransaction;
use sp_keyring::Sr25519Keyring::{AliceStash, Bob, Charlie, Dave, Eve};

fn development() -> sp_io::TestExternalities {
    let mut ext = genesis::chain_of("development");
    ext.execute_with(|| System::set_block_number(1));
    ext
}

fn pot() -> Balance {
    Balances::balance(&Validators::pot_account())
}

fn treasury() -> Balance {
    Balances::balance(&treasury_account())
}

/// Take a fee, with this tip in it, from Eve, as a transaction does.
fn charge(fee: Balance, tip: Balance) {
    type Charge = <Runtime as pallet_transaction_payment::Config>::OnChargeTransaction;
    let call = frame_system::Call::remark { remark: vec![] }.into();
    let (who, info) = (Eve.to_account_id(), Default::default());
    let paid =
        <Charge as OnChargeTransaction<Runtime>>::withdraw_fee(&who, &call, &info, fee + tip, tip)
            .unwrap();
    <Charge as OnChargeTransaction<Runtime>>::correct_and_deposit_fee(
        &who,
        &info,
        &Default::default(),
        fee + tip,
        tip,
        paid,
    )
    .unwrap();
}

/// Sessions end until the era does; the clock goes on by an hour before that.
fn end_era() {
    let era = Validators::active_era();
    while Validators::active_era() == era {
        let block = System::block_number() + 1;
        System::set_block_number(block);
        pallet_timestamp::Now::<Runtime>::mutate(|now| *now += 3_600_000);
        Session::rotate_session();
    }
}

#[test]
fn the_pots_account_exists_from_genesis_on() {
    development().execute_with(|| {
        assert_eq!([pot(), treasury()], [EXISTENTIAL_DEPOSIT; 2]);
        assert_eq!(Validators::pot_so_far(), 0);
    });
}

#[test]
fn a_fee_is_divided_between_validators_and_treasury_and_a_tip_is_the_validators() {
    development().execute_with(|| {
        let issued = Balances::total_issuance();
        let (had, before) = (Balances::balance(&Eve.to_account_id()), (pot(), treasury()));
        charge(1_004, 0);
        assert_eq!((pot(), treasury()), (before.0 + 803, before.1 + 201));
        charge(1_004, 55);
        assert_eq!((pot(), treasury()), (before.0 + 1_661, before.1 + 402));
        let paid = had - Balances::balance(&Eve.to_account_id());
        assert_eq!(paid, 2 * 1_004 + 55);
        assert_eq!(Balances::total_issuance(), issued);
        assert_eq!(Validators::pot_so_far(), 1_661);

        // Governance divides them otherwise.
        let mut parameters = pallet_validators::Params::<Runtime>::get();
        parameters.rewards.fee_share = sp_runtime::Permill::zero();
        assert_ok!(Validators::set_parameters(
            RuntimeOrigin::root(),
            parameters
        ));
        charge(1_000, 7);
        assert_eq!((pot(), treasury()), (before.0 + 1_668, before.1 + 1_402));
    });
}

/// Dave sells answers, Eve buys them, and Alice makes the blocks.
#[test]
fn an_era_pays_validators_and_providers_to_the_planck() {
    development().execute_with(|| {
        let [alice, dave, eve] = [AliceStash, Dave, Eve].map(|key| key.to_account_id());
        pallet_timestamp::Now::<Runtime>::put(1_000_000);
        let info = pallet_providers::ProviderInfo {
            endpoint: Default::default(),
            tls_key_hash: Default::default(),
            x25519_key: [1; 32],
        };
        let by = RuntimeOrigin::signed(dave.clone());
        assert_ok!(Providers::register(
            by,
            Bob.to_account_id(),
            info,
            1_000 * ASY
        ));
        <Validators as EventHandler<AccountId, BlockNumber>>::note_author(alice.clone());
        let (fee, burned) = (100 * ASY, 7 * ASY + 1);
        charge(fee, 0);
        Balances::burn_from(
            &eve,
            burned,
            Preservation::Preserve,
            Precision::Exact,
            Fortitude::Polite,
        )
        .unwrap();
        <Providers as Market<AccountId, BlockNumber>>::note_burned(&dave, burned);

        let issued = Balances::total_issuance();
        end_era();
        let sessions = pallet_validators::Params::<Runtime>::get().sessions_per_era;
        let millis = u64::from(sessions) * 3_600_000;
        let emission = ValidatorRewards::default().emission;
        let minted = emission.of_era(issued, millis);
        assert!(minted > ASY);
        assert_eq!(Balances::total_issuance(), issued + minted);

        let had = Balances::balance(&alice);
        assert_ok!(Validators::payout(
            RuntimeOrigin::signed(Charlie.to_account_id()),
            alice.clone(),
            0
        ));
        // All blocks were hers, and nobody stands behind her.
        let of_fee = fee / 5 * 4;
        assert_eq!(Balances::balance(&alice), had + of_fee + minted);
        assert_eq!(pot(), EXISTENTIAL_DEPOSIT);

        let expected = ProviderRewards::default()
            .pool(issued + minted, millis, burned)
            .amount;
        assert_eq!(expected, burned / 10 * 8);
        assert_ok!(Providers::claim_reward(
            RuntimeOrigin::signed(Charlie.to_account_id()),
            dave.clone()
        ));
        let maturing = pallet_providers::HoldReason::Maturing.into();
        assert_eq!(Balances::balance_on_hold(&maturing, &dave), expected);
        assert_eq!(Balances::total_issuance(), issued + minted + expected);

        Validators::do_try_state().unwrap();
        Providers::do_try_state().unwrap();
        let owned: Balance = frame_system::Account::<Runtime>::iter_values()
            .map(|account| account.data.free + account.data.reserved)
            .sum();
        assert_eq!(owned, Balances::total_issuance());
    });
}

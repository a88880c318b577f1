//! What transactions and records cost, as referenda set it.

use super::*;
use crate::governance::{
    Error, Event, Parameters, Params, DEPOSIT_BASE, DEPOSIT_PER_BYTE, FEE_PER_BYTE,
    FEE_PER_PICOSECOND,
};
use codec::Encode;
use frame_support::{
    dispatch::{DispatchClass, GetDispatchInfo},
    traits::{
        fungible::{Inspect, InspectHold, Mutate},
        Consideration, Footprint,
    },
    weights::Weight,
};
use sp_keyring::Sr25519Keyring::{Bob, Charlie, Eve};
use sp_runtime::generic::{Era, SignedPayload};

fn set(parameters: Parameters) {
    assert_ok!(Governance::set_parameters(
        RuntimeOrigin::root(),
        parameters
    ));
}

/// A change of one parameter.
type Change = fn(&mut Parameters, Balance);

/// Each parameter, and the least and the most that it may be.
const BOUNDS: [(Change, Balance, Balance); 4] = [
    (
        |p, value| p.fee_per_picosecond = value,
        *FEE_PER_PICOSECOND.start(),
        *FEE_PER_PICOSECOND.end(),
    ),
    (
        |p, value| p.fee_per_byte = value,
        *FEE_PER_BYTE.start(),
        *FEE_PER_BYTE.end(),
    ),
    (
        |p, value| p.deposit_base = value,
        *DEPOSIT_BASE.start(),
        *DEPOSIT_BASE.end(),
    ),
    (
        |p, value| p.deposit_per_byte = value,
        *DEPOSIT_PER_BYTE.start(),
        *DEPOSIT_PER_BYTE.end(),
    ),
];

fn lowest() -> Parameters {
    let mut parameters = Parameters::default();
    for (change, least, _) in BOUNDS {
        change(&mut parameters, least);
    }
    parameters
}

fn highest() -> Parameters {
    let mut parameters = Parameters::default();
    for (change, _, most) in BOUNDS {
        change(&mut parameters, most);
    }
    parameters
}

/// What a transfer costs who signed it, beside what it transfers, and its length in bytes.
fn cost_of_transfer(sender: Sr25519Keyring) -> (Balance, Balance) {
    let account = sender.to_account_id();
    let call = RuntimeCall::from(pallet_balances::Call::transfer_keep_alive {
        dest: Bob.to_account_id().into(),
        value: ASY,
    });
    let extension: TxExtension = (
        frame_system::AuthorizeCall::new(),
        frame_system::CheckNonZeroSender::new(),
        frame_system::CheckSpecVersion::new(),
        frame_system::CheckTxVersion::new(),
        frame_system::CheckGenesis::new(),
        frame_system::CheckEra::from(Era::Immortal),
        frame_system::CheckNonce::from(System::account_nonce(&account)),
        frame_system::CheckWeight::new(),
        pallet_transaction_payment::ChargeTransactionPayment::from(0),
        frame_metadata_hash_extension::CheckMetadataHash::new(false),
        frame_system::WeightReclaim::new(),
    );
    let payload = SignedPayload::new(call, extension).unwrap();
    let signature = payload.using_encoded(|bytes| sender.sign(bytes));
    let (call, extension, _) = payload.deconstruct();
    let transaction = UncheckedExtrinsic::new_signed(
        call,
        account.clone().into(),
        Signature::Sr25519(signature),
        extension,
    );
    let bytes = transaction.encoded_size() as Balance;
    let before = Balances::total_balance(&account);
    Executive::apply_extrinsic(transaction).unwrap().unwrap();
    (before - Balances::total_balance(&account) - ASY, bytes)
}

#[test]
fn a_referendum_sets_the_fees_and_a_transfer_costs_them_exactly() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let Parameters {
            fee_per_picosecond,
            fee_per_byte,
            ..
        } = Parameters::default();
        let (cost, bytes) = cost_of_transfer(Eve);
        let picoseconds = (cost - bytes * fee_per_byte) / fee_per_picosecond;
        assert_eq!(
            cost,
            picoseconds * fee_per_picosecond + bytes * fee_per_byte
        );

        let parameters = Parameters {
            fee_per_picosecond: 7,
            fee_per_byte: 3 * MICRO_ASY + 1,
            ..Parameters::default()
        };
        let call = crate::governance::Call::set_parameters { parameters };
        let call = proposal(call);
        // It fits into the referendum: who proposes it puts nothing down for a record.
        assert!(matches!(call, Bounded::Inline(_)));
        refer(Origin::Parameters, call);
        for _ in 0..10 {
            next_block();
        }
        assert_eq!(outcome(), Some(Ok(())));
        System::assert_has_event(Event::<Runtime>::ParametersSet.into());
        let expected = picoseconds * 7 + bytes * (3 * MICRO_ASY + 1);
        assert_eq!(cost_of_transfer(Eve), (expected, bytes));
    });
}

#[test]
fn only_root_and_referenda_on_parameters_set_prices() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        for origin in [RuntimeOrigin::none(), signed(Alice), Origin::Spender.into()] {
            assert_noop!(
                Governance::set_parameters(origin, lowest()),
                DispatchError::BadOrigin
            );
        }
        let parameters = lowest();
        let call = crate::governance::Call::set_parameters { parameters };
        refer(Origin::Spender, proposal(call));
        let before = rest_of_state();
        for _ in 0..20 {
            next_block();
        }
        assert_eq!(outcome(), Some(Err(DispatchError::BadOrigin)));
        assert!(rest_of_state() == before);
        set(lowest());
        assert_eq!(Params::<Runtime>::get(), lowest());
    });
}

#[test]
fn a_price_outside_its_bounds_is_refused_and_changes_nothing() {
    chain_of("development").execute_with(|| {
        System::set_block_number(1);
        let with = |change: Change, value| {
            let mut parameters = Parameters::default();
            change(&mut parameters, value);
            parameters
        };
        for (change, least, most) in BOUNDS {
            for value in [0, least - 1, most + 1, Balance::MAX] {
                assert_noop!(
                    Governance::set_parameters(RuntimeOrigin::root(), with(change, value)),
                    Error::<Runtime>::InvalidParameters
                );
            }
            for value in [least, most] {
                set(with(change, value));
                assert_eq!(Params::<Runtime>::get(), with(change, value));
            }
        }
        let (change, least, _) = BOUNDS[1];
        let parameters = with(change, least - 1);
        let call = crate::governance::Call::set_parameters { parameters };
        refer(Origin::Parameters, proposal(call));
        let before = rest_of_state();
        for _ in 0..10 {
            next_block();
        }
        let refused = Error::<Runtime>::InvalidParameters;
        assert_eq!(outcome(), Some(Err(refused.into())));
        assert!(rest_of_state() == before);
    });
}

#[test]
#[should_panic(expected = "outside their bounds")]
fn a_genesis_with_a_price_outside_its_bounds_is_no_genesis() {
    super::super::chain_with("production", |genesis| {
        genesis["governance"]["parameters"]["fee_per_byte"] = 1.into();
    });
}

#[test]
fn a_chain_from_before_there_were_prices_in_storage_has_the_old_ones() {
    for preset in ["development", "production"] {
        chain_of(preset).execute_with(|| {
            let set_at_genesis = Params::<Runtime>::get();
            Params::<Runtime>::kill();
            assert_eq!(Params::<Runtime>::get(), set_at_genesis);
            let second = Weight::from_parts(1_000_000_000_000, 0);
            assert_eq!(TransactionPayment::weight_to_fee(second), 4 * ASY);
            assert_eq!(TransactionPayment::length_to_fee(1_000), MILLI_ASY);
            assert_eq!(price_of(0), 10 * MILLI_ASY);
            assert_eq!(price_of(1_000), 20 * MILLI_ASY);
        });
    }
}

#[test]
fn whoever_has_the_least_stake_can_vote_for_lower_prices_whatever_they_are() {
    chain_of("production").execute_with(|| {
        set(highest());
        let signature_and_more = 150;
        let fee = |call: RuntimeCall| {
            let mut info = call.get_dispatch_info();
            info.extension_weight = Weight::from_parts(1_000_000_000, 0);
            let len = call.encoded_size() as u32 + signature_and_more;
            TransactionPayment::compute_fee(len, &info, 0)
        };
        let stake = pallet_validators::Params::<Runtime>::get().min_nominator_bond;
        let vote = Vote {
            aye: true,
            conviction: Conviction::Locked6x,
        };
        let vote = AccountVote::Standard {
            vote,
            balance: stake,
        };
        let poll_index = 1_000;
        let vote = fee(pallet_conviction_voting::Call::vote { poll_index, vote }.into());
        assert!(vote < stake / 10, "{vote}");

        let parameters = lowest();
        let proposal = proposal(crate::governance::Call::set_parameters { parameters });
        let submit = fee(pallet_referenda::Call::submit {
            proposal_origin: Box::new(Origin::Parameters.into()),
            proposal,
            enactment_moment: DispatchTime::After(0),
        }
        .into());
        assert!(submit < stake / 10, "{submit}");

        // A new runtime of a megabyte.
        let bytes = vec![0; 1_000_000];
        let note = fee(pallet_preimage::Call::note_preimage { bytes }.into());
        assert!(note < 110 * ASY, "{note}");
        assert!(price_of(1_000_000) <= 1_001 * ASY);
    });
}

#[test]
fn the_dearest_transaction_that_there_can_be_is_counted_exactly() {
    chain_of("production").execute_with(|| {
        set(highest());
        let multiplier = 1_000;
        pallet_transaction_payment::NextFeeMultiplier::<Runtime>::put(
            sp_runtime::FixedU128::from_u32(multiplier),
        );
        let limits = <Runtime as frame_system::Config>::BlockWeights::get();
        let call = RuntimeCall::from(frame_system::Call::remark { remark: vec![] });
        let mut info = call.get_dispatch_info();
        info.call_weight = Weight::MAX;
        info.class = DispatchClass::Normal;
        let len = 4 * 1024 * 1024;
        let time = |weight: Weight| Balance::from(weight.ref_time()) * FEE_PER_PICOSECOND.end();
        let base = limits.get(DispatchClass::Normal).base_extrinsic;
        let expected = time(base)
            + time(limits.max_block) * Balance::from(multiplier)
            + Balance::from(len) * FEE_PER_BYTE.end();
        assert_eq!(TransactionPayment::compute_fee(len, &info, 0), expected);
    });
}

type Ticket = <Runtime as pallet_preimage::Config>::Consideration;

fn on_hold(who: Sr25519Keyring) -> Balance {
    let reason = pallet_preimage::HoldReason::Preimage.into();
    Balances::balance_on_hold(&reason, &who.to_account_id())
}

/// What a record of so many bytes takes now.
fn price_of(bytes: usize) -> Balance {
    let parameters = Params::<Runtime>::get();
    let before = on_hold(Charlie);
    let who = Charlie.to_account_id();
    Balances::set_balance(&who, 10_000_000 * ASY);
    let ticket = Ticket::new(&who, Footprint::from_parts(1, bytes)).unwrap();
    let price = on_hold(Charlie) - before;
    ticket.drop(&who).unwrap();
    assert_eq!(on_hold(Charlie), before);
    let expected = parameters.deposit_base + bytes as Balance * parameters.deposit_per_byte;
    assert_eq!(price, expected);
    price
}

#[test]
fn a_record_gives_back_what_it_took_whatever_it_would_take_now() {
    for now in [lowest(), highest()] {
        chain_of("development").execute_with(|| {
            System::set_block_number(1);
            let free = Balances::free_balance(Bob.to_account_id());
            let note = |byte| {
                let bytes = vec![byte; 500];
                let hash = BlakeTwo256::hash(&bytes);
                assert_ok!(Preimage::note_preimage(signed(Bob), bytes));
                hash
            };
            let (old, price) = (note(1), price_of(500));
            assert_eq!(on_hold(Bob), price);
            set(now.clone());
            assert_eq!(on_hold(Bob), price);
            let (new, new_price) = (note(2), price_of(500));
            assert_ne!(new_price, price);
            assert_eq!(on_hold(Bob), price + new_price);
            assert_ok!(Preimage::unnote_preimage(signed(Bob), old));
            assert_eq!(on_hold(Bob), new_price);
            set(Parameters::default());
            assert_ok!(Preimage::unnote_preimage(signed(Bob), new));
            assert_eq!(on_hold(Bob), 0);
            assert_eq!(Balances::free_balance(Bob.to_account_id()), free);
        });
    }
}

#[test]
fn a_record_that_changes_its_size_pays_the_price_of_now_and_loses_nothing() {
    let who = || Bob.to_account_id();
    let sized = |bytes| Footprint::from_parts(1, bytes);
    for now in [lowest(), highest()] {
        for bytes in [1, 100, 900] {
            chain_of("development").execute_with(|| {
                let free = Balances::free_balance(who());
                let all = Balances::total_balance(&who());
                let ticket = Ticket::new(&who(), sized(100)).unwrap();
                set(now.clone());
                let ticket = ticket.update(&who(), sized(bytes)).unwrap();
                assert_eq!(on_hold(Bob), price_of(bytes));
                assert_eq!(Balances::total_balance(&who()), all);
                set(Parameters::default());
                ticket.drop(&who()).unwrap();
                assert_eq!(on_hold(Bob), 0);
                assert_eq!(Balances::free_balance(who()), free);
            });
        }
    }
    // Who cannot pay the new price keeps the record as it is.
    chain_of("development").execute_with(|| {
        let ticket = Ticket::new(&who(), sized(100)).unwrap();
        let (held, encoded) = (on_hold(Bob), ticket.encode());
        Balances::set_balance(&who(), EXISTENTIAL_DEPOSIT);
        set(highest());
        assert!(ticket.update(&who(), sized(100)).is_err());
        assert_eq!(on_hold(Bob), held);
        let ticket = Ticket::decode(&mut &encoded[..]).unwrap();
        ticket.drop(&who()).unwrap();
        let free = Balances::free_balance(who());
        assert_eq!((on_hold(Bob), free), (0, EXISTENTIAL_DEPOSIT + held));
    });
}

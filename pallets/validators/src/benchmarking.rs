//! One benchmark for each weight.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use alloc::vec::Vec;

use assay_primitives::Balance;
use codec::Decode;
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{fungible::Mutate, EnsureOrigin, Get},
    BoundedVec,
};
use frame_system::RawOrigin;
use pallet_session::historical::IdentificationTuple;
use sp_runtime::{traits::TrailingZeroInput, Perbill, Permill};
use sp_staking::{
    offence::{OffenceDetails, OnOffenceHandler},
    SessionIndex,
};

use crate::*;

fn rich<T: Config>(name: &'static str, index: u32) -> T::AccountId {
    let who = account(name, index, 0);
    let amount = Params::<T>::get()
        .min_validator_bond
        .saturating_mul(1_000)
        .max(1 << 60);
    CurrencyOf::<T>::set_balance(&who, amount);
    who
}

/// The least bond of a validator.
fn least<T: Config>() -> Balance {
    Params::<T>::get().min_validator_bond
}

fn give_keys<T: Config>(who: &T::AccountId) {
    let keys = T::Keys::decode(&mut TrailingZeroInput::zeroes()).expect("keys of zeros");
    pallet_session::NextKeys::<T>::insert(who, keys);
    let _ = frame_system::Pallet::<T>::inc_consumers(who);
}

/// An account with a bond, as many withdrawals under way as leave room for `spare`, and keys.
fn bonded<T: Config>(
    name: &'static str,
    index: u32,
    spare: u32,
) -> Result<T::AccountId, BenchmarkError> {
    let who = rich::<T>(name, index);
    Pallet::<T>::do_bond(who.clone(), least::<T>().saturating_mul(4))?;
    give_keys::<T>(&who);
    let chunks = T::MaxUnbondingChunks::get().saturating_sub(spare);
    Bonds::<T>::mutate(&who, |record| {
        let record = record.as_mut().expect("just bonded");
        for due in 0..chunks {
            record.amount -= 1;
            let chunk = UnbondingChunk { amount: 1, due };
            record.unbonding.try_push(chunk).expect("no more than fit");
        }
    });
    Ok(who)
}

/// A validator with `n` nominators behind it.
fn backed<T: Config>(
    name: &'static str,
    index: u32,
    n: u32,
) -> Result<T::AccountId, BenchmarkError> {
    let validator = bonded::<T>(name, index, 1)?;
    Pallet::<T>::do_validate(validator.clone(), Permill::from_percent(5))?;
    for nominator in 0..n {
        let number = index * T::MaxNominators::get() + nominator;
        let nominator = bonded::<T>("nominator", number, 1)?;
        Pallet::<T>::do_nominate(nominator, validator.clone())?;
    }
    Ok(validator)
}

/// Candidates without nominators until there are as many.
fn candidates<T: Config>(count: u32) -> Result<(), BenchmarkError> {
    let there = Candidates::<T>::get().len() as u32;
    for index in there..count {
        let who = bonded::<T>("candidate", index, T::MaxUnbondingChunks::get())?;
        Pallet::<T>::do_validate(who, Permill::zero())?;
    }
    Ok(())
}

/// Expose a validator in the present session, which is returned, and make it a member.
fn exposed<T: Config>(validator: &T::AccountId) -> SessionIndex {
    let session = pallet_session::Pallet::<T>::current_index();
    EraOfSession::<T>::insert(session, 0);
    let exposure = Exposure {
        own: least::<T>(),
        nominators: Nominators::<T>::get(validator),
        commission: Permill::from_percent(5),
    };
    Exposures::<T>::insert(0, validator, exposure);
    pallet_session::Validators::<T>::mutate(|set| set.push(validator.clone()));
    session
}

/// Have it reported.
fn offend<T: Config>(validator: &T::AccountId, session: SessionIndex) {
    let offender: IdentificationTuple<T> = (validator.clone(), ());
    let details = OffenceDetails {
        offender,
        reporters: alloc::vec![rich::<T>("reporter", 0)],
    };
    Pallet::<T>::on_offence(&[details], &[Perbill::from_percent(50)], session);
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn bond() {
        let who = rich::<T>("who", 0);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), least::<T>());

        assert!(Bonds::<T>::contains_key(who));
    }

    /// Of the last of many nominators.
    #[benchmark]
    fn bond_extra() -> Result<(), BenchmarkError> {
        let validator = backed::<T>("who", 0, T::MaxNominators::get())?;
        let who = Nominators::<T>::get(validator)
            .last()
            .expect("backed")
            .nominator
            .clone();

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), 1_000);

        assert!(
            Bonds::<T>::get(who).is_some_and(|record| record.held() == 4 * least::<T>() + 1_000)
        );
        Ok(())
    }

    /// From a nomination into a full list of candidates.
    #[benchmark]
    fn validate() -> Result<(), BenchmarkError> {
        let first = backed::<T>("first", 0, T::MaxNominators::get() - 1)?;
        candidates::<T>(T::MaxCandidates::get())?;
        let who = bonded::<T>("who", 0, 0)?;
        Pallet::<T>::do_bond_extra(who.clone(), 1_000)?;
        Pallet::<T>::do_nominate(who.clone(), first)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), Permill::from_percent(5));

        assert!(Candidates::<T>::get().contains(&who));
        Ok(())
    }

    /// From one validator to another whose list is full.
    #[benchmark]
    fn nominate() -> Result<(), BenchmarkError> {
        let first = backed::<T>("first", 0, T::MaxNominators::get() - 1)?;
        let second = backed::<T>("second", 1, T::MaxNominators::get())?;
        let who = bonded::<T>("who", 0, 0)?;
        Pallet::<T>::do_bond_extra(who.clone(), 1_000)?;
        Pallet::<T>::do_nominate(who.clone(), first)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), second.clone());

        let list = Nominators::<T>::get(second);
        assert!(list.iter().any(|backing| backing.nominator == who));
        Ok(())
    }

    #[benchmark]
    fn chill() -> Result<(), BenchmarkError> {
        let validator = backed::<T>("who", 0, T::MaxNominators::get())?;
        let who = Nominators::<T>::get(validator)
            .last()
            .expect("backed")
            .nominator
            .clone();

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert!(Bonds::<T>::get(who).is_some_and(|record| record.role == Role::Idle));
        Ok(())
    }

    #[benchmark]
    fn unbond() -> Result<(), BenchmarkError> {
        let validator = backed::<T>("who", 0, T::MaxNominators::get())?;
        let who = Nominators::<T>::get(validator)
            .last()
            .expect("backed")
            .nominator
            .clone();

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), 1_000);

        let chunks = Bonds::<T>::get(who).map_or(0, |record| record.unbonding.len());
        assert_eq!(chunks as u32, T::MaxUnbondingChunks::get());
        Ok(())
    }

    #[benchmark]
    fn withdraw_unbonded() -> Result<(), BenchmarkError> {
        let who = bonded::<T>("who", 0, 0)?;
        pallet_session::CurrentIndex::<T>::put(T::MaxUnbondingChunks::get());

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert!(Bonds::<T>::get(who).is_some_and(|record| record.unbonding.is_empty()));
        Ok(())
    }

    #[benchmark]
    fn purge_keys() -> Result<(), BenchmarkError> {
        let who = rich::<T>("who", 0);
        give_keys::<T>(&who);
        let set: Vec<T::AccountId> = (0..T::MaxValidators::get())
            .map(|index| account("member", index, 0))
            .collect();
        pallet_session::Validators::<T>::put(&set);
        Elected::<T>::put(BoundedVec::truncate_from(set));

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()));

        assert!(!pallet_session::NextKeys::<T>::contains_key(who));
        Ok(())
    }

    #[benchmark]
    fn set_validator_count() -> Result<(), BenchmarkError> {
        let origin =
            T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
        let count = T::MaxValidators::get();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, count);

        assert_eq!(ValidatorCount::<T>::get(), count);
        Ok(())
    }

    #[benchmark]
    fn set_parameters() -> Result<(), BenchmarkError> {
        let origin =
            T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
        let mut parameters = Params::<T>::get();
        parameters.reporter_share = Permill::from_percent(7);

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, parameters.clone());

        assert_eq!(Params::<T>::get(), parameters);
        Ok(())
    }

    #[benchmark]
    fn payout(n: Linear<0, { T::MaxNominators::get() }>) -> Result<(), BenchmarkError> {
        let validator = backed::<T>("who", 0, n)?;
        exposed::<T>(&validator);
        let next = pallet_session::Pallet::<T>::current_index() + 1;
        EraOfSession::<T>::insert(next, 1);
        pallet_session::CurrentIndex::<T>::put(next);
        let pot = least::<T>();
        CurrencyOf::<T>::set_balance(&Pallet::<T>::pot_account(), pot.saturating_mul(2));
        Points::<T>::insert(0, &validator, 10);
        let reward = EraReward {
            pot,
            points: 10,
            unpaid: pot,
        };
        EraRewards::<T>::insert(0, reward);
        Unpaid::<T>::put(pot);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(rich::<T>("anybody", 0)),
            validator.clone(),
            0,
        );

        assert_eq!(Points::<T>::get(0, validator), 0);
        Ok(())
    }

    #[benchmark]
    fn note_points() {
        let author = rich::<T>("author", 0);

        #[block]
        {
            Pallet::<T>::note_points(&author);
        }

        assert_eq!(Points::<T>::get(Pallet::<T>::active_era(), author), 1);
    }

    #[benchmark]
    fn plan_era(
        c: Linear<1, { T::MaxCandidates::get() }>,
        n: Linear<0, { T::MaxNominators::get() }>,
    ) -> Result<(), BenchmarkError> {
        candidates::<T>(c)?;
        let list: Vec<_> = (0..n)
            .map(|index| Backing {
                nominator: account("nominator", index, 0),
                amount: 1,
            })
            .collect();
        let list = BackingsOf::<T>::truncate_from(list);
        for candidate in Candidates::<T>::get() {
            Nominators::<T>::insert(candidate, list.clone());
        }
        ValidatorCount::<T>::put(T::MaxValidators::get());
        Params::<T>::mutate(|parameters| parameters.min_validators = 1);
        let session = Planned::<T>::get().map_or(1, |era| era.end);

        #[block]
        {
            Pallet::<T>::plan_session(session);
        }

        let elected = Elected::<T>::get().len() as u32;
        assert_eq!(
            elected,
            T::MaxValidators::get().min(Candidates::<T>::get().len() as u32)
        );
        Ok(())
    }

    /// Of many candidates.
    #[benchmark]
    fn on_offence() -> Result<(), BenchmarkError> {
        let validator = backed::<T>("who", 0, T::MaxNominators::get())?;
        candidates::<T>(T::MaxCandidates::get())?;
        let session = exposed::<T>(&validator);

        #[block]
        {
            offend::<T>(&validator, session);
        }

        assert!(Warrants::<T>::contains_key(session, validator));
        Ok(())
    }

    #[benchmark]
    fn slash(n: Linear<0, { T::MaxNominators::get() }>) -> Result<(), BenchmarkError> {
        let validator = backed::<T>("who", 0, n)?;
        let session = exposed::<T>(&validator);
        offend::<T>(&validator, session);

        #[block]
        {
            Pallet::<T>::carry_out_slashes();
        }

        assert!(!Warrants::<T>::contains_key(session, &validator));
        assert!(Bonds::<T>::get(validator).is_some_and(|record| record.held() < 4 * least::<T>()));
        Ok(())
    }

    impl_benchmark_test_suite!(
        Pallet,
        crate::mock::TestExt::new().build(),
        crate::mock::Test
    );
}

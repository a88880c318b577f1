//! One benchmark for each weight.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use alloc::{vec, vec::Vec};

use assay_primitives::{Balance, EraEnded, ListingId, Market, ModelCatalogue, Price, RewardPool};
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{fungible::Mutate, EnsureOrigin, Get},
    BoundedVec,
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_core::H256;
use sp_runtime::traits::Saturating;

use crate::*;

/// What the benchmarks need of other pallets.
pub trait BenchmarkHelper {
    /// Register an active listing; another for each `index`.
    fn listing(index: u32) -> ListingId;
}

fn rich<T: Config>(name: &'static str, index: u32) -> T::AccountId {
    let who = account(name, index, 0);
    // A thousand bonds and any deposit.
    let amount = Params::<T>::get()
        .min_bond
        .saturating_mul(1_000)
        .max(1 << 60);
    T::Currency::set_balance(&who, amount);
    who
}

fn operator<T: Config>(index: u32) -> T::AccountId {
    account("operator", index, 0)
}

fn longest_info<T: Config>() -> ProviderInfoOf<T> {
    let longest = vec![b'a'; T::MaxEndpointLength::get() as usize];
    ProviderInfo {
        endpoint: longest.try_into().expect("as long as it may be"),
        tls_key_hash: H256::repeat_byte(1),
        x25519_key: [2; 32],
    }
}

/// A provider with four least bonds, in block 1.
fn registered<T: Config>() -> Result<T::AccountId, BenchmarkError> {
    let one = BlockNumberFor::<T>::from(1u32);
    frame_system::Pallet::<T>::set_block_number(one);
    let stash = rich::<T>("stash", 0);
    let bond = Params::<T>::get().min_bond.saturating_mul(4);
    Pallet::<T>::do_register(stash.clone(), operator::<T>(0), longest_info::<T>(), bond)?;
    Ok(stash)
}

/// Another one with a larger bond.
fn registered_with_more<T: Config>() -> Result<T::AccountId, BenchmarkError> {
    let stash = rich::<T>("richer", 0);
    let bond = Params::<T>::get().min_bond.saturating_mul(5);
    Pallet::<T>::do_register(stash.clone(), operator::<T>(1), longest_info::<T>(), bond)?;
    Ok(stash)
}

/// All places of a listing but one taken by others.
fn crowded<T: Config>() -> ListingId {
    let listing = T::BenchmarkHelper::listing(0);
    let others: Vec<T::AccountId> = (1..T::MaxOffersPerListing::get())
        .map(|index| account("other", index, 0))
        .collect();
    let others: BoundedVec<_, T::MaxOffersPerListing> =
        others.try_into().expect("fewer than there may be");
    Offering::<T>::insert(listing, others);
    listing
}

fn offered<T: Config>(stash: &T::AccountId) -> Result<ListingId, BenchmarkError> {
    let listing = crowded::<T>();
    let price = Price {
        input: 1,
        output: 1,
    };
    let context = context::<T>(&listing);
    Pallet::<T>::do_set_offer(stash.clone(), listing, price, context, 1)?;
    Ok(listing)
}

fn context<T: Config>(listing: &ListingId) -> u32 {
    T::Catalogue::listing(listing).map_or(0, |model| model.spec.context)
}

/// Unbond a little in each of as many blocks as chunks are left but `spare`.
fn unbond_often<T: Config>(stash: &T::AccountId, spare: u32) -> Result<(), BenchmarkError> {
    for _ in spare..T::MaxUnbondingChunks::get() {
        let next = Pallet::<T>::now().saturating_add(1u32.into());
        frame_system::Pallet::<T>::set_block_number(next);
        Pallet::<T>::do_unbond(stash.clone(), 1)?;
    }
    let next = Pallet::<T>::now().saturating_add(1u32.into());
    frame_system::Pallet::<T>::set_block_number(next);
    Ok(())
}

fn wait_to_withdraw<T: Config>() {
    let due = Pallet::<T>::now().saturating_add(Params::<T>::get().unbonding_blocks);
    frame_system::Pallet::<T>::set_block_number(due);
}

/// What one era brings a provider, in planck.
const REWARD: Balance = 1_000_000_000;

impl<T: Config> Pallet<T> {
    /// Let a provider have a reward to get for the era under way, which is over then.
    pub fn owe_reward(stash: &T::AccountId) {
        Self::count_burned(stash, REWARD);
        let era = BurnSoFar::<T>::get().era;
        let pool = RewardPool {
            amount: REWARD,
            burned: REWARD,
        };
        RewardPools::<T>::insert(era, pool);
        let era = era + 1;
        BurnSoFar::<T>::put(Burn { era, amount: 0 });
    }
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn register() {
        let stash = rich::<T>("stash", 0);
        let bond = Params::<T>::get().min_bond;

        #[extrinsic_call]
        _(
            RawOrigin::Signed(stash.clone()),
            operator::<T>(0),
            longest_info::<T>(),
            bond,
        );

        assert!(Providers::<T>::contains_key(stash));
    }

    #[benchmark]
    fn update_info() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        let info = ProviderInfo {
            x25519_key: [3; 32],
            ..longest_info::<T>()
        };

        #[extrinsic_call]
        _(RawOrigin::Signed(stash.clone()), info.clone());

        assert_eq!(
            Providers::<T>::get(stash).map(|provider| provider.info),
            Some(info)
        );
        Ok(())
    }

    #[benchmark]
    fn rotate_operator() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        let ranges = T::MaxOperatorRanges::get();
        // The key of registration and this one are the first and the last.
        for index in 2..ranges {
            Pallet::<T>::do_rotate_operator(stash.clone(), operator::<T>(index))?;
        }

        #[extrinsic_call]
        _(RawOrigin::Signed(stash.clone()), operator::<T>(ranges));

        assert_eq!(Operators::<T>::get(operator::<T>(ranges)), Some(stash));
        Ok(())
    }

    #[benchmark]
    fn bond_extra() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        unbond_often::<T>(&stash, 0)?;
        let before = Providers::<T>::get(&stash).map_or(0, |provider| provider.bond);

        #[extrinsic_call]
        _(RawOrigin::Signed(stash.clone()), 1_000);

        let after = Providers::<T>::get(&stash).map(|provider| provider.bond);
        assert_eq!(after, Some(before + 1_000));
        Ok(())
    }

    #[benchmark]
    fn unbond() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        unbond_often::<T>(&stash, 1)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(stash.clone()), 1_000);

        let chunks = Providers::<T>::get(&stash).map_or(0, |provider| provider.unbonding.len());
        assert_eq!(chunks as u32, T::MaxUnbondingChunks::get());
        Ok(())
    }

    #[benchmark]
    fn withdraw_unbonded() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        unbond_often::<T>(&stash, 0)?;
        wait_to_withdraw::<T>();

        #[extrinsic_call]
        _(RawOrigin::Signed(stash.clone()));

        assert!(Providers::<T>::get(&stash).is_some_and(|provider| provider.unbonding.is_empty()));
        Ok(())
    }

    #[benchmark]
    fn set_offer() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        let listing = crowded::<T>();
        let context = context::<T>(&listing);

        #[extrinsic_call]
        _(RawOrigin::Signed(stash.clone()), listing, 1, 1, context, 1);

        assert!(Offers::<T>::contains_key(listing, stash));
        Ok(())
    }

    #[benchmark]
    fn remove_offer() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        let listing = offered::<T>(&stash)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(stash.clone()), listing);

        assert!(!Offers::<T>::contains_key(listing, stash));
        Ok(())
    }

    #[benchmark]
    fn set_online() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;

        #[extrinsic_call]
        _(RawOrigin::Signed(operator::<T>(0)), false);

        assert!(Providers::<T>::get(&stash).is_some_and(|provider| !provider.online));
        Ok(())
    }

    #[benchmark]
    fn deregister() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        for index in 1..T::MaxOperatorRanges::get() {
            Pallet::<T>::do_rotate_operator(stash.clone(), operator::<T>(index))?;
        }
        let bond = Params::<T>::get().min_bond.saturating_mul(4);
        Pallet::<T>::do_unbond(stash.clone(), bond)?;
        wait_to_withdraw::<T>();
        Pallet::<T>::do_withdraw_unbonded(stash.clone())?;

        #[extrinsic_call]
        _(RawOrigin::Signed(stash.clone()));

        assert!(!Providers::<T>::contains_key(stash));
        Ok(())
    }

    #[benchmark]
    fn release_earnings() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        let amount: Balance = 1_000_000;
        for _ in 0..maturing::MAX_EARNINGS {
            <Pallet<T> as Market<T::AccountId, BlockNumberFor<T>>>::mature(&stash, amount)?;
            frame_system::Pallet::<T>::set_block_number(Pallet::<T>::due_block());
        }

        #[extrinsic_call]
        _(RawOrigin::Signed(rich::<T>("anyone", 0)), stash.clone());

        assert!(Providers::<T>::get(&stash).is_some_and(|provider| provider.maturing == 0));
        Ok(())
    }

    #[benchmark]
    fn set_parameters() -> Result<(), BenchmarkError> {
        let origin =
            T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
        let parameters = ParametersOf::<T>::default();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, parameters.clone());

        assert_eq!(Params::<T>::get(), parameters);
        Ok(())
    }

    #[benchmark]
    fn evict_offer() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        let listing = offered::<T>(&stash)?;
        let by = registered_with_more::<T>()?;

        #[extrinsic_call]
        _(RawOrigin::Signed(by), listing, stash.clone());

        assert!(!Offers::<T>::contains_key(listing, stash));
        Ok(())
    }

    #[benchmark]
    fn claim_reward() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        Pallet::<T>::owe_reward(&stash);

        #[extrinsic_call]
        _(RawOrigin::Signed(rich::<T>("anyone", 0)), stash.clone());

        assert!(Providers::<T>::get(&stash).is_some_and(|provider| provider.maturing == REWARD));
        Ok(())
    }

    #[benchmark]
    fn era_ended() -> Result<(), BenchmarkError> {
        let stash = registered::<T>()?;
        let pool = RewardPool {
            amount: 1,
            burned: 1,
        };
        RewardPools::<T>::insert(0, pool);
        <Pallet<T> as Market<T::AccountId, BlockNumberFor<T>>>::note_burned(&stash, REWARD);

        #[block]
        {
            <Pallet<T> as EraEnded>::era_ended(REWARD_ERAS, 3_600_000);
        }

        assert!(!RewardPools::<T>::contains_key(0));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::genesis(), crate::mock::Test);
}

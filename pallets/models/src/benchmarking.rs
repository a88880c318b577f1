//! One benchmark for each weight.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use alloc::{vec, vec::Vec};

use assay_primitives::{
    Architecture, Balance, ListingId, ModelCatalogue, ModelParts, ModelSpec, Profile, Rotary,
    RotaryScaling, MAX_STOP_TOKENS,
};
use frame_benchmarking::v2::*;
use frame_support::traits::{fungible::Mutate, EnsureOrigin, Get};
use frame_system::RawOrigin;
use sp_core::H256;
use sp_runtime::Permill;

use crate::*;

/// More than any deposit.
const RICH: Balance = 1_000_000_000_000_000_000;

fn rich<T: Config>(name: &'static str) -> T::AccountId {
    let who = account(name, 0, 0);
    T::Currency::set_balance(&who, RICH);
    who
}

/// The longest there are.
fn parts() -> ModelParts {
    let stop_tokens: Vec<u32> = (0..MAX_STOP_TOKENS).collect();
    ModelParts {
        spec: ModelSpec {
            architecture: Architecture::Llama,
            profile: Profile::Exact {
                fraction_bits: 16,
                eps40: 10_995_116,
                rotary: Rotary {
                    base: 500_000_000_000,
                    scaling: Some(RotaryScaling {
                        factor: 32_000_000,
                        low: 1_000_000,
                        high: 4_000_000,
                        original_context: 8192,
                    }),
                },
            },
            layers: 32,
            hidden: 4096,
            intermediate: 14_336,
            heads: 32,
            kv_heads: 8,
            head_dim: 128,
            vocabulary: 128_256,
            context: 8192,
            stop_tokens: stop_tokens.try_into().expect("as many as there may be"),
            tied_embeddings: false,
        },
        tokenizer: H256::repeat_byte(1),
        template: H256::repeat_byte(2),
        tables: H256::repeat_byte(4),
        weights_root: H256::repeat_byte(3),
    }
}

fn longest_uri<T: Config>() -> UriOf<T> {
    vec![b'a'; T::MaxUriLength::get() as usize]
        .try_into()
        .expect("as long as it may be")
}

/// As high as it may be now.
fn royalty<T: Config>() -> Permill {
    Params::<T>::get().max_royalty
}

fn listed<T: Config>(publisher: &T::AccountId) -> Result<ListingId, BenchmarkError> {
    let id = parts().listing_id(publisher, royalty::<T>());
    Pallet::<T>::do_register(
        publisher.clone(),
        parts(),
        royalty::<T>(),
        longest_uri::<T>(),
    )?;
    Ok(id)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn register() -> Result<(), BenchmarkError> {
        let publisher = rich::<T>("publisher");
        let id = parts().listing_id(&publisher, royalty::<T>());
        let ModelParts {
            spec,
            tokenizer,
            template,
            tables,
            weights_root,
        } = parts();

        #[extrinsic_call]
        _(
            RawOrigin::Signed(publisher),
            spec,
            tokenizer,
            template,
            tables,
            weights_root,
            royalty::<T>(),
            longest_uri::<T>(),
        );

        assert!(Listings::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn retire() -> Result<(), BenchmarkError> {
        let publisher = rich::<T>("publisher");
        let id = listed::<T>(&publisher)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(publisher), id);

        assert_eq!(
            Listings::<T>::get(id).map(|record| record.status),
            Some(ListingStatus::Retired)
        );
        Ok(())
    }

    #[benchmark]
    fn claim_royalties() -> Result<(), BenchmarkError> {
        let publisher = rich::<T>("publisher");
        let id = listed::<T>(&publisher)?;
        T::Currency::set_balance(&Pallet::<T>::account_id(), RICH);
        Pallet::<T>::credit_royalty(&id, RICH / 2)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(rich::<T>("anyone")), id);

        assert_eq!(Accounts::<T>::get(id).map(|account| account.pot), Some(0));
        Ok(())
    }

    #[benchmark]
    fn drop_retired() -> Result<(), BenchmarkError> {
        let publisher = rich::<T>("publisher");
        let id = listed::<T>(&publisher)?;
        Pallet::<T>::do_retire(publisher, id)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(rich::<T>("anyone")), id);

        assert!(!Listings::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn freeze() -> Result<(), BenchmarkError> {
        let publisher = rich::<T>("publisher");
        let id = listed::<T>(&publisher)?;
        let origin =
            T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, id);

        assert_eq!(
            Listings::<T>::get(id).map(|record| record.status),
            Some(ListingStatus::Frozen)
        );
        Ok(())
    }

    #[benchmark]
    fn set_parameters() -> Result<(), BenchmarkError> {
        let origin =
            T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
        let parameters = Parameters {
            max_royalty: Permill::from_percent(7),
        };

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, parameters.clone());

        assert_eq!(Params::<T>::get(), parameters);
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::genesis(), crate::mock::Test);
}

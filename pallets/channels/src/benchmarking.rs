//! One benchmark for each weight.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use alloc::vec::Vec;

use assay_primitives::{
    Balance, ChannelId, ListingId, ModelCatalogue, SignedVoucher, Voucher, VoucherKey,
    VoucherSignature,
};
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{fungible::Mutate, EnsureOrigin},
    BoundedVec,
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_runtime::traits::One;

use crate::*;

/// What the benchmarks need of other pallets, and of a keystore.
pub trait BenchmarkHelper<AccountId> {
    /// Register an active listing with a royalty, and a provider that is online, has an endpoint,
    /// and offers it; others for each `index`. Let the treasury exist. Returns the listing, and the
    /// provider's stash and operator.
    fn provider(index: u32) -> (ListingId, AccountId, AccountId);

    /// Let this provider have a reward to get, which it gets when dues are paid.
    fn owe_reward(stash: &AccountId);

    /// A voucher key of the kind that takes longer to verify.
    fn voucher_key() -> VoucherKey;

    /// Sign `payload` with [`voucher_key`](Self::voucher_key).
    fn sign(payload: &[u8]) -> VoucherSignature;
}

/// Shares of this are above any existential deposit.
const DEPOSIT: Balance = 1_000_000_000_000;
const RICH: Balance = 1_000_000_000_000_000_000;

/// Who pays whom, for what.
struct Cast<T: Config> {
    user: T::AccountId,
    listing: ListingId,
    stash: T::AccountId,
    operator: T::AccountId,
}

fn user<T: Config>(index: u32) -> T::AccountId {
    let user = account("user", index, 0);
    T::Currency::set_balance(&user, RICH);
    user
}

/// Everybody who takes part, in block 1.
fn cast<T: Config>() -> Cast<T> {
    frame_system::Pallet::<T>::set_block_number(One::one());
    let (listing, stash, operator) = T::BenchmarkHelper::provider(0);
    T::Currency::set_balance(&T::Catalogue::royalty_account(), RICH);
    Cast {
        user: user::<T>(0),
        listing,
        stash,
        operator,
    }
}

fn opened<T: Config>(cast: &Cast<T>) -> Result<ChannelId, BenchmarkError> {
    opened_by(cast, cast.user.clone())
}

fn opened_by<T: Config>(cast: &Cast<T>, user: T::AccountId) -> Result<ChannelId, BenchmarkError> {
    let number = NextChannel::<T>::get();
    let stash = cast.stash.clone();
    let key = T::BenchmarkHelper::voucher_key();
    Pallet::<T>::do_open(user, stash, cast.listing, key, DEPOSIT)?;
    Ok(assay_primitives::channel_id(
        &Pallet::<T>::genesis(),
        number,
    ))
}

/// A voucher over half of the deposit.
fn voucher<T: Config>(channel: ChannelId) -> SignedVoucher {
    let cumulative = DEPOSIT / 2;
    let voucher = Voucher {
        genesis: Pallet::<T>::genesis(),
        channel,
        cumulative,
    };
    SignedVoucher {
        channel,
        cumulative,
        signature: T::BenchmarkHelper::sign(&voucher.signing_payload()),
    }
}

fn settled<T: Config>(id: ChannelId) -> Result<(), BenchmarkError> {
    let voucher = voucher::<T>(id);
    Ok(Pallet::<T>::do_settle(voucher, voucher.cumulative)?)
}

fn channel<T: Config>(id: ChannelId) -> ChannelRecordOf<T> {
    Channels::<T>::get(id).expect("its record is kept")
}

fn go_to_step<T: Config>(id: ChannelId) {
    let due: BlockNumberFor<T> = channel::<T>(id).due().expect("it has a step to take");
    frame_system::Pallet::<T>::set_block_number(due);
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn open() {
        let cast = cast::<T>();
        let key = T::BenchmarkHelper::voucher_key();

        #[extrinsic_call]
        _(
            RawOrigin::Signed(cast.user.clone()),
            cast.stash.clone(),
            cast.listing,
            key,
            DEPOSIT,
        );

        assert_eq!(NextChannel::<T>::get(), 1);
    }

    /// The channel was closing.
    #[benchmark]
    fn top_up() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let id = opened(&cast)?;
        Pallet::<T>::do_request_close(cast.user.clone(), id)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(cast.user.clone()), id, DEPOSIT);

        assert_eq!(channel::<T>(id).deposit, 2 * DEPOSIT);
        Ok(())
    }

    #[benchmark]
    fn settle() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let id = opened(&cast)?;
        let voucher = voucher::<T>(id);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(cast.user.clone()),
            voucher,
            voucher.cumulative,
        );

        assert_eq!(channel::<T>(id).settled, voucher.cumulative);
        Ok(())
    }

    /// No two channels have a user in common.
    #[benchmark]
    fn settle_many(n: Linear<1, MAX_VOUCHERS>) -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let ids = (0..n)
            .map(|index| opened_by(&cast, user::<T>(index)))
            .collect::<Result<Vec<_>, _>>()?;
        let sender = account("sender", 0, 0);
        let vouchers: Vec<_> = ids
            .iter()
            .map(|id| voucher::<T>(*id))
            .map(|voucher| (voucher, voucher.cumulative))
            .collect();
        let vouchers = BoundedVec::truncate_from(vouchers);

        #[extrinsic_call]
        _(RawOrigin::Signed(sender), vouchers);

        assert!(ids.iter().all(|id| channel::<T>(*id).settled > 0));
        Ok(())
    }

    /// The channel was closing, its last voucher is settled, and the provider gets its reward for an era before.
    #[benchmark]
    fn close() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        T::BenchmarkHelper::owe_reward(&cast.stash);
        let id = opened(&cast)?;
        Pallet::<T>::do_request_close(cast.user.clone(), id)?;
        let voucher = voucher::<T>(id);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(cast.operator.clone()),
            id,
            Some((voucher, voucher.cumulative)),
        );

        assert!(channel::<T>(id).is_closed());
        Ok(())
    }

    #[benchmark]
    fn request_close() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let id = opened(&cast)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(cast.user.clone()), id);

        assert!(channel::<T>(id).due().is_some());
        Ok(())
    }

    /// The channel's dues are paid, and the provider gets its reward for an era before.
    #[benchmark]
    fn finalize() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        T::BenchmarkHelper::owe_reward(&cast.stash);
        let id = opened(&cast)?;
        settled::<T>(id)?;
        Pallet::<T>::do_request_close(cast.user.clone(), id)?;
        go_to_step::<T>(id);

        #[extrinsic_call]
        _(RawOrigin::Signed(cast.user.clone()), id);

        assert!(channel::<T>(id).is_closed());
        Ok(())
    }

    #[benchmark]
    fn remove() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let id = opened(&cast)?;
        Pallet::<T>::do_close(cast.stash.clone(), id, None)?;
        go_to_step::<T>(id);
        let result;

        #[block]
        {
            result = Pallet::<T>::do_finalize(id);
        }

        result?;
        assert!(!Channels::<T>::contains_key(id));
        Ok(())
    }

    /// The provider gets its reward for an era before.
    #[benchmark]
    fn pay_dues() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        T::BenchmarkHelper::owe_reward(&cast.stash);
        let id = opened(&cast)?;
        settled::<T>(id)?;
        assert!(channel::<T>(id).dues.treasury > 0 && channel::<T>(id).dues.royalty > 0);

        #[extrinsic_call]
        _(RawOrigin::Signed(cast.user.clone()), id);

        assert_eq!(channel::<T>(id).dues.total(), 0);
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

    impl_benchmark_test_suite!(Pallet, crate::mock::genesis(), crate::mock::Test);
}

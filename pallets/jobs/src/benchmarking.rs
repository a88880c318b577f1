//! One benchmark for each weight.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use alloc::{vec, vec::Vec};

use assay_primitives::{
    token_root, Anchor, Balance, Finish, JobId, ListingId, Market, ModelCatalogue, Price, Receipt,
    Sampling, TokenId,
};
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{fungible::Mutate, EnsureOrigin, Get},
    BoundedVec,
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_core::H256;
use sp_runtime::traits::{One, Saturating, UniqueSaturatedInto, Zero};

use crate::*;

/// What the benchmarks need of other pallets.
pub trait BenchmarkHelper<T: Config> {
    /// Register an active listing with a royalty, a context above [`Config::MaxTokens`] and more
    /// tokens in the vocabulary than stop tokens.
    fn listing() -> ListingId;

    /// Register a provider that offers `listing` in its whole context at `price`, with room for
    /// a job and a bond that covers it; another for each `index`. Returns its stash and operator.
    fn provider(index: u32, listing: ListingId, price: Price) -> (T::AccountId, T::AccountId);

    /// Let this provider have a reward to get, which its next settlement pays.
    fn owe_reward(stash: &T::AccountId);

    /// Sign `payload` as an operator that [`provider`](Self::provider) returned.
    fn sign(operator: &T::AccountId, payload: &[u8]) -> T::Signature;
}

/// Shares of a fee at this price are above any existential deposit.
const PRICE: Price = Price {
    input: 1_000_000_000,
    output: 1_000_000_000,
};
const RICH: Balance = 1_000_000_000_000_000_000;

fn rich<T: Config>(name: &'static str) -> T::AccountId {
    let who = account(name, 0, 0);
    T::Currency::set_balance(&who, RICH);
    who
}

fn go_to<T: Config>(block: BlockNumberFor<T>) {
    frame_system::Pallet::<T>::set_block_number(block);
}

/// A token that does not stop an answer.
fn token<T: Config>(listing: &ListingId) -> TokenId {
    let model = T::Catalogue::listing(listing).expect("just registered");
    (0..model.spec.vocabulary)
        .find(|token| !model.spec.stop_tokens.contains(token))
        .expect("a vocabulary has more than stop tokens")
}

fn tokens<T: Config>(listing: &ListingId, length: u32) -> TokensOf<T> {
    vec![token::<T>(listing); length as usize]
        .try_into()
        .expect("no longer than it may be")
}

/// The cast of a job: who asks, what, and who answers.
struct Cast<T: Config> {
    user: T::AccountId,
    listing: ListingId,
    stash: T::AccountId,
    operator: T::AccountId,
}

/// Everybody who takes part, in block 1.
fn cast<T: Config>() -> Cast<T> {
    go_to::<T>(One::one());
    T::Currency::set_balance(&T::Treasury::get(), RICH);
    T::Currency::set_balance(&T::Catalogue::royalty_account(), RICH);
    let listing = T::BenchmarkHelper::listing();
    let (stash, operator) = T::BenchmarkHelper::provider(0, listing, PRICE);
    Cast {
        user: rich::<T>("user"),
        listing,
        stash,
        operator,
    }
}

/// A job that waits for its draw, whose randomness is known.
fn submitted<T: Config>(
    cast: &Cast<T>,
    prompt_len: u32,
    output_limit: u32,
) -> Result<JobId, BenchmarkError> {
    let id = NextJobId::<T>::get();
    let prompt = tokens::<T>(&cast.listing, prompt_len);
    let (user, listing, greedy) = (cast.user.clone(), cast.listing, Sampling::GREEDY);
    Pallet::<T>::do_submit(
        user,
        listing,
        prompt,
        greedy,
        output_limit,
        1,
        RICH / 2,
        None,
    )?;
    Randomness::<T>::insert(job::<T>(id).state.due(), H256::repeat_byte(1));
    Ok(id)
}

fn job<T: Config>(id: JobId) -> JobRecordOf<T> {
    Jobs::<T>::get(id).expect("its record is kept")
}

/// Let the chain take the job's next step when it is due.
fn step<T: Config>(id: JobId) -> Result<(), BenchmarkError> {
    let job = job::<T>(id);
    go_to::<T>(job.state.due());
    Ok(Pallet::<T>::step(id, job)?)
}

/// A job that is assigned to the only provider.
fn assigned<T: Config>(
    cast: &Cast<T>,
    prompt_len: u32,
    output_limit: u32,
) -> Result<JobId, BenchmarkError> {
    let id = submitted::<T>(cast, prompt_len, output_limit)?;
    step::<T>(id)?;
    assignment::<T>(id)?;
    Ok(id)
}

fn assignment<T: Config>(id: JobId) -> Result<AssignmentRecordOf<T>, BenchmarkError> {
    match job::<T>(id).state {
        JobState::Assigned(assignment) => Ok(assignment),
        _ => Err("the job was not assigned: look at the helper's provider".into()),
    }
}

/// An honest answer of this many tokens, in the block after the assignment.
fn answer<T: Config>(
    cast: &Cast<T>,
    id: JobId,
) -> Result<(Receipt, T::Signature, TokensOf<T>), BenchmarkError> {
    let assignment = assignment::<T>(id)?;
    let output = tokens::<T>(&cast.listing, assignment.token_limit);
    let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
    let anchor = assignment.assigned_at;
    let hash = H256::repeat_byte(7);
    frame_system::BlockHash::<T>::insert(anchor, hash);
    go_to::<T>(anchor.saturating_add(One::one()));
    let number: u32 = UniqueSaturatedInto::unique_saturated_into(anchor);
    let receipt = Receipt {
        header: job::<T>(id).header(genesis, id, &assignment).hash(),
        anchor: Anchor { number, hash },
        output_len: assignment.token_limit,
        output_root: token_root(&output),
        finish: Finish::Length,
        fee: assignment.worst_case_fee,
    };
    let signature = T::BenchmarkHelper::sign(&cast.operator, &receipt.signing_payload());
    Ok((receipt, signature, output))
}

fn delivered<T: Config>(cast: &Cast<T>) -> Result<JobId, BenchmarkError> {
    let id = assigned::<T>(cast, 1, T::MaxTokens::get())?;
    let (receipt, signature, output) = answer::<T>(cast, id)?;
    Pallet::<T>::do_deliver(cast.operator.clone(), id, receipt, signature, output)?;
    Ok(id)
}

#[benchmarks]
mod benchmarks {
    use super::*;

    #[benchmark]
    fn submit(p: Linear<1, { T::MaxTokens::get() }>) -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let prompt = tokens::<T>(&cast.listing, p);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(cast.user.clone()),
            cast.listing,
            prompt,
            Sampling::GREEDY,
            1,
            1,
            RICH / 2,
            Some(cast.stash.clone()),
        );

        assert_eq!(job::<T>(0).prompt_len, p);
        Ok(())
    }

    #[benchmark]
    fn cancel() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let id = submitted::<T>(&cast, 1, 1)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(cast.user.clone()), id);

        assert!(matches!(job::<T>(id).state, JobState::Refunded { .. }));
        Ok(())
    }

    #[benchmark]
    fn decline() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let id = assigned::<T>(&cast, 1, 1)?;

        #[extrinsic_call]
        _(RawOrigin::Signed(cast.operator.clone()), id);

        assert!(matches!(
            job::<T>(id).state,
            JobState::Waiting { .. } | JobState::Refunded { .. }
        ));
        Ok(())
    }

    #[benchmark]
    fn deliver(o: Linear<1, { T::MaxTokens::get() }>) -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let id = assigned::<T>(&cast, 1, o)?;
        let (receipt, signature, output) = answer::<T>(&cast, id)?;

        #[extrinsic_call]
        _(
            RawOrigin::Signed(cast.operator.clone()),
            id,
            receipt,
            signature,
            output,
        );

        assert_eq!(
            Outputs::<T>::get(id).map(|output| output.len() as u32),
            Some(o)
        );
        Ok(())
    }

    /// Every offer is a candidate.
    #[benchmark]
    fn draw(o: Linear<1, { T::Market::max_offers() }>) -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        for index in 1..o {
            T::BenchmarkHelper::provider(index, cast.listing, PRICE);
        }
        let id = submitted::<T>(&cast, T::MaxTokens::get(), 1)?;
        let strangers: Vec<T::AccountId> = (1..T::MaxDraws::get())
            .map(|index| account("stranger", index, 0))
            .collect();
        let strangers: BoundedVec<_, T::MaxDraws> = strangers.try_into().expect("fewer than draws");
        Jobs::<T>::mutate(id, |job| {
            if let Some(job) = job {
                job.excluded = strangers;
            }
        });
        let record = job::<T>(id);
        go_to::<T>(record.state.due());
        let result;

        #[block]
        {
            result = Pallet::<T>::step(id, record);
        }

        result?;
        assignment::<T>(id)?;
        Ok(())
    }

    /// The provider pays, and the change that was released is held again.
    #[benchmark]
    fn miss() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let id = assigned::<T>(&cast, 1, T::MaxTokens::get())?;
        let record = job::<T>(id);
        go_to::<T>(record.state.due());
        let result;

        #[block]
        {
            result = Pallet::<T>::step(id, record);
        }

        result?;
        assert_eq!(job::<T>(id).excluded.to_vec(), vec![cast.stash]);
        Ok(())
    }

    /// The provider gets its reward for an era before.
    #[benchmark]
    fn settle() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        T::BenchmarkHelper::owe_reward(&cast.stash);
        let id = delivered::<T>(&cast)?;
        let record = job::<T>(id);
        go_to::<T>(record.state.due());
        let result;

        #[block]
        {
            result = Pallet::<T>::step(id, record);
        }

        result?;
        assert!(matches!(job::<T>(id).state, JobState::Settled { .. }));
        Ok(())
    }

    #[benchmark]
    fn remove() -> Result<(), BenchmarkError> {
        let cast = cast::<T>();
        let id = delivered::<T>(&cast)?;
        step::<T>(id)?;
        let record = job::<T>(id);
        go_to::<T>(record.state.due());
        let result;

        #[block]
        {
            result = Pallet::<T>::step(id, record);
        }

        result?;
        assert!(!Jobs::<T>::contains_key(id));
        Ok(())
    }

    #[benchmark]
    fn set_parameters() -> Result<(), BenchmarkError> {
        let origin =
            T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
        // The defaults may outlast the time in which this chain's earnings mature.
        let parameters = ParametersOf::<T> {
            challenge_blocks: 1u32.into(),
            ..Params::<T>::get()
        };

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, parameters.clone());

        assert_eq!(Params::<T>::get(), parameters);
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::genesis(), crate::mock::Test);
}

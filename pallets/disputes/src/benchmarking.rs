//! One benchmark for each weight, over a request as long as a conversation can be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod judging;
mod scene;

use alloc::vec;

use assay_exact::trace::{levels, Operator};
use assay_primitives::{ChannelId, Claim, ListingId, ModelParts, VoucherSignature};
use frame_benchmarking::v2::*;
use frame_support::{
    traits::{fungible::Mutate, EnsureOrigin},
    BoundedVec,
};
use frame_system::{pallet_prelude::BlockNumberFor, RawOrigin};
use sp_runtime::traits::{One, Saturating};

use self::{
    judging::Judging,
    scene::{parts, tokens, Scene, OUTPUT_LEN, POSITION, REQUEST_LEN, RICH, SALT},
};
use crate::*;

/// What the benchmarks need of other pallets, and of a keystore.
pub trait BenchmarkHelper<T: Config> {
    /// List this model; register a provider that offers it; open a channel to it and settle some of
    /// it.
    fn channel(parts: ModelParts) -> BenchmarkChannel<T::AccountId>;

    /// Sign as the channel's provider's operator.
    fn operator_signature(operator: &T::AccountId, payload: &[u8]) -> T::Signature;

    /// Sign with the channel's voucher key.
    fn user_signature(payload: &[u8]) -> VoucherSignature;
}

/// A channel to a provider.
pub struct BenchmarkChannel<AccountId> {
    pub id: ChannelId,
    pub listing: ListingId,
    pub stash: AccountId,
    pub operator: AccountId,
}

/// As many later disputes over the claim as a provider's queue has places.
fn crowd<T: Config>(claim: &Claim) {
    let later = Pallet::<T>::now().saturating_add(One::one());
    for number in 0..MAX_LIVE + MAX_WAITING {
        ByClaim::<T>::insert(claim, rank(later, number.into()), 0);
    }
}

/// The benchmarks of the operators, beside those that are written out.
macro_rules! with_operators {
    (operators { $($name:ident: $operator:ident,)* } $($others:tt)*) => {
        #[benchmarks]
        mod benchmarks {
            use super::*;

            $(
                #[benchmark]
                fn $name() -> Result<(), BenchmarkError> {
                    let judging = Judging::<T>::of(Operator::$operator)?;
                    let is_proof;

                    #[block]
                    {
                        is_proof = judging.is_proof();
                    }

                    assert!(is_proof);
                    Ok(())
                }
            )*

            $($others)*
        }
    };
}

fn dispute<T: Config>() -> Option<DisputeRecordOf<T>> {
    Disputes::<T>::get(0)
}

with_operators! {
    operators {
        judge_seen: Seen,
        judge_angles: Angles,
        judge_embed: Embed,
        judge_norm_maximum: NormMaximum,
        judge_norm_squares: NormSquares,
        judge_norm_product: NormProduct,
        judge_norm_activation: NormActivation,
        judge_norm_scale: NormScale,
        judge_linear: Linear,
        judge_head_norm: HeadNorm,
        judge_head_maximum: HeadMaximum,
        judge_head_activation: HeadActivation,
        judge_head_scale: HeadScale,
        judge_page: Page,
        judge_score: Score,
        judge_score_maximum: ScoreMaximum,
        judge_shifted_maximum: ShiftedMaximum,
        judge_denominator: Denominator,
        judge_mixed: Mixed,
        judge_mixed_maximum: MixedMaximum,
        judge_mixed_activation: MixedActivation,
        judge_mixed_scale: MixedScale,
        judge_product_block: ProductBlock,
        judge_product_maximum: ProductMaximum,
        judge_product_activation: ProductActivation,
        judge_product_scale: ProductScale,
        judge_penalised: Penalised,
        judge_largest: Largest,
        judge_cut: Cut,
        judge_cumulative: Cumulative,
        judge_last_bin: LastBin,
        judge_kept: Kept,
        judge_token: Token,
    }

    /// Hashes that lead nowhere, as many as a proof can have.
    #[benchmark]
    fn judge_nothing() -> Result<(), BenchmarkError> {
        let judging = Judging::<T>::of_nothing()?;
        let is_proof;

        #[block]
        {
            is_proof = judging.is_proof();
        }

        assert!(!is_proof);
        Ok(())
    }

    #[benchmark]
    fn commit() {
        let who: T::AccountId = account("challenger", 0, 0);
        T::Currency::set_balance(&who, RICH);

        #[extrinsic_call]
        _(RawOrigin::Signed(who.clone()), SALT);

        assert!(Commitments::<T>::contains_key(&who, SALT));
    }

    #[benchmark]
    fn open() {
        let scene = Scene::<T>::new(parts(), SALT, SALT);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(scene.challenger.clone()),
            scene.claim,
            scene.statement.clone(),
            Some(POSITION),
            SALT,
            Some(scene.challenger.clone()),
        );

        assert!(dispute::<T>().is_some());
    }

    /// Of a score, whose tokens are in a longer list than an answer's.
    #[benchmark]
    fn answer() -> Result<(), BenchmarkError> {
        let (token, root) = tokens(REQUEST_LEN, (REQUEST_LEN - 1) / 32);
        let scene = Scene::<T>::score(parts(), root);
        let record = scene.open()?;
        let shown = scene::answer(&scene, token);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(scene.operator.clone()),
            0,
            record.state,
            shown,
        );

        assert_eq!(dispute::<T>().expect("it goes on").moves, 1);
        Ok(())
    }

    /// Hashes; the bytes of eight leaves take less time.
    #[benchmark]
    fn reveal() -> Result<(), BenchmarkError> {
        let scene = Scene::<T>::new(parts(), SALT, SALT);
        let nodes = Nodes::truncate_from(vec![SALT; levels::MAX_NODES as usize]);
        let hash = assay_primitives::tree::root_of(nodes.to_vec());
        let record = scene.at(Stage::Node {
            level: levels::first(scene.leaves()),
            index: 0,
            hash,
        })?;

        #[extrinsic_call]
        _(
            RawOrigin::Signed(scene.operator.clone()),
            0,
            record.state,
            Revelation::Nodes(nodes),
        );

        assert_eq!(dispute::<T>().expect("it goes on").moves, 2);
        Ok(())
    }

    #[benchmark]
    fn choose() -> Result<(), BenchmarkError> {
        let scene = Scene::<T>::new(parts(), SALT, SALT);
        let leaf = LeafBytes::truncate_from(vec![1; MAX_LEAF_BYTES as usize]);
        let record = scene.at(Stage::Leaves {
            first: scene.leaves() / 2,
            leaves: Leaves::truncate_from(vec![leaf; levels::MAX_LEAVES as usize]),
        })?;

        #[extrinsic_call]
        _(
            RawOrigin::Signed(scene.challenger.clone()),
            0,
            record.state,
            Choice::Element {
                leaf: 7,
                element: 0,
            },
        );

        assert_eq!(dispute::<T>().expect("it goes on").moves, 2);
        Ok(())
    }

    /// The provider is late, and two others can begin.
    #[benchmark]
    fn timeout() -> Result<(), BenchmarkError> {
        let scene = Scene::<T>::new(parts(), SALT, SALT);
        let record = scene.open()?;
        let mut next = record.clone();
        next.deadline = None;
        next.bond = 0;
        next.claim = Claim::Channel {
            id: match scene.claim {
                Claim::Channel { id, .. } => id,
                Claim::Job(_) => SALT,
            },
            seq: 1,
        };
        Disputes::<T>::insert(1, next.clone());
        Disputes::<T>::insert(2, next);
        Dockets::<T>::mutate(&record.provider, |docket| {
            let live = Live {
                dispute: 0,
                trace_blocks: 1,
            };
            docket.live = BoundedVec::truncate_from(vec![live]);
            let mut waiting = vec![2; MAX_WAITING as usize];
            waiting[0] = 1;
            docket.waiting = BoundedVec::truncate_from(waiting);
        });
        crowd::<T>(&scene.claim);
        let deadline = record.deadline.expect("its clock runs");
        Clock::<T>::put(deadline.saturating_add(One::one()));

        #[extrinsic_call]
        _(RawOrigin::Signed(scene.challenger.clone()), 0);

        assert!(Convictions::<T>::contains_key(scene.claim));
        Ok(())
    }

    /// Two receipts, two signatures, two openings.
    #[benchmark]
    fn accuse() {
        let (opening, root) = tokens(OUTPUT_LEN, 0);
        let mut other_opening = opening.clone();
        other_opening.bytes[32] = 1;
        let other_root = other_opening.root(0, OUTPUT_LEN.div_ceil(32).into());
        let scene = Scene::<T>::new(parts(), SALT, root);
        let mut other = scene.statement.receipt.clone();
        other.output_root = other_root.expect("the opening is sound");
        let payload = other.signing_payload();
        let signature = T::BenchmarkHelper::operator_signature(&scene.operator, &payload);
        let evidence = Evidence::Twice {
            other,
            signature,
            position: 0,
            opening,
            other_opening,
        };
        crowd::<T>(&scene.claim);

        #[extrinsic_call]
        _(
            RawOrigin::Signed(scene.challenger.clone()),
            scene.claim,
            scene.statement.clone(),
            evidence,
            SALT,
        );

        assert!(Convictions::<T>::contains_key(scene.claim));
    }

    #[benchmark]
    fn set_parameters() -> Result<(), BenchmarkError> {
        let origin =
            T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
        let parameters = Params::<T>::get();

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, parameters.clone());

        assert_eq!(Params::<T>::get(), parameters);
        Ok(())
    }

    /// Another was before.
    #[benchmark]
    fn pause() -> Result<(), BenchmarkError> {
        let origin =
            T::AdminOrigin::try_successful_origin().map_err(|_| BenchmarkError::Weightless)?;
        Pallet::<T>::do_pause(true)?;
        Pallet::<T>::do_pause(false)?;

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, true);

        assert!(Pallet::<T>::is_paused());
        Ok(())
    }

    #[benchmark]
    fn expire() -> Result<(), BenchmarkError> {
        let who: T::AccountId = account("challenger", 0, 0);
        T::Currency::set_balance(&who, RICH);
        Pallet::<T>::do_commit(who.clone(), SALT)?;
        let result;

        #[block]
        {
            result = Pallet::<T>::fulfil(Duty::Commitment(who.clone(), SALT));
        }

        result?;
        assert!(!Commitments::<T>::contains_key(&who, SALT));
        Ok(())
    }

    /// A trace that has to be kept is looked at again; dropping one writes as much.
    #[benchmark]
    fn forget() -> Result<(), BenchmarkError> {
        let scene = Scene::<T>::new(parts(), SALT, SALT);
        let hash = Pallet::<T>::hash_of(&scene.statement.receipt);
        let trace = TraceRecord {
            claim: scene.claim,
            anchor: 1,
            root: SALT,
            nodes: Nodes::truncate_from(vec![SALT; levels::MAX_NODES as usize]),
        };
        Traces::<T>::insert(hash, POSITION, trace);
        let clock: BlockNumberFor<T> = Clock::<T>::get();
        let result;

        #[block]
        {
            result = Pallet::<T>::fulfil(Duty::Trace(hash, POSITION));
        }

        result?;
        let again = clock.saturating_add(Params::<T>::get().challenge_blocks);
        assert!(Agenda::<T>::contains_key(
            again,
            Duty::Trace(hash, POSITION)
        ));
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::genesis(), crate::mock::Test);
}

//! The market for inference: models, providers, jobs, channels, disputes.

use assay_primitives::{Claim, ClaimFacts, Claims, Market};

use crate::{
    configs::{ParametersOrigin, TreasuryAccount},
    governance, AccountId, Babe, Balance, Balances, BlockNumber, Channels, Disputes, Hash, Jobs,
    Models, Providers, Runtime, RuntimeHoldReason, Signature,
};
use frame_support::{
    parameter_types,
    traits::{fungible::HoldConsideration, ConstU32, Get, LinearStoragePrice},
    weights::{constants::WEIGHT_REF_TIME_PER_SECOND, Weight},
    PalletId,
};
use sp_runtime::{traits::Verify, DispatchError, DispatchResult, Permill};

parameter_types! {
    pub const ModelsPalletId: PalletId = PalletId(*b"asy/modl");
    /// Half of a fee: what a publisher gets is free at once, and the part that a cheat can lose is the provider's.
    pub const MaxRoyalty: Permill = Permill::from_percent(50);
    pub DepositBase: Balance = governance::Params::<Runtime>::get().deposit_base;
    pub DepositPerByte: Balance = governance::Params::<Runtime>::get().deposit_per_byte;
    pub const ListingDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Models(pallet_models::HoldReason::ListingDeposit);
    pub const ProviderDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Providers(pallet_providers::HoldReason::ProviderDeposit);
    pub const JobDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Jobs(pallet_jobs::HoldReason::JobDeposit);
    pub const ChannelDeposit: RuntimeHoldReason =
        RuntimeHoldReason::Channels(pallet_channels::HoldReason::ChannelDeposit);
    /// A fifth of a block for draws, deadlines and settlements before anything else is done.
    pub const MaxAgendaWeight: Weight = Weight::from_parts(
        WEIGHT_REF_TIME_PER_SECOND.saturating_mul(2) / 5,
        u64::MAX,
    );
}

/// A ticket says what was put on hold for it, so another price changes nothing about a record that there is: what comes
/// back is what was taken.
pub(super) type Deposit<Reason> = HoldConsideration<
    AccountId,
    Balances,
    Reason,
    LinearStoragePrice<DepositBase, DepositPerByte, Balance>,
>;

/// The VRF output of the previous block's author.
pub struct ParentVrf;

impl Get<Option<Hash>> for ParentVrf {
    fn get() -> Option<Hash> {
        Babe::author_vrf_randomness().map(Hash::from)
    }
}

/// Blocks in which a pause of the referee stopped all clocks.
pub struct StoodStill;

impl Get<BlockNumber> for StoodStill {
    fn get() -> BlockNumber {
        Disputes::stood_still()
    }
}

/// Blocks in which an answer can be challenged.
pub struct ChallengeBlocks;

impl Get<BlockNumber> for ChallengeBlocks {
    fn get() -> BlockNumber {
        pallet_disputes::Params::<Runtime>::get().challenge_blocks
    }
}

/// Blocks for which earnings mature.
pub struct MaturingBlocks;

impl Get<BlockNumber> for MaturingBlocks {
    fn get() -> BlockNumber {
        <Providers as Market<AccountId, BlockNumber>>::maturing_blocks()
    }
}

/// Jobs and channels keep claims, each its kind.
pub struct RuntimeClaims;

impl Claims<AccountId, BlockNumber> for RuntimeClaims {
    fn facts(claim: &Claim) -> Option<ClaimFacts<AccountId, BlockNumber>> {
        match claim {
            Claim::Job(_) => Jobs::facts(claim),
            Claim::Channel { .. } => Channels::facts(claim),
        }
    }

    fn freeze(claim: &Claim) -> DispatchResult {
        match claim {
            Claim::Job(_) => Jobs::freeze(claim),
            Claim::Channel { .. } => Channels::freeze(claim),
        }
    }

    fn thaw(claim: &Claim) {
        match claim {
            Claim::Job(_) => Jobs::thaw(claim),
            Claim::Channel { .. } => Channels::thaw(claim),
        }
    }

    fn void(claim: &Claim, missing: Balance) -> Result<Balance, DispatchError> {
        match claim {
            Claim::Job(_) => Jobs::void(claim, missing),
            Claim::Channel { .. } => Channels::void(claim, missing),
        }
    }

    fn note_refund(claim: &Claim, refund: Balance) {
        match claim {
            Claim::Job(_) => Jobs::note_refund(claim, refund),
            Claim::Channel { .. } => Channels::note_refund(claim, refund),
        }
    }
}

impl pallet_models::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<ListingDeposit>;
    type AdminOrigin = ParametersOrigin;
    type PalletId = ModelsPalletId;
    type MaxRoyalty = MaxRoyalty;
    type MaxUriLength = ConstU32<256>;
    type WeightInfo = ();
}

impl pallet_providers::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<ProviderDeposit>;
    type Catalogue = Models;
    type StoodStill = StoodStill;
    type ChallengeBlocks = ChallengeBlocks;
    type AdminOrigin = ParametersOrigin;
    type MaxEndpointLength = ConstU32<256>;
    type MaxUnbondingChunks = ConstU32<16>;
    type MaxOperatorRanges = ConstU32<16>;
    type MaxOffersPerListing = ConstU32<64>;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = crate::benchmarks::MarketHelper;
}

impl pallet_jobs::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<JobDeposit>;
    type Catalogue = Models;
    type Market = Providers;
    type StoodStill = StoodStill;
    type ParentRandomness = ParentVrf;
    type Signature = Signature;
    type Signer = <Signature as Verify>::Signer;
    type Treasury = TreasuryAccount;
    type AdminOrigin = ParametersOrigin;
    type MaxTokens = ConstU32<4096>;
    type MaxDraws = ConstU32<8>;
    type MaxAgendaWeight = MaxAgendaWeight;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = crate::benchmarks::MarketHelper;
}

impl pallet_channels::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Consideration = Deposit<ChannelDeposit>;
    type Catalogue = Models;
    type Market = Providers;
    type Fees = Jobs;
    type StoodStill = StoodStill;
    type AdminOrigin = ParametersOrigin;
    type MaxAgendaWeight = MaxAgendaWeight;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = crate::benchmarks::MarketHelper;
}

impl pallet_disputes::Config for Runtime {
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type Catalogue = Models;
    type Claims = RuntimeClaims;
    type Stake = Providers;
    type Signature = Signature;
    type Signer = <Signature as Verify>::Signer;
    type MaturingBlocks = MaturingBlocks;
    type AdminOrigin = ParametersOrigin;
    type MaxAgendaWeight = MaxAgendaWeight;
    type WeightInfo = ();
    #[cfg(feature = "runtime-benchmarks")]
    type BenchmarkHelper = crate::benchmarks::MarketHelper;
}

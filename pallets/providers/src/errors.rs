//! Why a call is refused.

use frame_support::pallet_macros::pallet_section;

#[pallet_section]
mod errors {
    #[pallet::error]
    pub enum Error<T> {
        /// This account is not a provider's stash: register first.
        UnknownProvider,
        /// This account is already a provider's stash.
        AlreadyRegistered,
        /// This key already speaks for a provider: choose another.
        OperatorTaken,
        /// Too many operator keys are still remembered: wait until old receipts have expired.
        TooManyRotations,
        /// The bond is below the least that a provider may have.
        BondTooSmall,
        /// What would remain bonded does not cover the open jobs.
        BondNeeded,
        /// Too many withdrawals are under way: withdraw what is due first.
        TooManyUnbondingChunks,
        /// Nothing is due for withdrawal yet.
        NothingToWithdraw,
        /// There is no listing under this id: look at `assay model list`.
        UnknownListing,
        /// The listing is retired or frozen.
        ListingNotActive,
        /// The offer's context is zero or longer than the model's.
        ContextOutOfBounds,
        /// The price is too high for a worst-case fee to be computed.
        PriceTooHigh,
        /// This listing has as many offers as the chain allows.
        TooManyOffers,
        /// The provider has no offer for this listing.
        UnknownOffer,
        /// The offer has open jobs: set its capacity to zero and wait for them.
        OfferBusy,
        /// The offer may stand: its listing is active, its provider's bond suffices, and it is in
        /// the way of no larger bond in a full listing.
        OfferStands,
        /// The provider still has offers: remove them first.
        OffersRemain,
        /// The provider still has a bond or unbonding money: withdraw it first.
        BondRemains,
        /// The provider still has open jobs.
        JobsRemain,
        /// The provider still has maturing earnings: wait until they are released.
        EarningsRemain,
        /// These earnings are not due yet, or there are none.
        NotMatured,
        /// A dispute against the provider is live: wait until it is over.
        Disputed,
        /// The parameters contradict each other: unbonding must outlast maturing, `reward_share` is at
        /// most a half, `return_share` at most nine tenths, and only these, the emission and
        /// `compensation_burned` may be zero.
        InvalidParameters,
        /// A sum of the provider's money does not fit its type.
        Overflow,
        /// No reward is due to this provider: one is when an era ends in which its settlements burned
        /// something.
        NoReward,
        /// Earnings would mature while the answers that they are for can be challenged: lower the
        /// referee's `challenge_blocks` first.
        MaturesTooSoon,
    }
}

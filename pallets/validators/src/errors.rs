//! Why a call is refused.

use frame_support::pallet_macros::pallet_section;

#[pallet_section]
mod errors {
    #[pallet::error]
    pub enum Error<T> {
        /// This account has no bond: bond first.
        NotBonded,
        /// This account has a bond already: add to it with bond_extra.
        AlreadyBonded,
        /// The bond is below the least that this takes.
        BondTooSmall,
        /// No more can be unbonded than is bonded.
        InsufficientBond,
        /// What would remain is too little for a validator or nominator: chill first.
        BondNeeded,
        /// Nothing was to be unbonded.
        NothingToUnbond,
        /// Nothing is due for withdrawal yet.
        NothingToWithdraw,
        /// Slashes that were decided are being carried out: withdraw again in some blocks.
        SlashesDue,
        /// Too many withdrawals are under way: withdraw what is due first.
        TooManyUnbondingChunks,
        /// This account has no session keys: set them with the proof from the node's
        /// author_rotateKeysWithOwner first.
        NoSessionKeys,
        /// This account does not stand for election.
        NotValidating,
        /// This account neither stands for election nor backs anybody.
        AlreadyIdle,
        /// As many stand for election as can, each with at least as much behind it.
        TooManyCandidates,
        /// This validator has as many nominators as it can have, each with at least as much.
        TooManyNominators,
        /// Session keys stay as long as there is a bond: unbond and withdraw it first.
        BondRemains,
        /// This account is still in a session's set: wait until it is not.
        StillValidating,
        /// The number of validators is below `min_validators` or above what the chain allows.
        CountOutOfBounds,
        /// The parameters contradict each other or the number of validators.
        InvalidParameters,
        /// A sum of money does not fit its type.
        Overflow,
        /// The era is not over: what it brings is known when the next begins.
        EraNotOver,
        /// Nothing is to be paid to this validator for this era: it made no block, was paid already or was
        /// at fault, or the era is too long ago.
        NothingToPay,
    }
}

//! What is told of providers.

use frame_support::pallet_macros::pallet_section;

#[pallet_section]
mod events {
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A provider registered.
        Registered {
            /// Stash.
            provider: T::AccountId,
            /// Its first operator key.
            operator: T::AccountId,
            /// Planck.
            bond: Balance,
        },
        /// A provider changed how it is reached.
        InfoUpdated {
            /// Stash.
            provider: T::AccountId,
        },
        /// A provider replaced its operator key; the new one is valid from this block.
        OperatorRotated {
            /// Stash.
            provider: T::AccountId,
            /// The new key.
            operator: T::AccountId,
        },
        /// Money was added to a bond.
        Bonded {
            /// Stash.
            provider: T::AccountId,
            /// Planck added.
            amount: Balance,
        },
        /// Money began to leave a bond.
        Unbonded {
            /// Stash.
            provider: T::AccountId,
            /// Planck.
            amount: Balance,
            /// The first block at which it may be withdrawn.
            due: BlockNumberFor<T>,
        },
        /// Unbonded money was released.
        Withdrawn {
            /// Stash.
            provider: T::AccountId,
            /// Planck.
            amount: Balance,
        },
        /// An offer was made or changed. Assigned jobs keep the price that they were assigned at.
        OfferSet {
            /// Stash.
            provider: T::AccountId,
            /// What is served.
            listing: ListingId,
            /// Planck per token.
            price: Price,
        },
        /// An offer was removed.
        OfferRemoved {
            /// Stash.
            provider: T::AccountId,
            /// What was served.
            listing: ListingId,
        },
        /// An offer that must not stand, or not any longer, was removed.
        OfferEvicted {
            /// Stash.
            provider: T::AccountId,
            /// What was served.
            listing: ListingId,
            /// Who asked for it.
            by: T::AccountId,
        },
        /// A provider went online or offline.
        OnlineSet {
            /// Stash.
            provider: T::AccountId,
            /// Whether new jobs may be assigned.
            online: bool,
        },
        /// A provider left; its deposit was returned.
        Deregistered {
            /// Stash.
            provider: T::AccountId,
        },
        /// An assignment ended.
        Resolved {
            /// Stash.
            provider: T::AccountId,
            /// How.
            outcome: Outcome,
            /// The provider's score after it, in parts per million.
            score: u32,
        },
        /// Earnings began to mature.
        EarningsHeld {
            /// Stash.
            provider: T::AccountId,
            /// Planck.
            amount: Balance,
            /// The block at which they are due for release.
            due: BlockNumberFor<T>,
        },
        /// Matured earnings were released to the stash.
        EarningsReleased {
            /// Stash.
            provider: T::AccountId,
            /// Planck.
            amount: Balance,
        },
        /// A part of a bond was paid to somebody whom the provider let down.
        Compensated {
            /// Stash.
            provider: T::AccountId,
            /// Who was paid.
            beneficiary: T::AccountId,
            /// Planck paid.
            amount: Balance,
            /// Planck burned besides.
            burned: Balance,
        },
        /// A provider was convicted of a wrong answer.
        Slashed {
            /// Stash.
            provider: T::AccountId,
            /// Planck taken from the bond, active or unbonding.
            bond: Balance,
            /// Planck of earnings that had not matured.
            earnings: Balance,
            /// Planck of both that went to the user.
            refund: Balance,
            /// Planck of both that went to the challenger.
            reward: Balance,
            /// Planck of both that were burned.
            burned: Balance,
        },
        /// The parameters were set.
        ParametersSet,
        /// An era is over.
        EraEnded {
            /// Its number.
            era: EraIndex,
            /// Planck that settlements of all providers burned in it.
            burned: Balance,
            /// Planck that these providers can claim.
            pool: Balance,
        },
        /// A provider got its part of an era's pool, which begins to mature.
        Rewarded {
            /// Stash.
            provider: T::AccountId,
            /// The era.
            era: EraIndex,
            /// Planck that were minted.
            amount: Balance,
        },
    }
}

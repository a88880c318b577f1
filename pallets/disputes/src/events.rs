//! What is told of the referee's work.

use frame_support::pallet_macros::pallet_section;

#[pallet_section]
mod events {
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Somebody committed to a claim that it will dispute.
        Committed {
            /// What the dispute will be called.
            dispute: DisputeId,
            /// Who.
            who: T::AccountId,
        },
        /// A commitment was not used in time; its deposit was returned.
        CommitmentExpired {
            /// What the dispute would have been called.
            dispute: DisputeId,
            /// Who.
            who: T::AccountId,
        },
        /// A receipt is disputed.
        Opened {
            /// Number.
            dispute: DisputeId,
            /// What the receipt is owed under.
            claim: Claim,
            /// Stash of who signed it.
            provider: T::AccountId,
            /// Who disputes it.
            challenger: T::AccountId,
            /// Planck at stake.
            bond: Balance,
        },
        /// The clock of a dispute runs.
        Started {
            /// Number.
            dispute: DisputeId,
            /// The clock's last reading at which the next move is in time.
            deadline: BlockNumberFor<T>,
        },
        /// A move was made.
        Moved {
            /// Number.
            dispute: DisputeId,
            /// Who moves next.
            turn: Side,
            /// What the next move must name.
            state: H256,
            /// The clock's last reading at which it is in time.
            deadline: BlockNumberFor<T>,
        },
        /// A provider was convicted of a claim.
        Convicted {
            /// What the receipt was owed under.
            claim: Claim,
            /// Stash.
            provider: T::AccountId,
            /// Who was rewarded.
            challenger: T::AccountId,
            /// Planck that the user got back from the claim itself.
            returned: Balance,
            /// Where the provider's planck went.
            slashed: Slashed,
            /// What was false, if it was seen without a game.
            fault: Option<Fault>,
        },
        /// A dispute is over.
        Ended {
            /// Number.
            dispute: DisputeId,
            /// How.
            verdict: Verdict,
            /// Planck of the bond that went to the provider.
            compensation: Balance,
            /// Planck of the bond that were destroyed.
            burned: Balance,
        },
        /// The weights of a model break the numeric format: it is frozen.
        ModelBroken {
            /// Listing.
            listing: ListingId,
        },
        /// All clocks stand still.
        Paused,
        /// All clocks run again.
        Resumed,
        /// The parameters were set.
        ParametersSet,
    }
}

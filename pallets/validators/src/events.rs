//! What is told of validators.

use frame_support::pallet_macros::pallet_section;

#[pallet_section]
mod events {
    #[pallet::event]
    #[pallet::generate_deposit(pub(super) fn deposit_event)]
    pub enum Event<T: Config> {
        /// Money was added to a bond.
        Bonded {
            who: T::AccountId,
            /// Planck added.
            amount: Balance,
        },
        /// Money began to leave a bond.
        Unbonded {
            who: T::AccountId,
            /// Planck.
            amount: Balance,
            /// The first session in which it may be withdrawn.
            due: SessionIndex,
        },
        /// Unbonded money was released.
        Withdrawn {
            who: T::AccountId,
            /// Planck.
            amount: Balance,
        },
        /// An account stands for election from the next one on, or changed its terms.
        Validating {
            who: T::AccountId,
            /// Its share of its reward, before the rest is divided by backing.
            commission: Permill,
        },
        /// An account backs a validator from the next election on.
        Nominating {
            who: T::AccountId,
            validator: T::AccountId,
        },
        /// An account's bond stands for nothing from the next election on.
        Chilled { who: T::AccountId },
        /// An account lost its place in a full list to a larger bond; its bond stands for nothing from
        /// the next election on.
        Displaced { who: T::AccountId },
        /// The validators of an era are known, a session before it begins.
        EraPlanned {
            era: EraIndex,
            /// Its first session.
            start: SessionIndex,
            validators: u32,
            /// Whether they were elected; else too few could be, and the set stays.
            elected: bool,
        },
        /// An era began, and the one before is over.
        EraStarted { era: EraIndex },
        /// A validator and its nominators lost money for an offence.
        Slashed {
            validator: T::AccountId,
            /// When the offence was.
            session: SessionIndex,
            /// What offences in that session cost it so far, as a share of its exposure.
            fraction: Perbill,
            /// Planck taken now, of the validator and its nominators.
            amount: Balance,
            /// Planck of it that went to reporters.
            reward: Balance,
        },
        /// The number of validators was set.
        ValidatorCountSet { count: u32 },
        /// The parameters were set.
        ParametersSet,
        /// An era is over, and its pot is set apart.
        EraRewarded {
            era: EraIndex,
            /// Blocks.
            points: u32,
            /// Planck minted for it.
            minted: Balance,
            /// Planck to divide: what was minted, transaction fees, and what earlier eras left.
            pot: Balance,
        },
        /// A validator and its nominators were paid for an era.
        RewardPaid {
            validator: T::AccountId,
            era: EraIndex,
            /// Planck to the validator.
            own: Balance,
            /// Planck to its nominators.
            nominators: Balance,
        },
        /// A validator that was at fault, and its nominators, get nothing for the blocks of an era.
        PointsForfeited {
            validator: T::AccountId,
            era: EraIndex,
            /// Blocks.
            points: u32,
        },
        /// An era can be paid no more; the pot of the era under way has what was not.
        EraExpired {
            era: EraIndex,
            /// Planck.
            unpaid: Balance,
        },
    }
}

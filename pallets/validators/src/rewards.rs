//! What validators and their nominators earn: a pot for each era, of transaction fees and of what is
//! minted, divided by the blocks that each has made.
//!
//! All that the pot's account owns, less its existential deposit, is either unpaid for eras that are over
//! or in the pot of the era under way. So what is left of a division, what cannot be paid and what nobody asks for
//! is in the next pot, and no planck is lost.

use alloc::vec::Vec;
use assay_primitives::{
    rewards::{nominator_part, portion},
    Balance, EraEnded, EraIndex,
};
use frame_support::{
    defensive,
    dispatch::DispatchClass,
    pallet_prelude::*,
    traits::{
        fungible::{Inspect, Mutate},
        tokens::{Fortitude, Preservation},
        DefensiveSaturating, Get, Time,
    },
};
use sp_runtime::traits::AccountIdConversion;

use crate::{
    Config, CurrencyOf, EraProgress, EraRewards, Error, Event, Exposures, Pallet, Params, Points,
    Unpaid, WeightInfo,
};

/// How far an era is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Progress {
    /// When it began, in milliseconds since 1970; 0 before the first block.
    pub started: u64,
    /// Blocks.
    pub points: u32,
}

/// What an era that is over brings its validators.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct EraReward {
    /// Planck to divide.
    pub pot: Balance,
    /// Blocks that were made in it, by which it is divided.
    pub points: u32,
    /// Planck of the pot that nobody got yet.
    pub unpaid: Balance,
}

/// The era under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct EraStatus {
    pub era: EraIndex,
    /// When it began, in milliseconds since 1970.
    pub started: u64,
    /// Blocks so far.
    pub points: u32,
    /// Planck to divide so far: transaction fees, and what earlier eras left.
    pub pot: Balance,
    /// Planck that would be minted besides, if the era ended now.
    pub emission: Balance,
}

/// What a validator, with its nominators, has earned and was not paid.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct ValidatorStatus {
    /// Blocks in the era under way.
    pub points: u32,
    /// Planck for them, if the era ended now.
    pub expected: Balance,
    /// Eras that are over, and the planck to be paid for each.
    pub unpaid: Vec<(EraIndex, Balance)>,
}

impl<T: Config> Pallet<T> {
    /// Collects what validators earn. Genesis must give it the existential deposit, or fees smaller than
    /// that are burned.
    pub fn pot_account() -> T::AccountId {
        T::RewardPot::get().into_account_truncating()
    }

    /// What the era under way has to divide so far, in planck, before anything is minted for it.
    pub fn pot_so_far() -> Balance {
        CurrencyOf::<T>::reducible_balance(
            &Self::pot_account(),
            Preservation::Preserve,
            Fortitude::Polite,
        )
        .saturating_sub(Unpaid::<T>::get())
    }

    /// A block of this validator is a point.
    pub(crate) fn note_points(author: &T::AccountId) {
        // The authorship pallet counts nothing for what it calls.
        frame_system::Pallet::<T>::register_extra_weight_unchecked(
            <T as Config>::WeightInfo::note_points(),
            DispatchClass::Mandatory,
        );
        Points::<T>::mutate(Self::active_era(), author, |points| {
            *points = points.saturating_add(1)
        });
        EraProgress::<T>::mutate(|era| {
            era.points = era.points.saturating_add(1);
            // In the first block of all there is no time yet.
            if era.started == 0 {
                era.started = T::Time::now();
            }
        });
    }

    /// An era is over: mint what it brings, and set its pot apart.
    pub(crate) fn reward_era(ended: EraIndex) {
        let now = T::Time::now();
        let next = Progress {
            started: now,
            points: 0,
        };
        let Progress { started, points } =
            EraProgress::<T>::mutate(|era| core::mem::replace(era, next));
        let millis = match started {
            0 => 0,
            started => now.saturating_sub(started),
        };
        // Without a block there is nobody to pay, and what is there waits for the next era.
        if points > 0 {
            let minted = Self::mint_emission(millis);
            let pot = Self::pot_so_far();
            Unpaid::<T>::mutate(|unpaid| *unpaid = unpaid.saturating_add(pot));
            let reward = EraReward {
                pot,
                points,
                unpaid: pot,
            };
            EraRewards::<T>::insert(ended, reward);
            Self::deposit_event(Event::EraRewarded {
                era: ended,
                points,
                minted,
                pot,
            });
        }
        T::EraEnded::era_ended(ended, millis);
    }

    fn mint_emission(millis: u64) -> Balance {
        let emission = Params::<T>::get().rewards.emission;
        let amount = emission.of_era(CurrencyOf::<T>::total_issuance(), millis);
        if amount == 0 {
            return 0;
        }
        CurrencyOf::<T>::mint_into(&Self::pot_account(), amount).unwrap_or_else(|error| {
            defensive!("the emission of an era could not be minted", error);
            0
        })
    }

    /// Pay what `validator` and its nominators earned in an era that is over. Returns how many nominators it has.
    pub(crate) fn do_payout(validator: T::AccountId, era: EraIndex) -> Result<u32, DispatchError> {
        ensure!(era < Self::active_era(), Error::<T>::EraNotOver);
        let mut record = EraRewards::<T>::get(era).ok_or(Error::<T>::NothingToPay)?;
        let points = Points::<T>::take(era, &validator);
        ensure!(points > 0, Error::<T>::NothingToPay);
        let reward = portion(record.pot, points.into(), record.points.into());
        record.unpaid = record.unpaid.defensive_saturating_sub(reward);
        EraRewards::<T>::insert(era, record);
        Unpaid::<T>::mutate(|unpaid| *unpaid = unpaid.defensive_saturating_sub(reward));

        let (mut own, mut nominators, mut count): (Balance, Balance, u32) = (0, 0, 0);
        for (who, amount) in Self::parts(&validator, era, reward) {
            let paid = Self::pay_from_pot(&who, amount);
            if who == validator {
                own = paid;
            } else {
                nominators = nominators.saturating_add(paid);
                count = count.saturating_add(1);
            }
        }
        Self::deposit_event(Event::RewardPaid {
            validator,
            era,
            own,
            nominators,
        });
        Ok(count)
    }

    /// How a validator's reward is divided: its nominators, then the validator with the remainder.
    fn parts(
        validator: &T::AccountId,
        era: EraIndex,
        reward: Balance,
    ) -> Vec<(T::AccountId, Balance)> {
        let exposure = Exposures::<T>::get(era, validator).unwrap_or_default();
        let total = exposure.total();
        let mut left = reward;
        let mut parts = Vec::new();
        for backing in exposure.nominators {
            let part = nominator_part(reward, exposure.commission, backing.amount, total);
            left = left.saturating_sub(part);
            parts.push((backing.nominator, part));
        }
        parts.push((validator.clone(), left));
        parts
    }

    /// Returns what was paid: nothing to an account that would not exist even then. That stays in the pot.
    fn pay_from_pot(who: &T::AccountId, amount: Balance) -> Balance {
        let pot = Self::pot_account();
        CurrencyOf::<T>::transfer(&pot, who, amount, Preservation::Preserve).unwrap_or(0)
    }

    /// A validator was at fault in this era: it and its nominators get nothing for it. Nor do the others get more;
    /// the next pot has it in the end.
    pub(crate) fn forfeit_points(era: EraIndex, validator: &T::AccountId) {
        let points = Points::<T>::take(era, validator);
        if points > 0 {
            Self::deposit_event(Event::PointsForfeited {
                validator: validator.clone(),
                era,
                points,
            });
        }
    }

    /// Nobody can be paid for this era any more; what was not paid is in the pot of the era under way.
    pub(crate) fn forget_rewards(era: EraIndex) {
        let Some(record) = EraRewards::<T>::take(era) else {
            return;
        };
        Unpaid::<T>::mutate(|unpaid| *unpaid = unpaid.defensive_saturating_sub(record.unpaid));
        // As many as a set has members, at most.
        let _ = Points::<T>::clear_prefix(era, u32::MAX, None);
        Self::deposit_event(Event::EraExpired {
            era,
            unpaid: record.unpaid,
        });
    }

    pub(crate) fn era_status() -> EraStatus {
        let Progress { started, points } = EraProgress::<T>::get();
        let millis = match started {
            0 => 0,
            started => T::Time::now().saturating_sub(started),
        };
        let emission = Params::<T>::get().rewards.emission;
        EraStatus {
            era: Self::active_era(),
            started,
            points,
            pot: Self::pot_so_far(),
            emission: emission.of_era(CurrencyOf::<T>::total_issuance(), millis),
        }
    }

    pub(crate) fn status_of(validator: &T::AccountId) -> ValidatorStatus {
        let era = Self::era_status();
        let points = Points::<T>::get(era.era, validator);
        let pot = era.pot.saturating_add(era.emission);
        let mut unpaid: Vec<_> = EraRewards::<T>::iter()
            .filter_map(|(index, record)| {
                let points = Points::<T>::get(index, validator);
                let reward = portion(record.pot, points.into(), record.points.into());
                (points > 0).then_some((index, reward))
            })
            .collect();
        unpaid.sort();
        ValidatorStatus {
            points,
            expected: portion(pot, points.into(), era.points.into()),
            unpaid,
        }
    }

    /// Who would be paid what by `payout` now.
    pub(crate) fn parts_of(
        validator: &T::AccountId,
        era: EraIndex,
    ) -> Vec<(T::AccountId, Balance)> {
        let points = Points::<T>::get(era, validator);
        let Some(record) = EraRewards::<T>::get(era).filter(|_| points > 0) else {
            return Default::default();
        };
        let reward = portion(record.pot, points.into(), record.points.into());
        Self::parts(validator, era, reward)
    }
}

#[cfg(any(feature = "try-runtime", feature = "std"))]
impl<T: Config> Pallet<T> {
    pub(crate) fn try_state_rewards() -> Result<(), sp_runtime::TryRuntimeError> {
        let mut sum: Balance = 0;
        for (era, record) in EraRewards::<T>::iter() {
            ensure!(
                era < Self::active_era(),
                "rewards 1: a pot set apart for an era that is not over"
            );
            let (mut points, mut owed): (u32, Balance) = (0, 0);
            for (_, own) in Points::<T>::iter_prefix(era) {
                points = points.saturating_add(own);
                let reward = portion(record.pot, own.into(), record.points.into());
                owed = owed.saturating_add(reward);
            }
            ensure!(
                points <= record.points && owed <= record.unpaid && record.unpaid <= record.pot,
                "rewards 2: more is owed for an era than is unpaid"
            );
            sum = sum.saturating_add(record.unpaid);
        }
        ensure!(
            sum == Unpaid::<T>::get(),
            "rewards 3: what eras have unpaid is not what is set apart"
        );
        let owned = CurrencyOf::<T>::reducible_balance(
            &Self::pot_account(),
            Preservation::Preserve,
            Fortitude::Polite,
        );
        ensure!(
            sum <= owned,
            "rewards 3: more is set apart than the pot's account owns"
        );
        let points = Points::<T>::iter_prefix_values(Self::active_era())
            .fold(0u32, |sum, own| sum.saturating_add(own));
        ensure!(
            points <= EraProgress::<T>::get().points,
            "rewards 4: validators have more points than there are blocks"
        );
        Ok(())
    }
}

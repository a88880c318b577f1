//! What an offence costs.

use assay_primitives::Balance;
use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::{Balanced, BalancedHold},
        Imbalance, OnUnbalanced,
    },
    weights::Weight,
};
use pallet_session::historical::IdentificationTuple;
use sp_runtime::{
    traits::{UniqueSaturatedInto, Zero},
    Perbill,
};
use sp_staking::{
    offence::{OffenceDetails, OffenceSeverity, OnOffenceHandler},
    SessionIndex,
};

use crate::{
    weights::WeightInfo, Bonds, Config, CreditOf, CurrencyOf, Elected, EraOfSession, Event,
    Exposures, HoldReason, Offenders, Pallet, Params, Planned, Sentence, Slashed,
};

impl<T: Config> OnOffenceHandler<T::AccountId, IdentificationTuple<T>, Weight> for Pallet<T> {
    /// All who offended at the same time come, also those who came before, each with what an offence of
    /// so many costs.
    fn on_offence(
        offenders: &[OffenceDetails<T::AccountId, IdentificationTuple<T>>],
        slash_fraction: &[Perbill],
        session: SessionIndex,
    ) -> Weight {
        for (details, fraction) in offenders.iter().zip(slash_fraction) {
            let (validator, ()) = &details.offender;
            Self::punish(validator, &details.reporters, *fraction, session);
        }
        let each = <T as Config>::WeightInfo::on_offence(T::MaxNominators::get());
        each.saturating_mul(offenders.len() as u64)
    }
}

impl<T: Config> Pallet<T> {
    /// Punish a validator for what it did in this session. Of several offences in one session the worst
    /// counts, so each report takes only what it adds to those before.
    fn punish(
        validator: &T::AccountId,
        reporters: &[T::AccountId],
        fraction: Perbill,
        session: SessionIndex,
    ) {
        let Some(era) = EraOfSession::<T>::get(session) else {
            return;
        };
        let Some(exposure) = Exposures::<T>::get(era, validator) else {
            return;
        };
        let before = Slashed::<T>::get(session, validator);
        if before.is_some_and(|before| before >= fraction) {
            return;
        }
        Slashed::<T>::insert(session, validator, fraction);
        if before.is_none() {
            Self::disgrace(validator);
        }
        Self::disable(validator, fraction);

        let before = before.unwrap_or_default();
        let increment = |exposed: Balance| {
            let owed = fraction.mul_floor(exposed);
            owed.saturating_sub(before.mul_floor(exposed))
        };
        let own = Self::slash_bond(validator, increment(exposure.own));
        let mut amount = own.peek();
        let (reward, mut rest) = Self::reward_reporters(reporters, own);
        for backing in &exposure.nominators {
            let part = Self::slash_bond(&backing.nominator, increment(backing.amount));
            amount = amount.saturating_add(part.peek());
            rest.subsume(part);
        }
        T::OnSlash::on_unbalanced(rest);
        Self::forfeit_points(era, validator);
        Self::deposit_event(Event::Slashed {
            validator: validator.clone(),
            session,
            fraction,
            amount,
            reward,
        });
    }

    /// It does not stand for election any more until it says so again.
    fn disgrace(validator: &T::AccountId) {
        Bonds::<T>::mutate(validator, |slot| {
            if let Some(record) = slot {
                if matches!(record.role, crate::Role::Validator { .. }) {
                    Self::leave_role(validator, record);
                    Self::deposit_event(Event::Chilled {
                        who: validator.clone(),
                    });
                }
            }
        });
    }

    /// As long as it is in the set that is planned now, it shall not make blocks.
    fn disable(validator: &T::AccountId, severity: Perbill) {
        let in_set = Elected::<T>::get().contains(validator)
            || pallet_session::Pallet::<T>::validators().contains(validator);
        let Some(era) = Planned::<T>::get().filter(|_| in_set) else {
            return;
        };
        let worst = Offenders::<T>::get(validator)
            .map_or(severity, |sentence| sentence.severity.max(severity));
        let sentence = Sentence {
            severity: worst,
            era: era.index,
        };
        Offenders::<T>::insert(validator, sentence);
        pallet_session::Pallet::<T>::report_offence(validator.clone(), OffenceSeverity(worst));
    }

    /// Take `amount` of what an account has on hold, active or unbonding, as far as it is there.
    fn slash_bond(who: &T::AccountId, amount: Balance) -> CreditOf<T> {
        Bonds::<T>::mutate_exists(who, |slot| {
            let Some(record) = slot else {
                return CreditOf::<T>::zero();
            };
            let taken = record.take(amount);
            Self::update_backing(who, record);
            if record.amount == 0 {
                Self::leave_role(who, record);
            }
            if record.held() == 0 {
                *slot = None;
            }
            let reason = HoldReason::Bond.into();
            let (credit, missing) = CurrencyOf::<T>::slash(&reason, who, taken);
            if !missing.is_zero() {
                defensive!("a bond that is not on hold");
            }
            credit
        })
    }

    /// Divide the reporters' share of what the offender itself has lost equally: were it of the nominators'
    /// money too, one with little of its own would gain by reporting itself. A reporter that would not have
    /// an account even then gets nothing. Returns what was paid, and what is left.
    fn reward_reporters(reporters: &[T::AccountId], own: CreditOf<T>) -> (Balance, CreditOf<T>) {
        let share = Params::<T>::get().reporter_share.mul_floor(own.peek());
        let count: Balance = reporters.len().unique_saturated_into();
        let each = share.checked_div(count).unwrap_or(0);
        let (mut reward, mut rest) = (0, own);
        for reporter in reporters {
            let (part, others) = rest.split(each);
            rest = others;
            match CurrencyOf::<T>::resolve(reporter, part) {
                Ok(()) => reward = each.saturating_add(reward),
                Err(part) => rest.subsume(part),
            }
        }
        (reward, rest)
    }
}

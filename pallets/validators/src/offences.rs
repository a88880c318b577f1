//! What an offence costs: decided at once, and taken a few validators a block.

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
    Exposures, HoldReason, Offenders, Pallet, Params, Planned, Sentence, Slashed, Warrant,
    Warrants,
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
            Self::convict(validator, &details.reporters, *fraction, session);
        }
        let each = <T as Config>::WeightInfo::on_offence();
        each.saturating_mul(offenders.len() as u64)
    }
}

impl<T: Config> Pallet<T> {
    /// Decide what a validator loses for what it did in this session: of several offences the worst
    /// counts. It is out at once. Its money and its nominators' is taken from the next block on, because
    /// each offence of many at the same time makes those before dearer, which no block has room for.
    fn convict(
        validator: &T::AccountId,
        reporters: &[T::AccountId],
        fraction: Perbill,
        session: SessionIndex,
    ) {
        let Some(era) = EraOfSession::<T>::get(session) else {
            return;
        };
        if !Exposures::<T>::contains_key(era, validator) {
            return;
        }
        let before = Slashed::<T>::get(session, validator);
        if before.is_some_and(|before| before >= fraction) {
            return;
        }
        Slashed::<T>::insert(session, validator, fraction);
        if before.is_none() {
            Self::disgrace(validator);
        }
        Self::disable(validator, fraction);
        Self::forfeit_points(era, validator);
        Warrants::<T>::mutate(session, validator, |warrant| {
            warrant.get_or_insert_with(|| Warrant {
                taken: before.unwrap_or_default(),
                reporters: reporters.to_vec(),
            });
        });
    }

    /// Whether somebody may own what was decided to be taken.
    pub(crate) fn slashes_are_due() -> bool {
        Warrants::<T>::iter_keys().next().is_some()
    }

    /// Whether something is to be taken for offences in this session.
    pub(crate) fn slashes_are_due_for(session: SessionIndex) -> bool {
        Warrants::<T>::iter_key_prefix(session).next().is_some()
    }

    /// Take what was decided, of as many as a block has time for.
    pub(crate) fn carry_out_slashes() -> Weight {
        let mut slashes = 0u64;
        for (session, validator, warrant) in
            Warrants::<T>::drain().take(T::MaxSlashes::get() as usize)
        {
            Self::slash(session, validator, warrant);
            slashes = slashes.saturating_add(1);
        }
        let each = <T as Config>::WeightInfo::slash(T::MaxNominators::get());
        T::DbWeight::get()
            .reads(1)
            .saturating_add(each.saturating_mul(slashes))
    }

    /// Take what offences in this session cost more than was taken for them before.
    fn slash(session: SessionIndex, validator: T::AccountId, warrant: Warrant<T::AccountId>) {
        let exposure =
            EraOfSession::<T>::get(session).and_then(|era| Exposures::<T>::get(era, &validator));
        let (Some(fraction), Some(exposure)) = (Slashed::<T>::get(session, &validator), exposure)
        else {
            defensive!("a slash of what is forgotten");
            return;
        };
        let increment = |exposed: Balance| {
            let owed = fraction.mul_floor(exposed);
            owed.saturating_sub(warrant.taken.mul_floor(exposed))
        };
        let own = Self::slash_bond(&validator, increment(exposure.own));
        let mut amount = own.peek();
        let (reward, mut rest) = Self::reward_reporters(&warrant.reporters, own);
        for backing in &exposure.nominators {
            let part = Self::slash_bond(&backing.nominator, increment(backing.amount));
            amount = amount.saturating_add(part.peek());
            rest.subsume(part);
        }
        T::OnSlash::on_unbalanced(rest);
        Self::deposit_event(Event::Slashed {
            validator,
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

//! Who makes blocks in an era, and what answers for them.

use alloc::vec::Vec;
use core::cmp::Reverse;

use assay_primitives::{Balance, EraIndex};
use frame_support::pallet_prelude::*;
use sp_staking::SessionIndex;

use crate::{
    Bonds, Candidates, Config, Elected, Era, EraOfSession, Event, Exposure, ExposureOf, Exposures,
    Nominators, Offenders, Pallet, Params, Planned, Role, ValidatorCount,
};

impl<T: Config> Pallet<T> {
    /// The set of a session: that of its era, which the first session of an era elects. Nobody only
    /// where there has never been anybody.
    pub(crate) fn plan_session(session: SessionIndex) -> Option<Vec<T::AccountId>> {
        let planned = Planned::<T>::get().filter(|era| session < era.end);
        let era = match planned {
            Some(era) => era.index,
            None => Self::plan_era(session)?,
        };
        EraOfSession::<T>::insert(session, era);
        Some(Elected::<T>::get().into_inner())
    }

    /// Elect the set of the era that begins with this session. Where fewer than `min_validators` could
    /// be elected, the set stays as it is, and so do the sentences of who is in it.
    fn plan_era(start: SessionIndex) -> Option<EraIndex> {
        let parameters = Params::<T>::get();
        let previous = Planned::<T>::get().map(|era| era.index);
        let index = previous.map_or(0, |index| index.saturating_add(1));
        let mut set = Self::elect(parameters.min_validator_bond);
        let enough = u32::try_from(set.len()).is_ok_and(|n| n >= parameters.min_validators);
        if !enough {
            set = Self::standing_set(previous);
            Offenders::<T>::translate_values(|mut sentence: crate::Sentence| {
                sentence.era = index;
                Some(sentence)
            });
        }
        if set.is_empty() {
            return None;
        }
        for validator in &set {
            let exposure = Self::expose(validator, previous);
            Exposures::<T>::insert(index, validator, exposure);
        }
        Self::deposit_event(Event::EraPlanned {
            era: index,
            start,
            validators: u32::try_from(set.len()).unwrap_or(u32::MAX),
            elected: enough,
        });
        Elected::<T>::put(BoundedVec::truncate_from(set));
        Planned::<T>::put(Era {
            index,
            start,
            end: start.saturating_add(parameters.sessions_per_era.max(1)),
        });
        Some(index)
    }

    /// The candidates with the most behind them; of equals, the smaller accounts. In the order of
    /// accounts, so that a validator keeps its place while others change theirs.
    pub(crate) fn elect(min_validator_bond: Balance) -> Vec<T::AccountId> {
        let mut ranked: Vec<_> = Candidates::<T>::get()
            .into_iter()
            .map(|who| (Reverse(Self::standing(&who, min_validator_bond)), who))
            .filter(|(Reverse(standing), _)| *standing > 0)
            .collect();
        ranked.sort();
        ranked.truncate(ValidatorCount::<T>::get().min(T::MaxValidators::get()) as usize);
        let mut set: Vec<_> = ranked.into_iter().map(|(_, who)| who).collect();
        set.sort();
        set
    }

    /// The set as it is; at genesis, whoever has keys. Only genesis may ask that: later, any account
    /// can register keys.
    fn standing_set(previous: Option<EraIndex>) -> Vec<T::AccountId> {
        if previous.is_some() {
            return Elected::<T>::get().into_inner();
        }
        let mut set: Vec<_> = pallet_session::NextKeys::<T>::iter_keys().collect();
        set.sort();
        set.truncate(T::MaxValidators::get() as usize);
        set
    }

    /// What stands behind a validator now. Who stays in the set though it does not stand for election
    /// keeps its commission.
    fn expose(validator: &T::AccountId, previous: Option<EraIndex>) -> ExposureOf<T> {
        let bond = Bonds::<T>::get(validator);
        let commission = match bond.as_ref().map(|bond| &bond.role) {
            Some(Role::Validator { commission }) => *commission,
            _ => previous
                .and_then(|era| Exposures::<T>::get(era, validator))
                .map(|exposure| exposure.commission)
                .unwrap_or_default(),
        };
        Exposure {
            own: bond.map_or(0, |bond| bond.amount),
            nominators: Nominators::<T>::get(validator),
            commission,
        }
    }
}

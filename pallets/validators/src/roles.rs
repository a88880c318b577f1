//! Who stands for election, and who backs whom. Both lists are bounded, and a full one makes room for
//! somebody larger, so that nobody can keep others out with many small bonds.

use assay_primitives::Balance;
use frame_support::pallet_prelude::*;
use sp_runtime::traits::Zero;

use crate::{
    Backing, BackingsOf, BondRecordOf, Bonds, Candidates, Config, Error, Event, Nominators, Pallet,
    Params, Role,
};

impl<T: Config> Pallet<T> {
    pub(crate) fn is_candidate(who: &T::AccountId) -> bool {
        Candidates::<T>::get().binary_search(who).is_ok()
    }

    pub(crate) fn has_keys(who: &T::AccountId) -> bool {
        pallet_session::NextKeys::<T>::contains_key(who)
    }

    /// What stands behind a candidate, in planck; nothing if it cannot be elected.
    pub(crate) fn standing(who: &T::AccountId, min_validator_bond: Balance) -> Balance {
        let own = match Bonds::<T>::get(who) {
            Some(record) if record.amount >= min_validator_bond => record.amount,
            _ => return 0,
        };
        if Self::has_keys(who) {
            own.saturating_add(sum(&Nominators::<T>::get(who)))
        } else {
            0
        }
    }

    /// Stand for election with this bond; from a full list, whoever has the least behind it goes.
    pub(crate) fn enter_candidates(who: &T::AccountId, amount: Balance) -> DispatchResult {
        let mut candidates = Candidates::<T>::get();
        if candidates.is_full() {
            let min_bond = Params::<T>::get().min_validator_bond;
            let standing = amount.saturating_add(sum(&Nominators::<T>::get(who)));
            let (least, smallest) = candidates
                .iter()
                .map(|candidate| (Self::standing(candidate, min_bond), candidate.clone()))
                .min()
                .ok_or(Error::<T>::TooManyCandidates)?;
            ensure!(least < standing, Error::<T>::TooManyCandidates);
            candidates.retain(|candidate| *candidate != smallest);
            Self::displace(smallest);
        }
        let at = candidates.binary_search(who).unwrap_or_else(|at| at);
        candidates
            .try_insert(at, who.clone())
            .map_err(|_| Error::<T>::TooManyCandidates)?;
        Candidates::<T>::put(candidates);
        Ok(())
    }

    /// Back a validator with this bond; from a full list, the smallest nominator goes.
    pub(crate) fn enter_nominators(
        who: &T::AccountId,
        amount: Balance,
        validator: &T::AccountId,
    ) -> DispatchResult {
        let mut nominators = Nominators::<T>::get(validator);
        if nominators.is_full() {
            let (at, smallest) = nominators
                .iter()
                .enumerate()
                .min_by_key(|(_, backing)| backing.amount)
                .ok_or(Error::<T>::TooManyNominators)?;
            ensure!(smallest.amount < amount, Error::<T>::TooManyNominators);
            let smallest = nominators.remove(at).nominator;
            Self::displace(smallest);
        }
        let backing = Backing {
            nominator: who.clone(),
            amount,
        };
        nominators
            .try_push(backing)
            .map_err(|_| Error::<T>::TooManyNominators)?;
        Nominators::<T>::insert(validator, nominators);
        Ok(())
    }

    /// Take it off the list that its role put it on.
    pub(crate) fn leave_role(who: &T::AccountId, record: &mut BondRecordOf<T>) {
        match core::mem::replace(&mut record.role, Role::Idle) {
            Role::Idle => {}
            Role::Validator { .. } => Candidates::<T>::mutate(|candidates| {
                candidates.retain(|candidate| candidate != who);
            }),
            Role::Nominator { validator } => Self::mutate_nominators(&validator, |nominators| {
                nominators.retain(|backing| backing.nominator != *who);
            }),
        }
    }

    /// Tell whom a nominator backs how much it has now.
    pub(crate) fn update_backing(who: &T::AccountId, record: &BondRecordOf<T>) {
        let Role::Nominator { validator } = &record.role else {
            return;
        };
        Self::mutate_nominators(validator, |nominators| {
            let backing = nominators
                .iter_mut()
                .find(|backing| backing.nominator == *who);
            match backing {
                Some(backing) => backing.amount = record.amount,
                None => {
                    defensive!("a nominator that its validator's list lacks");
                }
            }
        });
    }

    fn mutate_nominators(validator: &T::AccountId, change: impl FnOnce(&mut BackingsOf<T>)) {
        Nominators::<T>::mutate_exists(validator, |slot| {
            let mut nominators = slot.take().unwrap_or_default();
            change(&mut nominators);
            *slot = Some(nominators).filter(|nominators| !nominators.is_empty());
        });
    }

    /// The caller has taken it off its list.
    fn displace(who: T::AccountId) {
        Bonds::<T>::mutate(&who, |slot| match slot {
            Some(record) => record.role = Role::Idle,
            None => {
                defensive!("a place in a list without a bond");
            }
        });
        Self::deposit_event(Event::Displaced { who });
    }
}

fn sum<AccountId>(nominators: &[Backing<AccountId>]) -> Balance {
    nominators.iter().fold(Balance::zero(), |sum, backing| {
        sum.saturating_add(backing.amount)
    })
}

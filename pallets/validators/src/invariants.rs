//! The invariants in the crate's documentation, by their numbers.

#[cfg(any(feature = "try-runtime", feature = "std"))]
impl<T: crate::Config> crate::Pallet<T> {
    pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        Self::try_state_bonds()?;
        Self::try_state_eras()?;
        Self::try_state_warrants()?;
        Self::try_state_rewards()
    }

    fn try_state_bonds() -> Result<(), sp_runtime::TryRuntimeError> {
        use crate::{Bonds, Candidates, CurrencyOf, HoldReason, Nominators, Role};
        use frame_support::{ensure, traits::fungible::InspectHold};

        let candidates = Candidates::<T>::get();
        ensure!(
            candidates.windows(2).all(|pair| pair.first() < pair.last()),
            "validators 2: candidates out of order"
        );
        let (mut validators, mut nominations) = (0usize, 0usize);
        for (who, record) in Bonds::<T>::iter() {
            ensure!(
                record.held() == CurrencyOf::<T>::balance_on_hold(&HoldReason::Bond.into(), &who),
                "validators 1: bond and unbonding differ from the hold"
            );
            ensure!(record.held() > 0, "validators 1: a bond of nothing");
            match record.role {
                Role::Idle => {}
                Role::Validator { .. } => {
                    validators = validators.saturating_add(1);
                    ensure!(
                        candidates.binary_search(&who).is_ok(),
                        "validators 2: a validator that is no candidate"
                    );
                }
                Role::Nominator { validator } => {
                    nominations = nominations.saturating_add(1);
                    ensure!(
                        Nominators::<T>::get(validator)
                            .iter()
                            .filter(|backing| backing.nominator == who)
                            .map(|backing| backing.amount)
                            .eq([record.amount]),
                        "validators 3: a nominator that is not once on its validator's list, or with \
                         another amount"
                    );
                }
            }
        }
        ensure!(
            validators == candidates.len(),
            "validators 2: a candidate that is no validator"
        );
        let listed = Nominators::<T>::iter_values().map(|list| list.len());
        ensure!(
            listed.fold(0, usize::saturating_add) == nominations,
            "validators 3: a list names who does not nominate"
        );
        Ok(())
    }

    fn try_state_eras() -> Result<(), sp_runtime::TryRuntimeError> {
        use crate::{Elected, EraOfSession, Exposures, KeptFrom, Planned, ValidatorCount};
        use alloc::collections::BTreeSet;
        use frame_support::{ensure, traits::Get};

        ensure!(
            (1..=T::MaxValidators::get()).contains(&ValidatorCount::<T>::get()),
            "validators 4: a number of validators that cannot be"
        );
        let Some(planned) = Planned::<T>::get() else {
            return Ok(());
        };
        let elected = Elected::<T>::get();
        ensure!(
            !elected.is_empty() && elected.windows(2).all(|pair| pair.first() < pair.last()),
            "validators 4: a set that is empty or out of order"
        );
        for validator in &elected {
            ensure!(
                Exposures::<T>::contains_key(planned.index, validator) && Self::has_keys(validator),
                "validators 4: a validator without exposure or keys"
            );
        }
        let next = pallet_session::Pallet::<T>::current_index().saturating_add(1);
        let kept: BTreeSet<_> = EraOfSession::<T>::iter().collect();
        let first = kept.first().map_or(next, |(session, _)| *session);
        ensure!(
            first >= KeptFrom::<T>::get()
                && kept.iter().map(|(session, _)| *session).eq(first..=next),
            "validators 5: sessions without an era, or an era without a session"
        );
        let eras: BTreeSet<_> = kept.into_iter().map(|(_, era)| era).collect();
        let exposed: BTreeSet<_> = Exposures::<T>::iter_keys().map(|(era, _)| era).collect();
        ensure!(
            eras == exposed && eras.last() == Some(&planned.index),
            "validators 5: exposures of other eras than those that can be reported"
        );
        Ok(())
    }

    fn try_state_warrants() -> Result<(), sp_runtime::TryRuntimeError> {
        use crate::{EraOfSession, Exposures, Slashed, Warrants};
        use frame_support::ensure;

        for (session, validator, warrant) in Warrants::<T>::iter() {
            let is_exposed = EraOfSession::<T>::get(session)
                .is_some_and(|era| Exposures::<T>::contains_key(era, &validator));
            ensure!(
                is_exposed,
                "validators 6: something is to be taken of what is forgotten"
            );
            // A fraction of nothing is decided too, and chills.
            ensure!(
                Slashed::<T>::get(session, &validator)
                    .is_some_and(|decided| decided >= warrant.taken),
                "validators 6: less is to be taken than was taken"
            );
        }
        Ok(())
    }
}

//! One function per call.

use assay_primitives::Balance;
use frame_support::{
    pallet_prelude::*,
    traits::{fungible::MutateHold, tokens::Precision},
};
use frame_system::RawOrigin;
use sp_runtime::Permill;

use crate::{
    BondRecord, BondRecordOf, Bonds, Config, CurrencyOf, Elected, Error, Event, HoldReason, Pallet,
    Params, Planned, Role, UnbondingChunk, ValidatorCount,
};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_bond(who: T::AccountId, amount: Balance) -> DispatchResult {
        ensure!(!Bonds::<T>::contains_key(&who), Error::<T>::AlreadyBonded);
        ensure!(
            amount >= Params::<T>::get().min_nominator_bond,
            Error::<T>::BondTooSmall
        );
        CurrencyOf::<T>::hold(&HoldReason::Bond.into(), &who, amount)?;
        let record = BondRecord {
            amount,
            unbonding: Default::default(),
            role: Role::Idle,
        };
        Bonds::<T>::insert(&who, record);
        Self::deposit_event(Event::Bonded { who, amount });
        Ok(())
    }

    pub(crate) fn do_bond_extra(who: T::AccountId, amount: Balance) -> DispatchResult {
        Self::try_mutate_bond(&who, |record| {
            let sum = record
                .amount
                .checked_add(amount)
                .ok_or(Error::<T>::Overflow)?;
            ensure!(
                sum >= Params::<T>::get().min_nominator_bond,
                Error::<T>::BondTooSmall
            );
            CurrencyOf::<T>::hold(&HoldReason::Bond.into(), &who, amount)?;
            record.amount = sum;
            Self::update_backing(&who, record);
            Ok(())
        })?;
        Self::deposit_event(Event::Bonded { who, amount });
        Ok(())
    }

    pub(crate) fn do_validate(who: T::AccountId, commission: Permill) -> DispatchResult {
        Self::try_mutate_bond(&who, |record| {
            ensure!(
                record.amount >= Params::<T>::get().min_validator_bond,
                Error::<T>::BondTooSmall
            );
            ensure!(Self::has_keys(&who), Error::<T>::NoSessionKeys);
            if !matches!(record.role, Role::Validator { .. }) {
                Self::leave_role(&who, record);
                Self::enter_candidates(&who, record.amount)?;
            }
            record.role = Role::Validator { commission };
            Ok(())
        })?;
        Self::deposit_event(Event::Validating { who, commission });
        Ok(())
    }

    pub(crate) fn do_nominate(who: T::AccountId, validator: T::AccountId) -> DispatchResult {
        Self::try_mutate_bond(&who, |record| {
            ensure!(
                record.amount >= Params::<T>::get().min_nominator_bond,
                Error::<T>::BondTooSmall
            );
            ensure!(who != validator, Error::<T>::NotValidating);
            ensure!(Self::is_candidate(&validator), Error::<T>::NotValidating);
            Self::leave_role(&who, record);
            Self::enter_nominators(&who, record.amount, &validator)?;
            record.role = Role::Nominator {
                validator: validator.clone(),
            };
            Ok(())
        })?;
        Self::deposit_event(Event::Nominating { who, validator });
        Ok(())
    }

    pub(crate) fn do_chill(who: T::AccountId) -> DispatchResult {
        Self::try_mutate_bond(&who, |record| {
            ensure!(record.role != Role::Idle, Error::<T>::AlreadyIdle);
            Self::leave_role(&who, record);
            Ok(())
        })?;
        Self::deposit_event(Event::Chilled { who });
        Ok(())
    }

    pub(crate) fn do_unbond(who: T::AccountId, amount: Balance) -> DispatchResult {
        let parameters = Params::<T>::get();
        let due = Self::stands_until().saturating_add(parameters.bonding_sessions);
        Self::try_mutate_bond(&who, |record| {
            ensure!(amount > 0, Error::<T>::NothingToUnbond);
            let rest = record
                .amount
                .checked_sub(amount)
                .ok_or(Error::<T>::InsufficientBond)?;
            match record.role {
                Role::Idle => ensure!(
                    rest == 0 || rest >= parameters.min_nominator_bond,
                    Error::<T>::BondTooSmall
                ),
                Role::Validator { .. } => {
                    ensure!(
                        rest >= parameters.min_validator_bond,
                        Error::<T>::BondNeeded
                    )
                }
                Role::Nominator { .. } => {
                    ensure!(
                        rest >= parameters.min_nominator_bond,
                        Error::<T>::BondNeeded
                    )
                }
            }
            match record.unbonding.last_mut() {
                Some(chunk) if chunk.due == due => {
                    chunk.amount = chunk.amount.saturating_add(amount);
                }
                _ => record
                    .unbonding
                    .try_push(UnbondingChunk { amount, due })
                    .map_err(|_| Error::<T>::TooManyUnbondingChunks)?,
            }
            record.amount = rest;
            Self::update_backing(&who, record);
            Ok(())
        })?;
        Self::deposit_event(Event::Unbonded { who, amount, due });
        Ok(())
    }

    pub(crate) fn do_withdraw_unbonded(who: T::AccountId) -> DispatchResult {
        ensure!(!Self::slashes_are_due(), Error::<T>::SlashesDue);
        let session = pallet_session::Pallet::<T>::current_index();
        let amount = Bonds::<T>::try_mutate_exists(&who, |slot| {
            let record = slot.as_mut().ok_or(Error::<T>::NotBonded)?;
            let due = |chunk: &UnbondingChunk| chunk.due <= session;
            ensure!(
                record.unbonding.iter().any(due),
                Error::<T>::NothingToWithdraw
            );
            let amount = record
                .unbonding
                .iter()
                .filter(|chunk| due(chunk))
                .fold(0, |sum: Balance, chunk| sum.saturating_add(chunk.amount));
            record.unbonding.retain(|chunk| !due(chunk));
            let reason = HoldReason::Bond.into();
            CurrencyOf::<T>::release(&reason, &who, amount, Precision::Exact)?;
            if record.held() == 0 {
                *slot = None;
            }
            Ok::<_, DispatchError>(amount)
        })?;
        Self::deposit_event(Event::Withdrawn { who, amount });
        Ok(())
    }

    pub(crate) fn do_purge_keys(who: T::AccountId) -> DispatchResult {
        ensure!(!Bonds::<T>::contains_key(&who), Error::<T>::BondRemains);
        let validates = Elected::<T>::get().contains(&who)
            || pallet_session::Pallet::<T>::validators().contains(&who);
        ensure!(!validates, Error::<T>::StillValidating);
        pallet_session::Pallet::<T>::purge_keys(RawOrigin::Signed(who).into())
    }

    pub(crate) fn do_set_validator_count(count: u32) -> DispatchResult {
        ensure!(
            count >= Params::<T>::get().min_validators && count <= T::MaxValidators::get(),
            Error::<T>::CountOutOfBounds
        );
        ValidatorCount::<T>::put(count);
        Self::deposit_event(Event::ValidatorCountSet { count });
        Ok(())
    }

    /// The session pallet's genesis, which comes later, gives it keys.
    pub(crate) fn bond_at_genesis(who: T::AccountId, amount: Balance) -> DispatchResult {
        ensure!(
            amount >= Params::<T>::get().min_validator_bond,
            Error::<T>::BondTooSmall
        );
        Self::do_bond(who.clone(), amount)?;
        Self::try_mutate_bond(&who, |record| {
            Self::enter_candidates(&who, amount)?;
            record.role = Role::Validator {
                commission: Permill::zero(),
            };
            Ok(())
        })
    }

    /// The first session for which nobody is elected yet: until then, what is bonded now may answer.
    fn stands_until() -> sp_staking::SessionIndex {
        match Planned::<T>::get() {
            Some(era) => era.end,
            None => pallet_session::Pallet::<T>::current_index(),
        }
    }

    fn try_mutate_bond<R>(
        who: &T::AccountId,
        change: impl FnOnce(&mut BondRecordOf<T>) -> Result<R, DispatchError>,
    ) -> Result<R, DispatchError> {
        Bonds::<T>::try_mutate(who, |record| {
            change(record.as_mut().ok_or(Error::<T>::NotBonded)?)
        })
    }
}

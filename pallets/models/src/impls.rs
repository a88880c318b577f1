use assay_primitives::{Balance, Listing, ListingId, ModelCatalogue, ModelParts, SpecError};
use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::MutateHold,
        tokens::{Fortitude, Precision, Restriction},
        Consideration, Footprint, Get,
    },
};
use sp_runtime::{traits::AccountIdConversion, Permill};

use crate::{
    Accounts, Config, Error, Event, HoldReason, ListingAccount, ListingRecord, ListingRecordOf,
    ListingStatus, Listings, Pallet, Parameters, Params, UriOf,
};

impl<T: Config> Pallet<T> {
    /// The account that keeps unclaimed royalties, on hold.
    pub fn account_id() -> T::AccountId {
        T::PalletId::get().into_account_truncating()
    }

    /// Whether governance may set these.
    pub(crate) fn accepts(parameters: &Parameters) -> bool {
        parameters.max_royalty <= T::MaxRoyalty::get()
    }

    pub(crate) fn do_register(
        publisher: T::AccountId,
        parts: ModelParts,
        royalty: Permill,
        uri: UriOf<T>,
    ) -> DispatchResult {
        parts.validate().map_err(|error| match error {
            SpecError::Dimension => Error::<T>::DimensionOutOfBounds,
            SpecError::Heads => Error::<T>::HeadsDoNotDivide,
            SpecError::StopTokens => Error::<T>::InvalidStopTokens,
            SpecError::FractionBits => Error::<T>::FractionBitsOutOfBounds,
            SpecError::Epsilon => Error::<T>::EpsilonOutOfBounds,
            SpecError::RotaryBase => Error::<T>::RotaryBaseOutOfBounds,
            SpecError::RotaryScaling => Error::<T>::InvalidRotaryScaling,
            SpecError::Tables => Error::<T>::TablesContradictProfile,
        })?;
        ensure!(
            royalty <= Params::<T>::get().max_royalty,
            Error::<T>::RoyaltyTooHigh
        );
        let root = parts.root();
        let id = parts.listing_id(&publisher, royalty);
        ensure!(
            !Listings::<T>::contains_key(id),
            Error::<T>::AlreadyRegistered
        );

        let ticket =
            T::Consideration::new(&publisher, Footprint::from_mel::<ListingRecordOf<T>>())?;
        let status = ListingStatus::Active;
        let record = ListingRecord {
            publisher: publisher.clone(),
            parts,
            royalty,
            uri,
            status,
            ticket,
        };
        Listings::<T>::insert(id, record);
        Accounts::<T>::insert(id, ListingAccount::default());
        Self::deposit_event(Event::Registered {
            listing: id,
            root,
            publisher,
            royalty,
        });
        Ok(())
    }

    pub(crate) fn do_retire(publisher: T::AccountId, id: ListingId) -> DispatchResult {
        Listings::<T>::try_mutate(id, |record| {
            let record = record.as_mut().ok_or(Error::<T>::UnknownListing)?;
            ensure!(record.publisher == publisher, Error::<T>::NotPublisher);
            ensure!(
                record.status == ListingStatus::Active,
                Error::<T>::ListingNotActive
            );
            record.status = ListingStatus::Retired;
            Self::deposit_event(Event::Retired { listing: id });
            Ok(())
        })
    }

    pub(crate) fn do_freeze(id: ListingId) -> DispatchResult {
        Listings::<T>::try_mutate(id, |record| {
            let record = record.as_mut().ok_or(Error::<T>::UnknownListing)?;
            ensure!(
                record.status != ListingStatus::Frozen,
                Error::<T>::ListingNotActive
            );
            record.status = ListingStatus::Frozen;
            Self::deposit_event(Event::Frozen { listing: id });
            Ok(())
        })
    }

    pub(crate) fn do_claim_royalties(id: ListingId) -> DispatchResult {
        let publisher = Listings::<T>::get(id)
            .ok_or(Error::<T>::UnknownListing)?
            .publisher;
        Accounts::<T>::try_mutate(id, |account| {
            let account = account.as_mut().ok_or(Error::<T>::UnknownListing)?;
            ensure!(account.pot > 0, Error::<T>::NothingToClaim);
            let amount = core::mem::take(&mut account.pot);
            T::Currency::transfer_on_hold(
                &HoldReason::Royalty.into(),
                &Self::account_id(),
                &publisher,
                amount,
                Precision::Exact,
                Restriction::Free,
                Fortitude::Force,
            )?;
            Self::deposit_event(Event::RoyaltiesClaimed {
                listing: id,
                publisher,
                amount,
            });
            Ok(())
        })
    }

    pub(crate) fn do_drop_retired(id: ListingId) -> DispatchResult {
        let record = Listings::<T>::get(id).ok_or(Error::<T>::UnknownListing)?;
        let account = Accounts::<T>::get(id).unwrap_or_default();
        ensure!(
            record.status != ListingStatus::Active,
            Error::<T>::ListingActive
        );
        ensure!(account.uses == 0, Error::<T>::ListingInUse);
        ensure!(account.pot == 0, Error::<T>::PotNotEmpty);
        record.ticket.drop(&record.publisher)?;
        Listings::<T>::remove(id);
        Accounts::<T>::remove(id);
        Self::deposit_event(Event::Dropped { listing: id });
        Ok(())
    }

    /// The invariants in the crate's documentation, by their numbers.
    #[cfg(any(feature = "try-runtime", feature = "std"))]
    pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        use frame_support::traits::fungible::InspectHold;

        let pots: Balance = Accounts::<T>::iter_values()
            .fold(0, |sum: Balance, account| sum.saturating_add(account.pot));
        let held = T::Currency::balance_on_hold(&HoldReason::Royalty.into(), &Self::account_id());
        ensure!(
            pots == held,
            "models 1: pots differ from the royalties on hold"
        );
        for id in Accounts::<T>::iter_keys() {
            ensure!(
                Listings::<T>::contains_key(id),
                "models 2: an account without a listing"
            );
        }
        for (id, record) in Listings::<T>::iter() {
            ensure!(
                Accounts::<T>::contains_key(id),
                "models 2: a listing without an account"
            );
            ensure!(
                record.royalty <= T::MaxRoyalty::get(),
                "models 3: a royalty above all that governance may allow"
            );
            ensure!(record.id() == id, "models 3: a listing under a wrong id");
        }
        ensure!(
            Self::accepts(&Params::<T>::get()),
            "models 4: parameters above the chain's bounds"
        );
        Ok(())
    }
}

impl<T: Config> ModelCatalogue<T::AccountId> for Pallet<T> {
    fn listing(id: &ListingId) -> Option<Listing> {
        let record = Listings::<T>::get(id)?;
        Some(Listing {
            spec: record.parts.spec,
            royalty: record.royalty,
            active: record.status == ListingStatus::Active,
        })
    }

    fn parts(id: &ListingId) -> Option<ModelParts> {
        Listings::<T>::get(id).map(|record| record.parts)
    }

    fn acquire(id: &ListingId) -> DispatchResult {
        Accounts::<T>::try_mutate(id, |account| {
            let account = account.as_mut().ok_or(Error::<T>::UnknownListing)?;
            account.uses = account
                .uses
                .checked_add(1)
                .ok_or(Error::<T>::CounterOverflow)?;
            Ok(())
        })
    }

    fn release(id: &ListingId) {
        Accounts::<T>::mutate(id, |account| match account {
            Some(account) if account.uses > 0 => account.uses = account.uses.saturating_sub(1),
            _ => {
                frame_support::defensive!("released a listing that nothing acquired");
            }
        });
    }

    fn freeze(id: &ListingId) -> DispatchResult {
        match Listings::<T>::get(id) {
            Some(record) if record.status == ListingStatus::Frozen => Ok(()),
            _ => Self::do_freeze(*id),
        }
    }

    fn royalty_account() -> T::AccountId {
        Self::account_id()
    }

    fn credit_royalty(id: &ListingId, amount: Balance) -> DispatchResult {
        Accounts::<T>::try_mutate(id, |account| {
            let account = account.as_mut().ok_or(Error::<T>::UnknownListing)?;
            account.pot = account
                .pot
                .checked_add(amount)
                .ok_or(Error::<T>::CounterOverflow)?;
            T::Currency::hold(&HoldReason::Royalty.into(), &Self::account_id(), amount)
        })
    }
}

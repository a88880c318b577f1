//! One function per call.

use assay_primitives::{Balance, ListingId, ModelCatalogue, Price};
use frame_support::{
    pallet_prelude::*,
    traits::{
        fungible::MutateHold, tokens::Precision, Consideration, DefensiveSaturating, Footprint,
    },
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::Saturating;

use crate::{
    Burn, Config, Error, Event, HoldReason, OfferRecord, OfferRecordOf, Offering, Offers,
    OperatorHistory, OperatorHistoryOf, OperatorRange, Operators, Pallet, Params, ProviderInfoOf,
    ProviderRecord, ProviderRecordOf, Providers, TrackRecord, UnbondingChunk,
};

impl<T: Config> Pallet<T> {
    pub(crate) fn do_register(
        stash: T::AccountId,
        operator: T::AccountId,
        info: ProviderInfoOf<T>,
        bond: Balance,
    ) -> DispatchResult {
        ensure!(
            !Providers::<T>::contains_key(&stash),
            Error::<T>::AlreadyRegistered
        );
        ensure!(
            !Operators::<T>::contains_key(&operator),
            Error::<T>::OperatorTaken
        );
        ensure!(
            bond >= Params::<T>::get().min_bond,
            Error::<T>::BondTooSmall
        );

        let registered_at = Self::now();
        let range = OperatorRange {
            operator: operator.clone(),
            from: registered_at,
            until: None,
        };
        let mut history = OperatorHistory::<T>::get(&stash);
        history
            .try_push(range)
            .map_err(|_| Error::<T>::TooManyRotations)?;
        let footprint = Footprint::from_parts(
            1,
            ProviderRecordOf::<T>::max_encoded_len()
                .saturating_add(OperatorHistoryOf::<T>::max_encoded_len()),
        );
        let ticket = T::Consideration::new(&stash, footprint)?;
        T::Currency::hold(&HoldReason::Bond.into(), &stash, bond)?;

        Operators::<T>::insert(&operator, &stash);
        OperatorHistory::<T>::insert(&stash, history);
        let provider = ProviderRecord {
            operator: operator.clone(),
            info,
            online: true,
            bond,
            unbonding: Default::default(),
            exposure: 0,
            open_jobs: 0,
            offers: 0,
            earnings: Default::default(),
            maturing: 0,
            channel_exposure: 0,
            disputes: 0,
            burned: Burn::default(),
            record: TrackRecord::default(),
            registered_at,
            ticket,
        };
        Providers::<T>::insert(&stash, provider);
        Self::deposit_event(Event::Registered {
            provider: stash,
            operator,
            bond,
        });
        Ok(())
    }

    pub(crate) fn do_update_info(stash: T::AccountId, info: ProviderInfoOf<T>) -> DispatchResult {
        Self::try_mutate_provider(&stash, |provider| {
            provider.info = info;
            Ok(())
        })?;
        Self::deposit_event(Event::InfoUpdated { provider: stash });
        Ok(())
    }

    pub(crate) fn do_rotate_operator(
        stash: T::AccountId,
        operator: T::AccountId,
    ) -> DispatchResult {
        ensure!(
            !Operators::<T>::contains_key(&operator),
            Error::<T>::OperatorTaken
        );
        let now = Self::now();
        // All pauses count, whenever they were: better a key too long than a receipt too short.
        let retention = Params::<T>::get()
            .unbonding_blocks
            .saturating_add(T::StoodStill::get());
        Self::try_mutate_provider(&stash, |provider| {
            OperatorHistory::<T>::try_mutate(&stash, |history| {
                // A receipt under dispute is judged by its own key, however long the dispute lasts.
                let disputed = provider.disputes > 0;
                history.retain(|range| match range.until {
                    Some(until) => disputed || until.saturating_add(retention) > now,
                    None => true,
                });
                if let Some(current) = history.last_mut() {
                    current.until = Some(now);
                }
                let range = OperatorRange {
                    operator: operator.clone(),
                    from: now,
                    until: None,
                };
                history
                    .try_push(range)
                    .map_err(|_| Error::<T>::TooManyRotations)
            })?;
            Operators::<T>::remove(&provider.operator);
            Operators::<T>::insert(&operator, &stash);
            provider.operator = operator.clone();
            Ok(())
        })?;
        Self::deposit_event(Event::OperatorRotated {
            provider: stash,
            operator,
        });
        Ok(())
    }

    pub(crate) fn do_bond_extra(stash: T::AccountId, amount: Balance) -> DispatchResult {
        let min_bond = Params::<T>::get().min_bond;
        Self::try_mutate_provider(&stash, |provider| {
            let bond = provider
                .bond
                .checked_add(amount)
                .ok_or(Error::<T>::Overflow)?;
            ensure!(bond >= min_bond, Error::<T>::BondTooSmall);
            T::Currency::hold(&HoldReason::Bond.into(), &stash, amount)?;
            provider.bond = bond;
            Ok(())
        })?;
        Self::deposit_event(Event::Bonded {
            provider: stash,
            amount,
        });
        Ok(())
    }

    pub(crate) fn do_unbond(stash: T::AccountId, amount: Balance) -> DispatchResult {
        let parameters = Params::<T>::get();
        let due = Self::clock().saturating_add(parameters.unbonding_blocks);
        Self::try_mutate_provider(&stash, |provider| {
            let rest = provider
                .bond
                .checked_sub(amount)
                .ok_or(Error::<T>::BondTooSmall)?;
            ensure!(
                rest == 0 || rest >= parameters.min_bond,
                Error::<T>::BondTooSmall
            );
            let covered = rest.saturating_mul(parameters.exposure_factor.into());
            ensure!(
                covered >= provider.exposure && (rest > 0 || provider.open_jobs == 0),
                Error::<T>::BondNeeded
            );
            // Two withdrawals in one block share a chunk.
            match provider.unbonding.last_mut() {
                Some(chunk) if chunk.due == due => {
                    chunk.amount = chunk.amount.saturating_add(amount);
                }
                _ => provider
                    .unbonding
                    .try_push(UnbondingChunk { amount, due })
                    .map_err(|_| Error::<T>::TooManyUnbondingChunks)?,
            }
            provider.bond = rest;
            Ok(())
        })?;
        Self::deposit_event(Event::Unbonded {
            provider: stash,
            amount,
            due,
        });
        Ok(())
    }

    pub(crate) fn do_withdraw_unbonded(stash: T::AccountId) -> DispatchResult {
        let now = Self::clock();
        let amount = Self::try_mutate_provider(&stash, |provider| {
            ensure!(provider.disputes == 0, Error::<T>::Disputed);
            let due = |chunk: &UnbondingChunk<BlockNumberFor<T>>| chunk.due <= now;
            let amount = provider
                .unbonding
                .iter()
                .filter(|chunk| due(chunk))
                .fold(0, |sum: Balance, chunk| sum.saturating_add(chunk.amount));
            ensure!(
                provider.unbonding.iter().any(due),
                Error::<T>::NothingToWithdraw
            );
            provider.unbonding.retain(|chunk| !due(chunk));
            let reason = HoldReason::Bond.into();
            T::Currency::release(&reason, &stash, amount, Precision::Exact)?;
            Ok(amount)
        })?;
        Self::deposit_event(Event::Withdrawn {
            provider: stash,
            amount,
        });
        Ok(())
    }

    pub(crate) fn do_set_offer(
        stash: T::AccountId,
        listing: ListingId,
        price: Price,
        context: u32,
        capacity: u32,
    ) -> DispatchResult {
        let model = T::Catalogue::listing(&listing).ok_or(Error::<T>::UnknownListing)?;
        ensure!(
            context > 0 && context <= model.spec.context,
            Error::<T>::ContextOutOfBounds
        );
        ensure!(
            price.fee(context, context).is_some(),
            Error::<T>::PriceTooHigh
        );
        let since = Self::now();
        Self::try_mutate_provider(&stash, |provider| {
            Offers::<T>::try_mutate(listing, &stash, |slot| -> DispatchResult {
                if let Some(offer) = slot {
                    offer.price = price;
                    offer.context = context;
                    offer.capacity = capacity;
                    offer.since = since;
                    return Ok(());
                }
                ensure!(model.active, Error::<T>::ListingNotActive);
                Offering::<T>::try_append(listing, &stash)
                    .map_err(|_| Error::<T>::TooManyOffers)?;
                T::Catalogue::acquire(&listing)?;
                let footprint = Footprint::from_mel::<OfferRecordOf<T>>();
                let ticket = T::Consideration::new(&stash, footprint)?;
                *slot = Some(OfferRecord {
                    price,
                    context,
                    capacity,
                    open_jobs: 0,
                    since,
                    ticket,
                });
                provider.offers.defensive_saturating_inc();
                Ok(())
            })
        })?;
        Self::deposit_event(Event::OfferSet {
            provider: stash,
            listing,
            price,
        });
        Ok(())
    }

    pub(crate) fn do_remove_offer(stash: T::AccountId, listing: ListingId) -> DispatchResult {
        Self::try_mutate_provider(&stash, |provider| {
            Self::take_offer(&stash, provider, &listing)
        })?;
        Self::deposit_event(Event::OfferRemoved {
            provider: stash,
            listing,
        });
        Ok(())
    }

    /// Who tidies up pays nothing; who wants the place pays, or it could be cleared again and again.
    pub(crate) fn do_evict_offer(
        by: T::AccountId,
        listing: ListingId,
        stash: T::AccountId,
    ) -> Result<Pays, DispatchError> {
        ensure!(
            Offers::<T>::contains_key(listing, &stash),
            Error::<T>::UnknownOffer
        );
        let pays = Self::try_mutate_provider(&stash, |provider| {
            let idle = provider.bond < Params::<T>::get().min_bond
                || !T::Catalogue::listing(&listing).is_some_and(|model| model.active);
            ensure!(
                idle || Self::needs_place_of(&by, &listing, provider.bond),
                Error::<T>::OfferStands
            );
            Self::take_offer(&stash, provider, &listing)?;
            Ok(if idle { Pays::No } else { Pays::Yes })
        })?;
        Self::deposit_event(Event::OfferEvicted {
            provider: stash,
            listing,
            by,
        });
        Ok(pays)
    }

    /// Whether a full listing keeps out `who`, a provider with a larger bond than this.
    fn needs_place_of(who: &T::AccountId, listing: &ListingId, bond: Balance) -> bool {
        Offering::<T>::get(listing).is_full()
            && !Offers::<T>::contains_key(listing, who)
            && Providers::<T>::get(who).is_some_and(|provider| provider.bond > bond)
    }

    fn take_offer(
        stash: &T::AccountId,
        provider: &mut ProviderRecordOf<T>,
        listing: &ListingId,
    ) -> DispatchResult {
        let offer = Offers::<T>::take(listing, stash).ok_or(Error::<T>::UnknownOffer)?;
        ensure!(offer.open_jobs == 0, Error::<T>::OfferBusy);
        Offering::<T>::mutate_exists(listing, |slot| {
            if let Some(stashes) = slot {
                stashes.retain(|candidate| candidate != stash);
                if stashes.is_empty() {
                    *slot = None;
                }
            }
        });
        T::Catalogue::release(listing);
        provider.offers.defensive_saturating_dec();
        offer.ticket.drop(stash)
    }

    pub(crate) fn do_set_online(who: T::AccountId, online: bool) -> DispatchResult {
        // A stash speaks for itself first: anybody could name it as an operator.
        let stash = match Operators::<T>::get(&who) {
            Some(stash) if !Providers::<T>::contains_key(&who) => stash,
            _ => who,
        };
        Self::try_mutate_provider(&stash, |provider| {
            provider.online = online;
            Ok(())
        })?;
        Self::deposit_event(Event::OnlineSet {
            provider: stash,
            online,
        });
        Ok(())
    }

    pub(crate) fn do_deregister(stash: T::AccountId) -> DispatchResult {
        let provider = Providers::<T>::get(&stash).ok_or(Error::<T>::UnknownProvider)?;
        ensure!(provider.open_jobs == 0, Error::<T>::JobsRemain);
        ensure!(provider.offers == 0, Error::<T>::OffersRemain);
        ensure!(
            provider.maturing == 0 && provider.channel_exposure == 0,
            Error::<T>::EarningsRemain
        );
        ensure!(
            provider.bond == 0 && provider.unbonding.is_empty(),
            Error::<T>::BondRemains
        );
        ensure!(provider.disputes == 0, Error::<T>::Disputed);
        provider.ticket.drop(&stash)?;
        Operators::<T>::remove(&provider.operator);
        OperatorHistory::<T>::remove(&stash);
        Providers::<T>::remove(&stash);
        Self::deposit_event(Event::Deregistered { provider: stash });
        Ok(())
    }

    pub(crate) fn now() -> BlockNumberFor<T> {
        frame_system::Pallet::<T>::block_number()
    }

    /// The block that it would be without the pauses: what money waits for does not come nearer while
    /// nobody can be convicted.
    pub(crate) fn clock() -> BlockNumberFor<T> {
        Self::now().saturating_sub(T::StoodStill::get())
    }

    pub(crate) fn try_mutate_provider<R>(
        stash: &T::AccountId,
        change: impl FnOnce(&mut ProviderRecordOf<T>) -> Result<R, DispatchError>,
    ) -> Result<R, DispatchError> {
        Providers::<T>::try_mutate(stash, |provider| {
            change(provider.as_mut().ok_or(Error::<T>::UnknownProvider)?)
        })
    }
}

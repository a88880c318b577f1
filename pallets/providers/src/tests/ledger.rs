//! A model of the pallet's money: what each account ought to have, written without looking at how the
//! pallet keeps its books.

use crate::{mock::*, HoldReason};
use assay_primitives::{Balance, Price, Slashed};
use std::collections::BTreeMap;

/// One more than a listing has places for.
pub const STASHES: [u64; 4] = [PETRA, PIUS, PAVEL, PIA];

/// An account without money.
pub const NOBODY: u64 = 77;

#[derive(Default)]
pub struct Provider {
    pub bond: Balance,
    pub unbonding: Vec<(u64, Balance)>,
    /// What is due, and the fees of channels that are answered for until then.
    pub maturing: BTreeMap<u64, (Balance, Balance)>,
    pub disputes: u32,
    /// The last era in which its settlements burned something, and how much, unless that was paid.
    pub burned: (u32, Balance),
    /// Since it was convicted.
    pub offline: bool,
    pub price: Option<Price>,
    /// Worst-case fees of assigned jobs.
    pub open: Vec<Balance>,
    /// Fees of delivered jobs.
    pub delivered: Vec<Balance>,
}

impl Provider {
    pub fn bonded(&self) -> Balance {
        self.bond
            + self
                .unbonding
                .iter()
                .map(|(_, amount)| amount)
                .sum::<Balance>()
    }

    pub fn exposure(&self) -> Balance {
        self.open.iter().chain(&self.delivered).sum()
    }

    pub fn deposit(&self) -> Balance {
        provider_deposit() + self.price.map_or(0, |_| offer_deposit())
    }

    pub fn has_due(&self, now: u64) -> bool {
        self.disputes == 0 && self.maturing.range(..=now).next().is_some()
    }

    pub fn earnings(&self) -> Balance {
        self.maturing.values().map(|(amount, _)| amount).sum()
    }

    pub fn channel_fees(&self) -> Balance {
        self.maturing.values().map(|(_, fees)| fees).sum()
    }

    /// The active bond answers first, then what began to leave earliest.
    pub fn take(&mut self, amount: Balance) {
        let mut left = amount;
        let chunks = self.unbonding.iter_mut().map(|(_, amount)| amount);
        for purse in std::iter::once(&mut self.bond).chain(chunks) {
            let part = left.min(*purse);
            *purse -= part;
            left -= part;
        }
        self.unbonding.retain(|(_, amount)| *amount > 0);
    }

    /// The worst-case fee of a job of eight tokens in and up to sixteen out.
    pub fn worst_case(&self, budget: Balance, least: u32) -> Option<Balance> {
        let price = self.price?;
        let left = budget.checked_sub(8 * price.input)?;
        let limit = left.checked_div(price.output).unwrap_or(16).min(16);
        let worst_case = 8 * price.input + limit * price.output;
        let room = (4 * self.bond).saturating_sub(self.exposure() + self.channel_fees());
        let fits = limit >= least.into()
            && self.bond >= BOND
            && !self.offline
            && self.open.len() < 3
            && room > 0
            && worst_case <= room;
        fits.then_some(worst_case)
    }
}

/// What ought to be.
pub struct Ledger {
    pub free: BTreeMap<u64, Balance>,
    pub providers: BTreeMap<u64, Provider>,
    /// What there was of all money, and has come since.
    pub issued: Balance,
    pub burned: Balance,
    pub era: u32,
    /// What providers' settlements burned in this era.
    pub era_burned: Balance,
    /// What each era's providers get, and what they burned.
    pub pools: BTreeMap<u32, (Balance, Balance)>,
}

impl Ledger {
    pub fn new() -> Self {
        let accounts = STASHES.into_iter().chain([UMA, SAM, NOBODY]);
        Self {
            free: accounts.map(|who| (who, free(who))).collect(),
            providers: BTreeMap::new(),
            issued: Balances::total_issuance(),
            burned: 0,
            era: 0,
            era_burned: 0,
            pools: BTreeMap::new(),
        }
    }

    /// Dues that burn so much of Uma's money.
    pub fn burn(&mut self, stash: u64, amount: Balance, due: u64) {
        self.debit(UMA, amount);
        self.burned += amount;
        if amount == 0 || !self.providers.contains_key(&stash) {
            return;
        }
        self.reward(stash, due);
        self.era_burned += amount;
        let (era, provider) = (self.era, self.providers.get_mut(&stash).unwrap());
        let before = match provider.burned.0 == era {
            true => provider.burned.1,
            false => 0,
        };
        provider.burned = (era, before + amount);
    }

    /// Eight tenths of what was burned; a hundredth of all money in a year of 365.25 days, and a day at
    /// most; and 10,000 at most.
    pub fn end_era(&mut self, hours: u128) {
        let yearly = (self.issued - self.burned) / 100;
        let mintable = yearly * hours.min(24) / (24 * 1_461 / 4);
        let pool = (self.era_burned * 8 / 10).min(mintable).min(10_000);
        self.pools.insert(self.era, (pool, self.era_burned));
        self.era += 1;
        self.era_burned = 0;
    }

    /// What is due for an era that is over; false if nothing is.
    pub fn reward(&mut self, stash: u64, due: u64) -> bool {
        let Some(provider) = self.providers.get_mut(&stash) else {
            return false;
        };
        let (era, own) = provider.burned;
        let Some((pool, of_all)) = self.pools.get(&era) else {
            return false;
        };
        let amount = (pool * own).checked_div(*of_all).unwrap_or(0);
        if amount == 0 {
            return false;
        }
        provider.burned = (0, 0);
        provider.maturing.entry(due).or_default().0 += amount;
        self.issued += amount;
        true
    }

    pub fn credit(&mut self, who: u64, amount: Balance) {
        *self.free.get_mut(&who).unwrap() += amount;
    }

    pub fn debit(&mut self, who: u64, amount: Balance) {
        *self.free.get_mut(&who).unwrap() -= amount;
    }

    pub fn deregister(&mut self, stash: u64) -> bool {
        let allowed = self.providers.get(&stash).is_some_and(|provider| {
            provider.bond == 0
                && provider.unbonding.is_empty()
                && provider.maturing.is_empty()
                && provider.delivered.is_empty()
                && provider.price.is_none()
                && provider.disputes == 0
        });
        if allowed {
            self.providers.remove(&stash);
            self.credit(stash, provider_deposit());
        }
        allowed
    }

    pub fn unbond(&mut self, stash: u64, amount: Balance, due: u64) -> bool {
        let Some(provider) = self.providers.get_mut(&stash) else {
            return false;
        };
        let Some(rest) = provider.bond.checked_sub(amount) else {
            return false;
        };
        let last = provider.unbonding.last().map(|(due, _)| *due);
        if (rest > 0 && rest < BOND)
            || 4 * rest < provider.exposure()
            || (rest == 0 && provider.open.len() + provider.delivered.len() > 0)
            || (provider.unbonding.len() == 4 && last != Some(due))
        {
            return false;
        }
        provider.bond = rest;
        match provider.unbonding.last_mut() {
            Some((at, sum)) if *at == due => *sum += amount,
            _ => provider.unbonding.push((due, amount)),
        }
        true
    }

    pub fn withdraw(&mut self, stash: u64, now: u64) -> bool {
        let provider = self.providers.get_mut(&stash);
        let Some(provider) = provider.filter(|provider| provider.disputes == 0) else {
            return false;
        };
        let (due, left): (Vec<_>, Vec<_>) =
            provider.unbonding.drain(..).partition(|(at, _)| *at <= now);
        provider.unbonding = left;
        let allowed = !due.is_empty();
        self.credit(stash, due.into_iter().map(|(_, amount)| amount).sum());
        allowed
    }

    pub fn set_offer(&mut self, stash: u64, price: Price) -> bool {
        let offers = self.providers.values().filter_map(|other| other.price);
        let is_full = offers.count() == 3;
        let Some(provider) = self.providers.get_mut(&stash) else {
            return false;
        };
        let is_new = provider.price.is_none();
        if is_new && is_full {
            return false;
        }
        provider.price = Some(price);
        if is_new {
            self.debit(stash, offer_deposit());
        }
        true
    }

    pub fn remove_offer(&mut self, stash: u64) -> bool {
        let provider = self.providers.get_mut(&stash);
        let allowed = provider
            .is_some_and(|provider| provider.open.is_empty() && provider.price.take().is_some());
        if allowed {
            self.credit(stash, offer_deposit());
        }
        allowed
    }

    pub fn evict_offer(&mut self, by: u64, stash: u64) -> bool {
        let Some(provider) = self.providers.get(&stash) else {
            return false;
        };
        let offers = self.providers.values().filter_map(|other| other.price);
        let needs_place = |other: &Provider| other.price.is_none() && other.bond > provider.bond;
        let in_the_way = offers.count() == 3 && self.providers.get(&by).is_some_and(needs_place);
        (provider.bond < BOND || in_the_way) && self.remove_offer(stash)
    }

    /// What is paid, from the bond first and then from the oldest chunk on; three tenths of what is
    /// taken are gone.
    pub fn compensate(&mut self, stash: u64, amount: Balance) -> Option<Balance> {
        let provider = self.providers.get_mut(&stash)?;
        let taken = amount.min(provider.bonded());
        let paid = taken - 3 * taken / 10;
        self.burned += taken - paid;
        provider.take(taken);
        self.credit(UMA, paid);
        Some(paid)
    }

    /// Sixty times the fee or a tenth of what is bonded, and all that matures: what the user is to
    /// get back, as far as channels were paid of late, then four tenths of the rest for the challenger, both
    /// together at most half of it all.
    pub fn slash(&mut self, stash: u64, fee: Balance, refund: Balance, challenger: u64) -> Slashed {
        let provider = self.providers.get_mut(&stash).unwrap();
        let bonded = provider.bonded();
        let taken = (60 * fee).max(bonded.div_ceil(10)).min(bonded);
        let earnings = provider.earnings();
        let sum = taken + earnings;
        provider.take(taken);
        for (amount, _) in provider.maturing.values_mut() {
            *amount = 0;
        }
        provider.burned = (0, 0);
        provider.offline = true;
        let refund = refund.min(sum / 2).min(provider.channel_fees());
        let mut left = refund;
        for (_, fees) in provider.maturing.values_mut() {
            let part = left.min(*fees);
            *fees -= part;
            left -= part;
        }
        provider.maturing.retain(|_, parts| *parts != (0, 0));
        let reward = (4 * (sum - refund) / 10).min(sum / 2 - refund);
        // Out of two holds it comes in two parts, each of which needs an account to go to.
        let of_bond = reward.min(taken.saturating_sub(refund));
        let first = if of_bond > 0 { of_bond } else { reward };
        let is_paid = self.free[&challenger] > 0 || first >= EXISTENTIAL_DEPOSIT;
        let reward = if is_paid { reward } else { 0 };
        let burned = sum - refund - reward;
        self.credit(UMA, refund);
        self.credit(challenger, reward);
        self.burned += burned;
        Slashed {
            refund,
            reward,
            burned,
        }
    }

    pub fn release(&mut self, stash: u64, now: u64) {
        let maturing = &mut self.providers.get_mut(&stash).unwrap().maturing;
        let left = maturing.split_off(&(now + 1));
        let due = std::mem::replace(maturing, left);
        self.credit(stash, due.values().map(|(amount, _)| amount).sum());
    }

    pub fn release_all(&mut self, now: u64) {
        for stash in STASHES {
            let Some(provider) = self.providers.get(&stash) else {
                continue;
            };
            if provider.has_due(now) {
                self.release(stash, now);
            }
        }
    }

    pub fn compare(&self) {
        assert_eq!(Balances::total_issuance(), self.issued - self.burned);
        for (who, amount) in &self.free {
            assert_eq!(free(*who), *amount, "free balance of {who}");
        }
        for stash in STASHES {
            let none = Provider::default();
            let provider = self.providers.get(&stash).unwrap_or(&none);
            let deposit = self.providers.get(&stash).map_or(0, Provider::deposit);
            assert_eq!(
                held(HoldReason::Bond, stash),
                provider.bonded(),
                "bond of {stash}"
            );
            assert_eq!(
                held(HoldReason::Maturing, stash),
                provider.earnings(),
                "earnings of {stash}"
            );
            assert_eq!(
                held(HoldReason::ProviderDeposit, stash),
                deposit,
                "deposit of {stash}"
            );
            if self.providers.contains_key(&stash) {
                assert_eq!(
                    record(stash).exposure,
                    provider.exposure(),
                    "exposure of {stash}"
                );
                assert_eq!(
                    record(stash).channel_exposure,
                    provider.channel_fees(),
                    "exposure of {stash} to channels"
                );
                assert_eq!(record(stash).disputes, provider.disputes);
            }
        }
    }
}

//! A model of the pallet's money, without its storage.

use crate::{mock::*, Backing, Role};
use assay_primitives::Balance;
use sp_runtime::{Perbill, Permill};
use std::collections::BTreeMap;

/// Who has keys and money in a random story.
pub const ACCOUNTS: [u64; 7] = [VERA, VITO, VIGO, VANJA, NORA, NED, NINA];

const SESSIONS_PER_ERA: u32 = 3;
const BONDING_SESSIONS: u32 = 6;
const SEATS: usize = 4;
const FLOOR: usize = 2;
const MAX_NOMINATORS: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Does {
    Nothing,
    Validate,
    Back(u64),
}

#[derive(Clone, Debug)]
pub struct Bonded {
    pub active: Balance,
    /// By the session in which it is due.
    pub leaving: BTreeMap<u32, Balance>,
    pub does: Does,
}

impl Bonded {
    fn take(&mut self, amount: Balance) -> Balance {
        let mut taken = amount.min(self.active);
        self.active -= taken;
        for part in self.leaving.values_mut() {
            let more = (amount - taken).min(*part);
            *part -= more;
            taken += more;
        }
        self.leaving.retain(|_, part| *part > 0);
        taken
    }

    fn is_gone(&self) -> bool {
        self.active == 0 && self.leaving.is_empty()
    }
}

#[derive(Clone, Debug, Default)]
struct Term {
    /// The first session after it.
    end: u32,
    /// What stands behind each member, its own first.
    behind: BTreeMap<u64, Vec<(u64, Balance)>>,
}

pub struct Ledger {
    pub free: BTreeMap<u64, Balance>,
    pub bonds: BTreeMap<u64, Bonded>,
    /// Who backs a validator, in the order in which they came.
    backers: BTreeMap<u64, Vec<u64>>,
    session: u32,
    terms: Vec<Term>,
    taken: BTreeMap<(u32, u64), Perbill>,
}

impl Ledger {
    /// What [`TestExt::new`] begins with.
    pub fn new() -> Self {
        let mut ledger = Self {
            free: ACCOUNTS.iter().map(|who| (*who, ENDOWMENT)).collect(),
            bonds: BTreeMap::new(),
            backers: BTreeMap::new(),
            session: 0,
            terms: Vec::new(),
            taken: BTreeMap::new(),
        };
        ledger.free.insert(SAM, ENDOWMENT);
        ledger.free.insert(TREASURY, EXISTENTIAL_DEPOSIT);
        for who in [VERA, VITO, VIGO, VANJA] {
            assert!(ledger.bond(who, BOND) && ledger.validate(who));
        }
        ledger.elect();
        ledger
    }

    fn pay(&mut self, who: u64, amount: Balance) {
        *self.free.get_mut(&who).unwrap() += amount;
    }

    /// Put money on hold, as much as leaves the account alive.
    fn hold(&mut self, who: u64, amount: Balance) -> bool {
        let free = self.free.get_mut(&who).unwrap();
        let enough = *free >= amount + EXISTENTIAL_DEPOSIT;
        if enough {
            *free -= amount;
        }
        enough
    }

    pub fn bond(&mut self, who: u64, amount: Balance) -> bool {
        if self.bonds.contains_key(&who) || amount < LITTLE || !self.hold(who, amount) {
            return false;
        }
        let bonded = Bonded {
            active: amount,
            leaving: BTreeMap::new(),
            does: Does::Nothing,
        };
        self.bonds.insert(who, bonded);
        true
    }

    pub fn bond_extra(&mut self, who: u64, amount: Balance) -> bool {
        let allowed = self
            .bonds
            .get(&who)
            .is_some_and(|bonded| bonded.active + amount >= LITTLE)
            && self.hold(who, amount);
        if allowed {
            self.bonds.get_mut(&who).unwrap().active += amount;
        }
        allowed
    }

    pub fn validate(&mut self, who: u64) -> bool {
        let allowed = self
            .bonds
            .get(&who)
            .is_some_and(|bonded| bonded.active >= BOND);
        if allowed {
            self.leave(who);
            self.bonds.get_mut(&who).unwrap().does = Does::Validate;
        }
        allowed
    }

    pub fn nominate(&mut self, who: u64, validator: u64) -> bool {
        let amount = match self.bonds.get(&who) {
            Some(bonded) if bonded.active >= LITTLE => bonded.active,
            _ => return false,
        };
        let stands = |bonded: &Bonded| bonded.does == Does::Validate;
        if who == validator || !self.bonds.get(&validator).is_some_and(stands) {
            return false;
        }
        let mut others = self.backers.get(&validator).cloned().unwrap_or_default();
        others.retain(|other| *other != who);
        if others.len() == MAX_NOMINATORS {
            // The first of the smallest.
            let smallest = *others
                .iter()
                .min_by_key(|other| self.bonds[*other].active)
                .unwrap();
            if self.bonds[&smallest].active >= amount {
                return false;
            }
            self.leave(smallest);
        }
        self.leave(who);
        self.backers.entry(validator).or_default().push(who);
        self.bonds.get_mut(&who).unwrap().does = Does::Back(validator);
        true
    }

    pub fn chill(&mut self, who: u64) -> bool {
        let allowed = self
            .bonds
            .get(&who)
            .is_some_and(|bonded| bonded.does != Does::Nothing);
        if allowed {
            self.leave(who);
        }
        allowed
    }

    fn leave(&mut self, who: u64) {
        let bonded = self.bonds.get_mut(&who).unwrap();
        if let Does::Back(validator) = bonded.does {
            let backers = self.backers.get_mut(&validator).unwrap();
            backers.retain(|backer| *backer != who);
        }
        bonded.does = Does::Nothing;
    }

    pub fn unbond(&mut self, who: u64, amount: Balance) -> bool {
        let due = self.terms.last().unwrap().end + BONDING_SESSIONS;
        let Some(bonded) = self.bonds.get_mut(&who) else {
            return false;
        };
        if amount == 0 || amount > bonded.active {
            return false;
        }
        let rest = bonded.active - amount;
        let allowed = match bonded.does {
            Does::Nothing => rest == 0 || rest >= LITTLE,
            Does::Validate => rest >= BOND,
            Does::Back(_) => rest >= LITTLE,
        };
        if allowed {
            bonded.active = rest;
            *bonded.leaving.entry(due).or_default() += amount;
        }
        allowed
    }

    pub fn withdraw(&mut self, who: u64) -> bool {
        let Some(bonded) = self.bonds.get_mut(&who) else {
            return false;
        };
        let later = bonded.leaving.split_off(&(self.session + 1));
        let due = core::mem::replace(&mut bonded.leaving, later);
        if bonded.is_gone() {
            self.bonds.remove(&who);
        }
        self.pay(who, due.values().sum());
        !due.is_empty()
    }

    /// A session ends; the one after the next is planned.
    pub fn next_session(&mut self) {
        self.session += 1;
        if self.session + 1 == self.terms.last().unwrap().end {
            self.elect();
        }
    }

    fn elect(&mut self) {
        let behind = |who: u64| {
            let backers = self.backers.get(&who).cloned().unwrap_or_default();
            let all = [who].into_iter().chain(backers);
            let amount = |who| self.bonds.get(&who).map_or(0, |bonded| bonded.active);
            all.map(|who| (who, amount(who))).collect::<Vec<_>>()
        };
        let mut ranked: Vec<(Balance, u64)> = self
            .bonds
            .iter()
            .filter(|(_, bonded)| bonded.does == Does::Validate && bonded.active >= BOND)
            .map(|(who, _)| (behind(*who).iter().map(|(_, amount)| amount).sum(), *who))
            .collect();
        ranked.sort_by_key(|(sum, who)| (Balance::MAX - sum, *who));
        ranked.truncate(SEATS);
        let members: Vec<u64> = match ranked.len() < FLOOR {
            true => self.terms.last().unwrap().behind.keys().copied().collect(),
            false => ranked.into_iter().map(|(_, who)| who).collect(),
        };
        let term = Term {
            end: SESSIONS_PER_ERA * (self.terms.len() as u32 + 1),
            behind: members.into_iter().map(|who| (who, behind(who))).collect(),
        };
        self.terms.push(term);
    }

    pub fn slash(&mut self, who: u64, session: u32, fraction: Perbill, reporter: u64) {
        if session + BONDING_SESSIONS < self.session || session > self.session + 1 {
            return;
        }
        let term = &self.terms[(session / SESSIONS_PER_ERA) as usize];
        let Some(behind) = term.behind.get(&who).cloned() else {
            return;
        };
        let before = self.taken.get(&(session, who)).copied();
        if before.is_some_and(|before| before >= fraction) {
            return;
        }
        self.taken.insert((session, who), fraction);
        let does = self.bonds.get(&who).map(|bonded| bonded.does);
        if before.is_none() && does == Some(Does::Validate) {
            self.leave(who);
        }
        let (mut sum, mut own) = (0, 0);
        for (member, exposed) in behind {
            let Some(bonded) = self.bonds.get_mut(&member) else {
                continue;
            };
            let owed = fraction.mul_floor(exposed);
            let taken = bonded.take(owed - before.unwrap_or_default().mul_floor(exposed));
            sum += taken;
            own += if member == who { taken } else { 0 };
            if bonded.active == 0 {
                self.leave(member);
            }
            if self.bonds[&member].is_gone() {
                self.bonds.remove(&member);
            }
        }
        let share = Permill::from_percent(10).mul_floor(own);
        // Who has no account gets one or nothing.
        let has_account = self.free.contains_key(&reporter) || share >= EXISTENTIAL_DEPOSIT;
        let reward = if has_account { share } else { 0 };
        *self.free.entry(reporter).or_default() += reward;
        self.pay(TREASURY, sum - reward);
    }

    /// The chain says the same.
    pub fn compare(&self) {
        for (who, amount) in &self.free {
            assert_eq!(free(*who), *amount, "what {who} has free");
        }
        for who in ACCOUNTS {
            let expected = self.bonds.get(&who);
            let actual = bond(who);
            assert_eq!(
                actual.is_some(),
                expected.is_some(),
                "whether {who} is bonded"
            );
            let (Some(actual), Some(expected)) = (actual, expected) else {
                continue;
            };
            assert_eq!(actual.amount, expected.active, "what {who} has bonded");
            let leaving: Vec<_> = actual.unbonding.iter().map(|c| (c.due, c.amount)).collect();
            let expected_leaving: Vec<_> = expected.leaving.clone().into_iter().collect();
            assert_eq!(leaving, expected_leaving, "what leaves {who}");
            let does = match actual.role {
                Role::Idle => Does::Nothing,
                Role::Validator { .. } => Does::Validate,
                Role::Nominator { validator } => Does::Back(validator),
            };
            assert_eq!(does, expected.does, "what {who} does");
        }
        let last = self.terms.last().unwrap();
        let elected = crate::Elected::<Test>::get().into_inner();
        assert!(elected.iter().eq(last.behind.keys()), "{elected:?}");
        for (who, behind) in &last.behind {
            let actual = exposure(self.terms.len() as u32 - 1, *who);
            let others = actual.nominators.into_iter();
            let others = others.map(|Backing { nominator, amount }| (nominator, amount));
            assert!([(*who, actual.own)]
                .into_iter()
                .chain(others)
                .eq(behind.iter().copied()));
        }
    }
}

//! Random stories, told to the pallet and to a model of its money.

use crate::{mock::*, HoldReason};
use assay_primitives::{Balance, DrawRequest, Market, Outcome, Price};
use frame_support::assert_ok;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One more than a listing has places for.
const STASHES: [u64; 4] = [PETRA, PIUS, PAVEL, PIA];

#[derive(Clone, Debug)]
enum Step {
    Register {
        stash: u64,
        bond: Balance,
    },
    Deregister {
        stash: u64,
    },
    Bond {
        stash: u64,
        amount: Balance,
    },
    Unbond {
        stash: u64,
        amount: Balance,
    },
    Withdraw {
        stash: u64,
    },
    SetOffer {
        stash: u64,
        price: Price,
    },
    RemoveOffer {
        stash: u64,
    },
    EvictOffer {
        by: u64,
        stash: u64,
    },
    Assign {
        stash: u64,
        budget: Balance,
        least: u32,
    },
    Deliver {
        stash: u64,
        percent: Balance,
    },
    Close {
        stash: u64,
    },
    SendBack {
        stash: u64,
        outcome: Outcome,
    },
    Earn {
        stash: u64,
        amount: Balance,
    },
    Compensate {
        stash: u64,
        amount: Balance,
    },
    Release {
        stash: u64,
    },
    Wait {
        blocks: u64,
        idle: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let stash = || prop::sample::select(STASHES.to_vec());
    let stash_or_sam = prop::sample::select([&STASHES[..], &[SAM]].concat());
    let amount = || prop_oneof![0..1_000u128, 0..2 * BOND, Just(BOND)];
    let price = (0..2_000u128, 0..100_000u128).prop_map(|(input, output)| Price { input, output });
    let outcome = prop::sample::select(vec![Outcome::Declined, Outcome::Missed]);
    prop_oneof![
        4 => (stash(), BOND - 5..3 * BOND)
            .prop_map(|(stash, bond)| Step::Register { stash, bond }),
        2 => stash().prop_map(|stash| Step::Deregister { stash }),
        2 => (stash(), amount()).prop_map(|(stash, amount)| Step::Bond { stash, amount }),
        4 => (stash(), amount()).prop_map(|(stash, amount)| Step::Unbond { stash, amount }),
        2 => stash().prop_map(|stash| Step::Withdraw { stash }),
        3 => (stash(), price).prop_map(|(stash, price)| Step::SetOffer { stash, price }),
        1 => stash().prop_map(|stash| Step::RemoveOffer { stash }),
        2 => (stash_or_sam, stash()).prop_map(|(by, stash)| Step::EvictOffer { by, stash }),
        5 => (stash(), 0..2 * BOND, 1..=16u32)
            .prop_map(|(stash, budget, least)| Step::Assign { stash, budget, least }),
        3 => (stash(), 0..=100u128)
            .prop_map(|(stash, percent)| Step::Deliver { stash, percent }),
        3 => stash().prop_map(|stash| Step::Close { stash }),
        2 => (stash(), outcome).prop_map(|(stash, outcome)| Step::SendBack { stash, outcome }),
        3 => (stash(), amount()).prop_map(|(stash, amount)| Step::Earn { stash, amount }),
        2 => (stash(), amount())
            .prop_map(|(stash, amount)| Step::Compensate { stash, amount }),
        2 => stash().prop_map(|stash| Step::Release { stash }),
        4 => (1..60u64, any::<bool>()).prop_map(|(blocks, idle)| Step::Wait { blocks, idle }),
    ]
}

#[derive(Default)]
struct Provider {
    bond: Balance,
    unbonding: Vec<(u64, Balance)>,
    maturing: BTreeMap<u64, Balance>,
    price: Option<Price>,
    /// Worst-case fees of assigned jobs.
    open: Vec<Balance>,
    /// Fees of delivered jobs.
    delivered: Vec<Balance>,
}

impl Provider {
    fn bonded(&self) -> Balance {
        self.bond
            + self
                .unbonding
                .iter()
                .map(|(_, amount)| amount)
                .sum::<Balance>()
    }

    fn exposure(&self) -> Balance {
        self.open.iter().chain(&self.delivered).sum()
    }

    fn deposit(&self) -> Balance {
        provider_deposit() + self.price.map_or(0, |_| offer_deposit())
    }

    fn has_due(&self, now: u64) -> bool {
        self.maturing.range(..=now).next().is_some()
    }

    /// The worst-case fee of a job of eight tokens in and up to sixteen out.
    fn worst_case(&self, budget: Balance, least: u32) -> Option<Balance> {
        let price = self.price?;
        let left = budget.checked_sub(8 * price.input)?;
        let limit = left.checked_div(price.output).unwrap_or(16).min(16);
        let worst_case = 8 * price.input + limit * price.output;
        let room = 4 * self.bond;
        let fits = limit >= least.into()
            && self.bond >= BOND
            && self.open.len() < 3
            && self.exposure() < room
            && self.exposure() + worst_case <= room;
        fits.then_some(worst_case)
    }
}

/// What ought to be.
struct Ledger {
    free: BTreeMap<u64, Balance>,
    providers: BTreeMap<u64, Provider>,
    /// What there was of all money, and has come since.
    issued: Balance,
    burned: Balance,
}

impl Ledger {
    fn new() -> Self {
        let accounts = STASHES.into_iter().chain([UMA]);
        Self {
            free: accounts.map(|who| (who, free(who))).collect(),
            providers: BTreeMap::new(),
            issued: Balances::total_issuance(),
            burned: 0,
        }
    }

    fn credit(&mut self, who: u64, amount: Balance) {
        *self.free.get_mut(&who).unwrap() += amount;
    }

    fn debit(&mut self, who: u64, amount: Balance) {
        *self.free.get_mut(&who).unwrap() -= amount;
    }

    fn deregister(&mut self, stash: u64) -> bool {
        let allowed = self.providers.get(&stash).is_some_and(|provider| {
            provider.bond == 0
                && provider.unbonding.is_empty()
                && provider.maturing.is_empty()
                && provider.delivered.is_empty()
                && provider.price.is_none()
        });
        if allowed {
            self.providers.remove(&stash);
            self.credit(stash, provider_deposit());
        }
        allowed
    }

    fn unbond(&mut self, stash: u64, amount: Balance, due: u64) -> bool {
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

    fn withdraw(&mut self, stash: u64, now: u64) -> bool {
        let Some(provider) = self.providers.get_mut(&stash) else {
            return false;
        };
        let (due, left): (Vec<_>, Vec<_>) =
            provider.unbonding.drain(..).partition(|(at, _)| *at <= now);
        provider.unbonding = left;
        let allowed = !due.is_empty();
        self.credit(stash, due.into_iter().map(|(_, amount)| amount).sum());
        allowed
    }

    fn set_offer(&mut self, stash: u64, price: Price) -> bool {
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

    fn remove_offer(&mut self, stash: u64) -> bool {
        let provider = self.providers.get_mut(&stash);
        let allowed = provider
            .is_some_and(|provider| provider.open.is_empty() && provider.price.take().is_some());
        if allowed {
            self.credit(stash, offer_deposit());
        }
        allowed
    }

    fn evict_offer(&mut self, by: u64, stash: u64) -> bool {
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
    fn compensate(&mut self, stash: u64, amount: Balance) -> Option<Balance> {
        let provider = self.providers.get_mut(&stash)?;
        let taken = amount.min(provider.bonded());
        let paid = taken - 3 * taken / 10;
        self.burned += taken - paid;
        let mut left = taken;
        let chunks = provider.unbonding.iter_mut().map(|(_, amount)| amount);
        for purse in std::iter::once(&mut provider.bond).chain(chunks) {
            let part = left.min(*purse);
            *purse -= part;
            left -= part;
        }
        provider.unbonding.retain(|(_, amount)| *amount > 0);
        self.credit(UMA, paid);
        Some(paid)
    }

    fn release(&mut self, stash: u64, now: u64) {
        let maturing = &mut self.providers.get_mut(&stash).unwrap().maturing;
        let left = maturing.split_off(&(now + 1));
        let due = std::mem::replace(maturing, left);
        self.credit(stash, due.values().sum());
    }

    fn release_all(&mut self, now: u64) {
        for stash in STASHES {
            let Some(provider) = self.providers.get(&stash) else {
                continue;
            };
            if provider.has_due(now) {
                self.release(stash, now);
            }
        }
    }

    fn compare(&self) {
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
                provider.maturing.values().sum::<Balance>(),
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
            }
        }
    }
}

fn apply(ledger: &mut Ledger, step: &Step) {
    let by = RuntimeOrigin::signed;
    let now = System::block_number();
    match *step {
        Step::Register { stash, bond } => {
            let allowed = bond >= BOND && !ledger.providers.contains_key(&stash);
            assert_eq!(register(stash, bond).is_ok(), allowed, "{step:?}");
            if allowed {
                ledger.debit(stash, bond + provider_deposit());
                ledger.providers.insert(
                    stash,
                    Provider {
                        bond,
                        ..Default::default()
                    },
                );
            }
        }
        Step::Deregister { stash } => {
            let allowed = ledger.deregister(stash);
            assert_eq!(
                Providers::deregister(by(stash)).is_ok(),
                allowed,
                "{step:?}"
            );
        }
        Step::Bond { stash, amount } => {
            let provider = ledger.providers.get_mut(&stash);
            let allowed = provider.is_some_and(|provider| {
                let allowed = provider.bond + amount >= BOND;
                provider.bond += if allowed { amount } else { 0 };
                allowed
            });
            assert_eq!(
                Providers::bond_extra(by(stash), amount).is_ok(),
                allowed,
                "{step:?}"
            );
            if allowed {
                ledger.debit(stash, amount);
            }
        }
        Step::Unbond { stash, amount } => {
            let allowed = ledger.unbond(stash, amount, now + 100);
            assert_eq!(
                Providers::unbond(by(stash), amount).is_ok(),
                allowed,
                "{step:?}"
            );
        }
        Step::Withdraw { stash } => {
            let allowed = ledger.withdraw(stash, now);
            assert_eq!(
                Providers::withdraw_unbonded(by(stash)).is_ok(),
                allowed,
                "{step:?}"
            );
        }
        Step::SetOffer { stash, price } => {
            let allowed = ledger.set_offer(stash, price);
            assert_eq!(set_offer(stash, price).is_ok(), allowed, "{step:?}");
        }
        Step::RemoveOffer { stash } => {
            let allowed = ledger.remove_offer(stash);
            let result = Providers::remove_offer(by(stash), listing());
            assert_eq!(result.is_ok(), allowed, "{step:?}");
        }
        Step::EvictOffer { by: caller, stash } => {
            let allowed = ledger.evict_offer(caller, stash);
            let result = Providers::evict_offer(by(caller), listing(), stash);
            assert_eq!(result.is_ok(), allowed, "{step:?}");
        }
        Step::Assign {
            stash,
            budget,
            least,
        } => {
            let wish = DrawRequest {
                budget,
                min_output_tokens: least,
                ..request(Some(&stash), &[], 0)
            };
            let drawn = <Providers as Market<u64, u64>>::draw(&wish);
            let provider = ledger.providers.get_mut(&stash);
            let expected = provider.and_then(|provider| {
                let worst_case = provider.worst_case(budget, least)?;
                provider.open.push(worst_case);
                Some(worst_case)
            });
            assert_eq!(
                drawn.map(|drawn| drawn.worst_case_fee),
                expected,
                "{step:?}"
            );
        }
        Step::Deliver { stash, percent } => {
            let Some(provider) = ledger.providers.get_mut(&stash) else {
                return;
            };
            if let Some(worst_case) = provider.open.pop() {
                let fee = worst_case * percent / 100;
                provider.delivered.push(fee);
                deliver(stash, worst_case, fee);
            }
        }
        Step::Close { stash } => {
            let provider = ledger.providers.get_mut(&stash);
            if let Some(fee) = provider.and_then(|provider| provider.delivered.pop()) {
                close(stash, fee, fee, fee / 20);
            }
        }
        Step::SendBack { stash, outcome } => {
            let provider = ledger.providers.get_mut(&stash);
            if let Some(worst_case) = provider.and_then(|provider| provider.open.pop()) {
                resolve(stash, worst_case, outcome, 0);
            }
        }
        Step::Earn { stash, amount } => {
            let Some(provider) = ledger.providers.get_mut(&stash) else {
                return;
            };
            if amount > 0 {
                *provider
                    .maturing
                    .entry((now + 40).div_ceil(5) * 5)
                    .or_default() += amount;
            }
            ledger.issued += amount;
            earn(stash, amount);
        }
        Step::Compensate { stash, amount } => {
            let paid = compensate(stash, UMA, amount).ok();
            assert_eq!(paid, ledger.compensate(stash, amount), "{step:?}");
        }
        Step::Release { stash } => {
            let provider = ledger.providers.get(&stash);
            let allowed = provider.is_some_and(|provider| provider.has_due(now));
            let result = Providers::release_earnings(by(SAM), stash);
            assert_eq!(result.is_ok(), allowed, "{step:?}");
            if allowed {
                ledger.release(stash, now);
            }
        }
        Step::Wait { blocks, idle } => {
            IdleWeight::set(if idle {
                frame_support::weights::Weight::MAX
            } else {
                Default::default()
            });
            System::reset_events();
            run_to(now + blocks);
            if idle {
                ledger.release_all(now + blocks - 1);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 160,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_money_of_any_story_is_accounted_for(steps in prop::collection::vec(step(), 60)) {
        TestExt::new().execute_with(|| {
            for stash in STASHES {
                assert_ok!(register(stash, BOND));
            }
            let mut ledger = Ledger::new();
            for stash in STASHES {
                let provider = Provider { bond: BOND, ..Default::default() };
                ledger.providers.insert(stash, provider);
            }
            for step in &steps {
                apply(&mut ledger, step);
                ledger.compare();
                check_books();
            }
        });
    }
}

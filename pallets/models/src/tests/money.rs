//! Random stories, told to the pallet and to a model of its money.

use crate::{mock::*, Accounts, Error};
use assay_primitives::{Balance, ListingId, ModelCatalogue};
use frame_support::assert_noop;
use proptest::prelude::*;
use std::collections::BTreeMap;

const PUBLISHERS: [u64; 2] = [PAULA, PEDRO];

#[derive(Clone, Debug)]
enum Step {
    Register {
        publisher: u64,
        model: u8,
        royalty: u32,
    },
    Retire {
        who: u64,
        listing: usize,
    },
    Freeze {
        listing: usize,
    },
    Claim {
        listing: usize,
    },
    Drop {
        listing: usize,
    },
    Acquire {
        listing: usize,
    },
    Release {
        listing: usize,
    },
    Earn {
        listing: usize,
        amount: Balance,
    },
    Spend {
        who: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let who = || prop::sample::select(PUBLISHERS.to_vec());
    let listing = || 0..6usize;
    prop_oneof![
        4 => (who(), 0..3u8, 1..24u32)
            .prop_map(|(publisher, model, royalty)| Step::Register { publisher, model, royalty }),
        2 => (who(), listing()).prop_map(|(who, listing)| Step::Retire { who, listing }),
        1 => listing().prop_map(|listing| Step::Freeze { listing }),
        3 => listing().prop_map(|listing| Step::Claim { listing }),
        3 => listing().prop_map(|listing| Step::Drop { listing }),
        2 => listing().prop_map(|listing| Step::Acquire { listing }),
        2 => listing().prop_map(|listing| Step::Release { listing }),
        4 => (listing(), 0..5_000u128)
            .prop_map(|(listing, amount)| Step::Earn { listing, amount }),
        1 => who().prop_map(|who| Step::Spend { who }),
    ]
}

struct Entry {
    publisher: u64,
    active: bool,
    frozen: bool,
    uses: u32,
    pot: Balance,
}

/// What ought to be.
struct Ledger {
    free: BTreeMap<u64, Balance>,
    deposits: BTreeMap<u64, Balance>,
    listings: BTreeMap<ListingId, Entry>,
    /// Every id ever used, so that steps can name one.
    names: Vec<ListingId>,
}

impl Ledger {
    fn new() -> Self {
        let free = PUBLISHERS.iter().map(|who| (*who, ENDOWMENT)).collect();
        let deposits = PUBLISHERS.iter().map(|who| (*who, 0)).collect();
        Self {
            free,
            deposits,
            listings: BTreeMap::new(),
            names: Vec::new(),
        }
    }

    fn register(&mut self, publisher: u64, id: ListingId, royalty: u32) -> bool {
        let deposit = listing_deposit();
        let free = self.free.get_mut(&publisher).unwrap();
        if royalty > 20 || self.listings.contains_key(&id) || *free < deposit + EXISTENTIAL_DEPOSIT
        {
            return false;
        }
        *free -= deposit;
        *self.deposits.get_mut(&publisher).unwrap() += deposit;
        let entry = Entry {
            publisher,
            active: true,
            frozen: false,
            uses: 0,
            pot: 0,
        };
        self.listings.insert(id, entry);
        self.names.push(id);
        true
    }

    fn retire(&mut self, who: u64, id: ListingId) -> bool {
        match self.listings.get_mut(&id) {
            Some(entry) if entry.publisher == who && entry.active => {
                entry.active = false;
                true
            }
            _ => false,
        }
    }

    fn freeze(&mut self, id: ListingId) -> bool {
        match self.listings.get_mut(&id) {
            Some(entry) if !entry.frozen => {
                entry.active = false;
                entry.frozen = true;
                true
            }
            _ => false,
        }
    }

    fn claim(&mut self, id: ListingId) -> bool {
        match self.listings.get_mut(&id) {
            Some(entry) if entry.pot > 0 => {
                *self.free.get_mut(&entry.publisher).unwrap() += std::mem::take(&mut entry.pot);
                true
            }
            _ => false,
        }
    }

    fn drop(&mut self, id: ListingId) -> bool {
        match self.listings.get(&id) {
            Some(entry) if !entry.active && entry.uses == 0 && entry.pot == 0 => {
                let deposit = listing_deposit();
                *self.free.get_mut(&entry.publisher).unwrap() += deposit;
                *self.deposits.get_mut(&entry.publisher).unwrap() -= deposit;
                self.listings.remove(&id);
                true
            }
            _ => false,
        }
    }

    fn spend(&mut self, who: u64) {
        let kept = if self.deposits[&who] > 0 {
            EXISTENTIAL_DEPOSIT
        } else {
            0
        };
        self.free.insert(who, kept);
    }

    fn compare(&self) {
        for who in PUBLISHERS {
            assert_eq!(free(who), self.free[&who], "free balance of {who}");
            assert_eq!(
                held(crate::HoldReason::ListingDeposit, who),
                self.deposits[&who],
                "deposits of {who}"
            );
        }
        let pots: Balance = self.listings.values().map(|entry| entry.pot).sum();
        assert_eq!(held(crate::HoldReason::Royalty, Models::account_id()), pots);
        assert_eq!(Accounts::<Test>::iter().count(), self.listings.len());
        for (id, entry) in &self.listings {
            let account = Accounts::<Test>::get(id).unwrap();
            assert_eq!((account.uses, account.pot), (entry.uses, entry.pot));
        }
    }
}

fn apply(ledger: &mut Ledger, step: &Step) {
    let by = RuntimeOrigin::signed;
    let name = |ledger: &Ledger, at: usize| {
        ledger
            .names
            .get(at % ledger.names.len().max(1))
            .copied()
            .unwrap_or_default()
    };
    let (expected, result) = match *step {
        Step::Register {
            publisher,
            model,
            royalty,
        } => {
            let id = parts(model).listing_id(&publisher, percent(royalty));
            let expected = ledger.register(publisher, id, royalty);
            (
                expected,
                register(publisher, parts(model), percent(royalty))
                    .1
                    .is_ok(),
            )
        }
        Step::Retire { who, listing } => {
            let id = name(ledger, listing);
            (ledger.retire(who, id), Models::retire(by(who), id).is_ok())
        }
        Step::Freeze { listing } => {
            let id = name(ledger, listing);
            (
                ledger.freeze(id),
                Models::freeze(RuntimeOrigin::root(), id).is_ok(),
            )
        }
        Step::Claim { listing } => {
            let id = name(ledger, listing);
            (
                ledger.claim(id),
                Models::claim_royalties(by(SAM), id).is_ok(),
            )
        }
        Step::Drop { listing } => {
            let id = name(ledger, listing);
            (ledger.drop(id), Models::drop_retired(by(SAM), id).is_ok())
        }
        Step::Acquire { listing } => {
            let id = name(ledger, listing);
            let expected = ledger
                .listings
                .get_mut(&id)
                .map(|entry| entry.uses += 1)
                .is_some();
            (expected, Models::acquire(&id).is_ok())
        }
        Step::Release { listing } => {
            let id = name(ledger, listing);
            match ledger.listings.get_mut(&id) {
                Some(entry) if entry.uses > 0 => {
                    entry.uses -= 1;
                    Models::release(&id);
                }
                _ => {}
            }
            (true, true)
        }
        Step::Earn { listing, amount } => {
            let id = name(ledger, listing);
            match ledger.listings.get_mut(&id) {
                Some(entry) => {
                    entry.pot += amount;
                    pay_royalty(id, amount);
                }
                None => {
                    assert_noop!(
                        <Models as ModelCatalogue<u64>>::credit_royalty(&id, amount),
                        Error::<Test>::UnknownListing
                    );
                }
            }
            (true, true)
        }
        Step::Spend { who } => {
            if ledger.free[&who] > EXISTENTIAL_DEPOSIT {
                ledger.spend(who);
                Balances::transfer_all(by(who), SAM, false).unwrap();
            }
            (true, true)
        }
    };
    assert_eq!(result, expected, "{step:?}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_money_of_any_story_is_accounted_for(steps in prop::collection::vec(step(), 40)) {
        TestExt::new().execute_with(|| {
            let mut ledger = Ledger::new();
            for step in &steps {
                apply(&mut ledger, step);
                ledger.compare();
                check_books();
            }
        });
    }
}

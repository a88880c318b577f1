//! The operator's money: what its transactions cost, and what it can still pay for. Pure.
//!
//! A worker whose operator cannot pay computes for nothing and loses bond with every deadline. So
//! it takes its provider offline while it still can, and back online when there is money again.

use assay_client::Amount;

/// The longest answers, besides the open jobs, that a provider who is online can pay to deliver.
const SPARE: u128 = 5;

/// What is shown is rounded to this, in planck: nobody wants to type the digits below.
const SHOWN: u128 = 1_000_000_000;

/// What the operator's transactions cost at a block, in planck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fees {
    pub set_online: u128,
    pub decline: u128,
    /// Delivery of one token.
    pub shortest: u128,
    /// Delivery of `max_tokens` tokens.
    pub longest: u128,
    /// The most tokens of any answer.
    pub max_tokens: u32,
}

impl Fees {
    /// Delivery of this many tokens: fees grow evenly with the length.
    pub fn delivery(&self, tokens: u32) -> u128 {
        let growth = self.longest.saturating_sub(self.shortest);
        growth
            .saturating_mul(tokens.min(self.max_tokens).into())
            .checked_div(self.max_tokens.into())
            .unwrap_or(growth)
            .saturating_add(self.shortest)
    }
}

/// The operator's money at a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Purse {
    pub fees: Fees,
    /// What fees may be paid from, in planck.
    pub spendable: u128,
    /// What must stay on the account besides, in planck.
    pub kept: u128,
}

/// What is to be done about being online.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Switch {
    Leave,
    GoOffline,
    GoOnline,
    /// The provider is online and may stay so: nothing is left to be undone.
    Forget,
}

/// How the provider stands with regard to being online.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Presence {
    pub online_at_best: bool,
    pub online_at_finalized: bool,
    /// Whether this worker took the provider offline, and nothing has ended that yet.
    pub paused: bool,
}

impl Purse {
    /// A purse of an account with this free balance, of which `kept` may not be spent.
    pub fn new(fees: Fees, free: u128, kept: u128) -> Self {
        let spendable = free.saturating_sub(kept);
        Self {
            fees,
            spendable,
            // An account that does not exist yet needs all of it first.
            kept: kept.saturating_sub(free),
        }
    }

    /// What there must be to be online with so many open jobs.
    fn reserve(&self, open_jobs: usize) -> u128 {
        let deliveries = SPARE.saturating_add(open_jobs as u128);
        self.fees.longest.saturating_mul(deliveries)
    }

    pub fn is_low(&self, open_jobs: usize) -> bool {
        self.spendable < self.reserve(open_jobs)
    }

    /// Enough to come back: twice the reserve, so that a provider does not come and go.
    fn is_refilled(&self, open_jobs: usize) -> bool {
        self.spendable >= self.reserve(open_jobs).saturating_mul(2)
    }

    /// Whether a fee can be paid besides others that are due.
    pub fn pays(&self, fee: u128, due: u128) -> bool {
        self.spendable >= due.saturating_add(fee)
    }

    pub fn switch(&self, open_jobs: usize, presence: Presence) -> Switch {
        let Presence {
            online_at_best,
            online_at_finalized,
            paused,
        } = presence;
        if self.is_low(open_jobs) {
            return match online_at_best && self.pays(self.fees.set_online, 0) {
                true => Switch::GoOffline,
                false => Switch::Leave,
            };
        }
        match (paused, online_at_best, online_at_finalized) {
            (true, false, _) if self.is_refilled(open_jobs) => Switch::GoOnline,
            (true, true, true) => Switch::Forget,
            _ => Switch::Leave,
        }
    }

    /// What is wrong and what to do about it, in one line.
    pub fn complaint(&self, operator: &str, open_jobs: usize) -> String {
        if self.is_refilled(open_jobs) {
            return format!("operator {operator} has money again; the provider goes back online");
        }
        let wanted = self.reserve(open_jobs).saturating_mul(2);
        let missing = wanted
            .saturating_sub(self.spendable)
            .saturating_add(self.kept)
            .div_ceil(SHOWN)
            .saturating_mul(SHOWN);
        let has = self.spendable.saturating_sub(self.spendable % SHOWN);
        let stays = match self.pays(self.fees.set_online, 0) {
            true => "",
            false => {
                "; it cannot even pay for going offline, so until then each missed deadline costs \
                 bond: `assay provider offline` with the stash's key prevents that"
            }
        };
        format!(
            "operator {operator} has {} for fees, too little for the next deliveries; send it {1}: \
             `assay transfer {operator} \"{1}\"`{stays}",
            Amount(has),
            Amount(missing),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEES: Fees = Fees {
        set_online: 1_000_000_000,
        decline: 2_000_000_000,
        shortest: 3_000_000_000,
        longest: 13_000_000_000,
        max_tokens: 100,
    };
    const DEPOSIT: u128 = 1_000_000_000;

    fn purse(spendable: u128) -> Purse {
        Purse::new(FEES, spendable + DEPOSIT, DEPOSIT)
    }

    #[test]
    fn fees_grow_with_the_answer() {
        assert_eq!(FEES.delivery(0), FEES.shortest);
        assert_eq!(FEES.delivery(50), 8_000_000_000);
        assert_eq!(FEES.delivery(100), FEES.longest);
        assert_eq!(FEES.delivery(u32::MAX), FEES.longest);
    }

    #[test]
    fn only_what_is_not_due_can_be_spent() {
        assert!(purse(10).pays(4, 6));
        assert!(!purse(10).pays(4, 7));
        assert_eq!(Purse::new(FEES, DEPOSIT - 1, DEPOSIT).spendable, 0);
    }

    #[test]
    fn a_provider_goes_offline_while_it_can_pay_and_comes_back_when_it_is_funded() {
        let online = Presence {
            online_at_best: true,
            online_at_finalized: true,
            paused: false,
        };
        let paused = Presence {
            online_at_best: false,
            online_at_finalized: false,
            paused: true,
        };
        let reserve = 5 * FEES.longest;
        for (spendable, open_jobs, presence, expected) in [
            (reserve, 0, online, Switch::Leave),
            (reserve, 1, online, Switch::GoOffline),
            (reserve - 1, 0, online, Switch::GoOffline),
            (FEES.set_online - 1, 0, online, Switch::Leave),
            // On its way, or somebody else's wish.
            (
                reserve - 1,
                0,
                Presence {
                    paused: false,
                    ..paused
                },
                Switch::Leave,
            ),
            (
                2 * reserve,
                0,
                Presence {
                    paused: false,
                    ..paused
                },
                Switch::Leave,
            ),
            (2 * reserve - 1, 0, paused, Switch::Leave),
            (2 * reserve, 0, paused, Switch::GoOnline),
            // Not final yet.
            (
                2 * reserve,
                0,
                Presence {
                    online_at_best: true,
                    ..paused
                },
                Switch::Leave,
            ),
            (
                reserve,
                0,
                Presence {
                    paused: true,
                    ..online
                },
                Switch::Forget,
            ),
        ] {
            let found = purse(spendable).switch(open_jobs, presence);
            assert_eq!(found, expected, "{spendable} {open_jobs} {presence:?}");
        }
    }

    #[test]
    fn a_complaint_names_the_account_and_the_amount() {
        // Ten of the longest deliveries are 130 mASY; a new account needs its deposit besides.
        let empty = Purse::new(FEES, 0, DEPOSIT).complaint("5Dop", 0);
        assert!(
            empty.contains("`assay transfer 5Dop \"131 mASY\"`") && empty.contains("0 ASY"),
            "{empty}"
        );
        assert!(empty.contains("`assay provider offline`"), "{empty}");
        let low = purse(60_000_000_001).complaint("5Dop", 0);
        assert!(
            low.contains("\"70 mASY\"") && !low.contains("offline"),
            "{low}"
        );
        assert!(!low.contains('\n'));
    }
}

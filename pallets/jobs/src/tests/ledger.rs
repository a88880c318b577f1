//! A model of the pallets' money: what each account ought to have, written without looking at how
//! the pallets keep their books.

use crate::{mock::*, Agenda, HoldReason, JobRecordOf, JobState, Jobs as JobRecords};
use assay_primitives::{Balance, Price};
use codec::MaxEncodedLen;
use pallet_providers::HoldReason as ProviderHold;
use std::collections::BTreeMap;

pub const USERS: [u64; 2] = [UMA, URS];
pub const STASHES: [u64; 3] = [PETRA, PIUS, PAVEL];
pub const CAPACITY: u32 = 5;
const CONTEXT: u32 = 48;
const MAX_DRAWS: u8 = 3;

#[derive(Clone, Debug)]
pub enum Stage {
    Waiting {
        draw_at: u64,
    },
    Assigned {
        provider: u64,
        limit: u32,
        at: u64,
        deadline: u64,
    },
    Delivered {
        provider: u64,
        window_end: u64,
        /// Blocks of the window that were left when the first dispute began.
        left: u64,
    },
    Over {
        removed_at: u64,
    },
    Slashed {
        provider: u64,
        removed_at: u64,
    },
}

#[derive(Clone, Debug)]
pub struct Job {
    pub user: u64,
    pub prompt_len: u32,
    pub output_limit: u32,
    pub min_output: u32,
    pub max_fee: Balance,
    pub named: Option<u64>,
    pub price: Price,
    /// Counts against the provider's bond: the worst case, and then the fee.
    pub exposure: Balance,
    pub escrow: Balance,
    pub draws: u8,
    pub excluded: Vec<u64>,
    pub disputes: u32,
    pub stage: Stage,
}

impl Job {
    fn deposit(&self) -> Balance {
        // The prompt's length takes one more byte.
        let bytes = JobRecordOf::<Test>::max_encoded_len() as u128
            + 1
            + 4 * u128::from(self.prompt_len + self.output_limit);
        1_000 + bytes
    }

    /// The token limit and the worst-case fee at this price.
    fn terms(&self, price: Price) -> Option<(u32, Balance)> {
        let input = price.input * u128::from(self.prompt_len);
        let left = self.escrow.checked_sub(input)?;
        let limit = (left / price.output).min(self.output_limit.into());
        (limit >= self.min_output.into()).then(|| (limit as u32, input + limit * price.output))
    }

    fn due(&self) -> u64 {
        match self.stage {
            Stage::Waiting { draw_at } => draw_at,
            Stage::Assigned { deadline, .. } => deadline + 1,
            Stage::Delivered { window_end, .. } => window_end,
            Stage::Over { removed_at } | Stage::Slashed { removed_at, .. } => removed_at,
        }
    }

    /// Whose bond answers for the job now.
    fn answers(&self) -> Option<u64> {
        match self.stage {
            Stage::Assigned { provider, .. } | Stage::Delivered { provider, .. } => Some(provider),
            _ => None,
        }
    }
}

pub struct Provider {
    pub online: bool,
    pub price: Price,
    /// The block of the offer's last change.
    pub since: u64,
    pub bond: Balance,
    pub unbonding: Vec<(u64, Balance)>,
    pub maturing: Vec<(u64, Balance)>,
    pub disputes: u32,
}

impl Provider {
    fn bonded(&self) -> Balance {
        let unbonding = self.unbonding.iter().map(|(_, amount)| amount);
        self.bond + unbonding.sum::<Balance>()
    }

    /// The active bond answers first, then what began to leave earliest.
    fn take(&mut self, amount: Balance) -> Balance {
        let mut left = amount;
        let chunks = self.unbonding.iter_mut().map(|(_, amount)| amount);
        for purse in std::iter::once(&mut self.bond).chain(chunks) {
            let part = left.min(*purse);
            *purse -= part;
            left -= part;
        }
        self.unbonding.retain(|(_, amount)| *amount > 0);
        amount - left
    }
}

pub struct Ledger {
    pub now: u64,
    /// Blocks in which the referee was paused.
    stood_still: u64,
    pub free: BTreeMap<u64, Balance>,
    pub jobs: BTreeMap<u64, Job>,
    pub providers: BTreeMap<u64, Provider>,
    pub pot: Balance,
    pub next_id: u64,
    issuance: Balance,
}

impl Ledger {
    /// The books at the beginning of a story.
    pub fn new() -> Self {
        let accounts = USERS
            .into_iter()
            .chain(STASHES)
            .chain([PAULA, SAM, TREASURY]);
        let provider = || Provider {
            online: true,
            price: PRICE,
            since: System::block_number(),
            bond: BOND,
            unbonding: vec![],
            maturing: vec![],
            disputes: 0,
        };
        Self {
            now: System::block_number(),
            stood_still: 0,
            free: accounts.map(|who| (who, free(who))).collect(),
            jobs: BTreeMap::new(),
            providers: STASHES
                .into_iter()
                .map(|stash| (stash, provider()))
                .collect(),
            pot: 0,
            next_id: 0,
            issuance: Balances::total_issuance(),
        }
    }

    fn credit(&mut self, who: u64, amount: Balance) {
        *self.free.get_mut(&who).unwrap() += amount;
    }

    pub fn debit(&mut self, who: u64, amount: Balance) {
        *self.free.get_mut(&who).unwrap() -= amount;
    }

    pub fn exposure(&self, stash: u64) -> Balance {
        self.open(stash).map(|job| job.exposure).sum()
    }

    /// Jobs that take a place in the offer's capacity.
    fn assigned(&self, stash: u64) -> usize {
        let assigned = |job: &&Job| matches!(job.stage, Stage::Assigned { .. });
        self.open(stash).filter(assigned).count()
    }

    pub fn open(&self, stash: u64) -> impl Iterator<Item = &Job> {
        self.jobs
            .values()
            .filter(move |job| job.answers() == Some(stash))
    }

    fn eligible(&self, job: &Job, stash: u64) -> bool {
        let provider = &self.providers[&stash];
        let Some((_, worst_case)) = job.terms(provider.price) else {
            return false;
        };
        let Stage::Waiting { draw_at } = job.stage else {
            return false;
        };
        provider.online
            && provider.since + 1 < draw_at
            && provider.bond >= BOND
            && job.prompt_len + job.output_limit <= CONTEXT
            && !job.excluded.contains(&stash)
            && job.named.is_none_or(|named| named == stash)
            && self.assigned(stash) < CAPACITY as usize
            && self.exposure(stash) < 4 * provider.bond
            && self.exposure(stash) + worst_case <= 4 * provider.bond
    }

    /// Book a submission; whether the chain ought to accept it.
    pub fn submit(&mut self, job: Job) -> bool {
        if !(1..=job.output_limit).contains(&job.min_output) {
            return false;
        }
        if let Some(named) = job.named {
            let provider = &self.providers[&named];
            let fits = job.prompt_len + job.output_limit <= CONTEXT;
            if !provider.online || !fits || job.terms(provider.price).is_none() {
                return false;
            }
        }
        self.debit(job.user, job.max_fee + job.deposit());
        self.jobs.insert(self.next_id, job);
        self.next_id += 1;
        true
    }

    pub fn refund(&mut self, id: u64) {
        let removed_at = self.now + 20;
        let job = self.jobs.get_mut(&id).unwrap();
        let (user, escrow) = (job.user, std::mem::take(&mut job.escrow));
        job.stage = Stage::Over { removed_at };
        self.credit(user, escrow);
    }

    /// The job comes back without an answer.
    pub fn send_back(&mut self, id: u64, provider: u64) {
        self.jobs.get_mut(&id).unwrap().excluded.push(provider);
        self.draw_again(id);
    }

    fn draw_again(&mut self, id: u64) {
        let draw_at = self.now + 2;
        let job = self.jobs.get_mut(&id).unwrap();
        let named_failed = job.named.is_some_and(|named| job.excluded.contains(&named));
        if job.draws == MAX_DRAWS || named_failed {
            return self.refund(id);
        }
        let (user, missing) = (job.user, job.max_fee - job.escrow);
        job.escrow = job.max_fee;
        job.stage = Stage::Waiting { draw_at };
        self.debit(user, missing);
    }

    /// The provider answers with this many tokens.
    pub fn deliver(&mut self, id: u64, length: u32) {
        let window_end = self.now + 10;
        let job = self.jobs.get_mut(&id).unwrap();
        let provider = job.answers().unwrap();
        let fee =
            job.price.input * u128::from(job.prompt_len) + job.price.output * u128::from(length);
        let (user, rest) = (job.user, job.escrow - fee);
        (job.escrow, job.exposure) = (fee, fee);
        job.stage = Stage::Delivered {
            provider,
            window_end,
            left: 0,
        };
        self.credit(user, rest);
    }

    /// A dispute over the job and against its provider begins.
    pub fn freeze(&mut self, id: u64) {
        let job = self.jobs.get_mut(&id).unwrap();
        let Stage::Delivered {
            provider,
            window_end,
            left,
        } = &mut job.stage
        else {
            panic!("job {id} is not delivered");
        };
        if job.disputes == 0 {
            *left = *window_end - self.now;
        }
        job.disputes += 1;
        self.providers.get_mut(provider).unwrap().disputes += 1;
    }

    /// A dispute is over: at least as much of the window is left as when it began, and five blocks.
    pub fn thaw(&mut self, id: u64) {
        let now = self.now;
        let job = self.jobs.get_mut(&id).unwrap();
        job.disputes -= 1;
        let over = job.disputes == 0;
        let stash = match &mut job.stage {
            Stage::Delivered {
                provider,
                window_end,
                left,
            } => {
                if over {
                    *window_end = now + (*left).max(5);
                }
                *provider
            }
            Stage::Slashed {
                provider,
                removed_at,
            } => {
                if over {
                    *removed_at = (*removed_at).max(now + 1);
                }
                *provider
            }
            stage => panic!("job {id} is not disputed: {stage:?}"),
        };
        self.providers.get_mut(&stash).unwrap().disputes -= 1;
    }

    /// The user has the escrow again, and the provider loses its slash and all that matures.
    pub fn convict(&mut self, id: u64) -> Balance {
        let removed_at = self.now + 20;
        let job = self.jobs.get_mut(&id).unwrap();
        let stash = job.answers().unwrap();
        let (user, fee) = (job.user, std::mem::take(&mut job.escrow));
        job.stage = Stage::Slashed {
            provider: stash,
            removed_at,
        };
        self.credit(user, fee);
        let provider = self.providers.get_mut(&stash).unwrap();
        let bonded = provider.bonded();
        let taken = provider.take((60 * fee).max(bonded.div_ceil(10)));
        let earnings = provider.maturing.drain(..).map(|(_, amount)| amount);
        let sum = taken + earnings.sum::<Balance>();
        provider.online = false;
        self.credit(SAM, 4 * sum / 10);
        self.issuance -= sum - 4 * sum / 10;
        fee
    }

    /// The block that it would be without the pauses.
    pub fn clock(&self) -> u64 {
        self.now - self.stood_still
    }

    /// Go on by one block, which the chain has taken already.
    pub fn advance(&mut self, paused: bool) {
        let now = self.clock();
        for stash in STASHES {
            if self.providers[&stash].disputes > 0 {
                continue;
            }
            let maturing = &mut self.providers.get_mut(&stash).unwrap().maturing;
            let due: Balance = maturing
                .iter()
                .filter(|(due, _)| *due <= now)
                .map(|(_, amount)| amount)
                .sum();
            maturing.retain(|(due, _)| *due > now);
            self.credit(stash, due);
        }
        self.now += 1;
        if paused {
            self.stood_still += 1;
            for job in self.jobs.values_mut().filter(|job| job.disputes == 0) {
                if let Stage::Delivered { window_end, .. } = &mut job.stage {
                    *window_end += 1;
                }
            }
        }
        let mut due: Vec<u64> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.disputes == 0 && job.due() == self.now)
            .map(|(id, _)| *id)
            .collect();
        // Jobs that are due together take their steps in the order of their keys.
        due.sort_by_key(|id| Agenda::<Test>::hashed_key_for(self.now, id));
        for id in due {
            let job = self.jobs[&id].clone();
            match job.stage {
                Stage::Waiting { .. } => self.draw(id),
                Stage::Assigned { provider, .. } => self.miss(id, provider),
                Stage::Delivered { provider, .. } => self.settle(id, provider),
                Stage::Over { .. } | Stage::Slashed { .. } => {
                    self.credit(job.user, job.deposit());
                    self.jobs.remove(&id);
                }
            }
        }
    }

    /// Whom the draw falls on is the chain's to say; whether it may, and at what terms, is not.
    fn draw(&mut self, id: u64) {
        let job = self.jobs.get_mut(&id).unwrap();
        job.draws += 1;
        let job = job.clone();
        let somebody = STASHES.iter().any(|stash| self.eligible(&job, *stash));
        let drawn = match JobRecords::<Test>::get(id).unwrap().state {
            JobState::Assigned(assignment) => Some(assignment.provider),
            _ => None,
        };
        assert_eq!(drawn.is_some(), somebody, "job {id} in block {}", self.now);
        let Some(provider) = drawn else {
            return self.draw_again(id);
        };
        assert!(self.eligible(&job, provider), "job {id} fell to {provider}");
        let price = self.providers[&provider].price;
        let (limit, worst_case) = job.terms(price).unwrap();
        let deadline = self.now + 5 + u64::from((job.prompt_len + limit).div_ceil(32));
        let stage = Stage::Assigned {
            provider,
            limit,
            at: self.now,
            deadline,
        };
        let rest = job.escrow - worst_case;
        self.credit(job.user, rest);
        self.jobs.insert(
            id,
            Job {
                price,
                exposure: worst_case,
                escrow: worst_case,
                stage,
                ..job
            },
        );
    }

    fn miss(&mut self, id: u64, stash: u64) {
        let (user, worst_case) = (self.jobs[&id].user, self.jobs[&id].exposure);
        let provider = self.providers.get_mut(&stash).unwrap();
        let taken = provider.take((worst_case / 5).max(500).min(worst_case));
        let burned = taken / 2;
        self.issuance -= burned;
        self.credit(user, taken - burned);
        self.send_back(id, stash);
    }

    fn settle(&mut self, id: u64, stash: u64) {
        let removed_at = self.now + 20;
        let job = self.jobs.get_mut(&id).unwrap();
        let fee = std::mem::take(&mut job.escrow);
        job.stage = Stage::Over { removed_at };
        let royalty = fee * 2 / 100;
        let protocol = fee * 5 / 100;
        let burned = protocol / 2;
        let mut earned = fee - royalty - protocol;
        let treasury = protocol - burned;
        if self.free[&TREASURY] + treasury < EXISTENTIAL_DEPOSIT {
            earned += treasury;
        } else {
            self.credit(TREASURY, treasury);
        }
        self.pot += royalty;
        self.issuance -= burned;
        let due = (self.clock() + 40).div_ceil(5) * 5;
        self.providers
            .get_mut(&stash)
            .unwrap()
            .maturing
            .push((due, earned));
    }

    pub fn claim(&mut self) -> bool {
        let pot = std::mem::take(&mut self.pot);
        self.credit(PAULA, pot);
        pot > 0
    }

    pub fn compare(&self) {
        for (who, amount) in &self.free {
            assert_eq!(free(*who), *amount, "free balance of {who}");
        }
        for user in USERS {
            let of_user = || self.jobs.values().filter(|job| job.user == user);
            assert_eq!(
                escrow(user),
                of_user().map(|job| job.escrow).sum::<Balance>()
            );
            assert_eq!(
                held(HoldReason::JobDeposit, user),
                of_user().map(Job::deposit).sum::<Balance>()
            );
        }
        for (stash, provider) in &self.providers {
            let sum = |entries: &[(u64, Balance)]| -> Balance {
                entries.iter().map(|(_, amount)| amount).sum()
            };
            assert_eq!(
                held(ProviderHold::Bond, *stash),
                provider.bonded(),
                "bond of {stash}"
            );
            let maturing = sum(&provider.maturing);
            assert_eq!(
                held(ProviderHold::Maturing, *stash),
                maturing,
                "earnings of {stash}"
            );
        }
        let royalties = held(pallet_models::HoldReason::Royalty, Models::account_id());
        assert_eq!(royalties, self.pot);
        assert_eq!(Balances::total_issuance(), self.issuance);
    }
}

//! A model of the pallet's money: what each account ought to have, written without looking at how
//! the pallets keep their books.

use crate::{mock::*, ChannelRecordOf, HoldReason};
use assay_primitives::{Balance, ChannelId, Dues};
use codec::MaxEncodedLen;
use std::collections::BTreeMap;

pub const USERS: [u64; 2] = [UMA, URS];
pub const STASHES: [u64; 2] = [PETRA, PIUS];
pub const ACTORS: [u64; 7] = [UMA, URS, PETRA, PIUS, PETRA + 1, PIUS + 1, SAM];

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Stage {
    Open,
    Closing(u64),
    Closed(u64),
}

#[derive(Clone, Debug)]
pub struct Channel {
    pub id: ChannelId,
    pub user: u64,
    pub stash: u64,
    pub put_in: Balance,
    pub paid: Balance,
    pub dues: Dues,
    /// What the user got back of it for wrong answers.
    pub refunded: Balance,
    pub disputes: u32,
    pub stage: Stage,
}

impl Channel {
    pub fn over(&self) -> bool {
        matches!(self.stage, Stage::Closed(_))
    }

    fn in_it(&self) -> Balance {
        match self.over() {
            true => 0,
            false => self.put_in - self.paid + self.dues.total(),
        }
    }

    fn due(&self) -> Option<u64> {
        match self.stage {
            Stage::Open => None,
            Stage::Closed(_) if self.disputes > 0 => None,
            Stage::Closing(at) | Stage::Closed(at) => Some(at),
        }
    }
}

/// What somebody does with a voucher.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// Index of the channel, and of the one that the voucher was signed for.
    pub channel: usize,
    pub signed_for: usize,
    pub cumulative: Balance,
    pub amount: Balance,
    pub forged: bool,
}

#[derive(Clone)]
pub struct Ledger {
    pub now: u64,
    pub maturing_blocks: u64,
    pub free: BTreeMap<u64, Balance>,
    /// All that were ever opened.
    pub channels: Vec<Channel>,
    pub online: BTreeMap<u64, bool>,
    /// By stash: when it is due, what was earned, and for what.
    maturing: BTreeMap<u64, Vec<(u64, Balance, Balance)>>,
    removed: Vec<usize>,
    pot: Balance,
    issuance: Balance,
}

fn record_deposit() -> Balance {
    1_000 + (ChannelRecordOf::<Test>::max_encoded_len() + 2 * (8 + 32)) as Balance
}

impl Ledger {
    /// The books at the beginning of a story.
    pub fn new(maturing_blocks: u64) -> Self {
        let accounts = USERS.into_iter().chain(STASHES).chain([PAULA, TREASURY]);
        Self {
            now: System::block_number(),
            maturing_blocks,
            free: accounts.map(|who| (who, free(who))).collect(),
            channels: vec![],
            online: STASHES.into_iter().map(|stash| (stash, true)).collect(),
            maturing: STASHES.into_iter().map(|stash| (stash, vec![])).collect(),
            removed: vec![],
            pot: 0,
            issuance: Balances::total_issuance(),
        }
    }

    fn credit(&mut self, who: u64, amount: Balance) {
        *self.free.get_mut(&who).unwrap() += amount;
    }

    /// Whether the account can spare this much and live on.
    fn debit(&mut self, who: u64, amount: Balance) -> bool {
        let free = self.free.get_mut(&who).unwrap();
        let can = *free >= amount + EXISTENTIAL_DEPOSIT;
        if can {
            *free -= amount;
        }
        can
    }

    /// A channel whose record is kept.
    fn kept(&self, at: usize) -> Option<&Channel> {
        self.channels
            .get(at)
            .filter(|_| !self.removed.contains(&at))
    }

    /// Each of these books a call; whether the chain ought to accept it.
    pub fn open(&mut self, id: ChannelId, user: u64, stash: u64, amount: Balance) -> bool {
        if !self.online[&stash]
            || amount < MIN_DEPOSIT
            || !self.debit(user, amount + record_deposit())
        {
            return false;
        }
        self.channels.push(Channel {
            id,
            user,
            stash,
            put_in: amount,
            paid: 0,
            dues: Dues::default(),
            refunded: 0,
            disputes: 0,
            stage: Stage::Open,
        });
        true
    }

    pub fn top_up(&mut self, by: u64, at: usize, amount: Balance) -> bool {
        let allowed = self.kept(at).is_some_and(|c| c.user == by && !c.over());
        if !allowed || !self.debit(by, amount) {
            return false;
        }
        let channel = &mut self.channels[at];
        channel.put_in += amount;
        channel.stage = Stage::Open;
        true
    }

    pub fn request_close(&mut self, by: u64, at: usize) -> bool {
        let allowed = self
            .kept(at)
            .is_some_and(|c| c.user == by && c.stage == Stage::Open);
        if allowed {
            self.channels[at].stage = Stage::Closing(self.now + 10);
        }
        allowed
    }

    /// `None` if there is nothing to move, and otherwise whether it may.
    fn claim(&mut self, claim: Claim) -> Option<bool> {
        let channel = self.kept(claim.channel).filter(|c| !c.over())?;
        if claim.amount <= channel.paid {
            return None;
        }
        let good = !claim.forged
            && claim.signed_for == claim.channel
            && claim.amount <= claim.cumulative
            && claim.cumulative <= channel.put_in;
        if good {
            self.pay(claim.channel, claim.amount);
        }
        Some(good)
    }

    /// Whether all of these that would pay anything pay one provider.
    fn of_one_provider(&self, claims: &[Claim]) -> bool {
        let mut ledger = self.clone();
        let mut stashes = claims.iter().filter_map(|claim| {
            ledger.claim(*claim)?;
            Some(self.channels[claim.channel].stash)
        });
        let first = stashes.next();
        stashes.all(|stash| Some(stash) == first)
    }

    fn pay(&mut self, at: usize, amount: Balance) {
        let channel = &mut self.channels[at];
        let (fee, stash) = (amount - channel.paid, channel.stash);
        channel.paid = amount;
        let royalty = fee * 2 / 100;
        let protocol = fee * 5 / 100;
        let burned = protocol / 2;
        channel.dues.royalty += royalty;
        channel.dues.treasury += protocol - burned;
        channel.dues.burned += burned;
        let earned = fee - royalty - protocol;
        let due = self.matured_at();
        let entries = self.maturing.get_mut(&stash).unwrap();
        entries.push((due, earned, fee));
    }

    /// What the treasury cannot be paid stays in the channel.
    fn pay_dues(&mut self, at: usize) {
        let dues = std::mem::take(&mut self.channels[at].dues);
        self.pot += dues.royalty;
        self.issuance -= dues.burned;
        if self.free[&TREASURY] + dues.treasury < EXISTENTIAL_DEPOSIT {
            self.channels[at].dues.treasury = dues.treasury;
        } else {
            self.credit(TREASURY, dues.treasury);
        }
    }

    pub fn pay_dues_of(&mut self, at: usize) -> bool {
        let owed = self.kept(at).is_some_and(|c| c.dues.total() > 0);
        if owed {
            self.pay_dues(at);
        }
        owed
    }

    pub fn freeze(&mut self, at: usize) -> bool {
        let kept = self.kept(at).is_some();
        if kept {
            self.channels[at].disputes += 1;
        }
        kept
    }

    /// The end of a dispute that gives the user `wanted`, as far as the channel has it: first of what was
    /// paid, out of the stake, then of what is in it. Returns both.
    pub fn thaw(&mut self, at: usize, wanted: Balance) -> Option<(Balance, Balance)> {
        self.kept(at).filter(|c| c.disputes > 0)?;
        let removal = self.removal();
        let channel = &mut self.channels[at];
        let staked = wanted.min(channel.paid - channel.refunded);
        let rest = match channel.over() {
            true => 0,
            false => channel.put_in - channel.paid,
        };
        let returned = rest.min(wanted - staked);
        channel.paid += returned;
        channel.refunded += staked + returned;
        channel.disputes -= 1;
        if let (Stage::Closed(remove_at), 0) = (&mut channel.stage, channel.disputes) {
            *remove_at = removal.max(*remove_at);
        }
        let user = channel.user;
        self.credit(user, returned);
        Some((staked, returned))
    }

    fn removal(&self) -> u64 {
        (self.now + 20).max(self.matured_at())
    }

    /// The maturing time, and the rest of an eighth of it.
    fn matured_at(&self) -> u64 {
        let step = self.maturing_blocks / 8;
        (self.now + self.maturing_blocks).div_ceil(step) * step
    }

    pub fn settle(&mut self, claim: Claim) -> bool {
        self.claim(claim).unwrap_or(false)
    }

    pub fn settle_many(&mut self, claims: &[Claim]) -> bool {
        let before = self.clone();
        let good = self.of_one_provider(claims)
            && claims.iter().all(|claim| self.claim(*claim) != Some(false));
        if !good {
            *self = before;
        }
        good
    }

    pub fn close(&mut self, by: u64, at: usize, last: Option<Claim>) -> bool {
        let allowed = self
            .kept(at)
            .is_some_and(|c| !c.over() && (by == c.stash || by == operator(c.stash)));
        let settles = |ledger: &mut Self, claim: Claim| ledger.claim(claim) != Some(false);
        if !allowed || !last.is_none_or(|last| settles(self, last)) {
            return false;
        }
        self.refund(at);
        true
    }

    fn refund(&mut self, at: usize) {
        self.pay_dues(at);
        let remove_at = self.removal();
        let channel = &mut self.channels[at];
        let (user, amount) = (channel.user, channel.in_it());
        channel.dues = Dues::default();
        channel.stage = Stage::Closed(remove_at);
        self.credit(user, amount);
    }

    pub fn finalize(&mut self, at: usize) -> bool {
        let now = self.now;
        let due = self
            .kept(at)
            .and_then(Channel::due)
            .is_some_and(|due| due <= now);
        if due {
            match self.channels[at].stage {
                Stage::Closing(_) => self.refund(at),
                _ => {
                    let user = self.channels[at].user;
                    self.removed.push(at);
                    self.credit(user, record_deposit());
                }
            }
        }
        due
    }

    pub fn claim_royalties(&mut self) -> bool {
        let pot = std::mem::take(&mut self.pot);
        self.credit(PAULA, pot);
        pot > 0
    }

    /// Go on by one block, which the chain has taken already.
    pub fn advance(&mut self) {
        let now = self.now;
        for stash in STASHES {
            let entries = self.maturing.get_mut(&stash).unwrap();
            let due: Balance = entries
                .iter()
                .filter(|(due, ..)| *due <= now)
                .map(|(_, earned, _)| earned)
                .sum();
            entries.retain(|(due, ..)| *due > now);
            self.credit(stash, due);
        }
        // In the chain's order: what the treasury can be paid depends on what it has.
        let mut due: Vec<_> = (0..self.channels.len())
            .filter_map(|at| Some((self.kept(at)?.due()?, self.channels[at].id, at)))
            .collect();
        due.sort();
        for (.., at) in due {
            self.finalize(at);
        }
        self.now += 1;
    }

    pub fn compare(&self) {
        for (who, amount) in &self.free {
            assert_eq!(free(*who), *amount, "free balance of {who}");
        }
        for user in USERS {
            let of_user = || {
                let kept = (0..self.channels.len()).filter_map(|at| self.kept(at));
                kept.filter(|channel| channel.user == user)
            };
            let in_them: Balance = of_user().map(Channel::in_it).sum();
            assert_eq!(in_channels(user), in_them, "in the channels of {user}");
            let deposits = of_user().count() as Balance * record_deposit();
            assert_eq!(held(HoldReason::ChannelDeposit, user), deposits);
        }
        for stash in STASHES {
            let entries = &self.maturing[&stash];
            let earned: Balance = entries.iter().map(|(_, earned, _)| earned).sum();
            assert_eq!(maturing(stash), earned, "earnings of {stash}");
            let fees: Balance = entries.iter().map(|(.., fee)| fee).sum();
            assert_eq!(provider(stash).channel_exposure, fees);
        }
        for at in 0..self.channels.len() {
            let told = |c: ChannelRecordOf<Test>| (c.settled, c.dues, c.refunded, c.disputes);
            let expected = |c: &Channel| (c.paid, c.dues, c.refunded, c.disputes);
            assert_eq!(
                Channels::channel(self.channels[at].id).map(told),
                self.kept(at).map(expected)
            );
        }
        let royalties = held(pallet_models::HoldReason::Royalty, Models::account_id());
        assert_eq!(royalties, self.pot);
        assert_eq!(Balances::total_issuance(), self.issuance);
    }
}

//! Channels at work: what the chain says of them goes into the books, and what was earned in them is
//! claimed on chain.

use std::{
    fs::{self, File},
    io::Write,
    mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use assay_channel::{wire, ChannelState, Settlement, SettlementPolicy};
use assay_client::{Amount, Snapshot};
use assay_primitives::ChannelId;
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::{nonces::Nonces, End, Worker, LOG, SEND_AGAIN};
use crate::{
    chain::{self, Heads},
    deliver::{self, Verdict},
    ledger::Submission,
    purse::Purse,
    serve::{cashier::Gone, Shop, Summary, View},
    tls::Announced,
};

/// After a claim that moved nothing the next one waits for two blocks, then four, up to two to this power.
const LONGEST_REST: u32 = 6;

/// With more blocks than these between the finalised one and the best, nobody here sees in time who asks for what is left
/// of a deposit, so all that was earned is claimed. Nothing is sold by then, so it is one claim of each channel.
const FAR_BEHIND: u32 = 64;

/// The sale of answers to channels.
pub struct Sales {
    pub shop: Arc<Shop>,
    pub policy: SettlementPolicy,
    /// The file that has the last voucher of each channel.
    pub vouchers: Option<PathBuf>,
    pub announced: Announced,
    /// True when all that was earned is to be claimed, since the worker is about to end.
    pub ending: watch::Receiver<bool>,
    /// True when that has been done.
    pub claimed: watch::Sender<bool>,
}

/// What is remembered of it between two looks.
#[derive(Default)]
pub(super) struct Channels {
    /// The finalised block that the books have seen.
    seen: Option<u32>,
    /// It is older than another one that they have seen.
    is_behind: bool,
    claim: Option<Claim>,
    failures: u32,
    rests_until: u32,
    /// What the vouchers' file has.
    written: String,
    /// Why clients do not find the server.
    pub(super) complaint: Option<String>,
}

/// A claim on its way.
struct Claim {
    submission: Submission,
    /// The best block when it was last sent.
    sent_at: u32,
    amounts: Vec<(ChannelId, u128)>,
}

impl Channels {
    /// Notes the nonce of a claim that is on its way.
    pub(super) fn note_nonce(&self, nonces: &mut Nonces) {
        if let Some(claim) = &self.claim {
            nonces.note(claim.submission.nonce);
        }
    }

    /// What the node was told may be lost, so it is told again.
    pub(super) fn forget(&mut self) {
        if let Some(claim) = &mut self.claim {
            claim.sent_at = 0;
        }
    }
}

impl From<Gone> for End {
    fn from(gone: Gone) -> Self {
        Self::Fatal(gone.into())
    }
}

impl Worker {
    /// Shows the books the finalised block, and claims what is due. `due` is what else the operator's
    /// money is wanted for.
    pub(super) async fn sell(
        &mut self,
        (purse, due): (&Purse, u128),
        nonces: &mut Nonces,
        heads: &Heads,
    ) -> Result<(), End> {
        let Heads { best, finalized } = heads;
        let Some(sales) = &self.sales else {
            return Ok(());
        };
        let (policy, ending) = (sales.policy, *sales.ending.borrow());
        let cashier = sales.shop.cashier().clone();
        if self.state.channels.seen != Some(finalized.number()) {
            self.observe(heads, nonces.at_finalized).await?;
        }
        let all = ending || is_far_behind(finalized.number(), best.number());
        let ask = cashier.ask(move |books| (books.due(&policy, all), books.summary()));
        let (claims, summary) = ask.await?;
        self.show_channels(&summary, finalized.number());

        if let Some(claim) = self.state.channels.claim.take() {
            // Included, and perhaps not for ever.
            let included = nonces.at_best > claim.submission.nonce;
            let again = best.number() >= claim.sent_at.saturating_add(SEND_AGAIN);
            return match !included && again {
                true => self.send_claim(claim, best).await,
                false => {
                    self.state.channels.claim = Some(claim);
                    Ok(())
                }
            };
        }
        if claims.is_empty() {
            if ending && summary.live == 0 {
                if let Some(sales) = &self.sales {
                    sales.claimed.send_replace(true);
                }
            }
            return Ok(());
        }
        let deadline = claims.first().map_or(u32::MAX, |(deadline, _)| *deadline);
        let rests_until = self.state.channels.rests_until;
        if rests(rests_until, finalized.number(), deadline) && !all {
            return Ok(());
        }
        let claims = claims.into_iter().map(|(_, claim)| claim).collect();
        self.claim(claims, (purse, due), nonces, heads).await
    }

    async fn observe(&mut self, heads: &Heads, nonce_at_finalized: u64) -> Result<(), End> {
        let Heads { best, finalized } = heads;
        let Some(sales) = &self.sales else {
            return Ok(());
        };
        let (shop, file) = (sales.shop.clone(), sales.vouchers.clone());
        let listings = shop.listings();
        let view = chain::view(self.genesis, self.provider, &listings, heads).await?;
        let record = best.provider(self.provider).await?;
        let complaint = record.and_then(|record| sales.announced.check(&record.info).err());
        let complaint = complaint.map(|error| error.to_string());
        self.state.channels.complaint = complaint.or_else(|| out_of_step(&view));

        let over = self.state.channels.claim.take_if(|claim| {
            nonce_at_finalized > claim.submission.nonce
                || finalized.number() > claim.submission.valid_until
        });
        if let Some(claim) = over {
            self.note_claimed(&claim, &view);
        }
        let claims = shop
            .cashier()
            .ask(move |books| books.observe(view).then(|| books.claims()))
            .await?;
        let was_behind = mem::replace(&mut self.state.channels.is_behind, claims.is_none());
        if claims.is_none() && !was_behind {
            warn!(
                target: LOG, block = finalized.number(),
                "the node is behind what was seen of the chain; channels that it does not know yet are kept"
            );
        }
        if let (Some(file), Some(claims)) = (&file, claims) {
            let text = lines(&claims);
            if text != self.state.channels.written {
                match write(file, &text) {
                    Ok(()) => self.state.channels.written = text,
                    Err(error) => error!(
                        target: LOG, file = %file.display(), %error,
                        "the vouchers for a watchtower cannot be written; check the folder of --vouchers"
                    ),
                }
            }
        }
        self.state.channels.seen = Some(finalized.number());
        Ok(())
    }

    /// A claim whose nonce is used up, or whose time is over, has moved its money or failed.
    fn note_claimed(&mut self, claim: &Claim, view: &View) {
        let block = view.block.number;
        let channels = &mut self.state.channels;
        match unpaid(&claim.amounts, view) {
            None => {
                channels.failures = 0;
                info!(target: LOG, block, channels = claim.amounts.len(), "claim finalized");
            }
            Some((channel, amount)) => {
                channels.failures = channels.failures.saturating_add(1).min(LONGEST_REST);
                channels.rests_until = block.saturating_add(1 << channels.failures);
                error!(
                    target: LOG, block, ?channel, amount, extrinsic = ?claim.submission.hash,
                    "a claim moved nothing; it is made again"
                );
            }
        }
    }

    async fn claim(
        &mut self,
        mut claims: Vec<Settlement>,
        (purse, due): (&Purse, u128),
        nonces: &mut Nonces,
        heads: &Heads,
    ) -> Result<(), End> {
        let best = &heads.best;
        claims.truncate(deliver::MAX_CLAIMS);
        let nonce = nonces.next();
        let submission = deliver::sign_settle(heads, &claims, nonce, &self.key)?;
        let fee = deliver::fee(best, submission.clone()).await?;
        if !purse.pays(fee, due) {
            error!(
                target: LOG, fee = %Amount(fee),
                "operator {} cannot pay for a claim of what channels owe; send it ASY", self.operator
            );
            return Ok(());
        }
        nonces.note(nonce);
        let amounts = claims
            .iter()
            .map(|claim| (claim.voucher.channel, claim.amount))
            .collect();
        info!(
            target: LOG, channels = claims.len(), nonce, extrinsic = ?submission.hash,
            "claiming what was earned in channels"
        );
        let claim = Claim {
            submission,
            sent_at: best.number(),
            amounts,
        };
        self.send_claim(claim, best).await
    }

    /// Nothing is lost if the process ends here: what is claimed twice is paid once.
    async fn send_claim(&mut self, mut claim: Claim, best: &Snapshot) -> Result<(), End> {
        match deliver::send(best, &claim.submission).await? {
            Verdict::Taken | Verdict::Occupied => {
                claim.sent_at = best.number();
                self.state.channels.claim = Some(claim);
            }
            Verdict::Refused(why) => {
                warn!(target: LOG, %why, "the node did not take a claim; it is made again");
            }
        }
        Ok(())
    }

    fn show_channels(&self, summary: &Summary, now: u32) {
        let Some(sales) = &self.sales else {
            return;
        };
        let metrics = &self.metrics.channels;
        metrics.open.set(summary.open as i64);
        metrics.close_pending.set(summary.closing as i64);
        let blocks = summary
            .deadline
            .map_or(-1, |at| i64::from(at.saturating_sub(now)));
        metrics.blocks_until_deadline.set(blocks);
        metrics.set_amounts(summary.accepted, summary.spent, summary.settled);
        let load = sales.shop.load();
        metrics.running.set(load.running as i64);
        metrics.waiting.set(load.waiting as i64);
        self.health.send_modify(|health| {
            if let Some(serving) = &mut health.serve {
                serving.channels = summary.open;
                serving.requests = summary.live;
            }
        });
    }
}

/// Whether the finalised block says nothing any more of what is asked for on chain now.
fn is_far_behind(finalized: u32, best: u32) -> bool {
    best.saturating_sub(finalized) > FAR_BEHIND
}

/// Why nothing can be sold by a view.
fn out_of_step(view: &View) -> Option<String> {
    view.sells_for().is_none().then(|| {
        format!(
            "the node's last finalised block, {}, is {} s old and {} blocks behind its best one, and nothing is sold to \
             channels by so old a one; wait until the node is in step, and check this machine's clock if it is",
            view.block.number,
            view.age.as_secs(),
            view.behind
        )
    })
}

/// Whether the next claim waits at block `now`, since those before it moved nothing. Not if one of its channels is closed
/// soon, at `deadline`: what is not claimed by then is lost.
fn rests(until: u32, now: u32, deadline: u32) -> bool {
    now < until && deadline.saturating_sub(now) > 2 << LONGEST_REST
}

/// The first of these amounts that the chain has not paid and still could.
fn unpaid(amounts: &[(ChannelId, u128)], view: &View) -> Option<(ChannelId, u128)> {
    let open = |(id, amount): &&(ChannelId, u128)| {
        let facts = view.channels.iter().find(|(terms, _)| terms.channel == *id);
        facts.is_some_and(|(_, facts)| {
            facts.settled < *amount && facts.state != ChannelState::Closed
        })
    };
    amounts.iter().find(open).copied()
}

/// A line for each channel: its last voucher, and how much of it is earned.
fn lines(claims: &[Settlement]) -> String {
    let line = |claim: &Settlement| {
        let voucher = wire::encode_hex(&claim.voucher);
        format!("{voucher} {}\n", claim.amount)
    };
    claims.iter().map(line).collect()
}

/// Whoever reads the file finds all of the old text or all of the new.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let draft = PathBuf::from(name);
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_channel::{Facts, Terms, VoucherPair};
    use assay_client::H256;
    use std::time::Duration;

    #[test]
    fn a_claim_is_made_again_as_long_as_the_chain_can_pay_it() {
        let id = |number| ChannelId::repeat_byte(number);
        let view = |settled, state| {
            let terms = Terms {
                genesis: H256::zero(),
                channel: id(1),
                provider: [0; 32],
                listing: H256::zero(),
                voucher_key: VoucherPair::ed25519(&[1; 32]).public(),
            };
            let facts = Facts {
                deposit: 100,
                settled,
                state,
            };
            View {
                block: assay_primitives::Anchor {
                    number: 1,
                    hash: H256::zero(),
                },
                age: Duration::ZERO,
                slot: Duration::from_secs(6),
                behind: 0,
                channels: vec![(terms, facts)],
                offers: Default::default(),
                dispute_blocks: 1,
                anchor_age: 64,
            }
        };
        let amounts = [(id(2), 9), (id(1), 50)];
        for (settled, state, expected) in [
            (49, ChannelState::Open, Some((id(1), 50))),
            (
                49,
                ChannelState::Closing { finalize_at: 9 },
                Some((id(1), 50)),
            ),
            (49, ChannelState::Closed, None),
            (50, ChannelState::Open, None),
            (60, ChannelState::Open, None),
        ] {
            let found = unpaid(&amounts, &view(settled, state));
            assert_eq!(found, expected, "{settled} {state:?}");
        }
    }

    /// A user that asks for its deposit while finality is away has it back before a finalised block says so.
    #[test]
    fn all_is_claimed_while_the_finalised_block_is_far_behind() {
        for (finalized, best, expected) in [
            (100, 100, false),
            (100, 164, false),
            (100, 165, true),
            (100, u32::MAX, true),
            // Another node may be behind.
            (100, 99, false),
        ] {
            let found = is_far_behind(finalized, best);
            assert_eq!(found, expected, "{finalized} {best}");
        }
    }

    #[test]
    fn what_is_lost_soon_is_claimed_without_a_rest() {
        let never = u32::MAX;
        for (until, now, deadline, expected) in [
            (100, 100, never, false),
            (100, 99, never, true),
            // A close that is final in a few blocks, or long before the rest is over.
            (100, 40, 50, false),
            (100, 40, 40 + 128, false),
            (100, 40, 40 + 129, true),
            (100, 40, 30, false),
        ] {
            let found = rests(until, now, deadline);
            assert_eq!(found, expected, "{until} {now} {deadline}");
        }
    }

    #[test]
    fn a_worker_says_why_it_sells_nothing() {
        let view = |age, behind, slot, anchor_age| View {
            block: assay_primitives::Anchor {
                number: 7,
                hash: H256::zero(),
            },
            age: Duration::from_secs(age),
            slot: Duration::from_secs(slot),
            behind,
            channels: Vec::new(),
            offers: Default::default(),
            dispute_blocks: 1,
            anchor_age,
        };
        for (age, behind, slot, most) in [
            (180, 32, 6, 64),
            (1_800, 32, 60, 64),
            (32, 32, 1, 64),
            (7, 7, 1, 15),
        ] {
            assert_eq!(out_of_step(&view(age, behind, slot, most)), None);
        }
        // A chain with fast slots may be 32 blocks further after half a minute, and on one with a short window for
        // disputes 8 are too many.
        for (age, behind, slot, most) in [
            (181, 2, 6, 64),
            (5, 33, 6, 64),
            (1_801, 2, 60, 64),
            (33, 2, 1, 64),
            (8, 2, 1, 15),
            (5, 8, 1, 15),
        ] {
            let why = out_of_step(&view(age, behind, slot, most)).unwrap();
            assert!(why.contains(&format!(" {age} s old")), "{why}");
            assert!(why.contains(&format!(" {behind} blocks")), "{why}");
        }
    }

    /// What `assay channel watch` reads.
    #[test]
    fn the_vouchers_file_has_a_line_for_each_channel_and_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vouchers");
        let claim = |channel, amount| Settlement {
            voucher: VoucherPair::ed25519(&[1; 32]).sign_voucher(
                H256::zero(),
                H256::repeat_byte(channel),
                100,
            ),
            amount,
        };
        for claims in [vec![claim(1, 60), claim(2, 7)], vec![claim(2, 8)], vec![]] {
            write(&path, &lines(&claims)).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let read: Vec<(_, u128)> = text
                .lines()
                .map(|line| {
                    let (voucher, amount) = line.split_once(' ').unwrap();
                    let voucher = wire::decode_hex("voucher", voucher).unwrap();
                    (voucher, amount.parse().unwrap())
                })
                .collect();
            let expected: Vec<_> = claims.iter().map(|c| (c.voucher, c.amount)).collect();
            assert_eq!(read, expected);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

//! What the user's own node knows of the chain, and whether that is the chain of now.

use std::time::{Duration, Instant};

use assay_channel::{anchor_age, AnchorView, ANCHOR_AGE};
use assay_client::{AccountId32, Error};
use assay_primitives::Anchor;

use super::{locked, Seen, Shop};
use crate::{channels::MoneyError, market::Block};

/// Between two looks for a block that the node has not yet.
const PAUSE: Duration = Duration::from_millis(250);

impl Seen {
    /// Where the node is if it has got no block since it was looked at.
    fn head(&self) -> Option<Block> {
        let (block, at) = self.head?;
        Some(Block {
            age: block.age.saturating_add(at.elapsed()),
            ..block
        })
    }
}

impl Shop {
    /// Whether anything may be ordered. A node that does not know what the chain is by now does not know the blocks that
    /// receipts build on either: each order would cost its prompt. Whoever `waits` is told so only when the node
    /// has not caught up after a while.
    pub async fn in_step(&self, waits: bool) -> Result<(), MoneyError> {
        let head = self.seen().head();
        if head.is_some_and(|block| !block.is_behind()) {
            return Ok(());
        }
        let start = Instant::now();
        loop {
            let block = self.market.block(0).await?;
            if !block.is_behind() {
                return Ok(());
            }
            if !waits || start.elapsed() > block.patience() {
                return Err(self.behind(&block));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Why nothing is ordered now, as far as the last look at the chain tells.
    pub fn out_of_step(&self) -> Option<MoneyError> {
        let head = self.seen().head()?;
        head.is_behind().then(|| self.behind(&head))
    }

    fn behind(&self, block: &Block) -> MoneyError {
        MoneyError::Behind {
            node: self.market.node().to_owned(),
            best: block.best,
            age: block.age,
        }
    }

    /// What the chain says of a receipt's anchor, which may be at most `age` blocks old. Waits for a while where our node
    /// may be behind, or on another fork than the provider's: for as long as one that gets no block takes to look
    /// behind. One that is behind for sure shows nothing of the provider.
    pub async fn anchor(
        &self,
        provider: AccountId32,
        anchor: Anchor,
        age: u32,
    ) -> Result<AnchorView, MoneyError> {
        let place = (provider.0, anchor.number, anchor.hash);
        let finalized = self.seen().facts.finalized;
        if anchor.number.saturating_add(age / 2) >= finalized {
            if let Some(operator) = locked(&self.operators).get(&place) {
                return Ok(AnchorView::Good {
                    operator: operator.0,
                });
            }
        }
        let start = Instant::now();
        loop {
            let block = self.market.block(anchor.number).await?;
            if anchor.number.saturating_add(age) < block.finalized {
                return Ok(AnchorView::Stale);
            }
            if block.hash == Some(anchor.hash) {
                let Some(operator) = self.market.operator_at(provider, anchor.number).await? else {
                    return Ok(AnchorView::Foreign);
                };
                if anchor.number <= block.finalized {
                    let mut operators = locked(&self.operators);
                    operators.retain(|(_, number, _), _| {
                        number.saturating_add(ANCHOR_AGE) >= block.finalized
                    });
                    operators.insert(place, operator);
                }
                return Ok(AnchorView::Good {
                    operator: operator.0,
                });
            }
            let is_late = start.elapsed() > block.patience();
            let is_final = anchor.number <= block.finalized;
            if block.hash.is_none() && is_final {
                // One that began with a later state has no older blocks.
                let missing = format!("it has not the block {}", anchor.number);
                return Err(Error::Node(missing).into());
            }
            if block.hash.is_some() && is_final {
                return Ok(AnchorView::Foreign);
            }
            // No clock is so wrong.
            let is_far = anchor.number > block.best.saturating_add(ANCHOR_AGE);
            match block.is_behind() {
                true if is_late => return Err(self.behind(&block)),
                false if is_late || is_far => {
                    return Ok(match block.hash {
                        Some(_) => AnchorView::Foreign,
                        None => AnchorView::Future,
                    });
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// How many blocks behind the last finalized one a receipt may build that comes as it is signed.
    pub fn anchor_age(&self) -> u32 {
        match self.seen().facts.challenge_blocks {
            // The chain was not seen yet.
            0 => ANCHOR_AGE,
            blocks => anchor_age(blocks),
        }
    }

    /// Whether a provider still has to have the last receipt of a request, of which one built on this block.
    pub async fn must_be_kept(&self, anchor: u32) -> Result<bool, Error> {
        let block = self.market.block(0).await?;
        let half = self.market.dispute_blocks().await? / 2;
        Ok(!block.is_behind() && anchor.saturating_add(half) >= block.best)
    }
}

use std::time::Duration;

use subxt::{
    client::OnlineClientAtBlockImpl,
    config::PolkadotExtrinsicParamsBuilder,
    error::DispatchError,
    extrinsics::ExtrinsicEvents,
    transactions::{Payload, SubmittableTransaction, TransactionProgress, TransactionStatus},
    utils::H256,
    PolkadotConfig,
};
use subxt_signer::sr25519::Keypair;

use super::{Chain, Snapshot};
use crate::{error, keys, Error};

/// Blocks that a transaction may wait for its inclusion, at least.
const PATIENCE: u32 = 32;

/// How long a transaction may wait for its nonce and for the block that its mortality starts at: whoever has noted a
/// block before counts on a signature soon after it.
const SIGNING: Duration = Duration::from_secs(30);

/// Between two looks for a transaction that the node says nothing of.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest mortality that there is: the chain knows the hashes of as many blocks.
const LONGEST_ERA: u32 = 4_096;

/// The mortality of a transaction that starts at the finalised block and may wait for so many blocks behind the best
/// one: a power of two. Where it did not grow while finality stands still, nobody could send anything then.
pub fn era(blocks: u32, best: u32, finalized: u32) -> u32 {
    let lag = best.saturating_sub(finalized);
    let least = lag.saturating_add(blocks).min(LONGEST_ERA);
    least.next_power_of_two()
}

/// How far a transaction must get before [`Chain::submit`] returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Into a block that is the best at that moment.
    InBlock,
    /// Into a block that cannot be reverted.
    Finalized,
}

/// A transaction that succeeded.
pub struct Included {
    /// The storage after the block that holds it.
    pub block: Snapshot,
    /// What it emitted: `events.find_first::<runtime::jobs::events::Submitted>()`.
    pub events: ExtrinsicEvents<PolkadotConfig>,
}

impl Chain {
    /// Sign `call`, send it, and wait until it has got as far as `wait` says. A call that fails is
    /// an [`Error::Dispatch`] with the documentation of its error. After an error that
    /// [is final](Error::is_final) it is in no block and will be in none; after any other error it may be.
    ///
    /// The nonce counts what this account has waiting in the node's pool, so several calls may be
    /// under way at once; the same key must not send through two nodes at the same time. One that the pool had already is
    /// looked for in finalized blocks, whatever `wait` says.
    pub async fn submit<C: Payload>(
        &self,
        call: &C,
        signer: &Keypair,
        wait: Wait,
        timeout: Duration,
    ) -> Result<Included, Error> {
        self.submit_tipped(call, signer, wait, timeout, 0).await
    }

    /// The same with a tip as large as the fee: among what waits for a place in a block it comes ahead of
    /// all that has none.
    pub async fn submit_ahead<C: Payload>(
        &self,
        call: &C,
        signer: &Keypair,
        wait: Wait,
        timeout: Duration,
    ) -> Result<Included, Error> {
        let tip = self.fee(call, signer).await?;
        self.submit_tipped(call, signer, wait, timeout, tip).await
    }

    async fn submit_tipped<C: Payload>(
        &self,
        call: &C,
        signer: &Keypair,
        wait: Wait,
        timeout: Duration,
        tip: u128,
    ) -> Result<Included, Error> {
        let name = format!("{}.{}", call.pallet_name(), call.call_name());
        let sent = match self.send(&name, call, signer, tip).await {
            // Another program that uses the same key was faster.
            Err(error) if error.is_overtaken() => self.send(&name, call, signer, tip).await?,
            sent => sent?,
        };
        let followed = async {
            match sent {
                Sent::Watched(progress) => follow(&name, progress, wait).await,
                Sent::Known { hash, after } => self.find(&name, hash, after).await,
            }
        };
        match tokio::time::timeout(timeout, followed).await {
            Ok(included) => included,
            Err(_) => Err(Error::Timeout {
                call: name,
                seconds: timeout.as_secs(),
            }),
        }
    }

    /// Signs the call with the account's next nonce and hands it to the pool. One at a time: the next nonce follows
    /// from what the pool has by then.
    async fn send<C: Payload>(
        &self,
        name: &str,
        call: &C,
        signer: &Keypair,
        tip: u128,
    ) -> Result<Sent, Error> {
        let account = keys::account(signer);
        let signed = async {
            let alone = self.sending.lock().await;
            let signed = self.sign(name, call, signer, tip).await?;
            Ok((alone, signed))
        };
        let silent = || Error::Node(format!("no answer for {} s", SIGNING.as_secs()));
        let signed = tokio::time::timeout(SIGNING, signed).await;
        let (_alone, (transaction, after)) = signed
            .unwrap_or_else(|_| Err(silent()))
            .map_err(|error| Error::not_sent(name, error))?;
        match transaction.submit_and_watch().await {
            Ok(progress) => Ok(Sent::Watched(progress)),
            // What stands between here and the node has sent it twice.
            Err(error) if error::is_known(&error) => Ok(Sent::Known {
                hash: transaction.hash(),
                after,
            }),
            Err(error) => Err(Error::not_accepted(name, &account, error)),
        }
    }

    /// With the number of the block that its mortality starts at: it can only be in later ones.
    async fn sign<C: Payload>(
        &self,
        name: &str,
        call: &C,
        signer: &Keypair,
        tip: u128,
    ) -> Result<(Signed, u32), Error> {
        let account = keys::account(signer);
        let nonce = self.rpc.system_account_next_index(&account).await;
        let nonce = nonce.map_err(Error::node)?;
        // The transaction's mortality starts at a finalized block, which every fork has; it is for the
        // runtime of the best one, where the pool judges it.
        let finalized = self.finalized().await?;
        let best = self.best().await?;
        let era = era(PATIENCE, best.number(), finalized.number());
        let params = PolkadotExtrinsicParamsBuilder::<PolkadotConfig>::new()
            .mortal_from_unchecked(era.into(), finalized.number().into(), finalized.hash())
            .nonce(nonce)
            .tip(tip)
            .build();
        let mut transactions = best.client().transactions();
        let signed = transactions.create_signed(call, signer, params).await;
        let signed = signed.map_err(|error| Error::not_accepted(name, &account, error))?;
        Ok((signed, finalized.number()))
    }

    /// Looks for a transaction in the finalized blocks after this one.
    async fn find(&self, call: &str, transaction: H256, after: u32) -> Result<Included, Error> {
        let mut seen = after;
        loop {
            let finalized = self.finalized().await?.number();
            while seen < finalized {
                seen = seen.saturating_add(1);
                let hash = self.block_hash(seen).await?;
                let hash = hash.ok_or_else(|| Error::lost(call, "it has not all blocks"))?;
                let block = self.at(hash).await?;
                if let Some(events) = events_of(call, &block, transaction).await? {
                    return Ok(Included { block, events });
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What a transaction emitted in this block, if it is there, or why it failed.
async fn events_of(
    call: &str,
    block: &Snapshot,
    transaction: H256,
) -> Result<Option<ExtrinsicEvents<PolkadotConfig>>, Error> {
    let extrinsics = block.client().extrinsics().fetch().await;
    let extrinsics = extrinsics.map_err(Error::node)?;
    let mut decoded = extrinsics.iter().flatten();
    let Some(extrinsic) = decoded.find(|extrinsic| extrinsic.hash() == transaction) else {
        return Ok(None);
    };
    let events = extrinsic.events().await.map_err(Error::node)?;
    for event in events.iter() {
        let event = event.map_err(Error::node)?;
        if (event.pallet_name(), event.event_name()) == ("System", "ExtrinsicFailed") {
            let metadata = block.client().metadata();
            let error = DispatchError::decode_from(event.field_bytes(), metadata);
            let error = error.map_err(|error| Error::Node(error::one_line(&error.to_string())))?;
            return Err(Error::dispatch(call, &error));
        }
    }
    Ok(Some(events))
}

/// A transaction that the pool has.
enum Sent {
    /// The node says what becomes of it.
    Watched(Progress),
    /// The pool had it already, and the node says nothing of it to whoever sends it again. It is in no block up to `after`.
    Known { hash: H256, after: u32 },
}

impl Chain {
    /// What sending `call` costs before it is executed, in planck. A call that needs less than its
    /// worst case gets a part of it back.
    pub async fn fee<C: Payload>(&self, call: &C, signer: &Keypair) -> Result<u128, Error> {
        let best = self.best().await?;
        let params = PolkadotExtrinsicParamsBuilder::<PolkadotConfig>::new()
            .nonce(0)
            .build();
        let mut transactions = best.client().transactions();
        let signed = transactions.create_signed(call, signer, params).await;
        let estimate = signed.map_err(Error::node)?.partial_fee_estimate().await;
        estimate.map_err(Error::node)
    }
}

type Signed = SubmittableTransaction<PolkadotConfig, OnlineClientAtBlockImpl<PolkadotConfig>>;
type Progress = TransactionProgress<PolkadotConfig, OnlineClientAtBlockImpl<PolkadotConfig>>;

async fn follow(call: &str, mut progress: Progress, wait: Wait) -> Result<Included, Error> {
    while let Some(status) = progress.next().await {
        let block = match status.map_err(Error::node)? {
            TransactionStatus::InBestBlock(block) if wait == Wait::InBlock => block,
            TransactionStatus::InFinalizedBlock(block) => block,
            TransactionStatus::Error { message }
            | TransactionStatus::Invalid { message }
            | TransactionStatus::Dropped { message } => {
                return Err(Error::lost(call, &message));
            }
            _ => continue,
        };
        let events = block
            .wait_for_success()
            .await
            .map_err(|error| Error::in_block(call, error))?;
        let block = block.at().await.map(Snapshot).map_err(Error::node)?;
        return Ok(Included { block, events });
    }
    Err(Error::lost(call, "its reports end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_outlives_the_blocks_that_are_not_final() {
        assert_eq!(era(32, 103, 103), 32);
        assert_eq!(era(32, 106, 103), 64);
        for lag in [0, 1, 31, 32, 33, 63, 64, 1_000, 4_000] {
            let era = era(64, 500 + lag, 500);
            assert!(era.is_power_of_two() && era >= lag + 64, "{lag}: {era}");
        }
        assert_eq!(era(64, 1_000_000, 0), LONGEST_ERA);
        assert_eq!(era(64, 5, 9), 64);
    }
}

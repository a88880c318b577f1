use std::time::Duration;

use assay_client::{
    chain::{runtime, stretched, Channel, ChannelState, ListingStatus, Provider, Snapshot},
    keys,
    subxt::utils::Static,
    AccountId32, Chain, Endpoint, Error, Keypair, Wait, H256,
};
use assay_primitives::{Balance, ChannelId, ListingId, VoucherKey};
use futures::future::BoxFuture;
use subxt::transactions::Payload;
use tokio::sync::OnceCell;

use super::{Block, Challenger, Facts, Finalized, Listed, Market, OnChain, State};
use crate::choice::Offer;

/// How long a transaction may take until it is final at slots of 6 s; as many slots where they are longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// The market of a real chain.
pub struct ChainMarket {
    chain: Chain,
    key: Keypair,
    disputes: bool,
    /// How long a slot lasts, which never changes.
    slot: OnceCell<Duration>,
}

impl ChainMarket {
    pub fn new(chain: Chain, key: Keypair) -> Self {
        Self {
            chain,
            key,
            disputes: false,
            slot: OnceCell::new(),
        }
    }

    /// The same, where wrong answers are disputed if `disputes`.
    pub fn disputing(self, disputes: bool) -> Self {
        Self { disputes, ..self }
    }

    async fn submit<C: Payload>(&self, call: C) -> Result<assay_client::Included, Error> {
        // Nothing is sent where it fails, so that nobody has to wait for what became of it.
        let patience = self.patience().await.map_err(|error| match error {
            Error::Node(reason) => Error::NotSent {
                call: format!("{}.{}", call.pallet_name(), call.call_name()),
                reason,
            },
            other => other,
        })?;
        self.chain
            .submit(&call, &self.key, Wait::Finalized, patience)
            .await
    }

    async fn patience(&self) -> Result<Duration, Error> {
        let slot = self.slot.get_or_try_init(|| async {
            let best = self.chain.best().await?;
            best.slot().await
        });
        Ok(stretched(PATIENCE, *slot.await?))
    }

    async fn look(&self) -> Result<Facts, Error> {
        let snapshot = self.chain.finalized().await?;
        let min_bond = snapshot.provider_parameters().await?.min_bond;
        let mut facts = Facts {
            finalized: snapshot.number(),
            challenge_blocks: snapshot.dispute_parameters().await?.challenge_blocks,
            ..Facts::default()
        };
        for (id, listing) in snapshot.listings().await? {
            if !matches!(listing.status, ListingStatus::Active) {
                continue;
            }
            for (stash, offer) in snapshot.offers(id).await? {
                let Some(provider) = snapshot.provider(stash).await? else {
                    continue;
                };
                if !provider.online || provider.bond < min_bond || offer.capacity == 0 {
                    continue;
                }
                facts.offers.extend(reachable(stash, id, &provider, &offer));
            }
            facts.listings.push(Listed {
                id,
                parts: listing.parts.0,
                publisher: listing.publisher,
                royalty: listing.royalty.0,
            });
        }
        Ok(facts)
    }

    async fn on_chain(&self, snapshot: &Snapshot, channel: Channel) -> Result<OnChain, Error> {
        let provider = snapshot.provider(channel.provider).await?;
        let current = provider.is_some_and(|found| found.registered_at == channel.epoch);
        Ok(OnChain {
            provider: channel.provider,
            listing: channel.listing,
            epoch: channel.epoch,
            current,
            voucher_key: channel.voucher_key.0,
            deposit: channel.deposit,
            settled: channel.settled,
            state: match channel.state {
                ChannelState::Open => State::Open,
                ChannelState::Closing { finalize_at } => State::Closing(finalize_at),
                ChannelState::Closed { .. } => State::Closed,
            },
        })
    }
}

/// The offer, if its provider says where it is, and in a way that can be trusted.
fn reachable(
    stash: AccountId32,
    listing: ListingId,
    provider: &Provider,
    offer: &assay_client::chain::Offer,
) -> Option<Offer> {
    let endpoint = Endpoint::parse(&provider.info.endpoint.0).ok()?;
    let pinned = provider.info.tls_key_hash;
    let tls_key_hash = match (endpoint.is_https(), pinned.is_zero()) {
        (true, false) => Some(pinned),
        (false, true) => None,
        _ => return None,
    };
    let key = provider.info.x25519_key;
    Some(Offer {
        provider: stash,
        epoch: provider.registered_at,
        listing,
        price: offer.price.0,
        context: offer.context,
        score: provider.record.score,
        endpoint: endpoint.as_str().to_owned(),
        tls_key_hash,
        x25519_key: (key != [0; 32]).then_some(key),
    })
}

impl Market for ChainMarket {
    fn genesis(&self) -> H256 {
        self.chain.genesis_hash()
    }

    fn node(&self) -> &str {
        self.chain.url()
    }

    fn account(&self) -> AccountId32 {
        keys::account(&self.key)
    }

    fn challenger(&self) -> Option<Challenger> {
        self.disputes.then(|| Challenger {
            chain: self.chain.clone(),
            key: self.key.clone(),
        })
    }

    fn facts(&self) -> BoxFuture<'_, Result<Facts, Error>> {
        Box::pin(self.look())
    }

    fn channel(&self, id: ChannelId) -> Finalized<'_, Option<OnChain>> {
        Box::pin(async move {
            let snapshot = self.chain.finalized().await?;
            let found = match snapshot.channel(id).await? {
                Some(channel) => Some(self.on_chain(&snapshot, channel).await?),
                None => None,
            };
            Ok((snapshot.number(), found))
        })
    }

    fn channels(&self) -> Finalized<'_, Vec<(ChannelId, OnChain)>> {
        Box::pin(async move {
            let snapshot = self.chain.finalized().await?;
            let mut found = Vec::new();
            for (id, channel) in snapshot.channels_of_user(self.account()).await? {
                found.push((id, self.on_chain(&snapshot, channel).await?));
            }
            Ok((snapshot.number(), found))
        })
    }

    fn open(
        &self,
        provider: AccountId32,
        listing: ListingId,
        voucher_key: VoucherKey,
        deposit: Balance,
    ) -> BoxFuture<'_, Result<ChannelId, Error>> {
        Box::pin(async move {
            let calls = runtime::tx().channels();
            let call = calls.open(provider, listing, Static(voucher_key), deposit);
            let included = self.submit(call).await?;
            let opened = included
                .events
                .find_first::<runtime::channels::events::Opened>();
            match opened {
                Some(Ok(opened)) => Ok(opened.channel),
                _ => Err(Error::Node(
                    "it does not show the channel that was opened".into(),
                )),
            }
        })
    }

    fn top_up(&self, id: ChannelId, amount: Balance) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let call = runtime::tx().channels().top_up(id, amount);
            self.submit(call).await.map(drop)
        })
    }

    fn request_close(&self, id: ChannelId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let call = runtime::tx().channels().request_close(id);
            self.submit(call).await.map(drop)
        })
    }

    fn finalize(&self, id: ChannelId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let call = runtime::tx().channels().finalize(id);
            self.submit(call).await.map(drop)
        })
    }

    fn min_deposit(&self) -> BoxFuture<'_, Result<Balance, Error>> {
        Box::pin(async move {
            let snapshot = self.chain.finalized().await?;
            Ok(snapshot.channel_parameters().await?.min_deposit)
        })
    }

    fn dispute_blocks(&self) -> BoxFuture<'_, Result<u32, Error>> {
        Box::pin(async move {
            let snapshot = self.chain.finalized().await?;
            // A pause of the referee stops the clock.
            let (paused, _) = snapshot.paused_blocks().await?;
            let parameters = snapshot.dispute_parameters().await?;
            Ok(parameters.challenge_blocks.saturating_add(paused))
        })
    }

    fn wallet(&self) -> BoxFuture<'_, Result<Balance, Error>> {
        Box::pin(async move {
            let best = self.chain.best().await?;
            Ok(best.balances(self.account()).await?.free)
        })
    }

    fn block(&self, number: u32) -> BoxFuture<'_, Result<Block, Error>> {
        Box::pin(async move {
            // In this order: what is final is on the best chain that is looked at then.
            let finalized = self.chain.finalized().await?.number();
            let snapshot = self.chain.best().await?;
            let best = snapshot.number();
            let hash = match number <= best {
                true => self.chain.block_hash(number).await?,
                false => None,
            };
            Ok(Block {
                best,
                age: snapshot.age().await?,
                slot: *self.slot.get_or_try_init(|| snapshot.slot()).await?,
                finalized,
                hash,
            })
        })
    }

    fn operator_at(
        &self,
        provider: AccountId32,
        block: u32,
    ) -> BoxFuture<'_, Result<Option<AccountId32>, Error>> {
        Box::pin(async move { self.chain.best().await?.operator_at(provider, block).await })
    }
}

#[cfg(test)]
mod tests;

//! The chain: connecting, looking at it block by block, sending calls.

use std::{sync::Arc, time::Duration};

use assay_primitives::JobId;
use subxt::{
    backend::LegacyBackend,
    client::Blocks,
    config::RpcConfigFor,
    rpcs::{
        client::{reconnecting_rpc_client::ExponentialBackoff, ReconnectingRpcClient, RpcClient},
        LegacyRpcMethods,
    },
    utils::H256,
    OnlineClient, PolkadotConfig,
};
use tokio::sync::Mutex;

use self::patient::{Patient, PATIENCE};
use crate::{endpoint, Error};

mod clock;
mod patient;
mod referenda;
mod rewards;
mod snapshot;
mod submit;
#[cfg(test)]
mod tests;
mod validators;
mod views;

pub use self::{
    clock::stretched,
    referenda::{
        AccountVote, Bounded, Described, DispatchTime, GovernanceOrigin, OriginCaller, RawOrigin,
        Referendum, ReferendumInfo, Spend, Track, Vote, VoteLock, MAX_INLINE_BYTES,
    },
    rewards::ProviderReward,
    snapshot::{
        job_header, Assignment, AssignmentRecord, Balances, Channel, ChannelParameters,
        ChannelState, Delivery, GovernanceParameters, Job, JobParameters, JobState, Listing,
        ListingAccount, ListingStatus, Offer, Provider, ProviderParameters, RefundReason, SentBack,
        Settlement, Snapshot,
    },
    submit::{era, Included, Wait},
    validators::{
        Bond, Era, EraStatus, NewSessionKeys, Role, UnbondingChunk, ValidatorParameters,
        ValidatorStatus,
    },
};

/// Everything that the runtime's metadata describes: calls, storage, events and constants. Types
/// that the chain shares with its clients are those of `assay_primitives`.
#[subxt::subxt(
    runtime_metadata_path = "metadata.scale",
    derive_for_all_types = "Clone",
    substitute_type(
        path = "assay_primitives::receipt::Receipt",
        with = "::subxt::utils::Static<::assay_primitives::Receipt>"
    ),
    substitute_type(
        path = "assay_primitives::receipt::Sampling",
        with = "::subxt::utils::Static<::assay_primitives::Sampling>"
    ),
    substitute_type(
        path = "assay_primitives::receipt::Finish",
        with = "::subxt::utils::Static<::assay_primitives::Finish>"
    ),
    substitute_type(
        path = "assay_primitives::model::ModelSpec",
        with = "::subxt::utils::Static<::assay_primitives::ModelSpec>"
    ),
    substitute_type(
        path = "assay_primitives::model::ModelParts",
        with = "::subxt::utils::Static<::assay_primitives::ModelParts>"
    ),
    substitute_type(
        path = "assay_primitives::market::Price",
        with = "::subxt::utils::Static<::assay_primitives::Price>"
    ),
    substitute_type(
        path = "assay_primitives::market::Outcome",
        with = "::subxt::utils::Static<::assay_primitives::Outcome>"
    ),
    substitute_type(
        path = "assay_primitives::channel::VoucherKey",
        with = "::subxt::utils::Static<::assay_primitives::VoucherKey>"
    ),
    substitute_type(
        path = "assay_primitives::channel::SignedVoucher",
        with = "::subxt::utils::Static<::assay_primitives::SignedVoucher>"
    ),
    substitute_type(
        path = "assay_primitives::channel::VoucherSignature",
        with = "::subxt::utils::Static<::assay_primitives::VoucherSignature>"
    ),
    substitute_type(
        path = "assay_primitives::channel::SignedHeader<A>",
        with = "::subxt::utils::Static<::assay_primitives::SignedHeader<::subxt::utils::AccountId32>>"
    ),
    substitute_type(
        path = "assay_primitives::receipt::RequestHeader<A>",
        with = "::subxt::utils::Static<::assay_primitives::RequestHeader<::subxt::utils::AccountId32>>"
    ),
    substitute_type(
        path = "assay_primitives::receipt::Claim",
        with = "::subxt::utils::Static<::assay_primitives::Claim>"
    )
)]
pub mod runtime {}

/// What the runtime calls itself.
const SPEC_NAME: &str = "assay";

/// How long the first connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest pause between two attempts to find a lost node again.
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(5);

/// A connection to a node of an Assay chain. Cheap to clone.
#[derive(Clone)]
pub struct Chain {
    api: OnlineClient<PolkadotConfig>,
    rpc: LegacyRpcMethods<RpcConfigFor<PolkadotConfig>>,
    client: RpcClient,
    url: String,
    /// Held from a transaction's nonce until the pool has it.
    sending: Arc<Mutex<()>>,
}

/// How a node is doing.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    pub peers: usize,
    pub is_syncing: bool,
}

/// Blocks as they come.
pub struct NewBlocks(Blocks<PolkadotConfig>);

impl Chain {
    /// Connect once, for a command: a lost connection is an error.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        check_url(url)?;
        let client = within(url, RpcClient::from_insecure_url(url)).await?;
        Self::over(url, client).await
    }

    /// Connect for a daemon: a lost connection comes back by itself, and calls made meanwhile wait, for a minute.
    /// Only the first connection has to succeed.
    pub async fn connect_for_long(url: &str) -> Result<Self, Error> {
        check_url(url)?;
        let backoff = ExponentialBackoff::from_millis(10).max_delay(MAX_RECONNECT_DELAY);
        let client = ReconnectingRpcClient::builder()
            .retry_policy(backoff)
            .build(url);
        let client = Patient {
            client: within(url, client).await?,
            patience: PATIENCE,
        };
        Self::over(url, RpcClient::new(client)).await
    }

    /// Over a connection of one's own, such as to a node in memory.
    pub async fn over(url: &str, client: RpcClient) -> Result<Self, Error> {
        let rpc = LegacyRpcMethods::<RpcConfigFor<PolkadotConfig>>::new(client.clone());
        let version = within(url, rpc.state_get_runtime_version(None)).await?;
        let found = version
            .other
            .get("specName")
            .and_then(|name| name.as_str())
            .unwrap_or("");
        if found != SPEC_NAME {
            return Err(Error::WrongChain {
                url: url.into(),
                found: found.into(),
            });
        }
        let backend = LegacyBackend::<PolkadotConfig>::builder().build(client.clone());
        // Blocks from before the current metadata format do not exist on this chain.
        let config = PolkadotConfig::builder().use_historic_types(false).build();
        let api = OnlineClient::from_backend_with_config(config, Arc::new(backend))
            .await
            .map_err(Error::node)?;
        let chain = Self {
            api,
            rpc,
            client,
            url: url.into(),
            sending: Arc::default(),
        };
        chain.best().await?.check_metadata()?;
        Ok(chain)
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Hash of the chain's first block.
    pub fn genesis_hash(&self) -> H256 {
        self.api.genesis_hash()
    }

    /// subxt's own client, for what is not wrapped here.
    pub fn api(&self) -> &OnlineClient<PolkadotConfig> {
        &self.api
    }

    /// The storage at the best block.
    pub async fn best(&self) -> Result<Snapshot, Error> {
        let hash = self
            .rpc
            .chain_get_block_hash(None)
            .await
            .map_err(Error::node)?;
        let hash = hash.ok_or_else(|| Error::Node("it has no best block".into()))?;
        self.at(hash).await
    }

    /// The storage at the last finalized block.
    pub async fn finalized(&self) -> Result<Snapshot, Error> {
        self.api
            .at_current_block()
            .await
            .map(Snapshot)
            .map_err(Error::node)
    }

    /// The storage at any block that the node still has.
    pub async fn at(&self, block: H256) -> Result<Snapshot, Error> {
        self.api
            .at_block(block)
            .await
            .map(Snapshot)
            .map_err(Error::node)
    }

    /// The hash of the best chain's block at this height, if it is there.
    pub async fn block_hash(&self, number: u32) -> Result<Option<H256>, Error> {
        let hash = self.rpc.chain_get_block_hash(Some(number.into())).await;
        hash.map_err(Error::node)
    }

    /// How the assignments of a job ended that brought no answer, oldest first. None if the node
    /// does not keep the blocks any more in which that happened.
    pub async fn sent_back(&self, id: JobId, job: &Job) -> Result<Option<Vec<SentBack>>, Error> {
        let mut found = Vec::new();
        let mut number = job.submitted_at;
        // Each of them is in `excluded`, so most jobs need no look at any block.
        while found.len() < job.excluded.0.len() {
            let hash = self.rpc.chain_get_block_hash(Some(number.into())).await;
            let Some(hash) = hash.map_err(Error::node)? else {
                return Ok(None);
            };
            let Ok(snapshot) = self.at(hash).await else {
                return Ok(None);
            };
            let Ok(events) = snapshot.sent_back(id).await else {
                return Ok(None);
            };
            found.extend(events);
            number = number.saturating_add(1);
        }
        Ok(Some(found))
    }

    /// The extrinsics of a block, as their bytes. None if the node does not have the block.
    pub(crate) async fn extrinsics(&self, number: u32) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let hash = self.rpc.chain_get_block_hash(Some(number.into())).await;
        let Some(hash) = hash.map_err(Error::node)? else {
            return Ok(None);
        };
        let details = self.rpc.chain_get_block(Some(hash)).await;
        let details = details.map_err(Error::node)?;
        Ok(details.map(|details| {
            let extrinsics = details.block.extrinsics;
            extrinsics.into_iter().map(|bytes| bytes.0).collect()
        }))
    }

    /// Blocks as they become the best, from the next one on.
    pub async fn best_blocks(&self) -> Result<NewBlocks, Error> {
        self.api
            .stream_best_blocks()
            .await
            .map(NewBlocks)
            .map_err(Error::node)
    }

    /// Blocks as they are finalised, from the next one on.
    pub async fn finalized_blocks(&self) -> Result<NewBlocks, Error> {
        self.api
            .stream_blocks()
            .await
            .map(NewBlocks)
            .map_err(Error::node)
    }

    pub async fn health(&self) -> Result<Health, Error> {
        let health = self.rpc.system_health().await.map_err(Error::node)?;
        Ok(Health {
            peers: health.peers,
            is_syncing: health.is_syncing,
        })
    }
}

impl NewBlocks {
    /// The storage at the next block. An error if the connection is lost for good.
    pub async fn next(&mut self) -> Result<Snapshot, Error> {
        let block = self
            .0
            .next()
            .await
            .ok_or_else(|| Error::Node("it sends no more blocks".into()))?;
        block
            .map_err(Error::node)?
            .at()
            .await
            .map(Snapshot)
            .map_err(Error::node)
    }
}

/// Whether this can be a node's address, so that a mistyped one is not taken for a node that is
/// down.
fn check_url(url: &str) -> Result<(), Error> {
    let wrong = |problem| Error::Url {
        url: url.into(),
        problem,
    };
    if !["ws://", "wss://"]
        .iter()
        .any(|scheme| url.starts_with(scheme))
    {
        return Err(wrong("it does not begin with ws:// or wss://"));
    }
    endpoint::parse(url).map(drop).map_err(wrong)
}

async fn within<T, E: std::fmt::Display>(
    url: &str,
    attempt: impl std::future::Future<Output = Result<T, E>>,
) -> Result<T, Error> {
    let unreachable = |reason: String| {
        // Each layer that passes the error on says that it is an error.
        let reason = reason
            .rsplit("client error: ")
            .next()
            .unwrap_or_default()
            .to_owned();
        Error::Unreachable {
            url: url.into(),
            reason,
        }
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!(
            "no answer for {} s",
            CONNECT_TIMEOUT.as_secs()
        ))),
    }
}

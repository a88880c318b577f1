//! How a node gets the blocks of others.

mod afresh;

use std::sync::Arc;

use assay_runtime::{opaque::Block, Hash};
use sc_client_api::HeaderBackend;
use sc_consensus::{DefaultImportQueue, ImportQueue};
use sc_network::{
    config::{FullNetworkConfiguration, SyncMode},
    Litep2pNetworkBackend, NetworkBackend, NotificationMetrics, ProtocolName, Roles,
};
use sc_network_sync::{
    block_relay_protocol::BlockDownloader,
    engine::SyncingEngine,
    service::network::NetworkServiceProvider,
    strategy::{
        polkadot::{PolkadotSyncingStrategy, PolkadotSyncingStrategyConfig},
        SyncingStrategy,
    },
    SyncingService, WarpSyncConfig,
};
use sc_service::{error::Error, Configuration, TaskManager};
use sp_consensus::block_validation::DefaultBlockAnnounceValidator;

use self::afresh::{Afresh, Make};
use crate::parts::FullClient;

type Net = FullNetworkConfiguration<Block, Hash, Litep2pNetworkBackend>;
type Announcements =
    <Litep2pNetworkBackend as NetworkBackend<Block, Hash>>::NotificationProtocolConfig;

/// What the network needs of it.
pub struct Sync {
    pub service: SyncingService<Block>,
    pub announcements: Announcements,
    pub provider: NetworkServiceProvider,
}

/// Starts it: the SDK's engine and strategy, which begins [`afresh`] when all peers are gone.
pub fn start(
    config: &Configuration,
    net: &mut Net,
    client: &Arc<FullClient>,
    queue: &DefaultImportQueue<Block>,
    warp: WarpSyncConfig<Block>,
    metrics: NotificationMetrics,
    tasks: &TaskManager,
) -> Result<Sync, Error> {
    let provider = NetworkServiceProvider::new();
    let protocol = config.protocol_id();
    let fork = config.chain_spec.fork_id();
    let registry = config.prometheus_registry();
    let peers = &config.network.default_peers_set;
    let spawner = tasks.spawn_handle();
    let downloader = sc_service::build_default_block_downloader(
        &protocol,
        fork,
        net,
        provider.handle(),
        client.clone(),
        peers.in_peers.saturating_add(peers.out_peers) as usize,
        &spawner,
    );
    let first = sc_service::build_polkadot_syncing_strategy(
        protocol.clone(),
        fork,
        net,
        Some(warp),
        downloader.clone(),
        client.clone(),
        &spawner,
        registry,
        sc_service::default_gap_sync_body_policy(config.blocks_pruning),
    )?;
    let strategy = Afresh::new(first, make(config, client.clone(), downloader));
    let (engine, service, announcements) = SyncingEngine::new(
        Roles::from(&config.role),
        client.clone(),
        registry,
        metrics,
        net,
        protocol,
        fork,
        Box::new(DefaultBlockAnnounceValidator),
        Box::new(strategy),
        provider.handle(),
        queue.service(),
        net.peer_store_handle(),
    )?;
    let essential = tasks.spawn_essential_handle();
    essential.spawn_blocking("syncing", None, engine.run());
    Ok(Sync {
        service,
        announcements,
        provider,
    })
}

/// Makes strategies for whatever comes after a warp sync.
fn make(
    config: &Configuration,
    client: Arc<FullClient>,
    downloader: Arc<dyn BlockDownloader<Block>>,
) -> Make<Block> {
    let config = PolkadotSyncingStrategyConfig {
        mode: SyncMode::Full,
        max_parallel_downloads: config.network.max_parallel_downloads,
        max_blocks_per_request: config.network.max_blocks_per_request,
        min_peers_to_start_warp_sync: None,
        // The first one's are registered.
        metrics_registry: None,
        // Blocks are executed, so no state is asked for.
        state_request_protocol_name: ProtocolName::from(""),
        block_downloader: downloader,
        gap_sync_body_policy: sc_service::default_gap_sync_body_policy(config.blocks_pruning),
    };
    Box::new(move || {
        if client.info().finalized_state.is_none() {
            return Ok(None);
        }
        let fresh = PolkadotSyncingStrategy::new(config.clone(), client.clone(), None, None)?;
        Ok(Some(Box::new(fresh) as Box<dyn SyncingStrategy<Block>>))
    })
}

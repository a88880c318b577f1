//! Puts the parts of a node together: database, runtime, BABE, GRANDPA, pool, network and RPC.

use crate::{
    discovery,
    equivocation::Reporting,
    figures,
    parts::{FullBackend, FullClient, FullPool, FullSelectChain},
    rpc,
    slots::Slots,
    sync,
};
use assay_runtime::{opaque::Block, Hash, RuntimeApi};
use futures::FutureExt;
use sc_client_api::{blockchain::Error as BlockchainError, Backend};
use sc_consensus_babe::{BabeLink, BabeWorkerHandle, SlotProportion};
use sc_consensus_grandpa::{GrandpaPruningFilter, SharedVoterState};
use sc_consensus_slots::BackoffAuthoringOnFinalizedHeadLagging;
use sc_network::{config::FullNetworkConfiguration, Litep2pNetworkBackend, NetworkBackend};
use sc_offchain::{OffchainWorkerOptions, OffchainWorkers};
use sc_service::{
    error::Error as ServiceError, BuildNetworkAdvancedParams, Configuration, PartialComponents,
    RpcHandlers, SpawnTasksParams, TaskManager, WarpSyncConfig,
};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_consensus_babe::{inherents::BabeCreateInherentDataProviders, SlotDuration};
use std::{sync::Arc, time::Duration};

/// How long a GRANDPA message is given to go through the network, at most.
const GRANDPA_GOSSIP_DURATION: Duration = Duration::from_millis(333);
/// The share of a slot that it is given where slots are short: a round takes four of these, and should not take longer than a block.
const GRANDPA_GOSSIP_SLOT_SHARE: u32 = 6;
/// A justification is kept at least every so many blocks, for nodes that sync and for light clients.
const GRANDPA_JUSTIFICATION_PERIOD: u32 = 512;
/// Share of a slot in which a block is filled; the rest is for sending and checking it.
const PROPOSAL_SLOT_PORTION: f32 = 0.5;

type GrandpaBlockImport =
    sc_consensus_grandpa::GrandpaBlockImport<FullBackend, Block, FullClient, FullSelectChain>;
type GrandpaLink = sc_consensus_grandpa::LinkHalf<Block, FullClient, FullSelectChain>;
type BabeBlockImport = Reporting<
    sc_consensus_babe::BabeBlockImport<
        Block,
        FullClient,
        GrandpaBlockImport,
        BabeCreateInherentDataProviders<Block>,
        FullSelectChain,
    >,
>;

/// What [`new_partial`] makes besides the usual parts.
pub struct ConsensusParts {
    babe_block_import: BabeBlockImport,
    babe_link: BabeLink<Block>,
    babe_worker_handle: BabeWorkerHandle<Block>,
    grandpa_link: GrandpaLink,
    telemetry: Option<Telemetry>,
}

type Partial = PartialComponents<
    FullClient,
    FullBackend,
    FullSelectChain,
    sc_consensus::DefaultImportQueue<Block>,
    FullPool,
    ConsensusParts,
>;

/// What a block's author puts into it at a given time: the slot and the timestamp.
fn inherent_data_providers(
    slot_duration: SlotDuration,
) -> (
    sp_consensus_babe::inherents::InherentDataProvider,
    sp_timestamp::InherentDataProvider,
) {
    let timestamp = sp_timestamp::InherentDataProvider::from_system_time();
    let slot = sp_consensus_babe::inherents::InherentDataProvider::from_timestamp_and_slot_duration(
        *timestamp,
        slot_duration,
    );
    (slot, timestamp)
}

/// How long a GRANDPA message is given on a chain with these slots; the voter wants whole milliseconds, and not none.
fn gossip_duration(slot: SlotDuration) -> Duration {
    let share = slot.as_duration() / GRANDPA_GOSSIP_SLOT_SHARE;
    share.clamp(Duration::from_millis(1), GRANDPA_GOSSIP_DURATION)
}

/// The database's own errors do not say which it is.
fn with_database(error: ServiceError, config: &Configuration) -> ServiceError {
    match (error, config.database.path()) {
        (ServiceError::Client(BlockchainError::Backend(problem)), Some(path)) => format!(
            "the database in {} cannot be used: {problem}; stop the node that has it open, make its \
             folder one that this user can write to, or name another with --base-path",
            path.display()
        )
        .into(),
        (error, _) => error,
    }
}

/// The parts that need no network: enough for the subcommands that work on the database.
pub fn new_partial(config: &Configuration) -> Result<Partial, ServiceError> {
    let telemetry = config
        .telemetry_endpoints
        .clone()
        .filter(|endpoints| !endpoints.is_empty())
        .map(|endpoints| -> Result<_, sc_telemetry::Error> {
            let worker = TelemetryWorker::new(16)?;
            let telemetry = worker.handle().new_telemetry(endpoints);
            Ok((worker, telemetry))
        })
        .transpose()?;

    let executor = sc_service::new_wasm_executor(&config.executor);
    // Justified blocks outlive pruning, so that a pruned node can serve warp sync.
    let (client, backend, keystore_container, task_manager) =
        sc_service::new_full_parts::<Block, RuntimeApi, _>(
            config,
            telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
            executor,
            vec![Arc::new(GrandpaPruningFilter)],
        )
        .map_err(|error| with_database(error, config))?;
    let client = Arc::new(client);

    let telemetry = telemetry.map(|(worker, telemetry)| {
        task_manager
            .spawn_handle()
            .spawn("telemetry", None, worker.run());
        telemetry
    });
    let telemetry_handle = telemetry.as_ref().map(Telemetry::handle);

    let select_chain = FullSelectChain::new(backend.clone());
    let transaction_pool = Arc::new(
        sc_transaction_pool::Builder::new(
            task_manager.spawn_essential_handle(),
            client.clone(),
            config.role.is_authority().into(),
        )
        .with_options(config.transaction_pool.clone())
        .with_prometheus(config.prometheus_registry())
        .build(),
    );

    let (grandpa_block_import, grandpa_link) = sc_consensus_grandpa::block_import(
        client.clone(),
        GRANDPA_JUSTIFICATION_PERIOD,
        &client,
        select_chain.clone(),
        telemetry_handle.clone(),
    )?;

    let babe_config = sc_consensus_babe::configuration(&*client)?;
    let slot_duration = babe_config.slot_duration();
    let offchain_pool = OffchainTransactionPoolFactory::new(transaction_pool.clone());
    let (babe_block_import, babe_link) = sc_consensus_babe::block_import(
        babe_config,
        grandpa_block_import.clone(),
        client.clone(),
        Arc::new(move |_, _| async move { Ok(inherent_data_providers(slot_duration)) })
            as BabeCreateInherentDataProviders<Block>,
        select_chain.clone(),
        offchain_pool.clone(),
    )?;
    let babe_block_import = Reporting::new(
        babe_block_import,
        client.clone(),
        offchain_pool,
        slot_duration,
    );

    let (import_queue, babe_worker_handle) =
        sc_consensus_babe::import_queue(sc_consensus_babe::ImportQueueParams {
            link: babe_link.clone(),
            block_import: babe_block_import.clone(),
            justification_import: Some(Box::new(grandpa_block_import)),
            client: client.clone(),
            slot_duration,
            spawner: &task_manager.spawn_essential_handle(),
            registry: config.prometheus_registry(),
            telemetry: telemetry_handle,
        })?;

    Ok(PartialComponents {
        client,
        backend,
        task_manager,
        keystore_container,
        select_chain,
        import_queue,
        transaction_pool,
        other: ConsensusParts {
            babe_block_import,
            babe_link,
            babe_worker_handle,
            grandpa_link,
            telemetry,
        },
    })
}

/// A whole node. It stops when the returned task manager is dropped.
pub fn new_full(config: Configuration) -> Result<TaskManager, ServiceError> {
    let PartialComponents {
        client,
        backend,
        mut task_manager,
        keystore_container,
        select_chain,
        import_queue,
        transaction_pool,
        other:
            ConsensusParts {
                babe_block_import,
                babe_link,
                babe_worker_handle,
                grandpa_link,
                mut telemetry,
            },
    } = new_partial(&config)?;

    let role = config.role;
    let force_authoring = config.force_authoring;
    let name = config.network.node_name.clone();
    let grandpa_enabled = !config.disable_grandpa;
    let offchain_workers = config.offchain_worker.enabled;
    let prometheus_registry = config.prometheus_registry().cloned();
    let shared_authority_set = grandpa_link.shared_authority_set().clone();
    let addresses = discovery::Addresses::of(&config);
    let slots = Slots::of(&config.base_path.config_dir(config.chain_spec.id()));

    let mut net_config = FullNetworkConfiguration::<Block, Hash, Litep2pNetworkBackend>::new(
        &config.network,
        prometheus_registry.clone(),
    );
    let metrics =
        <Litep2pNetworkBackend as NetworkBackend<Block, Hash>>::register_notification_metrics(
            prometheus_registry.as_ref(),
        );
    let genesis_hash = client.chain_info().genesis_hash;
    let grandpa_protocol_name =
        sc_consensus_grandpa::protocol_standard_name(&genesis_hash, &config.chain_spec);
    let (grandpa_protocol_config, grandpa_notification_service) =
        sc_consensus_grandpa::grandpa_peers_set_config::<Block, Litep2pNetworkBackend>(
            grandpa_protocol_name.clone(),
            metrics.clone(),
            net_config.peer_store_handle(),
        );
    net_config.add_notification_protocol(grandpa_protocol_config);

    let warp_sync = Arc::new(sc_consensus_grandpa::warp_proof::NetworkProvider::new(
        backend.clone(),
        shared_authority_set.clone(),
        Vec::new(),
    ));

    let sync = sync::start(
        &config,
        &mut net_config,
        &client,
        &import_queue,
        WarpSyncConfig::WithProvider(warp_sync),
        metrics.clone(),
        &task_manager,
    )?;
    let (network, system_rpc_tx, tx_handler_controller, sync_service, _bitswap) =
        sc_service::build_network_advanced(BuildNetworkAdvancedParams {
            role: config.role,
            protocol_id: config.protocol_id(),
            fork_id: config.chain_spec.fork_id(),
            announce_block: config.announce_block,
            net_config,
            client: client.clone(),
            transaction_pool: transaction_pool.clone(),
            spawn_handle: task_manager.spawn_handle(),
            spawn_essential_handle: task_manager.spawn_essential_handle(),
            import_queue,
            sync_service: sync.service,
            block_announce_config: sync.announcements,
            network_service_provider: sync.provider,
            metrics_registry: config.prometheus_registry(),
            metrics,
            blocks_pruning: config.blocks_pruning,
        })?;

    if offchain_workers {
        let workers = OffchainWorkers::new(OffchainWorkerOptions {
            runtime_api_provider: client.clone(),
            is_validator: role.is_authority(),
            keystore: Some(keystore_container.keystore()),
            offchain_db: backend.offchain_storage(),
            transaction_pool: Some(OffchainTransactionPoolFactory::new(
                transaction_pool.clone(),
            )),
            network_provider: Arc::new(network.clone()),
            enable_http_requests: true,
            custom_extensions: |_| Vec::new(),
        })?;
        task_manager.spawn_handle().spawn(
            "offchain-workers-runner",
            "offchain-worker",
            workers
                .run(client.clone(), task_manager.spawn_handle())
                .boxed(),
        );
    }

    let shared_voter_state = SharedVoterState::empty();
    let rpc_builder = {
        let client = client.clone();
        let pool = transaction_pool.clone();
        let select_chain = select_chain.clone();
        let keystore = keystore_container.keystore();
        let chain_spec = config.chain_spec.cloned_box();
        let shared_voter_state = shared_voter_state.clone();
        let shared_authority_set = shared_authority_set.clone();
        let justification_stream = grandpa_link.justification_stream();
        let finality_provider = sc_consensus_grandpa::FinalityProofProvider::new_for_service(
            backend.clone(),
            Some(shared_authority_set.clone()),
        );
        Box::new(move |subscription_executor| {
            rpc::create_full(rpc::FullDeps {
                client: client.clone(),
                pool: pool.clone(),
                select_chain: select_chain.clone(),
                chain_spec: chain_spec.cloned_box(),
                babe: rpc::BabeDeps {
                    worker_handle: babe_worker_handle.clone(),
                    keystore: keystore.clone(),
                },
                grandpa: rpc::GrandpaDeps {
                    shared_voter_state: shared_voter_state.clone(),
                    shared_authority_set: shared_authority_set.clone(),
                    justification_stream: justification_stream.clone(),
                    finality_provider: finality_provider.clone(),
                    subscription_executor,
                },
            })
            .map_err(Into::into)
        })
    };

    let _rpc: RpcHandlers = sc_service::spawn_tasks(SpawnTasksParams {
        config,
        client: client.clone(),
        backend,
        task_manager: &mut task_manager,
        keystore: keystore_container.keystore(),
        transaction_pool: transaction_pool.clone(),
        rpc_builder,
        network: network.clone(),
        system_rpc_tx,
        tx_handler_controller,
        sync_service: sync_service.clone(),
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;

    let telemetry_handle = telemetry.as_ref().map(Telemetry::handle);

    if let Some(registry) = prometheus_registry.clone() {
        let shown = figures::run(
            registry,
            client.clone(),
            keystore_container.keystore(),
            sync_service.clone(),
        );
        // A walk over records is work without an end in sight: not for the threads that others wait on.
        task_manager
            .spawn_handle()
            .spawn_blocking("figures", None, shown);
    }

    let slot_duration = babe_link.config().slot_duration();
    if role.is_authority() {
        discovery::spawn(
            addresses,
            client.clone(),
            network.clone(),
            keystore_container.keystore(),
            &task_manager,
            prometheus_registry.as_ref(),
        );
        let proposer = sc_basic_authorship::ProposerFactory::new(
            task_manager.spawn_handle(),
            client.clone(),
            transaction_pool.clone(),
            prometheus_registry.as_ref(),
            telemetry_handle.clone(),
        );
        let babe = sc_consensus_babe::start_babe(sc_consensus_babe::BabeParams {
            keystore: keystore_container.keystore(),
            client: client.clone(),
            select_chain,
            env: slots.before(proposer),
            block_import: babe_block_import,
            sync_oracle: sync_service.clone(),
            justification_sync_link: sync_service.clone(),
            create_inherent_data_providers: move |_, ()| async move {
                Ok(inherent_data_providers(slot_duration))
            },
            force_authoring,
            backoff_authoring_blocks: Some(BackoffAuthoringOnFinalizedHeadLagging::default()),
            babe_link,
            block_proposal_slot_portion: SlotProportion::new(PROPOSAL_SLOT_PORTION),
            max_block_proposal_slot_portion: None,
            telemetry: telemetry_handle.clone(),
        })?;
        task_manager.spawn_essential_handle().spawn_blocking(
            "babe-proposer",
            Some("block-authoring"),
            babe,
        );
    }

    if grandpa_enabled {
        let voter = sc_consensus_grandpa::run_grandpa_voter(sc_consensus_grandpa::GrandpaParams {
            config: sc_consensus_grandpa::Config {
                gossip_duration: gossip_duration(slot_duration),
                justification_generation_period: GRANDPA_JUSTIFICATION_PERIOD,
                name: Some(name),
                observer_enabled: false,
                keystore: role.is_authority().then(|| keystore_container.keystore()),
                local_role: role,
                telemetry: telemetry_handle.clone(),
                protocol_name: grandpa_protocol_name,
            },
            link: grandpa_link,
            network,
            sync: sync_service,
            notification_service: grandpa_notification_service,
            voting_rule: sc_consensus_grandpa::VotingRulesBuilder::default().build(),
            prometheus_registry,
            shared_voter_state,
            telemetry: telemetry_handle,
            offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(transaction_pool),
        })?;
        task_manager.spawn_essential_handle().spawn_blocking(
            "grandpa-voter",
            Some("finality"),
            voter,
        );
    }

    Ok(task_manager)
}

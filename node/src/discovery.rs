//! Validators publish under their session keys at which addresses they are, and look each other up.

use std::sync::Arc;

use assay_runtime::opaque::Block;
use futures::StreamExt;
use sc_authority_discovery::{new_worker_and_service_with_config, Role, WorkerConfig};
use sc_network::{config::NetworkConfiguration, event::Event, service::traits::NetworkService};
use sc_service::{Configuration, TaskManager};
use sp_keystore::KeystorePtr;

use crate::parts::FullClient;

/// What a node says of itself.
pub struct Addresses(WorkerConfig);

impl Addresses {
    pub fn of(config: &Configuration) -> Self {
        let NetworkConfiguration {
            allow_non_globals_in_dht,
            public_addresses,
            ..
        } = &config.network;
        Self(WorkerConfig {
            publish_non_global_ips: *allow_non_globals_in_dht,
            public_addresses: public_addresses.clone(),
            // Nobody runs a version that signed its records otherwise.
            strict_record_validation: true,
            ..Default::default()
        })
    }
}

/// Publishes and looks up until the node stops.
pub fn spawn(
    addresses: Addresses,
    client: Arc<FullClient>,
    network: Arc<dyn NetworkService>,
    keystore: KeystorePtr,
    tasks: &TaskManager,
    registry: Option<&substrate_prometheus_endpoint::Registry>,
) {
    let found = network
        .event_stream("authority-discovery")
        .filter_map(|event| async move {
            match event {
                Event::Dht(event) => Some(event),
                _ => None,
            }
        });
    let (worker, _) = new_worker_and_service_with_config::<_, Block, _>(
        addresses.0,
        client,
        Arc::new(network),
        Box::pin(found),
        Role::PublishAndDiscover(keystore),
        registry.cloned(),
        tasks.spawn_handle(),
    );
    tasks.spawn_handle().spawn(
        "authority-discovery",
        Some("authority-discovery"),
        worker.run(),
    );
}

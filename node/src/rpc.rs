//! The RPC methods that the node adds to those of the service: accounts, fees, and consensus.

use crate::parts::{FullBackend, FullClient, FullPool, FullSelectChain};
use assay_runtime::{opaque::Block, BlockNumber, Hash};
use jsonrpsee::RpcModule;
use sc_consensus_babe::BabeWorkerHandle;
use sc_consensus_grandpa::{
    FinalityProofProvider, GrandpaJustificationStream, SharedAuthoritySet, SharedVoterState,
};
use sc_rpc::SubscriptionTaskExecutor;
use sp_keystore::KeystorePtr;
use std::sync::Arc;

/// What the BABE methods need.
pub struct BabeDeps {
    pub worker_handle: BabeWorkerHandle<Block>,
    pub keystore: KeystorePtr,
}

/// What the GRANDPA methods need.
pub struct GrandpaDeps {
    pub shared_voter_state: SharedVoterState,
    pub shared_authority_set: SharedAuthoritySet<Hash, BlockNumber>,
    pub justification_stream: GrandpaJustificationStream<Block>,
    pub finality_provider: Arc<FinalityProofProvider<FullBackend, Block>>,
    pub subscription_executor: SubscriptionTaskExecutor,
}

/// What all methods together need.
pub struct FullDeps {
    pub client: Arc<FullClient>,
    pub pool: Arc<FullPool>,
    pub select_chain: FullSelectChain,
    pub chain_spec: Box<dyn sc_chain_spec::ChainSpec>,
    pub babe: BabeDeps,
    pub grandpa: GrandpaDeps,
}

/// Builds the module that the service merges with its own.
pub fn create_full(
    deps: FullDeps,
) -> Result<RpcModule<()>, Box<dyn std::error::Error + Send + Sync>> {
    use pallet_transaction_payment_rpc::{TransactionPayment, TransactionPaymentApiServer};
    use sc_consensus_babe_rpc::{Babe, BabeApiServer};
    use sc_consensus_grandpa_rpc::{Grandpa, GrandpaApiServer};
    use sc_sync_state_rpc::{SyncState, SyncStateApiServer};
    use substrate_frame_rpc_system::{System, SystemApiServer};

    let FullDeps {
        client,
        pool,
        select_chain,
        chain_spec,
        babe,
        grandpa,
    } = deps;

    let mut module = RpcModule::new(());
    module.merge(System::new(client.clone(), pool).into_rpc())?;
    module.merge(TransactionPayment::new(client.clone()).into_rpc())?;
    module.merge(
        Babe::new(
            client.clone(),
            babe.worker_handle.clone(),
            babe.keystore,
            select_chain,
        )
        .into_rpc(),
    )?;
    module.merge(
        Grandpa::new(
            grandpa.subscription_executor,
            grandpa.shared_authority_set.clone(),
            grandpa.shared_voter_state,
            grandpa.justification_stream,
            grandpa.finality_provider,
        )
        .into_rpc(),
    )?;
    module.merge(
        SyncState::new(
            chain_spec,
            client,
            grandpa.shared_authority_set,
            babe.worker_handle,
        )?
        .into_rpc(),
    )?;
    Ok(module)
}

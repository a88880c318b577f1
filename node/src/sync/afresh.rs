//! Sync that begins afresh when a node has lost all of its peers.
//!
//! The SDK's strategy asks nothing of a peer for a minute that left while it was being asked, so that one which is
//! overloaded is spared. A node that was suspended or cut off loses every peer in that way, through nobody's fault but its
//! own, and would stand still for a minute among peers that have all it needs. A new strategy knows nothing of them.

#[cfg(test)]
mod tests;

use std::any::Any;

use sc_client_api::blockchain::Error;
use sc_consensus::{BlockImportError, BlockImportStatus};
use sc_network::{PeerId, ProtocolName};
use sc_network_common::sync::message::BlockAnnounce;
use sc_network_sync::{
    service::network::NetworkServiceHandle,
    strategy::{StrategyKey, SyncingAction, SyncingStrategy},
    SyncStatus,
};
use sp_runtime::traits::{Block as BlockT, NumberFor};

/// What became of a block that was imported.
type Imported<B> = (
    Result<BlockImportStatus<NumberFor<B>>, BlockImportError>,
    <B as BlockT>::Hash,
);

/// Makes a strategy that continues behind the best block, or none while there is no state to continue from.
pub type Make<B> = Box<dyn Fn() -> Result<Option<Box<dyn SyncingStrategy<B>>>, Error> + Send>;

/// A strategy, and how to begin afresh.
pub struct Afresh<B: BlockT> {
    current: Box<dyn SyncingStrategy<B>>,
    make: Make<B>,
    /// Justifications that were asked for and did not come yet. They are asked for once, when their block is imported, so
    /// a new strategy is told of them.
    wanted: Vec<(B::Hash, NumberFor<B>)>,
}

impl<B: BlockT> Afresh<B> {
    pub fn new(first: Box<dyn SyncingStrategy<B>>, make: Make<B>) -> Self {
        Self {
            current: first,
            make,
            wanted: Vec::new(),
        }
    }

    fn begin(&mut self) {
        match (self.make)() {
            Ok(Some(mut fresh)) => {
                for (hash, number) in &self.wanted {
                    fresh.request_justification(hash, *number);
                }
                self.current = fresh;
                tracing::debug!(target: "sync", "all peers are gone; sync begins afresh");
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(target: "sync", "sync cannot begin afresh without its peers: {error}");
            }
        }
    }
}

impl<B: BlockT> SyncingStrategy<B> for Afresh<B> {
    fn remove_peer(&mut self, peer: &PeerId) {
        self.current.remove_peer(peer);
        if self.current.num_peers() == 0 {
            self.begin();
        }
    }

    fn request_justification(&mut self, hash: &B::Hash, number: NumberFor<B>) {
        if !self.wanted.contains(&(*hash, number)) {
            self.wanted.push((*hash, number));
        }
        self.current.request_justification(hash, number);
    }

    fn clear_justification_requests(&mut self) {
        self.wanted.clear();
        self.current.clear_justification_requests();
    }

    fn on_block_finalized(&mut self, hash: &B::Hash, number: NumberFor<B>) {
        self.wanted.retain(|(_, wanted)| *wanted > number);
        self.current.on_block_finalized(hash, number);
    }

    fn add_peer(&mut self, peer: PeerId, best_hash: B::Hash, best_number: NumberFor<B>) {
        self.current.add_peer(peer, best_hash, best_number);
    }

    fn on_validated_block_announce(
        &mut self,
        is_best: bool,
        peer: PeerId,
        announce: &BlockAnnounce<B::Header>,
    ) -> Option<(B::Hash, NumberFor<B>)> {
        self.current
            .on_validated_block_announce(is_best, peer, announce)
    }

    fn set_sync_fork_request(&mut self, peers: Vec<PeerId>, hash: &B::Hash, number: NumberFor<B>) {
        self.current.set_sync_fork_request(peers, hash, number);
    }

    fn on_justification_import(&mut self, hash: B::Hash, number: NumberFor<B>, success: bool) {
        self.current.on_justification_import(hash, number, success);
    }

    fn on_generic_response(
        &mut self,
        peer: &PeerId,
        key: StrategyKey,
        protocol: ProtocolName,
        response: Box<dyn Any + Send>,
    ) {
        self.current
            .on_generic_response(peer, key, protocol, response);
    }

    fn on_blocks_processed(&mut self, imported: usize, count: usize, results: Vec<Imported<B>>) {
        self.current.on_blocks_processed(imported, count, results);
    }

    fn update_chain_info(&mut self, best_hash: &B::Hash, best_number: NumberFor<B>) {
        self.current.update_chain_info(best_hash, best_number);
    }

    fn is_major_syncing(&self) -> bool {
        self.current.is_major_syncing()
    }

    fn num_peers(&self) -> usize {
        self.current.num_peers()
    }

    fn status(&self) -> SyncStatus<B> {
        self.current.status()
    }

    fn num_downloaded_blocks(&self) -> usize {
        self.current.num_downloaded_blocks()
    }

    fn num_sync_requests(&self) -> usize {
        self.current.num_sync_requests()
    }

    fn actions(&mut self, network: &NetworkServiceHandle) -> Result<Vec<SyncingAction<B>>, Error> {
        self.current.actions(network)
    }
}

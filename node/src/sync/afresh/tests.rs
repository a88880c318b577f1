use std::sync::{Arc, Mutex};

use assay_runtime::opaque::Block;
use sc_network_sync::SyncState;
use sp_core::H256;

use super::*;

/// What a strategy was told, beside the peers that it has.
type Told = Arc<Mutex<Vec<(H256, u32)>>>;

/// A strategy that only counts its peers and remembers which justifications it was asked for.
#[derive(Default)]
struct Plain {
    peers: Vec<PeerId>,
    told: Told,
}

impl SyncingStrategy<Block> for Plain {
    fn add_peer(&mut self, peer: PeerId, _: H256, _: u32) {
        self.peers.push(peer);
    }
    fn remove_peer(&mut self, peer: &PeerId) {
        self.peers.retain(|known| known != peer);
    }
    fn num_peers(&self) -> usize {
        self.peers.len()
    }
    fn request_justification(&mut self, hash: &H256, number: u32) {
        self.told.lock().unwrap().push((*hash, number));
    }
    fn clear_justification_requests(&mut self) {}
    fn on_justification_import(&mut self, _: H256, _: u32, _: bool) {}
    fn on_block_finalized(&mut self, _: &H256, _: u32) {}
    fn update_chain_info(&mut self, _: &H256, _: u32) {}
    fn set_sync_fork_request(&mut self, _: Vec<PeerId>, _: &H256, _: u32) {}
    fn on_validated_block_announce(
        &mut self,
        _: bool,
        _: PeerId,
        _: &BlockAnnounce<<Block as BlockT>::Header>,
    ) -> Option<(H256, u32)> {
        None
    }
    fn on_generic_response(
        &mut self,
        _: &PeerId,
        _: StrategyKey,
        _: ProtocolName,
        _: Box<dyn Any + Send>,
    ) {
    }
    fn on_blocks_processed(&mut self, _: usize, _: usize, _: Vec<Imported<Block>>) {}
    fn is_major_syncing(&self) -> bool {
        false
    }
    fn status(&self) -> SyncStatus<Block> {
        SyncStatus {
            state: SyncState::Idle,
            best_seen_block: None,
            num_peers: self.peers.len() as u32,
            queued_blocks: 0,
            state_sync: None,
            warp_sync: None,
        }
    }
    fn num_downloaded_blocks(&self) -> usize {
        0
    }
    fn num_sync_requests(&self) -> usize {
        0
    }
    fn actions(&mut self, _: &NetworkServiceHandle) -> Result<Vec<SyncingAction<Block>>, Error> {
        Ok(Vec::new())
    }
}

/// A strategy with so many peers, and what every later one was told. There is no later one unless `ready`.
fn syncing(peers: usize, ready: bool) -> (Afresh<Block>, Vec<PeerId>, Arc<Mutex<Vec<Told>>>) {
    let made = Arc::new(Mutex::new(Vec::new()));
    let make = {
        let made = made.clone();
        Box::new(move || {
            if !ready {
                return Ok(None);
            }
            let fresh = Plain::default();
            made.lock().unwrap().push(fresh.told.clone());
            Ok(Some(Box::new(fresh) as Box<dyn SyncingStrategy<Block>>))
        })
    };
    let mut sync = Afresh::new(Box::new(Plain::default()), make);
    let peers: Vec<_> = (0..peers).map(|_| PeerId::random()).collect();
    for peer in &peers {
        sync.add_peer(*peer, H256::zero(), 7);
    }
    (sync, peers, made)
}

#[test]
fn sync_begins_afresh_with_the_last_peer_that_goes() {
    let (mut sync, peers, made) = syncing(3, true);
    for (left, peer) in [2, 1, 0].into_iter().zip(&peers) {
        assert_eq!(made.lock().unwrap().len(), 0);
        sync.remove_peer(peer);
        assert_eq!(sync.num_peers(), left);
    }
    assert_eq!(made.lock().unwrap().len(), 1);
    sync.add_peer(peers[0], H256::zero(), 9);
    assert_eq!(sync.num_peers(), 1);
}

#[test]
fn what_is_not_final_yet_is_asked_for_again() {
    let (mut sync, peers, made) = syncing(1, true);
    let hash = |byte| H256::repeat_byte(byte);
    for number in [10, 20, 30, 30] {
        sync.request_justification(&hash(number), number.into());
    }
    sync.on_block_finalized(&hash(20), 20);
    sync.remove_peer(&peers[0]);
    let told = made.lock().unwrap()[0].lock().unwrap().clone();
    assert_eq!(told, [(hash(30), 30)]);

    sync.clear_justification_requests();
    sync.add_peer(peers[0], H256::zero(), 9);
    sync.remove_peer(&peers[0]);
    assert!(made.lock().unwrap()[1].lock().unwrap().is_empty());
}

#[test]
fn a_warp_sync_goes_on_without_peers() {
    let (mut sync, peers, made) = syncing(2, false);
    sync.request_justification(&H256::zero(), 4);
    for peer in &peers {
        sync.remove_peer(peer);
    }
    assert!(made.lock().unwrap().is_empty());
    sync.add_peer(peers[1], H256::zero(), 9);
    assert_eq!(sync.num_peers(), 1);
}

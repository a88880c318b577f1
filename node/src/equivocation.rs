//! Reports of validators that make two blocks for one slot.
//!
//! The SDK's import of blocks compares headers whose seals were taken off before (sc-consensus-babe 0.60), and the
//! runtime refuses the report of it: nobody has signed what it shows. So the headers are compared here, as they were
//! signed, ahead of the SDK's import, which goes on reporting as before and is refused as before.

use crate::parts::FullClient;
use assay_runtime::{opaque::Block, Header};
use sc_client_api::{blockchain, AuxStore};
use sc_consensus::{BlockCheckParams, BlockImport, BlockImportParams, ImportResult};
use sc_consensus_slots::check_equivocation;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_api::{ApiExt, ProvideRuntimeApi};
use sp_consensus::{BlockOrigin, Error as ConsensusError};
use sp_consensus_babe::{
    digests::CompatibleDigestItem, AuthorityId, BabeApi, EquivocationProof, Slot, SlotDuration,
};
use sp_runtime::traits::Header as _;
use sp_timestamp::Timestamp;
use std::{error::Error, sync::Arc};

/// What the database has of signed headers is under keys of its own: the SDK's have headers without seals.
const KEYS: &[u8] = b"assay_signed_";

/// Imports blocks, and reports their authors if these made another for the same slot.
#[derive(Clone)]
pub struct Reporting<I> {
    import: I,
    client: Arc<FullClient>,
    pool: OffchainTransactionPoolFactory<Block>,
    slot_duration: SlotDuration,
}

impl<I> Reporting<I> {
    pub fn new(
        import: I,
        client: Arc<FullClient>,
        pool: OffchainTransactionPoolFactory<Block>,
        slot_duration: SlotDuration,
    ) -> Self {
        Self {
            import,
            client,
            pool,
            slot_duration,
        }
    }

    /// Remembers the header, and reports its author if there is another of the same slot.
    fn look(&self, header: &Header) -> Result<(), Box<dyn Error>> {
        let claim = sc_consensus_babe::find_pre_digest::<Block>(header)?;
        let slot = claim.slot();
        let author = self.author(header, slot, claim.authority_index())?;
        let now = Slot::from_timestamp(Timestamp::current(), self.slot_duration);
        let seen = Seen(&*self.client);
        match check_equivocation(&seen, now, slot, header, &author)? {
            None => Ok(()),
            Some(proof) => self.report(header, proof),
        }
    }

    /// The key that the author's place in the epoch's set stands for. Nothing else than the seal says who made a
    /// block, and that was checked.
    fn author(
        &self,
        header: &Header,
        slot: Slot,
        index: u32,
    ) -> Result<AuthorityId, Box<dyn Error>> {
        let (api, parent) = (self.client.runtime_api(), *header.parent_hash());
        let current = api.current_epoch(parent)?;
        let end = current.start_slot.saturating_add(current.duration);
        let epoch = match slot < end {
            true => current,
            false => api.next_epoch(parent)?,
        };
        let author = epoch.authorities.into_iter().nth(index as usize);
        let (author, _) = author.ok_or("its author is not in the epoch's set")?;
        Ok(author)
    }

    fn report(
        &self,
        header: &Header,
        proof: EquivocationProof<Header>,
    ) -> Result<(), Box<dyn Error>> {
        let (slot, offender) = (proof.slot, proof.offender.clone());
        let best = self.client.chain_info().best_hash;
        let owner = |block| {
            let api = self.client.runtime_api();
            api.generate_key_ownership_proof(block, slot, offender.clone())
        };
        // The first block of a session has its parent in another.
        let owner = match owner(*header.parent_hash())? {
            Some(owner) => Some(owner),
            None => owner(best)?,
        };
        let owner = owner.ok_or("the offender is in no session's set")?;
        let mut api = self.client.runtime_api();
        api.register_extension(self.pool.offchain_transaction_pool(best));
        api.submit_report_equivocation_unsigned_extrinsic(best, proof, owner)?;
        tracing::warn!(
            target: "babe",
            "Validator {offender} made two blocks for slot {slot}: reported",
        );
        Ok(())
    }
}

#[async_trait::async_trait]
impl<I> BlockImport<Block> for Reporting<I>
where
    I: BlockImport<Block, Error = ConsensusError> + Send + Sync,
{
    type Error = ConsensusError;

    async fn check_block(
        &self,
        block: BlockCheckParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        self.import.check_block(block).await
    }

    async fn import_block(
        &self,
        block: BlockImportParams<Block>,
    ) -> Result<ImportResult, Self::Error> {
        // Blocks of long ago have no state, and nobody is punished for them any more.
        if block.origin != BlockOrigin::NetworkInitialSync {
            if let Some(header) = signed(&block) {
                // That does not make the block a worse one.
                if let Err(error) = self.look(&header) {
                    tracing::debug!(
                        target: "babe",
                        "Block {} was not compared with others of its slot: {error}",
                        header.hash()
                    );
                }
            }
        }
        self.import.import_block(block).await
    }
}

/// The header with its author's seal, which an import keeps apart from it.
fn signed(block: &BlockImportParams<Block>) -> Option<Header> {
    let mut header = block.header.clone();
    for item in &block.post_digests {
        header.digest_mut().push(item.clone());
    }
    let last = header.digest().logs().last()?;
    last.as_babe_seal()?;
    Some(header)
}

/// A database with the same entries under other keys.
struct Seen<'a, C>(&'a C);

impl<C: AuxStore> AuxStore for Seen<'_, C> {
    fn insert_aux<
        'a,
        'b: 'a,
        'c: 'a,
        I: IntoIterator<Item = &'a (&'c [u8], &'c [u8])>,
        D: IntoIterator<Item = &'a &'b [u8]>,
    >(
        &self,
        insert: I,
        delete: D,
    ) -> blockchain::Result<()> {
        let own = |key: &[u8]| [KEYS, key].concat();
        let insert = insert.into_iter().map(|(key, value)| (own(key), *value));
        let insert: Vec<(Vec<u8>, &[u8])> = insert.collect();
        let insert: Vec<(&[u8], &[u8])> = insert
            .iter()
            .map(|(key, value)| (&key[..], *value))
            .collect();
        let delete: Vec<Vec<u8>> = delete.into_iter().map(|key| own(key)).collect();
        let delete: Vec<&[u8]> = delete.iter().map(|key| &key[..]).collect();
        self.0.insert_aux(&insert, &delete)
    }

    fn get_aux(&self, key: &[u8]) -> blockchain::Result<Option<Vec<u8>>> {
        self.0.get_aux(&[KEYS, key].concat())
    }
}

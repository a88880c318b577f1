//! Referenda: what is proposed, how it stands, and calls that are known by their bytes alone.

use subxt::{
    dynamic::Value,
    transactions::{DynamicPayload, Payload},
    utils::{AccountId32, H256},
};

use super::{
    runtime::{self, runtime_types},
    Snapshot,
};
use crate::Error;

pub use runtime_types::{
    assay_runtime::{governance::pallet::Origin as GovernanceOrigin, OriginCaller},
    frame_support::{
        dispatch::RawOrigin,
        traits::{preimages::Bounded, schedule::DispatchTime},
    },
    pallet_conviction_voting::vote::{AccountVote, Vote, Voting},
    pallet_referenda::types::ReferendumInfo,
};

pub type Referendum = runtime::referenda::storage::referendum_info_for::Output;

/// The most bytes of a call that a referendum holds itself.
pub const MAX_INLINE_BYTES: usize = 128;

/// Longer arguments are a runtime, and nothing to read.
const MAX_SHOWN_BYTES: usize = 4_096;

/// A track of referenda.
pub struct Track {
    pub id: u16,
    pub name: String,
    /// Planck that must be put down before anything is decided; they come back.
    pub decision_deposit: u128,
    /// Blocks.
    pub prepare_period: u32,
    pub decision_period: u32,
    pub confirm_period: u32,
    pub min_enactment_period: u32,
}

/// What a call is, from its bytes.
pub struct Described {
    /// `System.set_code`.
    pub name: String,
    /// Its arguments as text.
    pub arguments: String,
}

impl Snapshot {
    pub async fn referendum(&self, index: u32) -> Result<Option<Referendum>, Error> {
        let address = runtime::storage().referenda().referendum_info_for();
        self.get(address, (index,)).await
    }

    /// How many referenda there have ever been: the index of the next one.
    pub async fn referendum_count(&self) -> Result<u32, Error> {
        let address = runtime::storage().referenda().referendum_count();
        self.get_or_default(address, ()).await
    }

    pub fn tracks(&self) -> Result<Vec<Track>, Error> {
        let address = runtime::constants().referenda().tracks();
        let tracks = self.client().constants().entry(address);
        let tracks = tracks.map_err(Error::node)?.into_iter();
        Ok(tracks
            .map(|(id, info)| Track {
                id,
                name: info.name.trim_end_matches('\0').into(),
                decision_deposit: info.decision_deposit,
                prepare_period: info.prepare_period,
                decision_period: info.decision_period,
                confirm_period: info.confirm_period,
                min_enactment_period: info.min_enactment_period,
            })
            .collect())
    }

    /// What proposing a referendum costs until it is over, in planck.
    pub fn submission_deposit(&self) -> Result<u128, Error> {
        let address = runtime::constants().referenda().submission_deposit();
        let constants = self.client().constants();
        constants.entry(address).map_err(Error::node)
    }

    /// A call that somebody has put on chain.
    pub async fn preimage(&self, hash: H256, len: u32) -> Result<Option<Vec<u8>>, Error> {
        let address = runtime::storage().preimage().preimage_for();
        let preimage = self.get(address, ((hash, len),)).await?;
        Ok(preimage.map(|bytes| bytes.0))
    }

    /// The track under which an account has a vote on a referendum; none if it has none.
    pub async fn voted_track(&self, who: AccountId32, index: u32) -> Result<Option<u16>, Error> {
        let address = runtime::storage().conviction_voting().voting_for();
        let storage = self.client().storage();
        let mut entries = storage.iter(address, (who,)).await.map_err(Error::node)?;
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(Error::node)?;
            let Voting::Casting(casting) = entry.value().decode().map_err(Error::node)? else {
                continue;
            };
            if casting.votes.0.iter().any(|(poll, _)| *poll == index) {
                let key = entry.key().and_then(|key| key.decode());
                return Ok(Some(key.map_err(Error::node)?.1));
            }
        }
        Ok(None)
    }

    /// The bytes of a call.
    pub fn encode_call<C: Payload>(&self, call: &C) -> Result<Vec<u8>, Error> {
        let transactions = self.client().transactions();
        transactions.call_data(call).map_err(Error::node)
    }

    /// What these bytes call; an error if they are no call of this runtime.
    pub fn describe_call(&self, bytes: &[u8]) -> Result<Described, Error> {
        if bytes.len() > MAX_SHOWN_BYTES {
            return Ok(Described {
                name: self.call_name(bytes),
                arguments: format!("({} bytes)", bytes.len().saturating_sub(2)),
            });
        }
        let transactions = self.client().transactions();
        let call: DynamicPayload<_> = transactions
            .from_call_data_bytes(bytes)
            .map_err(Error::node)?;
        let arguments = Value::<()>::without_context(call.call_data().clone().into());
        Ok(Described {
            name: format!("{}.{}", call.pallet_name(), call.call_name()),
            arguments: arguments.to_string(),
        })
    }

    fn call_name(&self, bytes: &[u8]) -> String {
        let metadata = self.client().metadata_ref();
        let name = bytes.first().zip(bytes.get(1)).and_then(|(pallet, call)| {
            let pallet = metadata.pallet_by_call_index(*pallet)?;
            let call = pallet.call_variant_by_index(*call)?;
            Some(format!("{}.{}", pallet.name(), call.name))
        });
        name.unwrap_or_else(|| "no call of this runtime".into())
    }

    /// The parameters of a pallet as governance has set them, whatever fields they have.
    pub async fn parameters_of(&self, pallet: &str) -> Result<Option<Value>, Error> {
        let address = subxt::dynamic::storage::<(), Value>(pallet, "Params");
        let storage = self.client().storage();
        match storage.fetch(address, ()).await {
            Ok(value) => value.decode().map(Some).map_err(Error::node),
            Err(subxt::error::StorageError::PalletNameNotFound(_))
            | Err(subxt::error::StorageError::StorageEntryNotFound { .. }) => Ok(None),
            Err(error) => Err(Error::node(error)),
        }
    }

    /// The names of the pallets.
    pub fn pallets(&self) -> Vec<String> {
        let metadata = self.client().metadata_ref();
        let pallets = metadata.pallets();
        pallets.map(|pallet| pallet.name().to_owned()).collect()
    }
}

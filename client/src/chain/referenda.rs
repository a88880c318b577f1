//! Referenda: what is proposed, how it stands, and calls that are known by their bytes alone.

use assay_primitives::blake2_256;
use codec::Encode;
use subxt::{
    dynamic::Value,
    ext::scale_value::{Composite, Primitive, ValueDef, Variant},
    metadata::Metadata,
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
use runtime_types::{
    pallet_preimage::RequestStatus,
    pallet_treasury::{PaymentState, SpendStatus},
};

pub type Referendum = runtime::referenda::storage::referendum_info_for::Output;

/// The most bytes of a call that a referendum holds itself.
pub const MAX_INLINE_BYTES: usize = 128;

/// Longer arguments are nothing to read. And calls hold calls: what reads them needs stack for each, and anybody
/// may propose a call with hundreds of them.
const MAX_SHOWN_BYTES: usize = 1_024;

/// Fewer numbers in a row are rather numbers than bytes.
const SHORTEST_BYTES: usize = 16;

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

/// What an account's votes on a track have locked.
pub struct VoteLock {
    /// The track's number.
    pub track: u16,
    /// Planck.
    pub amount: u128,
    /// The referenda that it has votes on.
    pub votes: Vec<u32>,
    /// The block until which votes that were taken back keep it locked; 0 if none does.
    pub until: u32,
}

/// Money of the treasury that a referendum has given somebody, and that waits to be paid.
pub struct Spend {
    pub index: u32,
    /// Planck.
    pub amount: u128,
    pub beneficiary: AccountId32,
    /// The first block in which it can be paid, and the first in which it cannot be paid any more.
    pub valid_from: u32,
    pub expires: u32,
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

    /// What a referendum on the spenders' track may spend from the treasury at a time, in planck.
    pub fn spend_limit(&self) -> Result<u128, Error> {
        let address = runtime::constants().governance().spend_limit();
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

    /// What an account's votes keep locked, by track.
    pub async fn vote_locks(&self, who: AccountId32) -> Result<Vec<VoteLock>, Error> {
        let of = runtime::storage().conviction_voting();
        let locks = self.get_or_default(of.class_locks_for(), (who,)).await?.0;
        let mut found = Vec::with_capacity(locks.len());
        for (track, amount) in locks {
            let voting = self.get_or_default(of.voting_for(), (who, track)).await?;
            let (votes, prior) = match voting {
                Voting::Casting(casting) => {
                    let votes = casting.votes.0.into_iter();
                    (votes.map(|(poll, _)| poll).collect(), casting.prior)
                }
                Voting::Delegating(delegating) => (Vec::new(), delegating.prior),
                // A variant that only the generated type has.
                Voting::__Ignore(_) => continue,
            };
            found.push(VoteLock {
                track,
                amount,
                votes,
                until: prior.0,
            });
        }
        Ok(found)
    }

    /// The block in which the call of an approved referendum is due; none if it is done, or never was.
    pub async fn enactment(&self, index: u32) -> Result<Option<u32>, Error> {
        let task = blake2_256(&(*b"assembly", "enactment", index).encode());
        let address = runtime::storage().scheduler().lookup();
        let due = self.get(address, (task,)).await?;
        Ok(due.map(|(block, _)| block))
    }

    /// The hashes of the calls that an account has put on chain and has a deposit for.
    pub async fn preimages_of(&self, who: AccountId32) -> Result<Vec<H256>, Error> {
        let address = runtime::storage().preimage().request_status_for();
        let storage = self.client().storage();
        let mut entries = storage.iter(address, ()).await.map_err(Error::node)?;
        let mut found = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(Error::node)?;
            let owner = match entry.value().decode().map_err(Error::node)? {
                RequestStatus::Unrequested { ticket, .. } => Some(ticket.0),
                RequestStatus::Requested { maybe_ticket, .. } => {
                    maybe_ticket.map(|(owner, _)| owner)
                }
            };
            if owner == Some(who) {
                let key = entry.key().and_then(|key| key.decode());
                found.push(key.map_err(Error::node)?.0);
            }
        }
        Ok(found)
    }

    /// What the treasury is to pay and has not.
    pub async fn spends(&self) -> Result<Vec<Spend>, Error> {
        let address = runtime::storage().treasury().spends();
        let storage = self.client().storage();
        let mut entries = storage.iter(address, ()).await.map_err(Error::node)?;
        let mut found = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(Error::node)?;
            let SpendStatus {
                amount,
                beneficiary,
                valid_from,
                expire_at,
                status,
                ..
            } = entry.value().decode().map_err(Error::node)?;
            if matches!(status, PaymentState::Attempted { .. }) {
                continue;
            }
            let key = entry.key().and_then(|key| key.decode());
            found.push(Spend {
                index: key.map_err(Error::node)?.0,
                amount,
                beneficiary,
                valid_from,
                expires: expire_at,
            });
        }
        found.sort_by_key(|spend| spend.index);
        Ok(found)
    }

    /// The bytes of a call of this runtime.
    pub fn encode_call<C: Payload>(&self, call: &C) -> Result<Vec<u8>, Error> {
        let transactions = self.client().transactions();
        transactions.validate(call).map_err(Error::node)?;
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
        let arguments = readable(Value::without_context(call.call_data().clone().into()));
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

    /// The names of the pallets whose parameters governance sets.
    pub fn pallets_with_parameters(&self) -> Vec<String> {
        with_parameters(self.client().metadata_ref())
    }
}

fn with_parameters(metadata: &Metadata) -> Vec<String> {
    metadata
        .pallets()
        .filter(|pallet| pallet.call_variant_by_name("set_parameters").is_some())
        .map(|pallet| pallet.name().to_owned())
        .collect()
}

/// The same with accounts and hashes as people write them. Both are 32 bytes, so each is written in both ways.
fn readable(value: Value) -> Value {
    if let Some(bytes) = bytes_of(&value) {
        let hex = format!("0x{}", hex::encode(&bytes));
        return Value::string(match <[u8; 32]>::try_from(bytes) {
            Ok(bytes) => format!("{} or {hex}", AccountId32(bytes)),
            Err(_) => hex,
        });
    }
    let inside = |fields: Composite<()>| match fields {
        Composite::Named(fields) => {
            let fields = fields.into_iter();
            Composite::Named(
                fields
                    .map(|(name, field)| (name, readable(field)))
                    .collect(),
            )
        }
        Composite::Unnamed(fields) => {
            Composite::Unnamed(fields.into_iter().map(readable).collect())
        }
    };
    Value::without_context(match value.value {
        ValueDef::Composite(fields) => ValueDef::Composite(inside(fields)),
        ValueDef::Variant(variant) => ValueDef::Variant(Variant {
            values: inside(variant.values),
            ..variant
        }),
        other => other,
    })
}

/// A long row of bytes, also where it is the only thing in a wrapping.
fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    let ValueDef::Composite(Composite::Unnamed(fields)) = &value.value else {
        return None;
    };
    match &fields[..] {
        [only] => bytes_of(only),
        _ if fields.len() < SHORTEST_BYTES => None,
        _ => {
            let bytes = fields.iter().map(|field| match &field.value {
                ValueDef::Primitive(Primitive::U128(byte)) => u8::try_from(*byte).ok(),
                _ => None,
            });
            bytes.collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: u8) -> Value {
        Value::unnamed_composite((0..len).map(|byte| Value::u128(byte.into())))
    }

    #[test]
    fn accounts_and_hashes_are_written_as_people_write_them() {
        let account = Value::unnamed_composite([bytes(32)]);
        let call = Value::named_composite([("to", account), ("amount", Value::u128(5))]);
        let text = readable(call).to_string();
        let address = AccountId32(core::array::from_fn(|byte| byte as u8)).to_string();
        assert!(
            text.contains(&format!("{address} or 0x000102")) && text.contains("amount: 5"),
            "{text}"
        );
        let id = Value::unnamed_variant("Id", [bytes(32)]);
        assert!(readable(id).to_string().contains(&address));
        assert!(readable(bytes(40)).to_string().contains("0x000102"));
    }

    #[test]
    fn a_pallet_whose_parameters_can_be_set_keeps_them_where_they_are_read() {
        let metadata = Metadata::decode_from(include_bytes!("../../metadata.scale")).unwrap();
        let mut pallets = with_parameters(&metadata);
        for pallet in &pallets {
            let storage = metadata.pallet_by_name(pallet).unwrap().storage().unwrap();
            assert!(storage.entry_by_name("Params").is_some(), "{pallet}");
        }
        pallets.sort();
        let known = [
            "Channels",
            "Disputes",
            "Governance",
            "Jobs",
            "Models",
            "Providers",
            "Validators",
        ];
        assert_eq!(pallets, known);
    }

    #[test]
    fn numbers_stay_numbers() {
        for value in [
            bytes(3),
            Value::unnamed_composite([Value::u128(7)]),
            Value::unnamed_composite((0..32).map(|_| Value::u128(256))),
        ] {
            assert_eq!(readable(value.clone()), value);
        }
    }
}

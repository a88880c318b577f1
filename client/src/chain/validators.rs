//! Validators: bonds, elections, and the session keys that a node works with.

use serde::Deserialize;
use subxt::{
    dynamic,
    rpcs::{client::rpc_params, Error as RpcError},
    transactions::DynamicPayload,
    utils::{AccountId32, Encoded, Static},
};

use super::{
    runtime::{self, runtime_types},
    Chain, Snapshot,
};
use crate::Error;

pub use runtime_types::pallet_validators::{
    rewards::{EraStatus, ValidatorStatus},
    types::{Era, Role, UnbondingChunk},
};

pub type Bond = runtime::validators::storage::bonds::Output;
pub type ValidatorParameters = runtime::validators::storage::params::Output;

/// What a node says where a method is for its own machine.
const UNSAFE: &str = "RPC call is unsafe to be called externally";

/// Session keys that a node has just made and keeps, and its proof that it has them.
pub struct NewSessionKeys {
    /// Encoded, as the runtime takes them.
    pub keys: Vec<u8>,
    proof: Vec<u8>,
}

impl NewSessionKeys {
    /// The call that registers them for the account that they were made for.
    pub fn register(&self) -> DynamicPayload<(Static<Encoded>, Vec<u8>)> {
        // Which keys there are is the runtime's business: the bytes pass through.
        let keys = Static(Encoded(self.keys.clone()));
        dynamic::tx("Session", "set_keys", (keys, self.proof.clone()))
    }
}

impl Chain {
    /// Have the node make session keys for a validator. The node keeps them from then on, and works with
    /// them once they are registered and their session begins.
    pub async fn new_session_keys(&self, owner: &AccountId32) -> Result<NewSessionKeys, Error> {
        #[derive(Deserialize)]
        struct Made {
            keys: String,
            proof: Option<String>,
        }
        let owner = format!("0x{}", hex::encode(owner.0));
        let made: Made = self
            .client
            .request("author_rotateKeysWithOwner", rpc_params![owner])
            .await
            .map_err(|error| self.refused(error))?;
        let proof = made
            .proof
            .ok_or_else(|| Error::Node("it made session keys and no proof of them".into()))?;
        Ok(NewSessionKeys {
            keys: bytes(&made.keys)?,
            proof: bytes(&proof)?,
        })
    }

    /// Whether the node has all of these session keys; none if it does not say, as to other machines.
    pub async fn has_session_keys(&self, keys: &[u8]) -> Result<Option<bool>, Error> {
        let keys = format!("0x{}", hex::encode(keys));
        let answer = self
            .client
            .request("author_hasSessionKeys", rpc_params![keys])
            .await;
        match answer.map_err(|error| self.refused(error)) {
            Ok(has) => Ok(Some(has)),
            Err(Error::Unsafe { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn refused(&self, error: RpcError) -> Error {
        match error {
            RpcError::User(refusal) if refusal.message.contains(UNSAFE) => Error::Unsafe {
                url: self.url().into(),
            },
            other => Error::node(other),
        }
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, Error> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex);
    hex::decode(digits).map_err(|_| Error::Node(format!("{hex:?} is not hexadecimal")))
}

impl Snapshot {
    /// What an account has bonded, and what it does with it.
    pub async fn bond(&self, who: AccountId32) -> Result<Option<Bond>, Error> {
        self.get(runtime::storage().validators().bonds(), (who,))
            .await
    }

    pub async fn validator_parameters(&self) -> Result<ValidatorParameters, Error> {
        self.get_or_default(runtime::storage().validators().params(), ())
            .await
    }

    /// Who stands for election, and the planck behind each; none behind one that cannot be elected.
    pub async fn standings(&self) -> Result<Vec<(AccountId32, u128)>, Error> {
        self.view(runtime::view_functions().validators().standings())
            .await
    }

    /// The last era that was planned: the one that runs, or the one that begins with the next session.
    pub async fn planned_era(&self) -> Result<Option<Era>, Error> {
        self.get(runtime::storage().validators().planned(), ())
            .await
    }

    /// Whom the last election elected.
    pub async fn elected(&self) -> Result<Vec<AccountId32>, Error> {
        let elected = runtime::storage().validators().elected();
        Ok(self.get_or_default(elected, ()).await?.0)
    }

    /// Who makes blocks in this session, with those who are disabled.
    pub async fn session_validators(&self) -> Result<Vec<(AccountId32, bool)>, Error> {
        let of = runtime::storage().session();
        let validators = self.get_or_default(of.validators(), ()).await?;
        let disabled = self.get_or_default(of.disabled_validators(), ()).await?;
        let is_disabled = |place: usize| disabled.iter().any(|(other, _)| *other as usize == place);
        let validators = validators.into_iter().enumerate();
        Ok(validators
            .map(|(place, who)| (who, is_disabled(place)))
            .collect())
    }

    /// The number of this session.
    pub async fn session(&self) -> Result<u32, Error> {
        self.get_or_default(runtime::storage().session().current_index(), ())
            .await
    }

    /// Whoever backs an account, and the planck of each.
    pub async fn nominators(&self, who: AccountId32) -> Result<Vec<(AccountId32, u128)>, Error> {
        let nominators = runtime::storage().validators().nominators();
        let backings = self.get_or_default(nominators, (who,)).await?.0;
        let backings = backings.into_iter();
        Ok(backings
            .map(|backing| (backing.nominator, backing.amount))
            .collect())
    }

    /// The session keys that an account has registered, encoded.
    pub async fn session_keys(&self, who: AccountId32) -> Result<Option<Vec<u8>>, Error> {
        let address = runtime::storage().session().next_keys();
        let storage = self.client().storage();
        let keys = storage
            .try_fetch(address, (who,))
            .await
            .map_err(Error::node)?;
        Ok(keys.map(|keys| keys.into_bytes()))
    }

    /// What registering session keys costs for as long as they are registered, in planck.
    pub fn session_key_deposit(&self) -> Result<u128, Error> {
        let address = runtime::constants().session().key_deposit();
        let constants = self.client().constants();
        constants.entry(address).map_err(Error::node)
    }

    /// The era that runs.
    pub async fn era_status(&self) -> Result<EraStatus, Error> {
        self.view(runtime::view_functions().validators().era())
            .await
    }

    /// What a validator has earned and can be paid.
    pub async fn validator_status(&self, who: AccountId32) -> Result<ValidatorStatus, Error> {
        self.view(runtime::view_functions().validators().rewards(who))
            .await
    }
}

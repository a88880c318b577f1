//! What the chain would say of a call, asked without a transaction. A move that it refuses costs a fee, and the
//! same move at the same state of a dispute is refused again.

use subxt::{
    config::PolkadotExtrinsicParamsBuilder, error::DispatchError, transactions::Payload,
    PolkadotConfig,
};
use subxt_signer::sr25519::Keypair;

use crate::{keys, Error, Snapshot};

/// Applies a transaction to a state, which is then forgotten.
const APPLY: &str = "BlockBuilder_apply_extrinsic";

/// How a call would end that is the next one behind a block.
#[derive(Debug)]
pub enum Trial {
    /// It succeeds.
    Taken,
    /// It fails, and costs its fee.
    Refused(Error),
    /// It does not come so far: its fee cannot be paid, or the block has no room. Sending it says more.
    Unknown,
}

impl Snapshot {
    /// Tries a call of `key`'s on the state behind this block. Nothing is sent, and nothing changes.
    pub async fn trial<C: Payload>(&self, call: &C, key: &Keypair) -> Result<Trial, Error> {
        let transactions = self.client().transactions();
        let nonce = transactions.account_nonce(&keys::account(key)).await;
        let params = PolkadotExtrinsicParamsBuilder::<PolkadotConfig>::new()
            .immortal()
            .nonce(nonce.map_err(Error::node)?)
            .build();
        let signed = transactions.create_signable_offline(call, params);
        let signed = signed.and_then(|mut call| call.sign(key));
        let signed = signed.map_err(Error::node)?;
        let apis = self.client().runtime_apis();
        let said = apis.call_raw(APPLY, Some(signed.encoded())).await;
        let said = said.map_err(Error::node)?;
        // An `ApplyExtrinsicResult`: whether it is valid at all, and then how it ended.
        match said.as_slice() {
            [0, 0] => Ok(Trial::Taken),
            [0, 1, error @ ..] => {
                let metadata = self.client().metadata();
                let error = DispatchError::decode_from(error, metadata);
                let error = error.map_err(|error| Error::Node(error.to_string()))?;
                let name = format!("{}.{}", call.pallet_name(), call.call_name());
                Ok(Trial::Refused(Error::dispatch(&name, &error)))
            }
            _ => Ok(Trial::Unknown),
        }
    }
}

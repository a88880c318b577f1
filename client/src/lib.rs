//! What the worker and the `assay` command share: the chain as its metadata describes it, keys,
//! amounts of money, and the parts of a model folder that a listing names by hash.
//!
//! * [`Chain`] connects, sends calls and hands out [`Snapshot`]s: the storage at one block.
//! * [`Endpoint`] is where a provider's clients find its server.
//! * [`keys`] reads a key from a secret URI or a file; [`Amount`] reads and prints money exactly.
//! * [`folder`] checks a model folder and turns it into the [`assay_primitives::ModelParts`] of its
//!   listing.
//! * [`answer`] is an answer with all that is needed to check it again, and its file.
//! * [`dispute`] reads disputes and plays them, for either side.
//! * [`Text`] turns conversations into tokens and tokens into text, with the files that a listing names.
//! * [`SignedReceipt`] is what a provider put its name to, and [`listing_id`] binds it to a model.

pub mod amount;
pub mod answer;
pub mod chain;
pub mod dispute;
mod endpoint;
mod error;
pub mod folder;
pub mod keys;
mod receipt;
pub mod text;

pub use self::{
    amount::Amount,
    chain::{Chain, Included, Snapshot, Wait},
    endpoint::Endpoint,
    error::{shortened, Error},
    receipt::{listing_id, SignedReceipt},
    text::Text,
};
pub use assay_primitives as primitives;
pub use subxt;
pub use subxt::utils::{AccountId32, H256};
pub use subxt_signer::sr25519::Keypair;

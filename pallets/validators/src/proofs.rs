//! Whose a key was in a session: what a report of an equivocation has to prove.
//!
//! The session pallet's own proofs of the present session are made of the keys that each validator has
//! set for the next one. So who has set new keys could equivocate with the old ones, and nobody could
//! prove whose they were. Here they are made and checked with the keys that the session works with.

use frame_support::{
    storage::{with_transaction_unchecked, TransactionOutcome},
    traits::KeyOwnerProofSystem,
};
use pallet_session::{
    historical::{IdentificationTuple, Pallet as Historical},
    NextKeys,
};
use sp_runtime::KeyTypeId;
use sp_session::MembershipProof;

use crate::{Config, KeysInUse, Pallet};

impl<T: Config, D: AsRef<[u8]>> KeyOwnerProofSystem<(KeyTypeId, D)> for Pallet<T> {
    type Proof = MembershipProof;
    type IdentificationTuple = IdentificationTuple<T>;

    /// Prove whose this key is in the present session.
    fn prove(key: (KeyTypeId, D)) -> Option<MembershipProof> {
        with_keys_in_use::<T, _>(|| Historical::<T>::prove(key))
    }

    fn check_proof(key: (KeyTypeId, D), proof: MembershipProof) -> Option<IdentificationTuple<T>> {
        with_keys_in_use::<T, _>(|| Historical::<T>::check_proof(key, proof))
    }
}

/// Look at the state as if nobody had set keys since this session was planned.
fn with_keys_in_use<T: Config, R>(look: impl FnOnce() -> R) -> R {
    with_transaction_unchecked(|| {
        for (who, keys) in KeysInUse::<T>::get() {
            NextKeys::<T>::insert(who, keys);
        }
        TransactionOutcome::Rollback(look())
    })
}

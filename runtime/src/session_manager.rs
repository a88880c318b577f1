//! The authority set of a chain whose validators are named in its genesis and stay.

use crate::{AccountId, Historical, Runtime, RuntimeCall, Session};
use alloc::vec::Vec;
use frame_support::{parameter_types, traits::Contains};
use sp_runtime::traits::Convert;
use sp_staking::SessionIndex;

parameter_types! {
    /// Past sessions whose equivocations can still be reported: a week of one-hour sessions.
    pub const KeptSessions: u32 = 168;
}

/// Plans every session with the validators that the genesis gave session keys.
///
/// The set is returned even though it never changes: for `None`, `NoteHistoricalRoot` copies the
/// root of the session before, which is wrong once a validator has rotated its keys, and at genesis
/// there is none to copy. Equivocations of those sessions could then not be proven.
pub struct GenesisAuthorities;

impl GenesisAuthorities {
    /// `None` when there is nobody: a session without validators would stop the chain.
    fn with_identification(validators: Vec<AccountId>) -> Option<Vec<(AccountId, ())>> {
        if validators.is_empty() {
            return None;
        }
        Some(validators.into_iter().map(|who| (who, ())).collect())
    }

    /// Whoever has keys, in the order of the accounts. Only genesis may ask this: later, any account
    /// can register keys.
    fn at_genesis() -> Vec<AccountId> {
        let mut validators: Vec<_> = pallet_session::NextKeys::<Runtime>::iter_keys().collect();
        validators.sort();
        validators
    }
}

impl pallet_session::SessionManager<AccountId> for GenesisAuthorities {
    fn new_session(_: SessionIndex) -> Option<Vec<AccountId>> {
        Some(Session::validators()).filter(|validators| !validators.is_empty())
    }

    fn new_session_genesis(_: SessionIndex) -> Option<Vec<AccountId>> {
        Some(Self::at_genesis()).filter(|validators| !validators.is_empty())
    }

    fn start_session(_: SessionIndex) {}

    /// Forgets the roots of sessions too old to be reported; the session pallet never does.
    fn end_session(ended: SessionIndex) {
        let oldest_kept = ended.saturating_sub(KeptSessions::get());
        if oldest_kept > 0 {
            Historical::prune_up_to(oldest_kept);
        }
    }
}

impl pallet_session::historical::SessionManager<AccountId, ()> for GenesisAuthorities {
    fn new_session(_: SessionIndex) -> Option<Vec<(AccountId, ())>> {
        Self::with_identification(Session::validators())
    }

    fn new_session_genesis(_: SessionIndex) -> Option<Vec<(AccountId, ())>> {
        Self::with_identification(Self::at_genesis())
    }

    fn start_session(index: SessionIndex) {
        <Self as pallet_session::SessionManager<AccountId>>::start_session(index)
    }

    fn end_session(index: SessionIndex) {
        <Self as pallet_session::SessionManager<AccountId>>::end_session(index)
    }
}

/// Identifies every validator by its account alone. It must answer for each member of a session,
/// or the session's root would count fewer members than there were and reject all proofs.
pub struct ByAccountAlone;

impl Convert<AccountId, Option<()>> for ByAccountAlone {
    fn convert(_: AccountId) -> Option<()> {
        Some(())
    }
}

/// Calls that anybody may make: all, except that nobody can purge session keys. The session pallet
/// silently drops a validator without keys, so a fixed set would shrink until the chain stops, and
/// the proofs of the current session would be lost with the keys.
pub struct CallFilter;

impl Contains<RuntimeCall> for CallFilter {
    fn contains(call: &RuntimeCall) -> bool {
        !matches!(
            call,
            RuntimeCall::Session(pallet_session::Call::purge_keys {})
        )
    }
}

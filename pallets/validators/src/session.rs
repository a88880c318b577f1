//! What the session pallet asks: who validates, and what to do when a session begins and ends.

use alloc::vec::Vec;
use core::marker::PhantomData;

use frame_support::{
    pallet_prelude::*,
    traits::{Contains, IsSubType},
};
use pallet_session::historical;
use sp_runtime::traits::Convert;
use sp_staking::{offence::OffenceSeverity, SessionIndex};

use crate::{
    Config, EraOfSession, Event, Exposures, KeptFrom, KeysInUse, Offenders, Pallet, Params, Slashed,
};

/// Sessions that are forgotten when one ends, at most: more than one only after governance has
/// shortened the time in which offences can be reported.
const FORGOTTEN_AT_ONCE: usize = 4;

impl<T: Config> pallet_session::SessionManager<T::AccountId> for Pallet<T> {
    /// The set is returned even where it does not change: for `None`, the root of the session before
    /// is copied, which is wrong once a validator has rotated its keys, and at genesis there is none to
    /// copy. Offences in those sessions could then not be proven.
    fn new_session(session: SessionIndex) -> Option<Vec<T::AccountId>> {
        Self::plan_session(session)
    }

    fn start_session(session: SessionIndex) {
        Self::begin_session(session);
    }

    fn end_session(session: SessionIndex) {
        Self::forget_sessions(session);
    }
}

impl<T: Config> historical::SessionManager<T::AccountId, ()> for Pallet<T> {
    fn new_session(session: SessionIndex) -> Option<Vec<(T::AccountId, ())>> {
        let set = Self::plan_session(session)?;
        Some(set.into_iter().map(|who| (who, ())).collect())
    }

    fn start_session(session: SessionIndex) {
        Self::begin_session(session);
    }

    fn end_session(session: SessionIndex) {
        Self::forget_sessions(session);
    }
}

impl<T: Config> Pallet<T> {
    /// The session pallet has just enabled everybody again, so who is sentenced is disabled anew.
    fn begin_session(session: SessionIndex) {
        KeysInUse::<T>::put(pallet_session::Pallet::<T>::queued_keys());
        let Some(era) = EraOfSession::<T>::get(session) else {
            return;
        };
        let before = session.checked_sub(1).and_then(EraOfSession::<T>::get);
        if let Some(ended) = before.filter(|before| *before != era) {
            Self::reward_era(ended);
            Self::deposit_event(Event::EraStarted { era });
        }
        let offenders: Vec<_> = Offenders::<T>::iter().collect();
        for (who, sentence) in offenders {
            if sentence.era < era {
                Offenders::<T>::remove(who);
            } else {
                let severity = OffenceSeverity(sentence.severity);
                pallet_session::Pallet::<T>::report_offence(who, severity);
            }
        }
    }

    /// Forget what can no longer be reported when this session has ended: its root, and after the last
    /// of an era what answered for it. The session pallet never forgets a root by itself.
    fn forget_sessions(ended: SessionIndex) {
        let kept = Params::<T>::get().bonding_sessions;
        let oldest_kept = ended.saturating_add(1).saturating_sub(kept);
        let from = KeptFrom::<T>::get();
        let forgotten = (from..oldest_kept)
            .take(FORGOTTEN_AT_ONCE)
            .take_while(|session| !Self::slashes_are_due_for(*session));
        let mut next = from;
        for session in forgotten {
            next = session.saturating_add(1);
            let _ = Slashed::<T>::clear_prefix(session, T::MaxValidators::get(), None);
            let Some(era) = EraOfSession::<T>::take(session) else {
                continue;
            };
            if EraOfSession::<T>::get(next) != Some(era) {
                Self::forget_rewards(era);
                let _ = Exposures::<T>::clear_prefix(era, T::MaxValidators::get(), None);
            }
        }
        if next > from {
            KeptFrom::<T>::put(next);
            historical::Pallet::<T>::prune_up_to(next);
        }
    }
}

/// Identifies every validator by its account alone. It must answer for each member of a session,
/// or the session's root would count fewer members than there were and reject all proofs.
pub struct IdentifiedByAccount;

impl<AccountId> Convert<AccountId, Option<()>> for IdentifiedByAccount {
    fn convert(_: AccountId) -> Option<()> {
        Some(())
    }
}

/// Calls that anybody may make: all, except that nobody purges session keys by the session pallet's
/// own call. It would drop a validator from its set and with the keys destroy the proofs of the
/// current session; [`purge_keys`](Pallet::purge_keys) here does it for who has left.
pub struct KeysStay<T>(PhantomData<T>);

impl<T: Config> Contains<T::RuntimeCall> for KeysStay<T>
where
    T::RuntimeCall: IsSubType<pallet_session::Call<T>>,
{
    fn contains(call: &T::RuntimeCall) -> bool {
        !matches!(
            call.is_sub_type(),
            Some(pallet_session::Call::purge_keys {})
        )
    }
}

/// Sessions for which an offence can be reported.
pub struct BondingSessions<T>(PhantomData<T>);

impl<T: Config> Get<SessionIndex> for BondingSessions<T> {
    fn get() -> SessionIndex {
        Params::<T>::get().bonding_sessions
    }
}

impl<T: Config>
    pallet_authorship::EventHandler<T::AccountId, frame_system::pallet_prelude::BlockNumberFor<T>>
    for Pallet<T>
{
    fn note_author(author: T::AccountId) {
        Self::note_points(&author);
    }
}

//! The invariants in the crate's documentation, by their numbers.

#[cfg(any(feature = "try-runtime", feature = "std"))]
impl<T: crate::Config> crate::Pallet<T> {
    pub fn do_try_state() -> Result<(), sp_runtime::TryRuntimeError> {
        use crate::{
            Agenda, ChannelState, Channels, HoldReason, NextChannel, ProviderChannels, UserChannels,
        };
        use alloc::collections::BTreeMap;
        use assay_primitives::Balance;
        use frame_support::{ensure, traits::fungible::InspectHold};

        let mut deposits = BTreeMap::<T::AccountId, Balance>::new();
        let (mut channels, mut due) = (0u64, 0u64);
        for (id, channel) in Channels::<T>::iter() {
            channels = channels.saturating_add(1);
            ensure!(
                channel.settled <= channel.deposit,
                "channels 2: more was settled than was put in"
            );
            ensure!(
                channel.refunded <= channel.settled,
                "channels 2: more was given back than was settled"
            );
            ensure!(
                channel.dues.total() <= channel.settled,
                "channels 2: more is owed of what was settled than was settled"
            );
            let sum = deposits.entry(channel.user.clone()).or_default();
            *sum = sum.saturating_add(channel.on_hold());
            ensure!(
                UserChannels::<T>::contains_key(&channel.user, id),
                "channels 3: a channel that its user cannot find"
            );
            ensure!(
                ProviderChannels::<T>::contains_key(&channel.provider, id),
                "channels 3: a channel that its provider cannot find"
            );
            if let Some(block) = channel.due() {
                due = due.saturating_add(1);
                ensure!(
                    Agenda::<T>::contains_key(block, id),
                    "channels 4: a channel without an agenda entry at its next step"
                );
            }
            if let ChannelState::Closing { finalize_at } = channel.state {
                ensure!(
                    finalize_at > channel.opened_at,
                    "channels 4: a channel that closes before it was opened"
                );
            }
            ensure!(
                channel.epoch <= channel.opened_at,
                "channels 5: a channel older than its provider"
            );
        }
        // Also those who have a hold and no channel.
        for user in frame_system::Account::<T>::iter_keys() {
            let held = T::Currency::balance_on_hold(&HoldReason::Deposit.into(), &user);
            ensure!(
                deposits.get(&user).copied().unwrap_or(0) == held,
                "channels 1: what channels can pay differs from the hold"
            );
        }
        let count = |entries: usize| u64::try_from(entries).unwrap_or(u64::MAX);
        ensure!(
            count(UserChannels::<T>::iter_keys().count()) == channels
                && count(ProviderChannels::<T>::iter_keys().count()) == channels,
            "channels 3: an index names a channel that is not there"
        );
        ensure!(
            count(Agenda::<T>::iter_keys().count()) == due,
            "channels 4: a stray agenda entry"
        );
        ensure!(
            channels <= NextChannel::<T>::get(),
            "channels 6: more channels than numbers were given"
        );
        Ok(())
    }
}

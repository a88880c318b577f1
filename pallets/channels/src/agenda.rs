//! What the chain does by itself: each channel's next step, at its block.

use assay_primitives::ChannelId;
use frame_support::{
    defensive, pallet_prelude::*, storage::with_storage_layer, traits::Get, weights::WeightMeter,
};
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::traits::{One, Saturating, Zero};

use crate::{
    Agenda, AgendaCursor, ChannelRecordOf, ChannelState, Channels, Config, Error, Pallet,
    WeightInfo,
};

impl<T: Config> Pallet<T> {
    /// Store a channel, with an agenda entry for its next step.
    pub(crate) fn file(id: ChannelId, channel: ChannelRecordOf<T>) {
        if let Some(due) = channel.due() {
            Agenda::<T>::insert(due, id, ());
        }
        Channels::<T>::insert(id, channel);
    }

    /// Take back a channel's agenda entry, before its state changes.
    pub(crate) fn unfile(id: ChannelId, channel: &ChannelRecordOf<T>) {
        if let Some(due) = channel.due() {
            Agenda::<T>::remove(due, id);
        }
    }

    /// Take the steps of all blocks up to now, oldest first, for as long as the meter allows. What
    /// is left is taken in the next block.
    pub(crate) fn work_agenda(now: BlockNumberFor<T>, meter: &mut WeightMeter) {
        if meter
            .try_consume(T::DbWeight::get().reads_writes(1, 1))
            .is_err()
        {
            return;
        }
        let start = AgendaCursor::<T>::get();
        let mut cursor = start;
        'blocks: while cursor <= now {
            // One iterator for a block: a new one would walk again over what was removed. New
            // entries are always for later blocks.
            let mut ids = Agenda::<T>::iter_key_prefix(cursor);
            loop {
                if meter.try_consume(T::DbWeight::get().reads(1)).is_err() {
                    break 'blocks;
                }
                let Some(id) = ids.next() else { break };
                if meter.try_consume(T::DbWeight::get().reads(1)).is_err() {
                    break 'blocks;
                }
                let Some(channel) = Channels::<T>::get(id) else {
                    defensive!("an agenda entry without a channel");
                    Agenda::<T>::remove(cursor, id);
                    continue;
                };
                if meter.try_consume(Self::step_weight(&channel)).is_err() {
                    break 'blocks;
                }
                if with_storage_layer(|| Self::step(id, channel)).is_err() {
                    defensive!("a channel's step failed");
                    // Nothing may block the agenda; `finalize` can still take this step.
                    Agenda::<T>::remove(cursor, id);
                }
            }
            cursor = cursor.saturating_add(One::one());
        }
        if cursor != start {
            AgendaCursor::<T>::put(cursor);
        }
    }

    fn step_weight(channel: &ChannelRecordOf<T>) -> Weight {
        match channel.state {
            ChannelState::Open => Weight::zero(),
            ChannelState::Closing { .. } => T::WeightInfo::finalize(),
            ChannelState::Closed { .. } => T::WeightInfo::remove(),
        }
    }

    /// Take the next step of a channel, whose block has come.
    pub(crate) fn step(id: ChannelId, mut channel: ChannelRecordOf<T>) -> DispatchResult {
        Self::unfile(id, &channel);
        match &mut channel.state {
            ChannelState::Open => Err(Error::<T>::NotDue.into()),
            ChannelState::Closing { .. } => Self::refund(id, channel),
            ChannelState::Closed { remove_at } => {
                // What could not be disputed during a pause can be for as long after it.
                let stood_still = T::StoodStill::get();
                let longer = stood_still.saturating_sub(channel.stood_still);
                if longer.is_zero() {
                    return Self::remove(id, channel);
                }
                *remove_at = Self::now().saturating_add(longer);
                channel.stood_still = stood_still;
                Self::file(id, channel);
                Ok(())
            }
        }
    }
}

//! Channels of the account that the store knows nothing of: opened after the backup that it comes from, by hand, or by
//! another gateway. They may be in use there, so nothing happens to them by itself; but their money must not be
//! forgotten.

use std::collections::{HashMap, HashSet};

use assay_client::Amount;
use assay_primitives::ChannelId;

use super::{locked, Channels};
use crate::{
    market::{OnChain, State},
    store::StoreError,
};

impl Channels {
    /// The channels that the chain had when it was looked at last, and the store does not know.
    pub fn unknown(&self) -> Vec<(ChannelId, OnChain)> {
        locked(&self.unknown).clone()
    }

    /// Notes those among the account's channels, and warns of each once. Whatever this gateway asked for itself must have
    /// been adopted before.
    pub(super) fn note_unknown(
        &self,
        on_chain: &HashMap<ChannelId, OnChain>,
    ) -> Result<(), StoreError> {
        let channels = self.store.channels()?.into_iter();
        let known: HashSet<ChannelId> = channels.map(|(id, _)| id).collect();
        let unknown = on_chain
            .iter()
            .filter(|(id, channel)| channel.state != State::Closed && !known.contains(id));
        let unknown: Vec<_> = unknown
            .map(|(id, channel)| (*id, channel.clone()))
            .collect();
        let mut noted = locked(&self.unknown);
        for (id, channel) in &unknown {
            if noted.iter().all(|(other, _)| other != id) {
                tracing::warn!(
                    target: "assay_gateway", channel = ?id, provider = %channel.provider,
                    deposit = %Amount(channel.deposit),
                    "the account has a channel that is not in this store: opened after the backup that it comes from, by \
                     hand, or by another gateway; `assay channel close` with its id has back what is left in it"
                );
            }
        }
        *noted = unknown;
        Ok(())
    }
}

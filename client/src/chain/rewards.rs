//! What providers get back of what their settlements burned.

use subxt::utils::AccountId32;

use super::{
    runtime::{self, runtime_types},
    Snapshot,
};
use crate::Error;

pub use runtime_types::pallet_providers::types::ProviderReward;

impl Snapshot {
    /// Where the provider with this stash stands with its reward; none if there is no such provider.
    pub async fn provider_reward(
        &self,
        stash: AccountId32,
    ) -> Result<Option<ProviderReward>, Error> {
        self.view(runtime::view_functions().providers().reward(stash))
            .await
    }
}

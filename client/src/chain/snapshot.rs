use std::future::Future;

use assay_primitives::{
    ChannelId, Claim, JobId, ListingId, Outcome, RequestHeader, Sampling, Task, TokenId,
    FORMAT_VERSION,
};
use subxt::{
    ext::futures::{stream, StreamExt, TryStreamExt},
    storage::Address,
    utils::{AccountId32, H256},
    OnlineClientAtBlock, PolkadotConfig,
};

use super::runtime::{self, runtime_types};
use crate::{keys, Error};

pub use runtime_types::{
    assay_primitives::fees::Settlement,
    pallet_channels::types::ChannelState,
    pallet_jobs::types::{AssignmentRecord, JobState, RefundReason},
    pallet_models::types::{ListingAccount, ListingStatus},
};

pub type Job = runtime::jobs::storage::jobs::Output;
pub type Assignment = AssignmentRecord<AccountId32, u32>;
pub type Delivery = runtime_types::pallet_jobs::types::DeliveryRecord<u32>;
pub type Channel = runtime::channels::storage::channels::Output;
pub type Listing = runtime::models::storage::listings::Output;
pub type Offer = runtime::providers::storage::offers::Output;
pub type Provider = runtime::providers::storage::providers::Output;
pub type ChannelParameters = runtime::channels::storage::params::Output;
pub type JobParameters = runtime::jobs::storage::params::Output;
pub type ProviderParameters = runtime::providers::storage::params::Output;
pub type GovernanceParameters = runtime::governance::storage::params::Output;

/// How an assignment ended that brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentBack {
    /// The provider's stash.
    pub provider: AccountId32,
    /// Declined or missed.
    pub outcome: Outcome,
    /// What the user got from the provider's bond, in planck.
    pub compensation: u128,
}

/// The chain's storage at one block: everything read through one snapshot fits together.
pub struct Snapshot(pub(super) OnlineClientAtBlock<PolkadotConfig>);

/// An account's money, in planck. What it owns is `free + reserved`.
#[derive(Clone, Debug, Default)]
pub struct Balances {
    pub free: u128,
    /// On hold; `holds` says for what.
    pub reserved: u128,
    /// The part of `free` that may not be spent.
    pub frozen: u128,
    /// Reason, as `Pallet::Reason`, and planck.
    pub holds: Vec<(String, u128)>,
}

impl Balances {
    /// The part of `free` that votes keep from being spent: what is on hold is locked first.
    pub fn locked(&self) -> u128 {
        self.frozen.saturating_sub(self.reserved).min(self.free)
    }

    /// The part of `reserved` of which `holds` says nothing: deposits of referenda.
    pub fn deposits(&self) -> u128 {
        let held = self.holds.iter();
        held.fold(self.reserved, |rest, (_, amount)| {
            rest.saturating_sub(*amount)
        })
    }
}

impl Snapshot {
    pub fn number(&self) -> u32 {
        u32::try_from(self.0.block_number()).unwrap_or(u32::MAX)
    }

    pub fn hash(&self) -> H256 {
        self.0.block_hash()
    }

    /// The version of the runtime that the next block is made with.
    pub fn spec_version(&self) -> u32 {
        self.0.spec_version()
    }

    /// subxt's own client at this block, for what is not wrapped here.
    pub fn client(&self) -> &OnlineClientAtBlock<PolkadotConfig> {
        &self.0
    }

    /// Whether the runtime is, to the last type, the one that this program was built for. A runtime
    /// that is not may still do: what is used is checked when it is used.
    pub fn metadata_matches(&self) -> bool {
        runtime::is_codegen_valid_for(self.0.metadata_ref())
    }

    /// Whether the storage that everything here begins with still has the shape that this program
    /// was built for.
    pub(super) fn check_metadata(&self) -> Result<(), Error> {
        let storage = self.0.storage();
        let of = runtime::storage();
        storage
            .validate(of.models().listings())
            .map_err(Error::node)?;
        storage
            .validate(of.providers().providers())
            .map_err(Error::node)?;
        storage
            .validate(of.providers().offers())
            .map_err(Error::node)?;
        storage.validate(of.jobs().jobs()).map_err(Error::node)?;
        storage
            .validate(of.channels().channels())
            .map_err(Error::node)
    }

    pub(crate) async fn get<A: Address>(
        &self,
        address: A,
        key: A::KeyParts,
    ) -> Result<Option<A::Value>, Error> {
        let value = self
            .0
            .storage()
            .try_fetch(address, key)
            .await
            .map_err(Error::node)?;
        value
            .map(|value| value.decode().map_err(Error::node))
            .transpose()
    }

    pub(crate) async fn get_or_default<A: Address>(
        &self,
        address: A,
        key: A::KeyParts,
    ) -> Result<A::Value, Error> {
        let value = self
            .0
            .storage()
            .fetch(address, key)
            .await
            .map_err(Error::node)?;
        value.decode().map_err(Error::node)
    }

    /// All listings, active or not.
    pub async fn listings(&self) -> Result<Vec<(ListingId, Listing)>, Error> {
        let storage = self.0.storage();
        let mut entries = storage
            .iter(runtime::storage().models().listings(), ())
            .await
            .map_err(Error::node)?;
        let mut listings = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(Error::node)?;
            let (id,) = entry
                .key()
                .and_then(|key| key.decode())
                .map_err(Error::node)?;
            listings.push((id, entry.value().decode().map_err(Error::node)?));
        }
        Ok(listings)
    }

    pub async fn listing(&self, id: ListingId) -> Result<Option<Listing>, Error> {
        self.get(runtime::storage().models().listings(), (id,))
            .await
    }

    /// Uses and pot of a listing.
    pub async fn listing_account(&self, id: ListingId) -> Result<Option<ListingAccount>, Error> {
        self.get(runtime::storage().models().accounts(), (id,))
            .await
    }

    /// All offers for a listing, with the stash of each.
    pub async fn offers(&self, listing: ListingId) -> Result<Vec<(AccountId32, Offer)>, Error> {
        let storage = self.0.storage();
        let address = runtime::storage().providers().offers();
        let mut entries = storage
            .iter(address, (listing,))
            .await
            .map_err(Error::node)?;
        let mut offers = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(Error::node)?;
            let (_, stash) = entry
                .key()
                .and_then(|key| key.decode())
                .map_err(Error::node)?;
            offers.push((stash, entry.value().decode().map_err(Error::node)?));
        }
        Ok(offers)
    }

    pub async fn offer(
        &self,
        listing: ListingId,
        stash: AccountId32,
    ) -> Result<Option<Offer>, Error> {
        self.get(runtime::storage().providers().offers(), (listing, stash))
            .await
    }

    /// The provider with this stash.
    pub async fn provider(&self, stash: AccountId32) -> Result<Option<Provider>, Error> {
        self.get(runtime::storage().providers().providers(), (stash,))
            .await
    }

    /// The stash that this operator speaks for.
    pub async fn provider_of(&self, operator: AccountId32) -> Result<Option<AccountId32>, Error> {
        self.get(runtime::storage().providers().operators(), (operator,))
            .await
    }

    /// The operator key that spoke for a provider at a block; none if that is not remembered.
    pub async fn operator_at(
        &self,
        stash: AccountId32,
        block: u32,
    ) -> Result<Option<AccountId32>, Error> {
        let address = runtime::storage().providers().operator_history();
        let history = self.get_or_default(address, (stash,)).await?;
        let mut ranges = history.0.into_iter();
        let range = ranges
            .find(|range| block >= range.from && range.until.is_none_or(|until| block < until));
        Ok(range.map(|range| range.operator))
    }

    /// A job, as long as its record is kept.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, Error> {
        self.get(runtime::storage().jobs().jobs(), (id,)).await
    }

    pub async fn prompt(&self, id: JobId) -> Result<Option<Vec<TokenId>>, Error> {
        let prompt = self.get(runtime::storage().jobs().prompts(), (id,)).await?;
        Ok(prompt.map(|tokens| tokens.0))
    }

    pub async fn output(&self, id: JobId) -> Result<Option<Vec<TokenId>>, Error> {
        let output = self.get(runtime::storage().jobs().outputs(), (id,)).await?;
        Ok(output.map(|tokens| tokens.0))
    }

    /// The jobs that are assigned to a provider now, oldest first.
    pub async fn duties(&self, stash: AccountId32) -> Result<Vec<JobId>, Error> {
        let storage = self.0.storage();
        let address = runtime::storage().jobs().assignments();
        let mut entries = storage.iter(address, (stash,)).await.map_err(Error::node)?;
        let mut duties = Vec::new();
        while let Some(entry) = entries.next().await {
            let entry = entry.map_err(Error::node)?;
            let (_, job) = entry
                .key()
                .and_then(|key| key.decode())
                .map_err(Error::node)?;
            duties.push(job);
        }
        duties.sort_unstable();
        Ok(duties)
    }

    /// A payment channel, as long as its record is kept: also when it is closed.
    pub async fn channel(&self, id: ChannelId) -> Result<Option<Channel>, Error> {
        self.get(runtime::storage().channels().channels(), (id,))
            .await
    }

    /// The channels to this stash, closed ones too, oldest first.
    pub async fn channels_of_provider(
        &self,
        stash: AccountId32,
    ) -> Result<Vec<(ChannelId, Channel)>, Error> {
        let index = runtime::storage().channels().provider_channels();
        self.channels_of(index, stash).await
    }

    /// The channels that this account opened, closed ones too, oldest first.
    pub async fn channels_of_user(
        &self,
        user: AccountId32,
    ) -> Result<Vec<(ChannelId, Channel)>, Error> {
        let index = runtime::storage().channels().user_channels();
        self.channels_of(index, user).await
    }

    async fn channels_of(
        &self,
        index: impl Address<KeyParts = (AccountId32, ChannelId)>,
        account: AccountId32,
    ) -> Result<Vec<(ChannelId, Channel)>, Error> {
        let storage = self.0.storage();
        let entries = storage.iter(index, (account,)).await;
        let mut entries = entries.map_err(Error::node)?;
        let mut ids = Vec::new();
        while let Some(entry) = entries.next().await {
            let key = entry
                .map_err(Error::node)?
                .key()
                .and_then(|key| key.decode());
            ids.push(key.map_err(Error::node)?.1);
        }
        let reads = ids.into_iter().map(move |id| async move {
            let channel = self.channel(id).await?;
            Ok::<_, Error>(channel.map(|channel| (id, channel)))
        });
        let found: Vec<Option<(ChannelId, Channel)>> = together(reads).await?;
        let mut channels: Vec<(ChannelId, Channel)> = found.into_iter().flatten().collect();
        channels.sort_by_key(|(id, channel)| (channel.opened_at, *id));
        Ok(channels)
    }

    pub async fn channel_parameters(&self) -> Result<ChannelParameters, Error> {
        self.get_or_default(runtime::storage().channels().params(), ())
            .await
    }

    /// How assignments of this job ended in this very block without an answer.
    pub(super) async fn sent_back(&self, job: JobId) -> Result<Vec<SentBack>, Error> {
        let events = self.0.events().fetch().await.map_err(Error::node)?;
        let mut found = Vec::new();
        for event in events.find::<runtime::jobs::events::SentBack>() {
            let event = event.map_err(Error::node)?;
            if event.job == job {
                found.push(SentBack {
                    provider: event.provider,
                    outcome: event.outcome.0,
                    compensation: event.compensation,
                });
            }
        }
        Ok(found)
    }

    pub async fn job_parameters(&self) -> Result<JobParameters, Error> {
        self.get_or_default(runtime::storage().jobs().params(), ())
            .await
    }

    pub async fn provider_parameters(&self) -> Result<ProviderParameters, Error> {
        self.get_or_default(runtime::storage().providers().params(), ())
            .await
    }

    /// The most tokens of a prompt, and of an answer, in a job.
    pub fn max_tokens(&self) -> Result<u32, Error> {
        self.0
            .constants()
            .entry(runtime::constants().jobs().max_tokens())
            .map_err(Error::node)
    }

    /// Least balance of an account that exists.
    pub fn existential_deposit(&self) -> Result<u128, Error> {
        let address = runtime::constants().balances().existential_deposit();
        self.0.constants().entry(address).map_err(Error::node)
    }

    /// What transactions and records cost.
    pub async fn governance_parameters(&self) -> Result<GovernanceParameters, Error> {
        self.get_or_default(runtime::storage().governance().params(), ())
            .await
    }

    /// The highest royalty with which a model may be listed, in parts per million.
    pub async fn max_royalty(&self) -> Result<u32, Error> {
        let parameters = runtime::storage().models().params();
        Ok(self.get_or_default(parameters, ()).await?.max_royalty.0)
    }

    /// The account that keeps unclaimed royalties.
    pub fn royalty_account(&self) -> Result<AccountId32, Error> {
        let address = runtime::constants().models().pallet_id();
        let id = self.0.constants().entry(address).map_err(Error::node)?;
        Ok(keys::pallet_account(id.0))
    }

    pub async fn balances(&self, account: AccountId32) -> Result<Balances, Error> {
        let system = runtime::storage().system().account();
        let data = self.get_or_default(system, (account,)).await?.data;
        let holds = self
            .get_or_default(runtime::storage().balances().holds(), (account,))
            .await?;
        let holds = holds
            .0
            .into_iter()
            .map(|hold| (hold_name(&hold.id), hold.amount))
            .collect();
        Ok(Balances {
            free: data.free,
            reserved: data.reserved,
            frozen: data.frozen,
            holds,
        })
    }

    /// Every account that exists: their balances add up to the total issuance.
    pub async fn accounts(&self) -> Result<Vec<AccountId32>, Error> {
        let storage = self.0.storage();
        let address = runtime::storage().system().account();
        let mut entries = storage.iter(address, ()).await.map_err(Error::node)?;
        let mut accounts = Vec::new();
        while let Some(entry) = entries.next().await {
            let key = entry
                .map_err(Error::node)?
                .key()
                .and_then(|key| key.decode());
            accounts.push(key.map_err(Error::node)?.0);
        }
        Ok(accounts)
    }

    /// All money that exists, in planck.
    pub async fn total_issuance(&self) -> Result<u128, Error> {
        self.get_or_default(runtime::storage().balances().total_issuance(), ())
            .await
    }
}

/// Reads that are on their way together: strangers say how many channels an account has, and whoever waited for one answer
/// after the other would be behind the chain.
const TOGETHER: usize = 64;

/// What all of them read, in their order.
async fn together<T, F: Future<Output = Result<T, Error>>>(
    reads: impl IntoIterator<Item = F>,
) -> Result<Vec<T>, Error> {
    let reads = stream::iter(reads).buffered(TOGETHER);
    reads.try_collect().await
}

/// `Jobs::Escrow` for the generated `Jobs(Escrow)`: the generated type has no names of its own, and
/// a match here would have to know every pallet.
fn hold_name(reason: &impl std::fmt::Debug) -> String {
    format!("{reason:?}").replace('(', "::").replace(')', "")
}

/// The request that an answer to `job` under `assignment` answers: the same bytes as the runtime
/// derives.
pub fn job_header(
    genesis: H256,
    id: JobId,
    job: &Job,
    assignment: &Assignment,
) -> RequestHeader<AccountId32> {
    let sampling: Sampling = job.sampling.0;
    RequestHeader {
        version: FORMAT_VERSION,
        genesis,
        claim: Claim::Job(id),
        provider: assignment.provider,
        listing: job.listing,
        prompt_root: job.prompt_root,
        prompt_len: job.prompt_len,
        task: Task::Generate,
        sampling,
        token_limit: assignment.token_limit,
        input_price: assignment.price.0.input,
        output_price: assignment.price.0.output,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn reads_are_on_their_way_together_and_not_all_at_once() {
        let (asked, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let read = |number: usize| {
            let (asked, most) = (&asked, &most);
            async move {
                let now = asked.fetch_add(1, Ordering::SeqCst) + 1;
                most.fetch_max(now, Ordering::SeqCst);
                // The answers to some take longer than those to others.
                for _ in 0..number % 7 + 1 {
                    tokio::task::yield_now().await;
                }
                asked.fetch_sub(1, Ordering::SeqCst);
                match number {
                    500 => Err(Error::Incompatible),
                    number => Ok(number),
                }
            }
        };
        let numbers = together((0..500).map(read)).await.unwrap();
        assert!(numbers.into_iter().eq(0..500));
        assert_eq!(most.load(Ordering::SeqCst), TOGETHER);
        let error = together((400..600).map(read)).await.err();
        assert!(matches!(error, Some(Error::Incompatible)));
    }
}

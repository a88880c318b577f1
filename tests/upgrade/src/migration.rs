//! What the version after this one does to storage: it makes an index of the jobs by user.
//!
//! A job a block, so that also a chain of few jobs is without transactions for a while.

use assay_primitives::JobId;
use codec::{Decode, Encode, MaxEncodedLen};
use frame_support::{
    migrations::{SteppedMigration, SteppedMigrationError},
    storage_alias,
    traits::Get,
    weights::WeightMeter,
    Twox64Concat,
};

use crate::{AccountId, Runtime};

/// The jobs of each user.
#[storage_alias]
pub type ByUser = StorageDoubleMap<Upgrade, Twox64Concat, AccountId, Twox64Concat, JobId, ()>;

#[derive(Encode, Decode, MaxEncodedLen)]
pub struct Name([u8; 13]);

pub struct JobsOfUsers;

impl SteppedMigration for JobsOfUsers {
    /// The job that was done last.
    type Cursor = JobId;
    type Identifier = Name;

    fn id() -> Name {
        Name(*b"jobs-of-users")
    }

    fn step(
        last: Option<JobId>,
        meter: &mut WeightMeter,
    ) -> Result<Option<JobId>, SteppedMigrationError> {
        let required = <Runtime as frame_system::Config>::DbWeight::get().reads_writes(2, 1);
        meter
            .try_consume(required)
            .map_err(|()| SteppedMigrationError::InsufficientWeight { required })?;
        let mut left = match last {
            Some(last) => {
                let key = pallet_jobs::Jobs::<Runtime>::hashed_key_for(last);
                pallet_jobs::Jobs::<Runtime>::iter_from(key)
            }
            None => pallet_jobs::Jobs::<Runtime>::iter(),
        };
        Ok(left.next().map(|(id, job)| {
            ByUser::insert(job.user, id, ());
            id
        }))
    }
}

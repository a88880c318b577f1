//! Following a job from block to block.

use std::time::Duration;

use assay_client::{chain::Job, chain::JobState, Chain, Snapshot};

use crate::{context::Progress, failure::Failure, records};

/// Longer than any chain's slot, with a few missed ones.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(120);

/// Where following ends. A job that is over always ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    Delivered,
    Settled,
}

/// The job as it was last seen, and its output if it has one.
pub struct Seen {
    pub job: Job,
    pub output: Option<Vec<u32>>,
}

/// Gets a job's output.
pub type OnOutput<'a> = &'a mut dyn FnMut(&Job, &[u32]) -> Result<(), Failure>;

/// Say each step of a job until it has reached the goal. `on_output` gets the answer as soon as it
/// is there.
pub async fn follow(
    chain: &Chain,
    id: u64,
    goal: Goal,
    progress: &Progress,
    on_output: OnOutput<'_>,
) -> Result<Seen, Failure> {
    let mut blocks = chain.best_blocks().await?;
    let mut snapshot = chain.best().await?;
    let mut said = String::new();
    let mut output: Option<Vec<u32>> = None;
    loop {
        let job = read(&snapshot, id).await?;
        let now = records::describe(id, &job);
        // A refund is the caller's to report, as the failure that it is.
        if now != said && !matches!(job.state, JobState::Refunded { .. }) {
            progress.say(&now);
            said = now;
        }
        let answered = matches!(
            job.state,
            JobState::Delivered(..) | JobState::Settled { .. }
        );
        if answered && output.is_none() {
            output = snapshot.output(id).await?;
            if let Some(tokens) = &output {
                on_output(&job, tokens)?;
            }
        }
        let over = matches!(
            job.state,
            JobState::Settled { .. } | JobState::Refunded { .. }
        );
        if over || (answered && goal == Goal::Delivered) {
            return Ok(Seen { job, output });
        }
        progress.wait(&format!("block {}", snapshot.number()));
        snapshot = tokio::time::timeout(BLOCK_TIMEOUT, blocks.next()).await.map_err(|_| {
            let seconds = BLOCK_TIMEOUT.as_secs();
            Failure::Chain(format!("no new block for {seconds} s; look at the node's log, then at `assay job watch {id}`"))
        })??;
    }
}

/// A job that must be there.
pub async fn read(snapshot: &Snapshot, id: u64) -> Result<Job, Failure> {
    snapshot.job(id).await?.ok_or_else(|| {
        Failure::Request(format!(
            "there is no job {id}, or its record was removed; records are kept for a time after a job is over"
        ))
    })
}

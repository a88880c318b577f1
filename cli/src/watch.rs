//! Following a job from block to block.

use std::time::Duration;

use assay_client::{
    chain::{Job, JobState, SentBack},
    Chain, Snapshot,
};

use crate::{context::Progress, failure::Failure, records};

/// Longer than any chain's slot, with a few missed ones.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(120);

/// Where following ends. A job that is over always ends it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    Delivered,
    Settled,
}

/// The job as it was last seen, its output if it has one, and how its assignments ended that
/// brought none.
pub struct Seen {
    pub job: Job,
    pub output: Option<Vec<u32>>,
    pub sent_back: Vec<SentBack>,
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
    let mut failed = 0;
    let mut sent_back = Vec::new();
    loop {
        let job = read(&snapshot, id).await?;
        if job.excluded.0.len() != failed {
            failed = job.excluded.0.len();
            sent_back = endings(chain, id, &job).await?;
        }
        let now = records::describe(id, &job, &sent_back);
        // A refund is the caller's to report, as the failure that it is.
        if now != said && !records::is_unpaid(&job) {
            progress.say(&now);
            said = now;
        }
        let answered = records::state(&job).delivery.is_some();
        if answered && output.is_none() {
            output = snapshot.output(id).await?;
            if let Some(tokens) = &output {
                on_output(&job, tokens)?;
            }
        }
        let over = matches!(job.state, JobState::Settled { .. }) || records::is_unpaid(&job);
        if over || (answered && goal == Goal::Delivered) {
            return Ok(Seen {
                job,
                output,
                sent_back,
            });
        }
        progress.wait(&format!("block {}", snapshot.number()));
        snapshot = tokio::time::timeout(BLOCK_TIMEOUT, blocks.next()).await.map_err(|_| {
            let seconds = BLOCK_TIMEOUT.as_secs();
            Failure::Chain(format!("no new block for {seconds} s; look at the node's log, then at `assay job watch {id}`"))
        })??;
    }
}

/// A job as it is now.
pub async fn look(chain: &Chain, id: u64) -> Result<Seen, Failure> {
    let snapshot = chain.best().await?;
    let job = read(&snapshot, id).await?;
    Ok(Seen {
        output: snapshot.output(id).await?,
        sent_back: endings(chain, id, &job).await?,
        job,
    })
}

/// How the job's assignments ended that brought no answer; nothing where the node has forgotten.
async fn endings(chain: &Chain, id: u64, job: &Job) -> Result<Vec<SentBack>, Failure> {
    Ok(chain.sent_back(id, job).await?.unwrap_or_default())
}

/// A job that must be there.
pub async fn read(snapshot: &Snapshot, id: u64) -> Result<Job, Failure> {
    snapshot.job(id).await?.ok_or_else(|| {
        Failure::Request(format!(
            "there is no job {id}, or its record was removed; records are kept for a time after a job is over"
        ))
    })
}

//! Following a job from block to block.

use std::time::Duration;

use assay_client::{
    chain::{Job, JobState, SentBack},
    Chain, Error, Snapshot,
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
    let lost = |error| lost(id, error);
    let mut blocks = chain.best_blocks().await.map_err(lost)?;
    let mut snapshot = chain.best().await.map_err(lost)?;
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
            output = snapshot.output(id).await.map_err(lost)?;
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
        snapshot = match tokio::time::timeout(BLOCK_TIMEOUT, blocks.next()).await {
            Ok(next) => next.map_err(lost)?,
            Err(_) => {
                let seconds = BLOCK_TIMEOUT.as_secs();
                return Err(away(id, &format!("no new block for {seconds} s")));
            }
        };
    }
}

/// A failure where the job is on the chain already: to try again by asking again would be to pay twice.
pub fn lost(id: u64, error: Error) -> Failure {
    match error {
        Error::Node(reason) => away(id, &format!("the node failed to answer: {reason}")),
        other => other.into(),
    }
}

fn away(id: u64, problem: &str) -> Failure {
    Failure::Chain(format!(
        "{problem}; job {id} is on the chain, so do not ask again: look at the node's log, then follow the job with \
         `assay job watch {id}`"
    ))
}

/// A job as it is now.
pub async fn look(chain: &Chain, id: u64) -> Result<Seen, Failure> {
    let snapshot = chain.best().await?;
    let job = read(&snapshot, id).await?;
    Ok(Seen {
        output: snapshot.output(id).await.map_err(|error| lost(id, error))?,
        sent_back: endings(chain, id, &job).await?,
        job,
    })
}

/// How the job's assignments ended that brought no answer; nothing where the node has forgotten.
async fn endings(chain: &Chain, id: u64, job: &Job) -> Result<Vec<SentBack>, Failure> {
    let sent_back = chain.sent_back(id, job).await;
    let sent_back = sent_back.map_err(|error| lost(id, error))?;
    Ok(sent_back.unwrap_or_default())
}

/// A job that must be there.
pub async fn read(snapshot: &Snapshot, id: u64) -> Result<Job, Failure> {
    let job = snapshot.job(id).await.map_err(|error| lost(id, error))?;
    job.ok_or_else(|| {
        Failure::Request(format!(
            "there is no job {id}, or its record was removed; records are kept for a time after a job is over"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_is_lost_leaves_the_job_to_be_followed() {
        let told = lost(9, Error::Node("it sends no more blocks".into()));
        assert!(matches!(told, Failure::Chain(_)), "{told:?}");
        let told = told.to_string();
        assert!(told.contains("it sends no more blocks"), "{told}");
        assert!(told.ends_with("`assay job watch 9`"), "{told}");
        assert!(!told.contains("try again"), "{told}");
        let other = lost(9, Error::Incompatible).to_string();
        assert_eq!(other, Error::Incompatible.to_string());
    }
}

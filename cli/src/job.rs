//! `assay job`.

use std::path::{Path, PathBuf};

use assay_client::{
    chain::{runtime, Job, JobState},
    AccountId32, Chain, Text,
};
use clap::{Args, Subcommand};
use serde_json::{json, Value};

use crate::{
    context::Context,
    failure::Failure,
    receipt::{self, Target},
    records,
    request::{Request, RequestArgs},
    watch::{follow, look, read, Goal, Seen},
};

#[derive(Subcommand)]
pub enum Command {
    /// Submit a job and return with its number.
    Submit(RequestArgs),
    /// Show where a job stands, and its answer.
    Status(JobArgs),
    /// Follow a job until it is settled or refunded.
    Watch(WatchArgs),
    /// Take back a job that is not assigned.
    Cancel {
        /// Number of the job.
        job: u64,
    },
    /// Take a job's next step if it is due; anyone may, and it is free.
    Finalize {
        /// Number of the job.
        job: u64,
    },
}

#[derive(Args)]
pub struct JobArgs {
    /// Number of the job.
    job: u64,

    /// Folder with the model's tokenizer.json, to read the answer as text.
    #[arg(long, value_name = "DIR", env = "ASSAY_MODEL_DIR")]
    model_dir: Option<PathBuf>,
}

#[derive(Args)]
pub struct WatchArgs {
    #[command(flatten)]
    job: JobArgs,

    /// Save the answer with its signed receipt in this new file, for `assay verify`.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Submit(args) => submit(context, args).await,
        Command::Status(args) => {
            let chain = context.chain().await?;
            let seen = look(&chain, args.job).await?;
            let description = records::describe(args.job, &seen.job, &seen.sent_back);
            show(&chain, context, args, seen, Some(description), None).await
        }
        Command::Watch(WatchArgs { job: args, receipt }) => {
            let target = receipt.map(Target::new).transpose()?;
            let chain = context.chain().await?;
            let progress = context.progress();
            let seen = follow(&chain, args.job, Goal::Settled, &progress, &mut |_, _| {
                Ok(())
            })
            .await?;
            drop(progress);
            if !records::is_unpaid(&seen.job) {
                return show(&chain, context, args, seen, None, target).await;
            }
            let Seen { job, sent_back, .. } = &seen;
            if context.is_json() {
                context.print_json(&records::job(args.job, job, sent_back));
            }
            Err(Failure::Request(format!(
                "{}; {}",
                records::describe(args.job, job, sent_back),
                records::after_refund(job)
            )))
        }
        Command::Cancel { job } => {
            let chain = context.chain().await?;
            let cancel = runtime::tx().jobs().cancel(job);
            context.submit(&chain, &cancel, &[]).await?;
            tell(context, job, &look(&chain, job).await?, "");
            Ok(())
        }
        Command::Finalize { job } => finalize(context, job).await,
    }
}

fn tell(context: &Context, id: u64, seen: &Seen, next: &str) {
    let Seen { job, sent_back, .. } = seen;
    context.show(records::job(id, job, sent_back), || {
        format!("{}{next}", records::describe(id, job, sent_back))
    });
}

async fn finalize(context: &Context, id: u64) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let snapshot = chain.best().await?;
    let job = read(&snapshot, id).await?;
    if job.disputes > 0 {
        return Err(Failure::Request(format!(
            "job {id} takes no step while its answer is disputed; `assay dispute list` shows by whom"
        )));
    }
    check_due(id, &job.state, snapshot.number())?;
    let finalize = runtime::tx().jobs().finalize(id);
    let included = context.submit(&chain, &finalize, &[]).await?;
    match included.block.job(id).await? {
        Some(_) => tell(context, id, &look(&chain, id).await?, ""),
        None => context.show(json!({ "job": id, "state": "Removed" }), || {
            format!("the record of job {id} is removed and its deposit returned")
        }),
    }
    Ok(())
}

/// That the job has a step to take in the block after `best`.
fn check_due(id: u64, state: &JobState<AccountId32, u32>, best: u32) -> Result<(), Failure> {
    let (due, what) = match state {
        JobState::Waiting { draw_at } => (*draw_at, "waits for its draw"),
        JobState::Assigned(assignment) => (
            assignment.deadline.saturating_add(1),
            "is assigned; its deadline is over",
        ),
        JobState::Delivered(_, delivery) => (delivery.window_end, "is delivered; it is settled"),
        JobState::Settled { removed_at, .. } => {
            (*removed_at, "is settled; its record can be removed")
        }
        JobState::Refunded { removed_at, .. } => {
            (*removed_at, "is refunded; its record can be removed")
        }
        JobState::Slashed { removed_at, .. } => (
            *removed_at,
            "was answered wrongly; its record can be removed",
        ),
    };
    if due <= best.saturating_add(1) {
        return Ok(());
    }
    Err(Failure::Request(format!(
        "there is nothing to finalize now: job {id} {what} in block {due}, and this is block {best}"
    )))
}

async fn submit(context: &Context, args: RequestArgs) -> Result<(), Failure> {
    context.key()?;
    let chain = context.chain().await?;
    let progress = context.progress();
    let request = Request::prepare(args, &chain, &progress).await?;
    let id = request.submit(context, &progress, &chain).await?;
    drop(progress);
    let next = format!("\nfollow it with `assay job watch {id}`");
    tell(context, id, &look(&chain, id).await?, &next);
    Ok(())
}

/// Print a job and its answer, as text after `description` if that was not said before, and save the receipt if
/// that was asked for.
async fn show(
    chain: &Chain,
    context: &Context,
    args: JobArgs,
    seen: Seen,
    description: Option<String>,
    target: Option<Target>,
) -> Result<(), Failure> {
    let receipt = match context.is_json() || target.is_some() {
        true => receipt::of_job(chain, args.job, &seen.job, seen.output.as_deref()).await,
        false => Ok(None),
    };
    let Seen {
        job,
        output,
        sent_back,
    } = seen;
    let text = match (&output, args.model_dir) {
        (Some(output), Some(folder)) => Some(answer(chain, &job, output, &folder).await?),
        _ => None,
    };
    let mut json = records::job(args.job, &job, &sent_back);
    if let Value::Object(fields) = &mut json {
        fields.insert("output".into(), output.clone().into());
        fields.insert("text".into(), text.clone().into());
        let receipt = receipt.as_ref().ok().and_then(Option::as_ref);
        fields.insert(
            "receipt".into(),
            receipt.map(|answer| answer.to_json()).into(),
        );
    }
    let saved = target.as_ref().map(|target| target.path().display());
    context.show(json, || {
        let mut lines = Vec::from_iter(description);
        match (text, output) {
            (Some(text), _) => lines.push(text),
            (None, Some(output)) => {
                lines.push(format!(
                    "output tokens {output:?}; --model-dir shows them as text"
                ));
            }
            (None, None) => {}
        }
        if let Some(saved) = saved {
            lines.push(format!(
                "the receipt goes to {saved}; `assay verify {saved}` checks every token"
            ));
        }
        lines.join("\n")
    });
    if let Some(target) = target {
        if let Some(receipt) = receipt? {
            target.save(&receipt)?;
        }
    }
    Ok(())
}

async fn answer(
    chain: &Chain,
    job: &Job,
    output: &[u32],
    folder: &Path,
) -> Result<String, Failure> {
    let listing = chain.best().await?.listing(job.listing).await?;
    let listing = listing.ok_or_else(|| {
        Failure::Request(format!(
            "listing {:?} is gone, so nothing says which tokenizer is right; leave out --model-dir",
            job.listing
        ))
    })?;
    let parts = &listing.parts.0;
    let text = Text::open(folder)?;
    text.check(parts)?;
    Ok(text.answer(output, &parts.spec.stop_tokens)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_client::chain::RefundReason;

    #[test]
    fn what_is_not_due_yet_is_told_with_its_block() {
        let waiting = JobState::Waiting { draw_at: 12 };
        assert!(check_due(3, &waiting, 11).is_ok());
        let message = check_due(3, &waiting, 10).unwrap_err().to_string();
        assert!(
            message.contains("job 3 waits for its draw in block 12"),
            "{message}"
        );
        let over = JobState::Refunded {
            reason: RefundReason::Exhausted,
            removed_at: 600,
        };
        let message = check_due(3, &over, 10).unwrap_err().to_string();
        assert!(
            message.contains("its record can be removed in block 600"),
            "{message}"
        );
    }
}

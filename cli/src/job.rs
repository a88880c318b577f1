//! `assay job`.

use std::path::PathBuf;

use assay_client::chain::{runtime, Job, JobState};
use clap::{Args, Subcommand};
use serde_json::{json, Value};

use crate::{
    context::{choose_listing, Context},
    failure::Failure,
    records,
    request::{Request, RequestArgs},
    text::Text,
    watch::{follow, read, Goal, Seen},
};

#[derive(Subcommand)]
pub enum Command {
    /// Submit a job and return with its number.
    Submit(RequestArgs),
    /// Show where a job stands, and its answer.
    Status(JobArgs),
    /// Follow a job until it is settled or refunded.
    Watch(JobArgs),
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

pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Submit(args) => submit(context, args).await,
        Command::Status(args) => {
            let chain = context.chain().await?;
            let snapshot = chain.best().await?;
            let job = read(&snapshot, args.job).await?;
            let output = snapshot.output(args.job).await?;
            let description = records::describe(args.job, &job);
            show(context, args, Seen { job, output }, Some(description)).await
        }
        Command::Watch(args) => {
            let chain = context.chain().await?;
            let progress = context.progress();
            let seen = follow(&chain, args.job, Goal::Settled, &progress, &mut |_, _| {
                Ok(())
            })
            .await?;
            drop(progress);
            let refunded = matches!(seen.job.state, JobState::Refunded { .. });
            let description = records::describe(args.job, &seen.job);
            if !refunded {
                return show(context, args, seen, None).await;
            }
            if context.is_json() {
                println!("{:#}", records::job(args.job, &seen.job));
            }
            Err(Failure::Request(format!(
                "{description}; submit it again with a higher --max-fee, or name a --provider"
            )))
        }
        Command::Cancel { job } => {
            let chain = context.chain().await?;
            let included = context
                .submit(&chain, &runtime::tx().jobs().cancel(job))
                .await?;
            let record = read(&included.block, job).await?;
            context.show(records::job(job, &record), || {
                records::describe(job, &record)
            });
            Ok(())
        }
        Command::Finalize { job } => {
            let chain = context.chain().await?;
            let included = context
                .submit(&chain, &runtime::tx().jobs().finalize(job))
                .await?;
            match included.block.job(job).await? {
                Some(record) => {
                    context.show(records::job(job, &record), || {
                        records::describe(job, &record)
                    });
                }
                None => context.show(json!({ "job": job, "state": "Removed" }), || {
                    format!("the record of job {job} is removed and its deposit returned")
                }),
            }
            Ok(())
        }
    }
}

async fn submit(context: &Context, args: RequestArgs) -> Result<(), Failure> {
    context.key()?;
    let chain = context.chain().await?;
    let progress = context.progress();
    let request = Request::prepare(args, &chain, &progress).await?;
    let id = request.submit(context, &progress, &chain).await?;
    drop(progress);
    let job = read(&chain.best().await?, id).await?;
    context.show(records::job(id, &job), || {
        format!(
            "{}\nfollow it with `assay job watch {id}`",
            records::describe(id, &job)
        )
    });
    Ok(())
}

/// Print a job and its answer; as text, after `description` if that was not said before.
async fn show(
    context: &Context,
    args: JobArgs,
    seen: Seen,
    description: Option<String>,
) -> Result<(), Failure> {
    let Seen { job, output } = seen;
    let text = match (&output, args.model_dir) {
        (Some(output), Some(folder)) => Some(answer(context, &job, output, folder).await?),
        _ => None,
    };
    let mut json = records::job(args.job, &job);
    if let Value::Object(fields) = &mut json {
        fields.insert("output".into(), output.clone().into());
        fields.insert("text".into(), text.clone().into());
    }
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
        lines.join("\n")
    });
    Ok(())
}

async fn answer(
    context: &Context,
    job: &Job,
    output: &[u32],
    folder: PathBuf,
) -> Result<String, Failure> {
    let snapshot = context.chain().await?.best().await?;
    let id = hex::encode(job.listing);
    let (_, listing) = choose_listing(&snapshot, Some(&id)).await?;
    let parts = &listing.parts.0;
    Text::open(&folder, parts)?.answer(output, &parts.spec.stop_tokens)
}

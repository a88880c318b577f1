//! `assay verify`: computes an answer again, or has another provider do it, and says whether every token is right.

mod by;

use std::path::Path;

use assay_client::answer::Answer;
use assay_primitives::{Finish, Task};
use clap::Args as ClapArgs;
use serde_json::{json, Value};

use crate::{
    context::Context,
    dispute,
    failure::Failure,
    judge::{judge, Machine, Verdict},
    receipt::{self, held_against_chain, Source},
    records,
    watch::look,
};

#[derive(ClapArgs)]
pub struct Args {
    /// The answer: the number of a job that the chain still remembers, or a file. The file is what --receipt of
    /// `assay run` or `assay job watch` saved, or the JSON of `assay run` or `assay job status`; no node is needed
    /// for one, but a node that is named is asked whether the chain says the same.
    receipt: String,

    #[command(flatten)]
    machine: Machine,

    #[command(flatten)]
    by: by::Args,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let (answer, held) = match args.receipt.parse() {
        Ok(job) => (of_job(context, job).await?, Ok(Source::Chain)),
        Err(_) => {
            let answer = receipt::read_unless_job(Path::new(&args.receipt))?;
            let held = held_against_chain(&answer, context).await;
            (answer, held)
        }
    };
    if let Some(provider) = &args.by.provider {
        let source = held.map_err(Failure::Request)?;
        return by::run(
            context,
            answer,
            &source,
            provider,
            &args.machine.model,
            &args.by,
        )
        .await;
    }
    let (source, verdict) = match held {
        Ok(source) => {
            let progress = context.progress();
            (source, judge(&answer, &args.machine, &progress)?)
        }
        Err(sentence) => (Source::Chain, Verdict::Contradiction(sentence)),
    };
    let wrong = match &verdict {
        Verdict::Wrong { wrong, .. } => wrong.found.map(|_| wrong.index),
        _ => None,
    };
    let reported = report(context, &answer, &source, verdict);
    match wrong {
        Some(index) => dispute::offer(context, &args.receipt, args.machine, index, reported).await,
        None => reported,
    }
}

async fn of_job(context: &Context, id: u64) -> Result<Answer, Failure> {
    let chain = context.chain().await?;
    let seen = look(&chain, id).await?;
    let answer = receipt::of_job(&chain, id, &seen.job, seen.output.as_deref()).await?;
    answer.ok_or_else(|| {
        Failure::Usage(format!(
            "{}; there is no answer to verify",
            records::describe(id, &seen.job, &seen.sent_back)
        ))
    })
}

fn report(
    context: &Context,
    answer: &Answer,
    source: &Source,
    verdict: Verdict,
) -> Result<(), Failure> {
    let tokens = answer.output.len();
    let json = |verdict: &str, seconds: Option<f64>, reason: Option<&str>, first: Value| {
        json!({
            "claim": answer.to_json()["claim"],
            "source": source.name(),
            "verdict": verdict,
            "tokens": tokens,
            "seconds": seconds,
            "reason": reason,
            "first_wrong": first,
        })
    };
    let (json, failure) = match verdict {
        Verdict::Right { seconds } => {
            let json = json("right", Some(seconds), None, Value::Null);
            context.show(json, || {
                let right = match answer.header.task {
                    Task::Generate => "every token is right".into(),
                    Task::Score { .. } => format!(
                        "the score is right: the first {} tokens of the answer are the model's{}",
                        answer.signed.receipt.output_len,
                        match answer.signed.receipt.finish {
                            Finish::Mismatch => ", and the next is not",
                            _ => "",
                        }
                    ),
                };
                format!(
                    "{right} ({tokens} tokens, one prefill, {seconds:.2} s)\n{}",
                    source.describe(answer)
                )
            });
            return Ok(());
        }
        Verdict::Contradiction(sentence) => (
            json("wrong", None, Some(&sentence), Value::Null),
            Failure::Request(sentence),
        ),
        Verdict::Wrong {
            sentence, first, ..
        } => (
            json("wrong", None, Some(&sentence), first),
            Failure::Request(sentence),
        ),
        Verdict::Unknown(sentence) => (
            json("unknown", None, Some(&sentence), Value::Null),
            Failure::Usage(sentence),
        ),
    };
    if context.is_json() {
        context.print_json(&json);
    }
    context.progress().say(&source.describe(answer));
    Err(failure)
}

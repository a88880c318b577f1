//! `assay run`: one question, from prompt to settled answer.

use std::path::PathBuf;

use assay_client::{chain::Job, Amount};
use clap::Args as ClapArgs;
use serde_json::Value;

use crate::{
    context::Context,
    failure::Failure,
    receipt::{self, Target},
    records,
    request::{Request, RequestArgs},
    watch::{follow, Goal, Seen},
};

#[derive(ClapArgs)]
pub struct Args {
    #[command(flatten)]
    request: RequestArgs,

    /// Return with the answer, before the challenge window is over and the provider is paid.
    #[arg(long)]
    no_wait_settled: bool,

    /// Save the answer with its signed receipt in this new file, for `assay verify`.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    // A key that cannot be read is better known before anything else is done.
    context.key()?;
    let target = args.receipt.map(Target::new).transpose()?;
    let chain = context.chain().await?;
    let progress = context.progress();
    let request = Request::prepare(args.request, &chain, &progress).await?;
    let id = request.submit(context, &progress, &chain).await?;
    progress.say(&format!("job {id} is submitted"));

    let goal = if args.no_wait_settled {
        Goal::Delivered
    } else {
        Goal::Settled
    };
    let stop_tokens = request.listing.parts.0.spec.stop_tokens.to_vec();
    let mut answer = None;
    let seen = follow(&chain, id, goal, &progress, &mut |_, tokens| {
        let text = request.text.answer(tokens, &stop_tokens)?;
        progress.print(&text);
        answer = Some(text);
        Ok(())
    })
    .await?;

    let receipt = match context.is_json() || target.is_some() {
        true => receipt::of_job(&chain, id, &seen.job, seen.output.as_deref()).await,
        false => Ok(None),
    };
    // The answer is paid for and comes first, also where its receipt cannot be had.
    if context.is_json() {
        let mut json = records::job(id, &seen.job, &seen.sent_back);
        if let Value::Object(fields) = &mut json {
            let receipt = receipt.as_ref().ok().and_then(Option::as_ref);
            fields.insert("output".into(), seen.output.clone().into());
            fields.insert("text".into(), answer.clone().into());
            fields.insert(
                "refunded".into(),
                Amount(refunded(&seen.job)).0.to_string().into(),
            );
            fields.insert(
                "receipt".into(),
                receipt.map(|answer| answer.to_json()).into(),
            );
        }
        context.print_json(&json);
    } else if let Some(bill) = bill(&seen) {
        progress.say(&bill);
    }
    let mut name = id.to_string();
    if let Some(target) = target {
        if let Some(receipt) = receipt? {
            target.save(&receipt)?;
            name = target.path().display().to_string();
        }
    }
    if request.is_exact() && answer.is_some() {
        let folder = request.text.folder().display();
        progress.say(&format!(
            "check every token with `assay verify {name} --model {folder}`"
        ));
    }
    match answer {
        Some(_) if !records::is_unpaid(&seen.job) => Ok(()),
        _ => Err(Failure::Request(format!(
            "{}; nothing was paid for it: {}",
            records::describe(id, &seen.job, &seen.sent_back),
            records::after_refund(&seen.job)
        ))),
    }
}

/// What the user has back of `max_fee`.
fn refunded(job: &Job) -> u128 {
    match records::state(job).delivery {
        Some(delivery) if !records::is_unpaid(job) => job.max_fee.saturating_sub(delivery.fee),
        _ => job.max_fee.saturating_sub(job.escrow),
    }
}

fn bill(seen: &Seen) -> Option<String> {
    let job = &seen.job;
    let delivery = records::state(job)
        .delivery
        .filter(|_| !records::is_unpaid(job))?;
    let compensation = match records::compensation(&seen.sent_back) {
        Amount(0) => String::new(),
        paid => format!(", and {paid} came from the bonds of providers that missed the deadline"),
    };
    Some(format!(
        "{} tokens in, {} out ({:?}); it cost {}, and {} of at most {} came back{compensation}",
        job.prompt_len,
        delivery.output_len,
        delivery.finish.0,
        Amount(delivery.fee),
        Amount(refunded(job)),
        Amount(job.max_fee),
    ))
}

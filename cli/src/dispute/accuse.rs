//! `assay dispute accuse`.

use std::path::PathBuf;

use assay_client::{
    dispute::{without_game, Charge, Plan},
    keys, Amount,
};
use clap::Args as ClapArgs;

use super::{agreed, plan, play};
use crate::{context::Context, failure::Failure, receipt};

#[derive(ClapArgs)]
pub struct Args {
    /// The answer, of a channel: a file that a gateway or --receipt saved.
    file: PathBuf,

    /// Another answer to the same request, with another token.
    other: Option<PathBuf>,

    /// Accuse without asking.
    #[arg(long)]
    yes: bool,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let me = keys::account(&context.key()?);
    let answer = receipt::read(&args.file)?;
    let other = args.other.as_deref().map(receipt::read).transpose()?;
    let chain = context.chain().await?;
    let progress = context.progress();
    let made = match plan(&chain, &args.file)? {
        Some(plan) if plan.charge.position().is_some() => {
            let file = args.file.display();
            return Err(Failure::Usage(format!(
                "a token of this answer is disputed, as {} says; `assay dispute watch {file}` goes on with that",
                Plan::path(&args.file).display()
            )));
        }
        Some(plan) => {
            progress.say("going on with what was begun before");
            plan
        }
        None => {
            let found = without_game(&chain, &answer, other.as_ref()).await?;
            let charge = found.ok_or_else(|| {
                let file = args.file.display();
                Failure::Request(format!(
                    "nothing of {} shows without a game that it is false; `assay dispute open {file}` \
                     disputes a wrong token",
                    answer.claim()
                ))
            })?;
            let cost = match charge {
                Charge::Header => {
                    let best = chain.best().await?;
                    let bond = Amount(best.challenge_bond(answer.header.provider, 0).await?);
                    format!(
                        "this holds a bond of {bond}, which is lost if the provider shows the user's signature"
                    )
                }
                _ => {
                    "this takes a deposit that comes back, and the fees of two transactions".into()
                }
            };
            let sentence = format!("{} of {}: {cost}", charge.describe(), answer.claim());
            if !agreed(&progress, args.yes, &sentence)? {
                return Ok(());
            }
            let plan = Plan::new(chain.genesis_hash(), me, charge, None);
            plan.write(&args.file)?;
            plan
        }
    };
    drop(progress);
    play(
        context,
        made,
        &answer,
        other.as_ref(),
        (Some(&args.file), None),
        false,
    )
    .await
}

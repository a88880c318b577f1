//! `assay dispute accuse`.

use std::path::{Path, PathBuf};

use assay_client::{
    answer::{Answer, Origin},
    dispute::{without_game, Charge, Plan},
    keys, Amount, Chain,
};
use clap::Args as ClapArgs;

use super::{agreed, can_ask, check_heard, plan, play};
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

    /// Say that this request was never made. Needed where nobody is asked and nothing but its signature is wrong: in a
    /// file that was changed it looks the same, and then the bond is lost.
    #[arg(long)]
    never_asked: bool,
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
            let charge = found.ok_or_else(|| Failure::Request(nothing(&args.file, &answer)))?;
            check_heard(&chain, &charge, &answer, other.as_ref()).await?;
            let cost = cost(&chain, &charge, &answer).await?;
            let sentence = format!("{}: {}; {cost}", answer.claim(), charge.describe());
            let asks = !args.yes && can_ask();
            if !may_accuse(&charge, asks, args.never_asked) {
                return Err(Failure::Usage(format!(
                    "{sentence}; only who made the requests knows: if this was none of them, say --yes --never-asked"
                )));
            }
            if !agreed(&progress, args.yes, &sentence)? {
                return Ok(());
            }
            Plan::new(chain.genesis_hash(), me, charge, None)
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

/// What an accusation takes, and how it may be lost.
async fn cost(chain: &Chain, charge: &Charge, answer: &Answer) -> Result<String, Failure> {
    if *charge != Charge::Header {
        return Ok("this takes a deposit that comes back, and the fees of two transactions".into());
    }
    let best = chain.best().await?;
    let bond = Amount(best.challenge_bond(answer.header.provider, 0).await?);
    Ok(format!(
        "this holds a bond of {bond}, which is lost if the provider shows the user's signature, as it does where only this \
         file was changed"
    ))
}

/// Whether that may be accused without more. A signature that is missing on the chain and one that was spoilt in the
/// file look the same, so that somebody has to say which it is.
fn may_accuse(charge: &Charge, asks: bool, never_asked: bool) -> bool {
    *charge != Charge::Header || asks || never_asked
}

/// Why a provider can be accused of nothing in this file, and what to do.
fn nothing(file: &Path, answer: &Answer) -> String {
    let claim = answer.claim();
    let next = format!(
        "`assay dispute open {}` disputes a wrong token",
        file.display()
    );
    match (answer.check(), &answer.origin) {
        (Err(sentence), _) => format!(
            "{sentence}; the provider can be accused of nothing in this file, which is not what it signed: get the file again \
             from where it came"
        ),
        (Ok(()), Origin::Job { .. }) => format!(
            "nothing of {claim} is accused, since the chain checked its receipt when it took it; {next}"
        ),
        (Ok(()), Origin::Channel { .. }) => {
            format!("nothing of {claim} shows without a game that it is false; {next}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::tests::{answer, in_channel};

    #[test]
    fn who_can_accuse_nobody_is_not_sent_in_a_circle() {
        let file = Path::new("answer.json");
        for answer in [answer(), in_channel()] {
            let said = nothing(file, &answer);
            assert!(said.contains("`assay dispute open answer.json`"), "{said}");
            for change in [
                (|a| a.output[1] = 10) as fn(&mut Answer),
                |a| a.signed.operator.0[0] ^= 1,
                |a| a.seed[0] ^= 1,
            ] {
                let mut altered = answer.clone();
                change(&mut altered);
                let said = nothing(file, &altered);
                assert!(said.contains("get the file again"), "{said}");
                assert!(!said.contains("assay dispute"), "{said}");
            }
        }
    }

    #[test]
    fn what_a_changed_file_would_show_as_well_is_accused_by_who_knows_better_alone() {
        assert!(!may_accuse(&Charge::Header, false, false));
        assert!(may_accuse(&Charge::Header, true, false));
        assert!(may_accuse(&Charge::Header, false, true));
        assert!(may_accuse(&Charge::Face, false, false));
    }
}

//! `assay dispute`: false answers, taken to the chain.

mod accuse;
mod list;
mod open;
mod show;
mod watch;

use std::{
    io::{stderr, stdin, BufRead, IsTerminal, Write},
    path::Path,
    sync::Arc,
};

use assay_client::{
    answer::Answer,
    dispute::{computed, refusal, Campaign, Charge, Ending, Exhibit, News, Plan, Study},
    folder::ModelFolder,
    keys, AccountId32, Chain, Error,
};
use clap::Subcommand;

use crate::{
    context::{Context, Progress},
    failure::Failure,
    judge::{mismatch, Machine},
    receipt::held_against_chain,
};

pub use self::open::offer;

#[derive(Subcommand)]
pub enum Command {
    /// Show the disputes that are not over.
    List(list::Args),
    /// Dispute an answer whose tokens are not the model's: finds the first wrong token, commits, opens the dispute and
    /// plays it to the end.
    Open(open::Args),
    /// Play a dispute to its end, or watch it; also after it was interrupted.
    Watch(watch::Args),
    /// Accuse the provider of an answer that is false on its face, as its receipt and request show.
    Accuse(accuse::Args),
}

pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(context, args).await,
        Command::Open(args) => open::run(context, args).await,
        Command::Watch(args) => watch::run(context, args).await,
        Command::Accuse(args) => accuse::run(context, args).await,
    }
}

/// The true trace of a token of an answer, if that is what its provider is charged with. Whoever plays with other
/// tokens or another model's numbers loses a bond, so all of it is looked at before.
async fn study(
    context: &Context,
    charge: &Charge,
    answer: &Answer,
    machine: Option<&Machine>,
) -> Result<Option<Study>, Failure> {
    let Some(position) = charge.position() else {
        return Ok(None);
    };
    let machine = machine.ok_or_else(|| {
        let next = "name its folder with --model";
        Failure::Usage(format!("the trace is computed with the model here; {next}"))
    })?;
    answer.check().map_err(Failure::Request)?;
    let held = held_against_chain(answer, context).await;
    held.map_err(Failure::Request)?;
    if let Some(sentence) = mismatch(answer, &ModelFolder::open(&machine.model)?)? {
        return Err(Failure::Usage(sentence));
    }
    let (folder, cpu) = (machine.model.clone(), Arc::new(machine.cpu()?));
    let show = computed(folder, cpu, Exhibit::of(answer, position));
    Study::start(show).map(Some).map_err(Failure::Usage)
}

/// Takes a plan to its end, and says what happens.
async fn play(
    context: &Context,
    plan: Plan,
    answer: &Answer,
    other: Option<&Answer>,
    (file, machine): (Option<&Path>, Option<&Machine>),
    only_open: bool,
) -> Result<(), Failure> {
    let key = context.key()?;
    let chain = Chain::connect_for_long(context.url()).await?;
    let progress = context.progress();
    let study = match only_open {
        true => None,
        false => study(context, &plan.charge, answer, machine).await?,
    };
    // It is on disk before anything is sent, and not before it is sure that something will be.
    let mut is_new = false;
    if let Some(file) = file.filter(|_| plan.sent.is_none() && plan.opened.is_none()) {
        is_new = Plan::read(file)?.is_none();
        plan.write(file)?;
    }
    let campaign = Campaign {
        chain: &chain,
        key: &key,
        answer,
        other,
        study: study.as_ref(),
        file,
        plan,
        only_open,
    };
    let mut said = String::new();
    let mut may_be_sent = !is_new;
    let ending = campaign
        .run(&mut |news| {
            may_be_sent |= tells_of_sending(&news);
            let line = news.to_string();
            match news.is_waiting() {
                true => progress.wait(&line),
                false if line != said => progress.say(&line),
                false => {}
            }
            if !news.is_waiting() {
                said = line;
            }
        })
        .await;
    drop(progress);
    if let (Some(file), Err(error)) = (file, &ending) {
        if !may_be_sent && is_refusal(error) {
            Plan::remove(file)?;
        }
    }
    match ending? {
        Some(ending) => over(context, &ending, &keys::account(&key)),
        None => {
            let file = file.unwrap_or(Path::new("ANSWER.json")).display();
            let json = serde_json::json!({ "open": true });
            context.show(json, || {
                format!(
                    "the dispute is open; start `assay dispute watch {file} --model DIR` now, here or as the delegate: it \
                     computes the trace, and plays"
                )
            });
            Ok(())
        }
    }
}

/// Whether something was sent before that is told, or may have been.
fn tells_of_sending(news: &News) -> bool {
    !matches!(news, News::Computing { .. })
}

/// Whether nothing more can come of what ended with this error.
fn is_refusal(error: &Error) -> bool {
    matches!(
        error,
        Error::Dispute(_) | Error::Dispatch { .. } | Error::NotAccepted { .. }
    )
}

/// That the chain would hear this charge, as far as that shows before a commitment is paid for.
async fn check_heard(
    chain: &Chain,
    charge: &Charge,
    answer: &Answer,
    other: Option<&Answer>,
) -> Result<(), Failure> {
    let best = chain.best().await?;
    let why = refusal(&best, chain.genesis_hash(), charge, answer, other).await?;
    match why {
        None => Ok(()),
        Some(why) => Err(Failure::Request(format!("{why}; nothing was sent"))),
    }
}

/// How it ended, and where the money went.
fn over(context: &Context, ending: &Ending, me: &AccountId32) -> Result<(), Failure> {
    let (text, is_won) = show::ending(ending, me);
    if is_won {
        context.show(show::ending_json(ending), || text);
        return Ok(());
    }
    if context.is_json() {
        context.print_json(&show::ending_json(ending));
    }
    Err(Failure::Request(text))
}

/// Whether somebody is there to answer.
fn can_ask() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Whether the user wants that, which costs what the sentence says. Without a terminal only --yes says so.
fn agreed(progress: &Progress, yes: bool, sentence: &str) -> Result<bool, Failure> {
    if !yes && !can_ask() {
        return Err(Failure::Usage(format!(
            "{sentence}; say --yes if you want that"
        )));
    }
    progress.say(sentence);
    if yes {
        return Ok(true);
    }
    eprint!("go on? [y/N] ");
    let _ = stderr().flush();
    Ok(says_yes(&mut stdin().lock()))
}

/// Whether the next line is a yes. Nothing, and what cannot be read, is a no.
fn says_yes(input: &mut impl BufRead) -> bool {
    let mut line = String::new();
    let read = input.read_line(&mut line);
    read.is_ok() && matches!(line.trim(), "y" | "Y" | "yes")
}

/// The plan for the answer in this file, which must be of this chain. One that led to nothing is none.
fn plan(chain: &Chain, file: &Path) -> Result<Option<Plan>, Failure> {
    let Some(plan) = Plan::read(file)?.filter(|plan| !plan.is_given_up()) else {
        return Ok(None);
    };
    match plan.genesis == chain.genesis_hash() {
        true => Ok(Some(plan)),
        false => Err(Failure::Usage(format!(
            "{} is about a dispute on another chain; name its node with --chain, or move the file away",
            Plan::path(file).display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_goes_only_where_surely_nothing_was_sent() {
        assert!(!tells_of_sending(&News::Computing { position: 0 }));
        for news in [News::Committed, News::Trouble("lost".into())] {
            assert!(tells_of_sending(&news), "{news}");
        }
        assert!(is_refusal(&Error::Dispute("too late".into())));
        let call = || "Disputes.commit".to_owned();
        let lost = Error::Lost {
            call: call(),
            reason: String::new(),
        };
        let late = Error::Timeout {
            call: call(),
            seconds: 1,
        };
        for error in [lost, late, Error::Incompatible] {
            assert!(!is_refusal(&error), "{error}");
        }
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        for line in ["y\n", "Y", " yes \r\n", "y\nn\n"] {
            assert!(says_yes(&mut line.as_bytes()), "{line:?}");
        }
        for line in ["", "\n", "n\n", "no", "yesterday\n", "\ny\n"] {
            assert!(!says_yes(&mut line.as_bytes()), "{line:?}");
        }
        assert!(!says_yes(&mut &b"y\xff\n"[..]));
    }
}

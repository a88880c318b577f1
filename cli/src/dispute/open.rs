//! `assay dispute open`.

use std::path::{Path, PathBuf};

use assay_client::{
    answer::Answer,
    dispute::{self, Charge, Plan},
    folder::{ModelFolder, ModelWeights},
    keys, AccountId32, Amount, Chain,
};
use assay_primitives::Claim;
use clap::Args as ClapArgs;

use super::{agreed, can_ask, check_heard, plan, play};
use crate::{
    context::{Context, Progress},
    failure::Failure,
    funds::Funds,
    judge::{judge, names_another, Machine, Verdict},
    receipt::{self, held_against_chain},
};

#[derive(ClapArgs)]
pub struct Args {
    /// The answer: a file that --receipt saved, or one of a gateway's evidence.
    file: PathBuf,

    #[command(flatten)]
    machine: Machine,

    /// Number of the first wrong token, from 1, as `assay verify` says it [default: found by computing].
    #[arg(long, value_name = "TOKEN")]
    at: Option<u32>,

    /// Another account that may play the moves; it can touch no money. It needs this file and the model, and computes
    /// the trace itself, with `assay dispute watch`.
    #[arg(long, value_name = "ACCOUNT")]
    delegate: Option<String>,

    /// Open without asking.
    #[arg(long)]
    yes: bool,

    /// End once the dispute is open, without computing the trace; `assay dispute watch`, here or by the delegate, has
    /// to be started at once: it computes the trace and plays.
    #[arg(long)]
    no_watch: bool,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    // Who does not want to has what it wants.
    begin(context, args).await.map(drop)
}

/// Asks, opens, and plays. Whether the user wanted that.
async fn begin(context: &Context, args: Args) -> Result<bool, Failure> {
    let key = context.key()?;
    let me = keys::account(&key);
    let delegate = args.delegate.as_deref().map(keys::parse_account);
    let delegate = delegate.transpose()?;
    let answer = receipt::read(&args.file)?;
    let chain = context.chain().await?;
    let progress = context.progress();
    let made = match plan(&chain, &args.file)? {
        Some(plan) if plan.challenger != me => {
            return Err(Failure::Usage(format!(
                "{} disputes this answer already, as {} says; give its key, or move the file away",
                plan.challenger,
                Plan::path(&args.file).display()
            )))
        }
        Some(plan) => {
            goes_on(&plan, &args, delegate)?;
            progress.say("going on with the dispute that was begun before");
            plan
        }
        None => {
            let position = position(context, &chain, &answer, &args, &progress).await?;
            let charge = Charge::Token { position };
            let sentence = price(&chain, &answer, position, &args.machine, &key).await?;
            if let Some(who) = who_plays(args.no_watch, delegate.as_ref(), &args.file) {
                progress.say(&who);
            }
            if !agreed(&progress, args.yes, &sentence)? {
                return Ok(false);
            }
            Plan::new(chain.genesis_hash(), me, charge, delegate)
        }
    };
    drop(progress);
    let place = (Some(args.file.as_path()), Some(&args.machine));
    play(context, made, &answer, None, place, args.no_watch).await?;
    Ok(true)
}

/// Who needs the trace besides this command or in its place, and when.
fn who_plays(no_watch: bool, delegate: Option<&AccountId32>, file: &Path) -> Option<String> {
    let file = file.display();
    let watch = format!("`assay dispute watch {file} --model DIR`");
    match (no_watch, delegate) {
        (false, None) => None,
        (false, Some(delegate)) => Some(format!(
            "the moves are played here too; where {delegate} is to play them, that machine computes the trace itself: it \
             needs {file} and the model, and {watch} from the opening on"
        )),
        (true, delegate) => {
            let who = match delegate {
                Some(delegate) => format!("{delegate}, or you,"),
                None => "you".into(),
            };
            Some(format!(
                "this command ends without the trace: once the dispute is open {who} must start {watch} at once, since \
                 the trace takes its time, and a move that is late loses the bond"
            ))
        }
    }
}

/// Whether the dispute that was begun is the one that is asked for.
fn goes_on(plan: &Plan, args: &Args, delegate: Option<AccountId32>) -> Result<(), Failure> {
    let began = |what: String| {
        let file = args.file.display();
        Err(Failure::Usage(format!(
            "{what}, as {} says; `assay dispute watch {file}` goes on with that, and to begin another move it away",
            Plan::path(&args.file).display()
        )))
    };
    let Charge::Token { position } = plan.charge else {
        return began(format!(
            "its provider was accused: {}",
            plan.charge.describe()
        ));
    };
    let number = position.saturating_add(1);
    if args.at.is_some_and(|at| at != number) {
        return began(format!("token {number} of this answer is disputed"));
    }
    if args.delegate.is_some() && delegate != plan.delegate {
        return began(match plan.delegate {
            Some(delegate) => format!("the dispute of this answer has the delegate {delegate}"),
            None => "the dispute of this answer has no delegate".into(),
        });
    }
    Ok(())
}

/// The place, from 0, of the first wrong token: the one that was named, or else what computing gives.
async fn position(
    context: &Context,
    chain: &Chain,
    answer: &Answer,
    args: &Args,
    progress: &Progress,
) -> Result<u32, Failure> {
    let fits = answer.check();
    fits.map_err(|sentence| Failure::Request(does_not_fit(&sentence, answer, &args.file)))?;
    held_against_chain(answer, context)
        .await
        .map_err(Failure::Request)?;
    let tokens = answer.output.len();
    let named = match args.at {
        None => None,
        Some(at) => {
            let position = at.checked_sub(1);
            let position = position.filter(|position| (*position as usize) < tokens);
            Some(position.ok_or_else(|| {
                Failure::Usage(format!(
                    "the answer has no token {at}: it has {tokens}, from 1"
                ))
            })?)
        }
    };
    // If nothing is said of the first, nothing is of another.
    let position = named.unwrap_or(0);
    check_heard(chain, &Charge::Token { position }, answer, None).await?;
    if named.is_some() {
        return Ok(position);
    }
    match judge(answer, &args.machine, progress)? {
        Verdict::Right { .. } => Err(Failure::Request(format!(
            "every token is right ({tokens} tokens): there is nothing to dispute, and who does loses a bond"
        ))),
        Verdict::Wrong {
            sentence, wrong, ..
        } => {
            progress.say(&sentence);
            let found = wrong.found.map(|_| wrong.index as u32);
            found.ok_or_else(|| {
                Failure::Request(format!("{sentence}; no token of it is wrong that could be disputed"))
            })
        }
        Verdict::Contradiction(sentence) => Err(Failure::Request(sentence)),
        Verdict::Unknown(sentence) => Err(Failure::Usage(sentence)),
    }
}

/// What to do about a file whose parts do not fit one another.
fn does_not_fit(sentence: &str, answer: &Answer, file: &Path) -> String {
    match answer.header.claim {
        Claim::Job(job) => format!(
            "{sentence}; the chain checked the receipt of job {job} when it took it, so this file was changed: `assay job watch \
             {job} --receipt NEW.json` saves it again"
        ),
        Claim::Channel { .. } => format!(
            "{sentence}; `assay dispute accuse {}` says whether its provider can be accused of that",
            file.display()
        ),
    }
}

/// What the dispute takes, if the account has it.
async fn price(
    chain: &Chain,
    answer: &Answer,
    position: u32,
    machine: &Machine,
    key: &assay_client::Keypair,
) -> Result<String, Failure> {
    let folder = ModelFolder::open(&machine.model)?;
    if let Some(sentence) = names_another(answer, &folder) {
        return Err(Failure::Usage(sentence));
    }
    let leaves = match folder.weights() {
        ModelWeights::Exact(folder) => dispute::leaves(answer, &folder.manifest().shape, position),
        ModelWeights::Float(_) => None,
    };
    let leaves = leaves.ok_or_else(|| {
        let path = machine.model.display();
        Failure::Usage(format!(
            "there is no trace of this answer with the model in {path}; name its exact model with --model"
        ))
    })?;
    let best = chain.best().await?;
    let bond = best.challenge_bond(answer.header.provider, leaves).await?;
    let parameters = best.dispute_parameters().await?;
    let deposit = parameters.commitment_deposit;
    let blocks = u128::from(leaves.div_ceil(parameters.leaves_per_block.max(1)));
    let trace = parameters.bond_per_block.saturating_mul(blocks);
    let crowd = bond.saturating_sub(parameters.base_bond.saturating_add(trace));
    let claim = answer.header.claim;
    let commit = dispute::commit(&claim, &keys::account(key), &chain.genesis_hash());
    let takes = [
        ("as the bond of the dispute", bond),
        ("as the deposit of a commitment", deposit),
    ];
    Funds::look(chain, &commit, key, &takes).await?.check()?;
    let crowd = match crowd {
        0 => String::new(),
        crowd => format!(
            "; {} of it are for the disputes that wait already, and come back only as far as a conviction burns so much",
            Amount(crowd)
        ),
    };
    Ok(format!(
        "disputing token {} of {} holds a bond of {}, which is lost if the token is right{crowd}",
        position.saturating_add(1),
        answer.claim(),
        Amount(bond)
    ))
}

/// Offers to dispute what `assay verify` found, token number `index` from 0, after it was reported. On a terminal it
/// asks; elsewhere it says the command.
pub async fn offer(
    context: &Context,
    file: &str,
    machine: Machine,
    index: usize,
    reported: Result<(), Failure>,
) -> Result<(), Failure> {
    let progress = context.progress();
    let model = machine.model.display().to_string();
    if !Path::new(file).is_file() {
        progress.say(&format!(
            "to dispute it: `assay job watch {file} --receipt job-{file}.json`, then `assay dispute open \
             job-{file}.json --model {model}`"
        ));
        return reported;
    }
    let command = format!("assay dispute open {file} --model {model}");
    let has_key = matches!(context.key_if_given(), Ok(Some(_)));
    let asks = has_key && !context.is_json() && agreed_to_open(&progress, &reported)?;
    if !asks {
        progress.say(&format!("to dispute it: `{command}`"));
        return reported;
    }
    drop(progress);
    let args = Args {
        file: file.into(),
        machine,
        at: Some(u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)),
        delegate: None,
        yes: false,
        no_watch: false,
    };
    match begin(context, args).await? {
        true => Ok(()),
        // The answer is as wrong as before.
        false => reported,
    }
}

/// Whether the user wants to go on from the verdict to a dispute.
fn agreed_to_open(progress: &Progress, reported: &Result<(), Failure>) -> Result<bool, Failure> {
    if !can_ask() {
        return Ok(false);
    }
    let sentence = match reported {
        Ok(()) => return Ok(false),
        Err(failure) => format!("{failure}; this can be disputed"),
    };
    agreed(progress, false, &sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receipt::tests::{answer, in_channel};

    #[test]
    fn only_what_can_be_accused_is_sent_to_be_accused() {
        let file = Path::new("answer.json");
        let said = does_not_fit("the output is another", &answer(), file);
        assert!(said.contains("`assay job watch 7 --receipt"), "{said}");
        assert!(!said.contains("accuse"), "{said}");
        let said = does_not_fit("the output is another", &in_channel(), file);
        assert!(
            said.contains("`assay dispute accuse answer.json`"),
            "{said}"
        );
    }

    #[test]
    fn who_does_not_play_here_is_told_who_needs_the_trace_and_when() {
        let (file, delegate) = (Path::new("answer.json"), AccountId32([7; 32]));
        assert_eq!(who_plays(false, None, file), None);
        let watch = "`assay dispute watch answer.json --model DIR`";
        let said = who_plays(true, None, file).unwrap();
        assert!(said.contains(watch) && said.contains("at once"), "{said}");
        for no_watch in [true, false] {
            let said = who_plays(no_watch, Some(&delegate), file).unwrap();
            let name = delegate.to_string();
            assert!(said.contains(watch) && said.contains(&name), "{said}");
        }
    }
}

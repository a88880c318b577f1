//! `assay dispute watch`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use assay_client::{
    answer::Answer,
    dispute::{Charge, Dispute, DisputeId, Opened, Plan},
    keys, AccountId32, Chain, Snapshot,
};
use clap::Args as ClapArgs;
use tokio::time::timeout;

use super::{over, plan, play, show};
use crate::{context::Context, failure::Failure, judge::Machine, receipt, watch::look};

/// Longer than any chain's slot, with a few missed ones.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(ClapArgs)]
pub struct Args {
    /// The number of a dispute, or the file of the answer that is disputed.
    dispute: String,

    /// Whose dispute to play, where several over the answer name you: account or name of a development key.
    #[arg(long, value_name = "ACCOUNT")]
    challenger: Option<String>,

    /// Folder of the model: with it, and the key of the challenger or its delegate, the moves are played.
    #[arg(long, value_name = "DIR", env = "ASSAY_MODEL_DIR")]
    model: Option<PathBuf>,

    /// Threads that compute [default: one for each core].
    #[arg(long, value_name = "N", env = "ASSAY_THREADS")]
    threads: Option<NonZeroUsize>,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let challenger = args.challenger.as_deref().map(keys::parse_account);
    let challenger = challenger.transpose()?;
    let machine = args.model.map(|model| Machine {
        model,
        threads: args.threads,
    });
    let chain = context.chain().await?;
    match args.dispute.parse() {
        Ok(id) => of_number(context, &chain, id, machine.as_ref()).await,
        Err(_) => {
            let file = Path::new(&args.dispute);
            of_file(context, &chain, file, challenger, machine.as_ref()).await
        }
    }
}

async fn of_file(
    context: &Context,
    chain: &Chain,
    file: &Path,
    challenger: Option<AccountId32>,
    machine: Option<&Machine>,
) -> Result<(), Failure> {
    let answer = receipt::read(file)?;
    let me = keys::account(&context.key()?);
    let plan = match plan(chain, file)? {
        Some(plan) => plan,
        None => {
            let best = chain.best().await?;
            let mut disputes = best.disputes_of_provider(answer.header.provider).await?;
            disputes.retain(|dispute| {
                dispute.receipt == answer.signed.receipt
                    && dispute.is_challenger(&me)
                    && challenger
                        .as_ref()
                        .is_none_or(|who| *who == dispute.challenger)
            });
            let claim = answer.claim();
            match disputes.as_slice() {
                [dispute] => begun(chain, dispute, &best),
                [] => {
                    let file = file.display();
                    return Err(Failure::Request(format!(
                        "no dispute over {claim} is {me}'s to play; `assay dispute open {file}` begins one"
                    )));
                }
                // Anybody can name a delegate without asking.
                several => {
                    let challengers: Vec<String> = several
                        .iter()
                        .map(|dispute| format!("{} by {}", dispute.id, dispute.challenger))
                        .collect();
                    return Err(Failure::Request(format!(
                        "{me} is named in several disputes over {claim}: {}; say whose to play with --challenger",
                        challengers.join(", ")
                    )));
                }
            }
        }
    };
    play(context, plan, &answer, None, (Some(file), machine), false).await
}

/// The plan of a dispute that is on the chain already.
fn begun(chain: &Chain, dispute: &Dispute, best: &Snapshot) -> Plan {
    let charge = match dispute.position() {
        Some(position) => Charge::Token { position },
        None => Charge::Header,
    };
    let mut plan = Plan::new(
        chain.genesis_hash(),
        dispute.challenger,
        charge,
        dispute.delegate,
    );
    plan.opened = Some(Opened {
        dispute: dispute.id,
        block: best.number(),
    });
    plan
}

async fn of_number(
    context: &Context,
    chain: &Chain,
    id: DisputeId,
    machine: Option<&Machine>,
) -> Result<(), Failure> {
    let best = chain.best().await?;
    let dispute = best.dispute(id).await?.ok_or_else(|| {
        Failure::Request(format!(
            "there is no dispute {id}, or it is over; `assay dispute list` shows those that are not"
        ))
    })?;
    let me = context.key_if_given()?.map(|key| keys::account(&key));
    let plays = me.filter(|me| dispute.is_challenger(me));
    if let (Some(_), Some(_)) = (plays, machine) {
        let answer = answer_of(chain, &dispute).await?;
        let plan = begun(chain, &dispute, &best);
        return play(context, plan, &answer, None, (None, machine), false).await;
    }
    follow(context, chain, dispute, me).await
}

/// The disputed answer, if the chain has it.
async fn answer_of(chain: &Chain, dispute: &Dispute) -> Result<Answer, Failure> {
    let missing = || {
        Failure::Usage(format!(
            "the chain does not have the answer that dispute {} is about; give its file in place of the number",
            dispute.id
        ))
    };
    let assay_primitives::Claim::Job(job) = dispute.claim else {
        return Err(missing());
    };
    let seen = look(chain, job).await?;
    let answer = receipt::of_job(chain, job, &seen.job, seen.output.as_deref()).await?;
    answer.ok_or_else(missing)
}

/// Shows where a dispute stands until it is over.
async fn follow(
    context: &Context,
    chain: &Chain,
    dispute: Dispute,
    me: Option<AccountId32>,
) -> Result<(), Failure> {
    let progress = context.progress();
    let mut blocks = chain.best_blocks().await?;
    let mut best = chain.best().await?;
    let from = best.number();
    let mut last = None;
    while let Some(now) = best.dispute(dispute.id).await? {
        let clock = best.dispute_clock().await?;
        let line = show::dispute(&now, clock);
        match last == Some(now.state) {
            true => progress.wait(&line),
            false => progress.say(&line),
        }
        last = Some(now.state);
        best = timeout(BLOCK_TIMEOUT, blocks.next()).await.map_err(|_| {
            let seconds = BLOCK_TIMEOUT.as_secs();
            Failure::Chain(format!(
                "no new block for {seconds} s; look at the node's log"
            ))
        })??;
    }
    drop(progress);
    let ending = chain
        .ending(&best, Some(dispute.id), dispute.claim, from)
        .await?;
    let ending = ending.ok_or_else(|| {
        Failure::Chain(format!(
            "dispute {} is over, and the node does not know any more how; ask another with --chain",
            dispute.id
        ))
    })?;
    over(context, &ending, &me.unwrap_or(AccountId32([0; 32])))
}

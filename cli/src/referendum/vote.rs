//! `assay referendum vote`.

use assay_client::{
    chain::{runtime, AccountVote, Vote, VoteLock},
    subxt::utils::MultiAddress,
    AccountId32, Amount, Chain,
};
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::json;

use super::{propose, show};
use crate::{
    context::{some_amount, Context},
    failure::Failure,
};

/// The bit of a vote that says aye.
const AYE: u8 = 0b1000_0000;

#[derive(ClapArgs)]
pub struct Args {
    /// Number of the referendum.
    referendum: u32,
    #[arg(value_enum)]
    side: Side,
    /// How much to vote with. It cannot be spent while the vote stands; what is on hold may vote too.
    #[arg(long, allow_hyphen_values = true, value_parser = some_amount)]
    amount: Amount,
    /// 0: a tenth of the amount counts, and nothing is locked afterwards. 1 to 6: so many times the
    /// amount counts, and if this side wins it stays locked for 1, 2, 4, 8, 16 or 32 periods.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=6))]
    conviction: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Side {
    Aye,
    Nay,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let best = chain.best().await?;
    propose::open(&best, args.referendum).await?;
    let vote = AccountVote::Standard {
        vote: Vote(raw(args.side, args.conviction)),
        balance: args.amount.0,
    };
    let call = runtime::tx()
        .conviction_voting()
        .vote(args.referendum, vote);
    let owned = best.balances(context.account(None)?).await?;
    check(
        args.amount.0,
        owned.free.saturating_add(owned.reserved),
        chain.fee(&call, &context.key()?).await?,
    )?;
    let included = context.submit(&chain, &call, &[]).await?;
    show::show(context, &included.block, args.referendum).await
}

/// An account votes with no more than it has left when the fee is paid.
fn check(amount: u128, owned: u128, fee: u128) -> Result<(), Failure> {
    if amount <= owned.saturating_sub(fee) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "this account has only {} and pays a fee of up to {}; vote with less, and keep some ASY for the fees of \
         taking the vote back",
        Amount(owned),
        Amount(fee)
    )))
}

fn raw(side: Side, conviction: u8) -> u8 {
    match side {
        Side::Aye => conviction | AYE,
        Side::Nay => conviction,
    }
}

pub async fn unvote(context: &Context, index: u32) -> Result<(), Failure> {
    let account = context.account(None)?;
    let chain = context.chain().await?;
    let best = chain.best().await?;
    let Some(track) = best.voted_track(account, index).await? else {
        return Err(Failure::Usage(format!(
            "{account} has no vote on referendum {index}; `assay referendum unlock` frees what earlier votes had \
             locked"
        )));
    };
    let call = runtime::tx()
        .conviction_voting()
        .remove_vote(Some(track), index);
    context.submit(&chain, &call, &[]).await?;
    let (frozen, rest) = free(context, &chain, account, track).await?;
    let json = json!({ "referendum": index, "vote": null, "frozen": Amount(frozen) });
    context.show(json, || {
        format!("the vote on referendum {index} is taken back, and {rest}")
    });
    Ok(())
}

pub async fn unlock(context: &Context) -> Result<(), Failure> {
    let account = context.account(None)?;
    let chain = context.chain().await?;
    let locks = chain.best().await?.vote_locks(account).await?;
    if locks.is_empty() {
        return Err(Failure::Request(format!(
            "no vote of {account} locks anything; `assay balance` shows what it can spend"
        )));
    }
    let (mut frozen, mut rest) = (0, String::new());
    for lock in locks {
        (frozen, rest) = free(context, &chain, account, lock.track).await?;
    }
    context.show(json!({ "frozen": Amount(frozen) }), || rest);
    Ok(())
}

/// Free what votes on a track lock no more. Returns what the account has locked then, and why.
async fn free(
    context: &Context,
    chain: &Chain,
    account: AccountId32,
    track: u16,
) -> Result<(u128, String), Failure> {
    let unlock = runtime::tx()
        .conviction_voting()
        .unlock(track, MultiAddress::Id(account));
    let block = context.submit(chain, &unlock, &[]).await?.block;
    let frozen = block.balances(account).await?.frozen;
    Ok((frozen, describe(&block.vote_locks(account).await?)))
}

/// What keeps how much locked, and what to do about it.
fn describe(locks: &[VoteLock]) -> String {
    if locks.is_empty() {
        return "nothing is locked by votes".into();
    }
    let each = locks.iter().map(|lock| {
        let votes: Vec<String> = lock.votes.iter().map(u32::to_string).collect();
        let mut until = Vec::new();
        if !votes.is_empty() {
            until.push(format!(
                "the votes on {} are taken back with `assay referendum unvote`",
                votes.join(", ")
            ));
        }
        if lock.until > 0 {
            until.push(format!(
                "block {}, then `assay referendum unlock`",
                lock.until
            ));
        }
        if until.is_empty() {
            until.push("it delegates no more".into());
        }
        format!(
            "{} stay locked until {}",
            Amount(lock.amount),
            until.join(" and until ")
        )
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_a_side_and_a_conviction_in_one_byte() {
        assert_eq!(raw(Side::Aye, 0), 128);
        assert_eq!(raw(Side::Aye, 6), 134);
        assert_eq!(raw(Side::Nay, 1), 1);
    }

    #[test]
    fn a_vote_leaves_the_fee() {
        assert!(check(90, 100, 10).is_ok());
        for amount in [91, 100, 101] {
            let message = check(amount, 100, 10).unwrap_err().to_string();
            assert!(message.contains("has only 100 planck"), "{message}");
        }
        assert!(check(1, 5, 10).is_err());
    }

    #[test]
    fn what_stays_locked_says_until_when() {
        let lock = |votes: &[u32], until| VoteLock {
            track: 1,
            amount: 5_000_000_000_000,
            votes: votes.to_vec(),
            until,
        };
        assert_eq!(describe(&[]), "nothing is locked by votes");
        let text = describe(&[lock(&[3, 5], 0), lock(&[], 812)]);
        assert!(
            text.contains("5 ASY stay locked until the votes on 3, 5 are taken back")
                && text
                    .contains("5 ASY stay locked until block 812, then `assay referendum unlock`"),
            "{text}"
        );
        assert!(describe(&[lock(&[3], 9)]).contains("and until block 9"));
    }
}

//! `assay referendum vote`.

use assay_client::{
    chain::{runtime, AccountVote, Vote},
    subxt::utils::MultiAddress,
    Amount,
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
    let owned = best.balances(context.account(None)?).await?;
    let owned = owned.free.saturating_add(owned.reserved);
    if args.amount.0 > owned {
        return Err(Failure::Usage(format!(
            "this account has only {}; vote with at most that",
            Amount(owned)
        )));
    }
    let vote = AccountVote::Standard {
        vote: Vote(raw(args.side, args.conviction)),
        balance: args.amount.0,
    };
    let call = runtime::tx()
        .conviction_voting()
        .vote(args.referendum, vote);
    let included = context.submit(&chain, &call, &[]).await?;
    show::show(context, &included.block, args.referendum).await
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
    let Some(class) = best.voted_track(account, index).await? else {
        return Err(Failure::Usage(format!(
            "{account} has no vote on referendum {index}; there is nothing to take back"
        )));
    };
    let voting = runtime::tx().conviction_voting();
    context
        .submit(&chain, &voting.remove_vote(Some(class), index), &[])
        .await?;
    let unlock = voting.unlock(class, MultiAddress::Id(account));
    let included = context.submit(&chain, &unlock, &[]).await?;
    let frozen = included.block.balances(account).await?.frozen;
    let json = json!({ "referendum": index, "vote": null, "frozen": Amount(frozen) });
    context.show(json, || match frozen {
        0 => format!("the vote on referendum {index} is taken back, and nothing is locked"),
        _ => format!(
            "the vote on referendum {index} is taken back; {} stay locked by votes for now",
            Amount(frozen)
        ),
    });
    Ok(())
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
}

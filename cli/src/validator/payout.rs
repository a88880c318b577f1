//! `assay validator payout`.

use assay_client::{chain::runtime, keys::parse_account, Amount};
use clap::Args as ClapArgs;
use serde_json::json;

use super::counted;
use crate::{context::Context, failure::Failure, records};

#[derive(ClapArgs)]
pub struct Args {
    /// Account of the validator [default: the key's account].
    validator: Option<String>,
    /// The era to be paid for [default: all that are not paid].
    #[arg(long)]
    era: Option<u32>,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let validator = match &args.validator {
        Some(text) => parse_account(text)?,
        None => context.account(None)?,
    };
    let chain = context.chain().await?;
    let mut unpaid = chain
        .best()
        .await?
        .validator_status(validator)
        .await?
        .unpaid;
    unpaid.retain(|(era, _)| args.era.is_none_or(|asked| asked == *era));
    if unpaid.is_empty() {
        return Err(Failure::Request(match args.era {
            Some(era) => format!(
                "nothing is to be paid to {validator} for era {era}; `assay validator status` lists what is"
            ),
            None => format!(
                "nothing is to be paid to {validator}; it is paid for eras that are over, and in which it \
                 made blocks"
            ),
        }));
    }
    let progress = context.progress();
    let mut paid = Vec::new();
    for (era, _) in unpaid {
        let call = runtime::tx().validators().payout(validator, era);
        let included = context.submit_under(&progress, &chain, &call, &[]).await?;
        let events = included.events;
        let Some(Ok(event)) = events.find_first::<runtime::validators::events::RewardPaid>() else {
            return Err(Failure::Chain(format!(
                "the payout of era {era} left no event; look at `assay balance`"
            )));
        };
        progress.say(&format!(
            "era {era}: {} for the validator, {} for its nominators",
            Amount(event.own),
            Amount(event.nominators)
        ));
        paid.push((era, event.own, event.nominators));
    }
    let own = paid
        .iter()
        .fold(0, |sum: u128, (_, own, _)| sum.saturating_add(*own));
    let json = json!({
        "validator": records::account(&validator),
        "paid": paid.iter().map(|(era, own, nominators)| json!({
            "era": era,
            "own": Amount(*own),
            "nominators": Amount(*nominators),
        })).collect::<Vec<_>>(),
    });
    context.show(json, || {
        format!(
            "{validator} was paid {} for {}",
            Amount(own),
            counted(paid.len(), "era")
        )
    });
    Ok(())
}

//! `assay referendum payout`: what referenda have given out of the treasury.

use assay_client::{
    chain::{runtime, Spend},
    Amount,
};
use serde_json::json;

use crate::{context::Context, failure::Failure, records};

pub async fn run(context: &Context) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let best = chain.best().await?;
    let waiting = best.spends().await?;
    let (due, others): (Vec<_>, Vec<_>) = waiting
        .into_iter()
        .partition(|spend| is_due(spend, best.number()));
    if due.is_empty() {
        return Err(Failure::Request(match others.first() {
            None => "the treasury has nothing to pay; a referendum can give: `assay referendum propose --spend \
                     AMOUNT --to ACCOUNT`"
                .into(),
            Some(spend) => format!(
                "the treasury has nothing to pay now; spend {} can be paid from block {} on and before block \
                 {}, and this is block {}",
                spend.index,
                spend.valid_from,
                spend.expires,
                best.number()
            ),
        }));
    }
    let progress = context.progress();
    for spend in &due {
        let call = runtime::tx().treasury().payout(spend.index);
        context.submit_under(&progress, &chain, &call, &[]).await?;
        progress.say(&describe(spend));
    }
    let json = json!(due
        .iter()
        .map(|spend| json!({
            "spend": spend.index,
            "amount": Amount(spend.amount),
            "beneficiary": records::account(&spend.beneficiary),
        }))
        .collect::<Vec<_>>());
    context.show(json, || {
        let sum = due
            .iter()
            .fold(0, |sum: u128, spend| sum.saturating_add(spend.amount));
        format!("the treasury has paid {}", Amount(sum))
    });
    Ok(())
}

fn is_due(spend: &Spend, block: u32) -> bool {
    spend.valid_from <= block && block < spend.expires
}

fn describe(spend: &Spend) -> String {
    format!("{} went to {}", Amount(spend.amount), spend.beneficiary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_client::AccountId32;

    #[test]
    fn a_spend_is_paid_from_its_first_block_on_until_it_expires() {
        let spend = Spend {
            index: 0,
            amount: 5,
            beneficiary: AccountId32([7; 32]),
            valid_from: 10,
            expires: 20,
        };
        for (block, due) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(is_due(&spend, block), due, "block {block}");
        }
    }
}

//! `assay referendum payout`: what referenda have given out of the treasury.

use assay_client::{
    chain::{runtime, Spend},
    Amount,
};
use serde_json::json;

use super::treasury;
use crate::{context::Context, failure::Failure, records};

pub async fn run(context: &Context) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let best = chain.best().await?;
    let block = best.number();
    let waiting = best.spends().await?;
    let (due, others): (Vec<_>, Vec<_>) =
        waiting.into_iter().partition(|spend| is_due(spend, block));
    if due.is_empty() {
        return Err(Failure::Request(match others.first() {
            None => "the treasury has nothing to pay; a referendum can give: `assay referendum propose --spend \
                     AMOUNT --to ACCOUNT`"
                .into(),
            Some(spend) => format!(
                "the treasury has nothing to pay now; spend {} can be paid from block {} on and before block \
                 {}, and this is block {block}",
                spend.index, spend.valid_from, spend.expires,
            ),
        }));
    }
    let pot = treasury::spendable(&best).await?;
    let (payable, too_large) = divide(due, pot);
    let progress = context.progress();
    let (mut paid, mut left) = (Vec::new(), Vec::new());
    for spend in payable {
        let call = runtime::tx().treasury().payout(spend.index);
        match context.submit_under(&progress, &chain, &call, &[]).await {
            Ok(_) => {
                progress.say(&describe(&spend));
                paid.push(spend);
            }
            // Another's failure is no reason to keep the next from its money.
            Err(Failure::Request(why)) => left.push((spend, why)),
            Err(failure) => return Err(failure),
        }
    }
    let sum = |spends: &[Spend]| {
        let amounts = spends.iter().map(|spend| spend.amount);
        Amount(amounts.fold(0, u128::saturating_add))
    };
    let has = Amount(pot.saturating_sub(sum(&paid).0));
    left.extend(too_large.into_iter().map(|spend| {
        let why = format!("the treasury can spend only {has}");
        (spend, why)
    }));
    if !paid.is_empty() || context.is_json() {
        let json = json!(paid
            .iter()
            .map(|spend| json!({
                "spend": spend.index,
                "amount": Amount(spend.amount),
                "beneficiary": records::account(&spend.beneficiary),
            }))
            .collect::<Vec<_>>());
        context.show(json, || format!("the treasury has paid {}", sum(&paid)));
    }
    match left.is_empty() {
        true => Ok(()),
        false => Err(Failure::Request(unpaid(&left, block))),
    }
}

fn is_due(spend: &Spend, block: u32) -> bool {
    spend.valid_from <= block && block < spend.expires
}

/// Those that `pot` planck suffice for, in their order, and the others. What is too large for what is left keeps no smaller
/// one from being paid.
fn divide(due: Vec<Spend>, mut pot: u128) -> (Vec<Spend>, Vec<Spend>) {
    due.into_iter().partition(|spend| {
        let rest = pot.checked_sub(spend.amount);
        pot = rest.unwrap_or(pot);
        rest.is_some()
    })
}

fn describe(spend: &Spend) -> String {
    format!("{} went to {}", Amount(spend.amount), spend.beneficiary)
}

/// What was not paid, why, and how long it can be.
fn unpaid(left: &[(Spend, String)], block: u32) -> String {
    let each = left.iter().map(|(spend, why)| {
        format!(
            "spend {} of {} for {} was not paid: {why}; it can be paid before block {}",
            spend.index,
            Amount(spend.amount),
            spend.beneficiary,
            spend.expires
        )
    });
    format!(
        "{}; this is block {block}, try `assay referendum payout` again later",
        each.collect::<Vec<_>>().join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_client::AccountId32;

    fn spend(index: u32, amount: u128) -> Spend {
        Spend {
            index,
            amount,
            beneficiary: AccountId32([7; 32]),
            valid_from: 10,
            expires: 20,
        }
    }

    #[test]
    fn a_spend_is_paid_from_its_first_block_on_until_it_expires() {
        for (block, due) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(is_due(&spend(0, 5), block), due, "block {block}");
        }
    }

    #[test]
    fn what_is_too_large_keeps_nothing_smaller_from_being_paid() {
        let amounts = [500, 40, 70, 60, 1];
        let indices = |spends: &[Spend]| spends.iter().map(|one| one.index).collect::<Vec<_>>();
        for (pot, paid, left) in [
            (0, vec![], vec![0, 1, 2, 3, 4]),
            (100, vec![1, 3], vec![0, 2, 4]),
            (101, vec![1, 3, 4], vec![0, 2]),
            (671, vec![0, 1, 2, 3, 4], vec![]),
        ] {
            let due = (0..)
                .zip(amounts)
                .map(|(index, amount)| spend(index, amount));
            let (payable, too_large) = divide(due.collect(), pot);
            assert_eq!(indices(&payable), paid, "{pot}");
            assert_eq!(indices(&too_large), left, "{pot}");
        }
    }

    #[test]
    fn what_was_not_paid_says_why_and_how_long_it_can_be() {
        let text = unpaid(&[(spend(3, 500), "too poor".into())], 12);
        assert!(
            text.contains("spend 3 of 500 planck for 5")
                && text.contains("was not paid: too poor; it can be paid before block 20")
                && text.contains("this is block 12")
                && !text.contains('\n'),
            "{text}"
        );
    }
}

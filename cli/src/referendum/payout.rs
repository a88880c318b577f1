//! `assay referendum payout`: what referenda have given out of the treasury.

use assay_client::{
    chain::{runtime, Spend},
    Amount, Error,
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
    let progress = context.progress();
    let pay = async |spend: &Spend| {
        let call = runtime::tx().treasury().payout(spend.index);
        let sent = context.try_submit(&progress, &chain, &call, &[]).await?;
        Ok(sent.map(|_| progress.say(&describe(spend))))
    };
    let (paid, left, stopped) = pay_each(due, pot, pay).await;
    let sum = |spends: &[Spend]| {
        let amounts = spends.iter().map(|spend| spend.amount);
        Amount(amounts.fold(0, u128::saturating_add))
    };
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
    match stopped {
        Some(failure) => Err(failure),
        None if left.is_empty() => Ok(()),
        None => Err(Failure::Request(unpaid(&left, block))),
    }
}

fn is_due(spend: &Spend, block: u32) -> bool {
    spend.valid_from <= block && block < spend.expires
}

/// Has each paid that what is left of `pot` planck suffices for, in their order. What is too large keeps no smaller one from
/// being paid, nor does what the chain refuses; where it is not known what became of one, no more are tried. Returns
/// what was paid, what was not and why, and what ended it early.
async fn pay_each(
    due: Vec<Spend>,
    mut pot: u128,
    mut pay: impl AsyncFnMut(&Spend) -> Result<Result<(), Error>, Failure>,
) -> (Vec<Spend>, Vec<(Spend, String)>, Option<Failure>) {
    let (mut paid, mut left) = (Vec::new(), Vec::new());
    for spend in due {
        let Some(rest) = pot.checked_sub(spend.amount) else {
            let why = format!("the treasury can spend only {}", Amount(pot));
            left.push((spend, why));
            continue;
        };
        match pay(&spend).await {
            Ok(Ok(())) => {
                pot = rest;
                paid.push(spend);
            }
            Ok(Err(error @ Error::Dispatch { .. })) => left.push((spend, error.to_string())),
            Ok(Err(error)) => return (paid, left, Some(error.into())),
            Err(failure) => return (paid, left, Some(failure)),
        }
    }
    (paid, left, None)
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

    #[tokio::test]
    async fn what_cannot_be_paid_keeps_nothing_else_from_being_paid() {
        let call = || "Treasury.payout".to_owned();
        let indices = |spends: &[Spend]| spends.iter().map(|one| one.index).collect::<Vec<_>>();
        // The third is refused by the chain, and costs the others nothing.
        for (pot, paid, left) in [
            (0, vec![], vec![0, 1, 2, 3, 4]),
            (100, vec![1, 3], vec![0, 2, 4]),
            (101, vec![1, 3, 4], vec![0, 2]),
            (671, vec![0, 1, 3, 4], vec![2]),
        ] {
            let due = (0..).zip([500, 40, 70, 60, 1]);
            let due = due.map(|(index, amount)| spend(index, amount)).collect();
            let pay = async |spend: &Spend| {
                Ok(match spend.index {
                    2 => Err(Error::Dispatch {
                        call: call(),
                        error: "Treasury::PayoutError".into(),
                        reason: "too little".into(),
                    }),
                    _ => Ok(()),
                })
            };
            let (done, not_done, stopped) = pay_each(due, pot, pay).await;
            assert_eq!(indices(&done), paid, "{pot}");
            let not_done: Vec<_> = not_done.into_iter().map(|(one, _)| one.index).collect();
            assert_eq!(not_done, left, "{pot}");
            assert!(stopped.is_none());
        }
    }

    #[tokio::test]
    async fn after_one_of_which_nobody_knows_none_is_tried() {
        let due = (0..4).map(|index| spend(index, 1)).collect();
        let pay = async |spend: &Spend| {
            Ok(match spend.index {
                1 => Err(Error::Timeout {
                    call: "Treasury.payout".into(),
                    seconds: 1,
                }),
                _ => Ok(()),
            })
        };
        let (paid, left, stopped) = pay_each(due, 100, pay).await;
        assert_eq!((paid.len(), left.len()), (1, 0));
        let said = stopped.map(|failure| failure.to_string());
        assert!(said.is_some_and(|said| said.contains("look before sending it again")));
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

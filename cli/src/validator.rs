//! `assay validator`.

mod checks;
mod keys;
mod list;
mod payout;
pub mod status;

use assay_client::{
    chain::{runtime, runtime::runtime_types, Bond, Role, ValidatorParameters},
    keys::parse_account,
    subxt::transactions::Payload,
    AccountId32, Amount, Snapshot,
};
use clap::Subcommand;
use runtime_types::sp_arithmetic::per_things::Permill;

use crate::{
    context::{decimal, some_amount, Context},
    failure::Failure,
    funds::Takes,
};

#[derive(Subcommand)]
pub enum Command {
    /// Show an account's bond, what it does with it, and what it earns. With --chain naming the
    /// validator's own node, also whether that node has the registered keys.
    Status {
        /// Validator or nominator [default: the key's account].
        account: Option<String>,
    },
    /// Show who stands for election, and who makes blocks now.
    List,
    /// Bond money, or add to the bond. It answers for the validator's faults.
    Bond {
        #[arg(allow_hyphen_values = true, value_parser = some_amount)]
        amount: Amount,
    },
    /// Have the node that --chain names make session keys, and register them. The node keeps them.
    RotateKeys,
    /// Stand for election, or change the commission.
    Validate {
        /// Your share of what you and your nominators earn, in percent; the rest is divided by bond [default: as it
        /// is; 0 at first, and after `chill`, which forgets it].
        #[arg(long, value_name = "PERCENT", allow_hyphen_values = true, value_parser = commission)]
        commission: Option<u32>,
    },
    /// Back a validator with the whole bond: its reward is shared, and so is what its faults cost.
    Nominate {
        /// Account of the validator.
        validator: String,
    },
    /// Stand for election no more, or back nobody any more, from the next era on. The commission is forgotten.
    Chill,
    /// Begin to take money out of the bond.
    Unbond {
        #[arg(allow_hyphen_values = true, value_parser = some_amount)]
        amount: Amount,
    },
    /// Release the unbonded money that is due.
    Withdraw,
    /// Have a validator and its nominators paid for eras that are over. Anybody may.
    Payout(payout::Args),
    /// Remove the registered session keys, when nothing is bonded any more; their deposit returns.
    PurgeKeys,
}

/// Percent in parts of a million.
fn commission(text: &str) -> Result<u32, String> {
    match decimal(text, 4)? {
        ppm if ppm <= 1_000_000 => Ok(ppm),
        _ => Err("no more than 100 percent can be kept".into()),
    }
}

pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let calls = runtime::tx().validators();
    match command {
        Command::Status { account } => {
            let account = context.account(account.as_deref())?;
            status::run(context, account).await
        }
        Command::List => list::run(context).await,
        Command::Bond { amount } => {
            let (bond, parameters) = own(context).await?;
            let bonded = bond.as_ref().map(|bond| bond.amount);
            checks::bond(bonded, amount.0, &parameters)?;
            let takes = [("to bond", amount.0)];
            match bond {
                None => send(context, &calls.bond(amount.0), &takes).await,
                Some(_) => send(context, &calls.bond_extra(amount.0), &takes).await,
            }
        }
        Command::RotateKeys => keys::rotate(context).await,
        Command::Validate { commission } => {
            let (bond, parameters) = own(context).await?;
            let keys = keys::registered(context).await?;
            checks::validate(bond.as_ref(), keys.is_some(), &parameters)?;
            let role = bond.as_ref().map(|bond| &bond.role);
            if let (Some(keys), false) = (keys, matches!(role, Some(Role::Validator { .. }))) {
                keys::check_alone(context, &keys).await?;
            }
            let commission = match (commission, bond.map(|bond| bond.role)) {
                (Some(ppm), _) => Permill(ppm),
                (None, Some(Role::Validator { commission })) => commission,
                (None, _) => Permill(0),
            };
            send(context, &calls.validate(commission), &[]).await
        }
        Command::Nominate { validator } => {
            let validator = parse_account(&validator)?;
            let (bond, parameters) = own(context).await?;
            let best = best(context).await?;
            let to = checks::Backed {
                account: validator,
                bond: best.bond(validator).await?,
                nominators: best.nominators(validator).await?,
                room: max_nominators(&best)?,
            };
            checks::nominate(context.account(None)?, bond.as_ref(), &to, &parameters)?;
            send(context, &calls.nominate(validator), &[]).await
        }
        Command::Chill => {
            let (bond, _) = own(context).await?;
            checks::chill(bond.as_ref())?;
            send(context, &calls.chill(), &[]).await
        }
        Command::Unbond { amount } => {
            let (bond, parameters) = own(context).await?;
            checks::unbond(bond.as_ref(), amount.0, &parameters)?;
            send(context, &calls.unbond(amount.0), &[]).await
        }
        Command::Withdraw => {
            let (bond, _) = own(context).await?;
            let session = best(context).await?.session().await?;
            checks::withdraw(bond.as_ref(), session)?;
            send(context, &calls.withdraw_unbonded(), &[]).await
        }
        Command::Payout(args) => payout::run(context, args).await,
        Command::PurgeKeys => keys::purge(context).await,
    }
}

/// How many nominators a validator can have.
fn max_nominators(best: &Snapshot) -> Result<usize, Failure> {
    let address = runtime::constants().validators().max_nominators();
    let most = best.client().constants().entry(address);
    let most = most.map_err(|error| Failure::Chain(error.to_string()))?;
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}

async fn best(context: &Context) -> Result<Snapshot, Failure> {
    Ok(context.chain().await?.best().await?)
}

/// The key's own bond, and what governance has set.
async fn own(context: &Context) -> Result<(Option<Bond>, ValidatorParameters), Failure> {
    let account = context.account(None)?;
    let snapshot = best(context).await?;
    let bond = snapshot.bond(account).await?;
    Ok((bond, snapshot.validator_parameters().await?))
}

/// Send a call, then show what the account looks like after it.
async fn send<C: Payload>(context: &Context, call: &C, takes: Takes<'_>) -> Result<(), Failure> {
    let account = context.account(None)?;
    let chain = context.chain().await?;
    let included = context.submit(&chain, call, takes).await;
    let included = included.map_err(|failure| match failure {
        // The chain's words are those of its calls.
        Failure::Request(why) => {
            Failure::Request(why.replace("bond_extra", "`assay validator bond`"))
        }
        other => other,
    })?;
    status::show(context, &chain, &included.block, account).await
}

/// What a bond stands for, in a word.
fn role(role: &Role<AccountId32>) -> &'static str {
    match role {
        Role::Idle => "Idle",
        Role::Validator { .. } => "Validator",
        Role::Nominator { .. } => "Nominator",
    }
}

/// `1 era`, `2 eras`.
fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(1, "era"), "1 era");
        assert_eq!(counted(0, "era"), "0 eras");
        assert_eq!(counted(2, "era"), "2 eras");
    }

    #[test]
    fn a_commission_is_a_percentage() {
        assert_eq!(commission("0"), Ok(0));
        assert_eq!(commission("2.5"), Ok(25_000));
        assert_eq!(commission("100"), Ok(1_000_000));
        for text in ["100.0001", "-1", "", "5%", "0.00001"] {
            assert!(commission(text).is_err(), "{text}");
        }
    }
}

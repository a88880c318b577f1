//! What the chain would refuse, told before it costs a fee and with the way out.

use assay_client::{
    chain::{Bond, Role, ValidatorParameters},
    AccountId32, Amount,
};

use crate::failure::Failure;

const NO_BOND: &str = "nothing is bonded; begin with `assay validator bond AMOUNT`";

fn usage(message: impl Into<String>) -> Failure {
    Failure::Usage(message.into())
}

fn bonded(bond: Option<&Bond>) -> Result<&Bond, Failure> {
    bond.ok_or_else(|| usage(NO_BOND))
}

fn at_least(bond: u128, least: u128, of: &str) -> Result<(), Failure> {
    match least.checked_sub(bond) {
        None | Some(0) => Ok(()),
        Some(missing) => Err(usage(format!(
            "a bond of {} is below the least of {of}, {}; add {} with `assay validator bond`",
            Amount(bond),
            Amount(least),
            Amount(missing)
        ))),
    }
}

pub fn bond(
    bonded: Option<u128>,
    more: u128,
    parameters: &ValidatorParameters,
) -> Result<(), Failure> {
    let sum = bonded.unwrap_or(0).saturating_add(more);
    let least = parameters.min_nominator_bond;
    if sum >= least {
        return Ok(());
    }
    Err(usage(format!(
        "a bond of {} is below the least, {} for a nominator and {} for a validator; bond more",
        Amount(sum),
        Amount(least),
        Amount(parameters.min_validator_bond)
    )))
}

pub fn validate(
    bond: Option<&Bond>,
    has_keys: bool,
    parameters: &ValidatorParameters,
) -> Result<(), Failure> {
    let bond = bonded(bond)?;
    at_least(bond.amount, parameters.min_validator_bond, "a validator")?;
    match has_keys {
        true => Ok(()),
        false => Err(usage(
            "no session keys are registered; run `assay validator rotate-keys` on the validator's machine",
        )),
    }
}

/// Whom somebody wants to back.
pub struct Backed {
    pub account: AccountId32,
    pub bond: Option<Bond>,
    /// Who backs it already, and with how many planck.
    pub nominators: Vec<(AccountId32, u128)>,
    /// How many nominators it can have.
    pub room: usize,
}

pub fn nominate(
    who: AccountId32,
    bond: Option<&Bond>,
    to: &Backed,
    parameters: &ValidatorParameters,
) -> Result<(), Failure> {
    let bond = bonded(bond)?;
    at_least(bond.amount, parameters.min_nominator_bond, "a nominator")?;
    let validator = to.account;
    if who == validator {
        return Err(usage(
            "a validator's own bond is behind it already; name another, or add with `assay validator bond`",
        ));
    }
    match to.bond.as_ref().map(|bond| &bond.role) {
        Some(Role::Validator { .. }) => {}
        _ => {
            return Err(usage(format!(
                "{validator} does not stand for election; choose from `assay validator list`"
            )))
        }
    }
    let others = to.nominators.iter().filter(|(other, _)| *other != who);
    let amounts: Vec<u128> = others.map(|(_, amount)| *amount).collect();
    match amounts.iter().min() {
        Some(least) if amounts.len() >= to.room && bond.amount <= *least => Err(usage(format!(
            "{validator} has {} nominators, the most it can have, with {} or more each; bond more than that, or \
             choose another from `assay validator list`",
            amounts.len(),
            Amount(*least)
        ))),
        _ => Ok(()),
    }
}

pub fn chill(bond: Option<&Bond>) -> Result<(), Failure> {
    match bonded(bond)?.role {
        Role::Idle => Err(usage(
            "the bond stands for nothing already; `assay validator unbond` takes money out of it",
        )),
        _ => Ok(()),
    }
}

pub fn unbond(
    bond: Option<&Bond>,
    less: u128,
    parameters: &ValidatorParameters,
) -> Result<(), Failure> {
    let bond = bonded(bond)?;
    let all = Amount(bond.amount);
    let Some(rest) = bond.amount.checked_sub(less) else {
        return Err(usage(match bond.amount {
            0 => "nothing is bonded any more; look at `assay validator status`".into(),
            _ => format!("only {all} is bonded; unbond at most that"),
        }));
    };
    let (least, who, way) = match bond.role {
        Role::Validator { .. } => (parameters.min_validator_bond, "a validator", CHILL),
        Role::Nominator { .. } => (parameters.min_nominator_bond, "a nominator", CHILL),
        Role::Idle if rest == 0 => return Ok(()),
        Role::Idle => (
            parameters.min_nominator_bond,
            "any bond",
            "unbond all of it",
        ),
    };
    if rest >= least {
        return Ok(());
    }
    let or_less = match bond.amount.checked_sub(least) {
        None | Some(0) => String::new(),
        Some(most) => format!(", or unbond at most {}", Amount(most)),
    };
    Err(usage(format!(
        "that would leave {} bonded, below the least of {who}, {}; {way}{or_less}",
        Amount(rest),
        Amount(least)
    )))
}

const CHILL: &str = "run `assay validator chill` first";

pub fn withdraw(bond: Option<&Bond>, session: u32) -> Result<(), Failure> {
    let first = bonded(bond)?
        .unbonding
        .0
        .iter()
        .map(|chunk| chunk.due)
        .min();
    match first {
        None => Err(usage(
            "nothing is unbonding; begin with `assay validator unbond AMOUNT`",
        )),
        Some(due) if due > session => Err(usage(format!(
            "nothing is due before session {due}, and this is session {session}; come back then"
        ))),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use assay_client::chain::runtime::runtime_types::{
        assay_primitives::rewards::{Emission, ValidatorRewards},
        bounded_collections::bounded_vec::BoundedVec,
        pallet_validators::types::{Parameters, UnbondingChunk},
        sp_arithmetic::per_things::Permill,
    };

    const ASY: u128 = 1_000_000_000_000;
    const SELF: AccountId32 = AccountId32([7; 32]);

    pub fn parameters() -> ValidatorParameters {
        Parameters {
            min_validator_bond: 100 * ASY,
            min_nominator_bond: 10 * ASY,
            min_validators: 1,
            sessions_per_era: 6,
            bonding_sessions: 168,
            reporter_share: Permill(0),
            rewards: ValidatorRewards {
                fee_share: Permill(0),
                emission: Emission {
                    yearly_rate: Permill(0),
                    max_per_era: 0,
                    max_era_millis: 0,
                },
            },
        }
    }

    fn with(amount: u128, role: Role<AccountId32>) -> Bond {
        Bond {
            amount: amount * ASY,
            unbonding: BoundedVec(vec![UnbondingChunk {
                amount: ASY,
                due: 9,
            }]),
            role,
        }
    }

    fn validator() -> Role<AccountId32> {
        Role::Validator {
            commission: Permill(0),
        }
    }

    fn said(result: Result<(), Failure>) -> String {
        let message = result.unwrap_err().to_string();
        assert!(
            !message.contains('\n') && message.contains(';'),
            "{message}"
        );
        message
    }

    #[test]
    fn a_bond_is_at_least_the_least() {
        assert!(bond(None, 10 * ASY, &parameters()).is_ok());
        assert!(bond(Some(9 * ASY), ASY, &parameters()).is_ok());
        let message = said(bond(None, ASY, &parameters()));
        assert!(
            message.contains("10 ASY for a nominator and 100 ASY for a validator"),
            "{message}"
        );
    }

    #[test]
    fn who_validates_needs_a_bond_and_keys() {
        let enough = with(100, Role::Idle);
        assert!(validate(Some(&enough), true, &parameters()).is_ok());
        assert!(said(validate(None, true, &parameters())).contains("assay validator bond"));
        assert!(said(validate(Some(&enough), false, &parameters())).contains("rotate-keys"));
        let message = said(validate(Some(&with(99, Role::Idle)), true, &parameters()));
        assert!(message.contains("add 1 ASY"), "{message}");
    }

    fn backed(bond: Option<Bond>, amounts: &[u128]) -> Backed {
        let nominators = amounts.iter().zip(20..);
        Backed {
            account: AccountId32([8; 32]),
            bond,
            nominators: nominators
                .map(|(amount, who)| (AccountId32([who; 32]), amount * ASY))
                .collect(),
            room: 2,
        }
    }

    #[test]
    fn nobody_backs_whoever_does_not_stand_for_election() {
        let own = with(10, Role::Idle);
        let to = |bond| nominate(SELF, Some(&own), &backed(bond, &[]), &parameters());
        assert!(to(Some(with(100, validator()))).is_ok());
        for bond in [None, Some(with(10, Role::Idle))] {
            let message = said(to(bond));
            assert!(message.contains("assay validator list"), "{message}");
        }
    }

    #[test]
    fn nobody_backs_itself() {
        let own = with(100, validator());
        let mut to = backed(Some(with(100, validator())), &[]);
        to.account = SELF;
        let message = said(nominate(SELF, Some(&own), &to, &parameters()));
        assert!(message.contains("behind it already"), "{message}");
    }

    #[test]
    fn a_full_list_takes_only_who_has_more_than_the_smallest_on_it() {
        let own = with(10, Role::Idle);
        let to = |amounts: &[u128]| {
            let to = backed(Some(with(100, validator())), amounts);
            nominate(SELF, Some(&own), &to, &parameters())
        };
        assert!(to(&[20]).is_ok() && to(&[20, 9]).is_ok());
        for amounts in [[10, 20], [11, 12]] {
            let message = said(to(&amounts));
            assert!(message.contains("2 nominators, the most"), "{message}");
        }
        // Who is on the list already stays.
        let mut full = backed(Some(with(100, validator())), &[10, 20]);
        full.nominators[0].0 = SELF;
        assert!(nominate(SELF, Some(&own), &full, &parameters()).is_ok());
    }

    #[test]
    fn a_role_keeps_its_least_bond_and_an_idle_bond_may_go_whole() {
        let stands = with(150, validator());
        assert!(unbond(Some(&stands), 50 * ASY, &parameters()).is_ok());
        let message = said(unbond(Some(&stands), 51 * ASY, &parameters()));
        assert!(
            message.contains("validator chill") && message.contains("at most 50 ASY"),
            "{message}"
        );
        let idle = with(150, Role::Idle);
        assert!(unbond(Some(&idle), 150 * ASY, &parameters()).is_ok());
        assert!(unbond(Some(&idle), 140 * ASY, &parameters()).is_ok());
        assert!(said(unbond(Some(&idle), 141 * ASY, &parameters())).contains("unbond all of it"));
        assert!(said(unbond(Some(&idle), 151 * ASY, &parameters())).contains("only 150 ASY"));
    }

    #[test]
    fn what_is_not_due_is_told_with_its_session() {
        let idle = with(1, Role::Idle);
        assert!(withdraw(Some(&idle), 9).is_ok());
        assert!(said(withdraw(Some(&idle), 8)).contains("before session 9"));
        assert!(said(chill(Some(&idle))).contains("stands for nothing"));
    }
}

//! `assay validator status`.

use assay_client::{
    chain::{Bond, EraStatus, Role, ValidatorParameters, ValidatorStatus},
    AccountId32, Amount, Chain, Snapshot,
};
use serde_json::{json, Value};

use super::{counted, role};
use crate::{context::Context, failure::Failure, records};

/// Everything about an account that has to do with validating.
pub struct Standing {
    account: AccountId32,
    bond: Option<Bond>,
    /// The keys that it has registered, encoded.
    keys: Option<Vec<u8>>,
    /// Whether the node that is asked has them; none if it does not say.
    node_has_keys: Option<bool>,
    /// Whether it backs an account that stands for election no more.
    backs_in_vain: bool,
    is_elected: bool,
    is_active: bool,
    is_disabled: bool,
    nominators: Vec<(AccountId32, u128)>,
    session: u32,
    era: EraStatus,
    rewards: ValidatorStatus,
    parameters: ValidatorParameters,
}

impl Standing {
    pub async fn read(
        chain: &Chain,
        snapshot: &Snapshot,
        account: AccountId32,
    ) -> Result<Self, Failure> {
        let keys = snapshot.session_keys(account).await?;
        let node_has_keys = match &keys {
            Some(keys) => chain.has_session_keys(keys).await?,
            None => None,
        };
        let bond = snapshot.bond(account).await?;
        let backs_in_vain = match bond.as_ref().map(|bond| &bond.role) {
            Some(Role::Nominator { validator }) => {
                let backed = snapshot.bond(*validator).await?;
                !backed.is_some_and(|bond| matches!(bond.role, Role::Validator { .. }))
            }
            _ => false,
        };
        let members = snapshot.session_validators().await?;
        let place = members.iter().find(|(who, _)| *who == account);
        Ok(Self {
            account,
            bond,
            keys,
            node_has_keys,
            backs_in_vain,
            is_elected: snapshot.elected().await?.contains(&account),
            is_active: place.is_some(),
            is_disabled: place.is_some_and(|(_, is_disabled)| *is_disabled),
            nominators: snapshot.nominators(account).await?,
            session: snapshot.session().await?,
            era: snapshot.era_status().await?,
            rewards: snapshot.validator_status(account).await?,
            parameters: snapshot.validator_parameters().await?,
        })
    }

    /// Whether there is anything to tell.
    pub fn is_somebody(&self) -> bool {
        self.bond.is_some() || self.keys.is_some() || self.is_active
    }

    fn bonded(&self) -> u128 {
        self.bond.as_ref().map_or(0, |bond| bond.amount)
    }

    fn validates(&self) -> bool {
        let role = self.bond.as_ref().map(|bond| &bond.role);
        matches!(role, Some(Role::Validator { .. }))
    }

    /// What stands between it and its reward, each with the way out.
    pub fn obstacles(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.is_disabled {
            found.push(
                "is disabled for an offence until its era is over; make sure that its keys are on no second \
                 machine"
                    .into(),
            );
        }
        if self.backs_in_vain {
            found.push(
                "backs an account that stands for election no more, so the bond earns nothing from the next era on; \
                 back another of `assay validator list` with `assay validator nominate`"
                    .into(),
            );
        }
        let least = self.parameters.min_validator_bond;
        if self.validates() && self.bonded() < least {
            found.push(format!(
                "is not elected with a bond of {}, below the least, {}; add {} with `assay validator bond`",
                Amount(self.bonded()),
                Amount(least),
                Amount(least.saturating_sub(self.bonded()))
            ));
        }
        if (self.validates() || self.is_active) && self.keys.is_none() {
            found.push(
                "has no session keys; run `assay validator rotate-keys` on the validator's machine"
                    .into(),
            );
        }
        if self.node_has_keys == Some(false) && (self.validates() || self.is_active) {
            found.push(
                "has registered keys that this node does not have; ask the validator's own node with --chain, \
                 or run `assay validator rotate-keys` against this one"
                    .into(),
            );
        }
        if self.validates() && !self.is_elected && self.bonded() >= least && self.keys.is_some() {
            found.push(
                "is not elected; wait for the next era, or see in `assay validator list` how much others have \
                 behind them"
                    .into(),
            );
        }
        if !self.rewards.unpaid.is_empty() {
            found.push(format!(
                "was not paid for {}; run `assay validator payout`",
                counted(self.rewards.unpaid.len(), "era")
            ));
        }
        found
    }

    fn json(&self) -> Value {
        let bond = self.bond.as_ref();
        let commission = bond.and_then(|bond| match &bond.role {
            Role::Validator { commission } => Some(commission.0),
            _ => None,
        });
        let nominates = bond.and_then(|bond| match &bond.role {
            Role::Nominator { validator } => Some(records::account(validator)),
            _ => None,
        });
        let unbonding = bond.map_or(&[][..], |bond| &bond.unbonding.0);
        let keys = self.keys.as_ref();
        json!({
            "account": records::account(&self.account),
            "bond": bond.map(|bond| Amount(bond.amount)),
            "unbonding": unbonding.iter()
                .map(|chunk| json!({ "amount": Amount(chunk.amount), "due": chunk.due }))
                .collect::<Vec<_>>(),
            "role": bond.map(|bond| role(&bond.role)),
            "commission": commission,
            "validator": nominates,
            "nominators": self.nominators.iter()
                .map(|(who, amount)| json!({
                    "nominator": records::account(who),
                    "amount": Amount(*amount),
                }))
                .collect::<Vec<_>>(),
            "session_keys": keys.map(|keys| format!("0x{}", hex::encode(keys))),
            "node_has_keys": self.node_has_keys,
            "elected": self.is_elected,
            "active": self.is_active,
            "disabled": self.is_disabled,
            "session": self.session,
            "era": self.era.era,
            "era_points": self.era.points,
            "era_pot": Amount(self.era.pot),
            "era_emission": Amount(self.era.emission),
            "points": self.rewards.points,
            "expected": Amount(self.rewards.expected),
            "unpaid": self.rewards.unpaid.iter()
                .map(|(era, amount)| json!({ "era": era, "amount": Amount(*amount) }))
                .collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let mut lines = vec![self.headline()];
        if let Some(bond) = &self.bond {
            lines.push(format!("  bond {}", Amount(bond.amount)));
            for chunk in &bond.unbonding.0 {
                let amount = Amount(chunk.amount);
                lines.push(match chunk.due <= self.session {
                    true => format!("  {amount} are due: `assay validator withdraw` releases them"),
                    false => format!(
                        "  unbonding {amount}, due in session {} (this is {})",
                        chunk.due, self.session
                    ),
                });
            }
        }
        if !self.nominators.is_empty() {
            let sum = self.nominators.iter().map(|(_, amount)| *amount);
            lines.push(format!(
                "  {} with {} behind it",
                counted(self.nominators.len(), "nominator"),
                Amount(sum.fold(0, u128::saturating_add))
            ));
        }
        if let Some(keys) = &self.keys {
            let whose = match self.node_has_keys {
                Some(true) => ", and this node has them",
                Some(false) => ", and this node does not have them",
                None => "",
            };
            lines.push(format!(
                "  session keys 0x{} are registered{whose}",
                hex::encode(keys)
            ));
        }
        if self.is_active {
            lines.push(format!(
                "  era {}: {} of {} blocks, for which {} are expected so far",
                self.era.era,
                self.rewards.points,
                self.era.points,
                Amount(self.rewards.expected)
            ));
        }
        for (era, amount) in &self.rewards.unpaid {
            lines.push(format!("  era {era}: {} are not paid out", Amount(*amount)));
        }
        let obstacles = self.obstacles();
        lines.extend(obstacles.iter().map(|obstacle| format!("  {obstacle}")));
        lines.join("\n")
    }

    /// What it is, in a line.
    pub fn headline(&self) -> String {
        let account = &self.account;
        let stands = match self.bond.as_ref().map(|bond| &bond.role) {
            Some(Role::Validator { commission }) => format!(
                "stands for election with a commission of {}",
                records::percent(commission.0)
            ),
            Some(Role::Nominator { validator }) => format!("backs {validator}"),
            Some(Role::Idle) => "has a bond that stands for nothing".into(),
            None => "has no bond".into(),
        };
        let place = match (self.is_active, self.is_elected) {
            (true, true) => ", and makes blocks",
            (true, false) => ", and makes blocks until this era is over",
            (false, true) => ", and makes blocks from the next session on",
            (false, false) => "",
        };
        format!("{account} {stands}{place}")
    }
}

pub async fn run(context: &Context, account: AccountId32) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let best = chain.best().await?;
    let standing = Standing::read(&chain, &best, account).await?;
    if standing.is_somebody() {
        context.show(standing.json(), || standing.text());
        return Ok(());
    }
    if context.is_json() {
        context.print_json(&standing.json());
    }
    Err(Failure::Request(format!(
        "{account} has no bond and no session keys; begin with `assay validator bond AMOUNT`"
    )))
}

/// What the account looks like after a call.
pub async fn show(
    context: &Context,
    chain: &Chain,
    snapshot: &Snapshot,
    account: AccountId32,
) -> Result<(), Failure> {
    let standing = Standing::read(chain, snapshot, account).await?;
    context.show(standing.json(), || standing.text());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validator::checks::tests::parameters;
    use assay_client::chain::{
        runtime::runtime_types::{
            bounded_collections::bounded_vec::BoundedVec, sp_arithmetic::per_things::Permill,
        },
        UnbondingChunk,
    };

    const ASY: u128 = 1_000_000_000_000;

    fn good() -> Standing {
        Standing {
            account: AccountId32([7; 32]),
            bond: Some(Bond {
                amount: 100 * ASY,
                unbonding: BoundedVec(Vec::new()),
                role: Role::Validator {
                    commission: Permill(50_000),
                },
            }),
            keys: Some(vec![1, 2]),
            node_has_keys: Some(true),
            backs_in_vain: false,
            is_elected: true,
            is_active: true,
            is_disabled: false,
            nominators: vec![(AccountId32([8; 32]), 5 * ASY), (AccountId32([9; 32]), ASY)],
            session: 13,
            era: EraStatus {
                era: 2,
                started: 0,
                points: 40,
                pot: ASY,
                emission: ASY,
            },
            rewards: ValidatorStatus {
                points: 10,
                expected: ASY / 2,
                unpaid: Vec::new(),
            },
            parameters: parameters(),
        }
    }

    #[test]
    fn a_validator_that_does_well_is_told_what_it_has_and_nothing_to_do() {
        let text = good().text();
        assert!(good().obstacles().is_empty(), "{text}");
        for part in [
            "stands for election with a commission of 5 %, and makes blocks",
            "bond 100 ASY",
            "2 nominators with 6 ASY behind it",
            "session keys 0x0102 are registered, and this node has them",
            "era 2: 10 of 40 blocks, for which 500 mASY are expected so far",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn each_obstacle_comes_alone_and_with_the_way_out() {
        type Case = (fn(&mut Standing), &'static str);
        let cases: [Case; 7] = [
            (|it| it.is_disabled = true, "on no second machine"),
            (|it| it.backs_in_vain = true, "assay validator nominate"),
            (
                |it| {
                    if let Some(bond) = &mut it.bond {
                        bond.amount -= ASY;
                    }
                },
                "add 1 ASY with `assay validator bond`",
            ),
            (
                |it| (it.keys, it.node_has_keys) = (None, None),
                "rotate-keys` on the validator's machine",
            ),
            (
                |it| it.node_has_keys = Some(false),
                "this node does not have",
            ),
            (|it| it.is_elected = false, "assay validator list"),
            (
                |it| it.rewards.unpaid = vec![(1, ASY)],
                "assay validator payout",
            ),
        ];
        for (spoil, part) in cases {
            let mut standing = good();
            spoil(&mut standing);
            let obstacles = standing.obstacles();
            assert_eq!(obstacles.len(), 1, "{obstacles:?}");
            assert!(obstacles[0].contains(part), "{obstacles:?}");
        }
    }

    #[test]
    fn what_is_due_is_told_with_the_way_to_it() {
        let text = |due| {
            let mut standing = good();
            if let Some(bond) = &mut standing.bond {
                bond.unbonding.0 = vec![UnbondingChunk { amount: ASY, due }];
            }
            standing.text()
        };
        assert!(text(14).contains("unbonding 1 ASY, due in session 14 (this is 13)"));
        assert!(text(13).contains("1 ASY are due: `assay validator withdraw`"));
    }

    #[test]
    fn who_has_nothing_is_nobody() {
        let mut standing = good();
        standing.bond = None;
        standing.keys = None;
        assert!(standing.is_somebody());
        standing.is_active = false;
        assert!(!standing.is_somebody());
    }
}

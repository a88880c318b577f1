//! `assay validator list`.

use std::collections::BTreeMap;

use assay_client::{chain::Role, AccountId32, Amount, Snapshot};
use serde_json::json;

use crate::{context::Context, failure::Failure, records};

/// Somebody who stands for election, or makes blocks.
#[derive(Default)]
struct Line {
    /// Planck behind it; none if it does not stand for election.
    standing: Option<u128>,
    own: u128,
    /// Parts of a million.
    commission: u32,
    is_elected: bool,
    is_active: bool,
    is_disabled: bool,
}

pub async fn run(context: &Context) -> Result<(), Failure> {
    let snapshot = context.chain().await?.best().await?;
    let lines = read(&snapshot).await?;
    let era = snapshot.era_status().await?;
    let session = snapshot.session().await?;
    let json = json!({
        "block": snapshot.number(),
        "session": session,
        "era": era.era,
        "validators": lines.iter().map(|(who, line)| json!({
            "validator": records::account(who),
            "standing": line.standing.map(Amount),
            "bond": Amount(line.own),
            "commission": line.commission,
            "elected": line.is_elected,
            "active": line.is_active,
            "disabled": line.is_disabled,
        })).collect::<Vec<_>>(),
    });
    context.show(json, || {
        let mut text = vec![format!("era {}, session {session}", era.era)];
        text.extend(lines.iter().map(|(who, line)| describe(who, line)));
        text.join("\n")
    });
    Ok(())
}

/// Those with the most behind them first.
async fn read(snapshot: &Snapshot) -> Result<Vec<(AccountId32, Line)>, Failure> {
    let mut lines: BTreeMap<AccountId32, Line> = BTreeMap::new();
    for (who, standing) in snapshot.standings().await? {
        lines.entry(who).or_default().standing = Some(standing);
    }
    for who in snapshot.elected().await? {
        lines.entry(who).or_default().is_elected = true;
    }
    for (who, is_disabled) in snapshot.session_validators().await? {
        let line = lines.entry(who).or_default();
        line.is_active = true;
        line.is_disabled = is_disabled;
    }
    for (who, line) in &mut lines {
        if let Some(bond) = snapshot.bond(*who).await? {
            line.own = bond.amount;
            if let Role::Validator { commission } = bond.role {
                line.commission = commission.0;
            }
        }
    }
    let mut lines: Vec<_> = lines.into_iter().collect();
    lines.sort_by_key(|(who, line)| (std::cmp::Reverse(line.standing), *who));
    Ok(lines)
}

fn describe(who: &AccountId32, line: &Line) -> String {
    let state = match line {
        _ if line.is_disabled => "disabled for an offence",
        _ if line.is_active => "makes blocks",
        _ if line.is_elected => "is elected, and makes blocks from the next session on",
        _ => "is not elected",
    };
    let behind = match line.standing {
        Some(0) => "cannot be elected: its bond is too small, or it has no session keys".into(),
        Some(standing) => format!(
            "{} behind it, {} of it its own, commission {}",
            Amount(standing),
            Amount(line.own),
            records::percent(line.commission)
        ),
        None => "stands for election no more".into(),
    };
    format!("{who} {state}; {behind}")
}

//! `assay balance`: money to the last planck.

use assay_client::{chain::Balances, keys, AccountId32, Amount, Snapshot};
use clap::Args as ClapArgs;
use serde_json::json;

use crate::{context::Context, failure::Failure, records};

/// From which the runtime derives its treasury's account.
const TREASURY_PALLET_ID: [u8; 8] = *b"asy/trsy";

#[derive(ClapArgs)]
pub struct Args {
    /// Addresses, or development keys such as //Alice [default: the key's account]. The treasury
    /// and the royalty pots are always shown as well.
    accounts: Vec<String>,

    /// Every account of the chain: their sum is the total issuance.
    #[arg(long, conflicts_with = "accounts")]
    all: bool,
}

struct Line {
    name: String,
    account: AccountId32,
    balances: Balances,
}

impl Line {
    fn total(&self) -> u128 {
        self.balances.free.saturating_add(self.balances.reserved)
    }
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let mut named = Vec::new();
    for text in &args.accounts {
        named.push((text.clone(), keys::parse_account(text)?));
    }
    if args.accounts.is_empty() && !args.all {
        named.extend(
            context
                .key_if_given()?
                .map(|key| ("key".to_owned(), keys::account(&key))),
        );
    }
    let chain = context.chain().await?;
    let snapshot = chain.best().await?;
    named.push(("treasury".into(), keys::pallet_account(TREASURY_PALLET_ID)));
    named.push(("royalties".into(), snapshot.royalty_account()?));
    if args.all {
        for account in snapshot.accounts().await? {
            if !named.iter().any(|(_, known)| *known == account) {
                named.push((String::new(), account));
            }
        }
    }
    let lines = read(&snapshot, named).await?;
    let total_issuance = snapshot.total_issuance().await?;
    let json = json!({
        "block": snapshot.number(),
        "total_issuance": Amount(total_issuance),
        "accounts": lines.iter().map(|line| json!({
            "name": line.name,
            "account": records::account(&line.account),
            "free": Amount(line.balances.free),
            "reserved": Amount(line.balances.reserved),
            "frozen": Amount(line.balances.frozen),
            "total": Amount(line.total()),
            "holds": line.balances.holds.iter().map(|(reason, amount)| json!({
                "reason": reason,
                "amount": Amount(*amount),
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    context.show(json, || text(&lines, total_issuance));
    Ok(())
}

async fn read(
    snapshot: &Snapshot,
    named: Vec<(String, AccountId32)>,
) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::with_capacity(named.len());
    for (name, account) in named {
        lines.push(Line {
            name,
            account,
            balances: snapshot.balances(account).await?,
        });
    }
    Ok(lines)
}

fn text(lines: &[Line], total_issuance: u128) -> String {
    let mut text = String::new();
    for line in lines {
        let name = match line.name.as_str() {
            "" => line.account.to_string(),
            name if name == line.account.to_string() => name.to_owned(),
            name => format!("{name} {}", line.account),
        };
        text.push_str(&format!(
            "{name}\n  free      {}\n",
            Amount(line.balances.free)
        ));
        let locked = line.balances.locked();
        if locked > 0 {
            text.push_str(&format!("  of it not to be spent {}\n", Amount(locked)));
        }
        for (reason, amount) in &line.balances.holds {
            text.push_str(&format!("  on hold   {} for {reason}\n", Amount(*amount)));
        }
        let deposits = line.balances.deposits();
        if deposits > 0 {
            let deposits = Amount(deposits);
            text.push_str(&format!(
                "  on hold   {deposits} for deposits of referenda\n"
            ));
        }
    }
    text.push_str(&format!("total issuance {}", Amount(total_issuance)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_not_free_to_spend_has_a_line() {
        const ASY: u128 = 1_000_000_000_000;
        let line = |frozen| Line {
            name: "key".into(),
            account: AccountId32([7; 32]),
            balances: Balances {
                free: 100 * ASY,
                reserved: 60 * ASY,
                frozen,
                holds: vec![("Validators::Bond".into(), 50 * ASY)],
            },
        };
        let seen = text(&[line(90 * ASY)], 160 * ASY);
        for part in [
            "free      100 ASY",
            "of it not to be spent 30 ASY",
            "50 ASY for Validators::Bond",
            "10 ASY for deposits of referenda",
        ] {
            assert!(seen.contains(part), "{seen}");
        }
        // What is on hold is locked first, and no more than all.
        assert!(!text(&[line(60 * ASY)], 0).contains("not to be spent"));
        assert!(text(&[line(900 * ASY)], 0).contains("not to be spent 100 ASY"));
    }
}

//! `assay doctor`: what stands between this machine and an answer.

use assay_client::{chain::ListingStatus, keys, Amount, Chain, Error, Snapshot};
use serde_json::json;

use crate::{context::Context, failure::Failure};

/// One thing looked at. `next` says what to do if it is a problem.
struct Check {
    name: &'static str,
    found: String,
    next: Option<String>,
}

#[derive(Default)]
struct Report(Vec<Check>);

impl Report {
    fn fine(&mut self, name: &'static str, found: impl Into<String>) {
        self.0.push(Check {
            name,
            found: found.into(),
            next: None,
        });
    }

    fn problem(&mut self, name: &'static str, found: impl Into<String>, next: impl Into<String>) {
        self.0.push(Check {
            name,
            found: found.into(),
            next: Some(next.into()),
        });
    }
}

pub async fn run(context: &Context) -> Result<(), Failure> {
    let mut report = Report::default();
    let unreachable = examine(context, &mut report).await.err();
    if let Some(failure) = &unreachable {
        report.problem("chain", "cannot be examined", failure.to_string());
    }
    let Report(checks) = report;
    let json = json!(checks
        .iter()
        .map(|check| json!({
            "check": check.name,
            "ok": check.next.is_none(),
            "found": check.found,
            "next": check.next,
        }))
        .collect::<Vec<_>>());
    context.show(json, || {
        let line = |check: &Check| match &check.next {
            None => format!("ok       {}: {}", check.name, check.found),
            Some(next) => format!("PROBLEM  {}: {}; {next}", check.name, check.found),
        };
        checks.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    if let Some(failure) = unreachable {
        return Err(failure);
    }
    match checks.iter().filter(|check| check.next.is_some()).count() {
        0 => Ok(()),
        count => Err(Failure::Request(format!(
            "{count} problems found; solve the first one first"
        ))),
    }
}

async fn examine(context: &Context, report: &mut Report) -> Result<(), Failure> {
    let chain = context.chain().await?;
    report.fine("node", format!("{} answers", context.url()));
    let best = node(&chain, report).await?;
    if best.metadata_matches() {
        report.fine("runtime", "is the one that this program was built for");
    } else {
        let next = "what still fits works; update this program for the rest";
        report.problem(
            "runtime",
            "differs from the one that this program was built for",
            next,
        );
    }
    key(context, &best, report).await?;
    market(&best, report).await?;
    Ok(())
}

async fn node(chain: &Chain, report: &mut Report) -> Result<Snapshot, Error> {
    let health = chain.health().await?;
    let best = chain.best().await?;
    let finalized = chain.finalized().await?;
    let blocks = format!(
        "best block {}, finalized {}",
        best.number(),
        finalized.number()
    );
    if health.is_syncing {
        report.problem(
            "blocks",
            format!("{blocks}, syncing from {} peers", health.peers),
            "wait until it has caught up",
        );
    } else if best.number() == 0 {
        report.problem(
            "blocks",
            blocks,
            "start a validator, for example with `assay-node --dev`",
        );
    } else {
        report.fine("blocks", blocks);
    }
    Ok(best)
}

async fn key(context: &Context, best: &Snapshot, report: &mut Report) -> Result<(), Error> {
    let key = match context.key_if_given() {
        Ok(Some(key)) => key,
        Ok(None) => {
            report.problem(
                "key",
                "none is given",
                "name one with --key or in ASSAY_KEY",
            );
            return Ok(());
        }
        Err(failure) => {
            report.problem("key", failure.to_string(), "correct --key or ASSAY_KEY");
            return Ok(());
        }
    };
    let account = keys::account(&key);
    let balances = best.balances(account).await?;
    let found = format!("{account} has {}", Amount(balances.free));
    if balances.free <= best.existential_deposit()? {
        report.problem("key", found, "send it ASY with `assay transfer`");
    } else {
        report.fine("key", found);
    }
    Ok(())
}

async fn market(best: &Snapshot, report: &mut Report) -> Result<(), Error> {
    let listings = best.listings().await?;
    let mut active = Vec::new();
    for (id, listing) in &listings {
        if matches!(listing.status, ListingStatus::Active) {
            active.push(*id);
        }
    }
    if active.is_empty() {
        let next = "list one with `assay model register DIR`";
        report.problem("models", "none is listed and active", next);
        return Ok(());
    }
    report.fine(
        "models",
        format!("{} active of {} listed", active.len(), listings.len()),
    );
    let parameters = best.provider_parameters().await?;
    for id in active {
        let offers = best.offers(id).await?;
        let mut serving = 0u32;
        for (stash, offer) in &offers {
            let Some(provider) = best.provider(*stash).await? else {
                continue;
            };
            let bonded = provider.bond >= parameters.min_bond;
            if provider.online && bonded && offer.open_jobs < offer.capacity {
                serving = serving.saturating_add(1);
            }
        }
        let found = format!(
            "{serving} of {} offers for {id:?} can take a job now",
            offers.len()
        );
        if serving > 0 {
            report.fine("offers", found);
        } else if offers.is_empty() {
            report.problem("offers", found, "make one with `assay provider offer`");
        } else {
            let next =
                "a provider goes online with `assay provider online`, with a bond of at least";
            report.problem(
                "offers",
                found,
                format!("{next} {}", Amount(parameters.min_bond)),
            );
        }
    }
    Ok(())
}

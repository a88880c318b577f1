//! `assay doctor`: what stands between this machine and an answer.

use assay_client::{chain::ListingStatus, keys, Amount, Chain, Error, Snapshot};
use serde_json::json;

use crate::{context::Context, failure::Failure, records, validator::status::Standing};

/// Blocks from the last finalised one to the best that are usual on a busy network.
const FINALITY_LAG: u32 = 10;

/// One thing looked at.
struct Check {
    name: &'static str,
    found: String,
    verdict: Verdict,
}

enum Verdict {
    Fine,
    /// Worth knowing, and nothing is wrong.
    Note,
    /// What to do about it.
    Problem(String),
}

#[derive(Default)]
struct Report(Vec<Check>);

impl Report {
    fn add(&mut self, name: &'static str, found: impl Into<String>, verdict: Verdict) {
        self.0.push(Check {
            name,
            found: found.into(),
            verdict,
        });
    }

    fn fine(&mut self, name: &'static str, found: impl Into<String>) {
        self.add(name, found, Verdict::Fine);
    }

    fn note(&mut self, name: &'static str, found: impl Into<String>) {
        self.add(name, found, Verdict::Note);
    }

    fn problem(&mut self, name: &'static str, found: impl Into<String>, next: impl Into<String>) {
        self.add(name, found, Verdict::Problem(next.into()));
    }
}

impl Check {
    fn line(&self) -> String {
        let Self { name, found, .. } = self;
        match &self.verdict {
            Verdict::Fine => format!("ok       {name}: {found}"),
            Verdict::Note => format!("note     {name}: {found}"),
            Verdict::Problem(next) => format!("PROBLEM  {name}: {found}; {next}"),
        }
    }

    fn next(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Problem(next) => Some(next),
            Verdict::Fine | Verdict::Note => None,
        }
    }
}

pub async fn run(context: &Context) -> Result<(), Failure> {
    let mut report = Report::default();
    let broken_off = examine(context, &mut report).await.err();
    if let Some(failure) = &broken_off {
        let failure = failure.to_string();
        let (found, next) = failure.split_once("; ").unwrap_or((&failure, "try again"));
        report.problem("node", found, next);
    }
    let Report(checks) = report;
    let json = json!(checks
        .iter()
        .map(|check| json!({
            "check": check.name,
            "ok": check.next().is_none(),
            "found": check.found,
            "next": check.next(),
        }))
        .collect::<Vec<_>>());
    context.show(json, || {
        let lines: Vec<String> = checks.iter().map(Check::line).collect();
        lines.join("\n")
    });
    let problems = checks.iter().filter(|check| check.next().is_some()).count();
    let summary = match problems {
        0 => return Ok(()),
        1 => "1 problem found".into(),
        several => format!("{several} problems found; solve the first one first"),
    };
    // The report has said it already; a script still sees by the exit code what it is.
    Err(match broken_off {
        Some(Failure::Chain(_)) => Failure::Chain(summary),
        Some(Failure::Usage(_)) => Failure::Usage(summary),
        _ => Failure::Request(summary),
    })
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
    validator(context, &chain, &best, report).await?;
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
    } else if best.number().saturating_sub(finalized.number()) > FINALITY_LAG {
        report.problem(
            "blocks",
            format!("{blocks}, which is too far behind"),
            "a third of the validators is away, or cannot be heard: if one is yours, look at its log",
        );
    } else {
        report.fine("blocks", blocks);
    }
    Ok(best)
}

/// How the key's account does as a validator or nominator, if it is one.
async fn validator(
    context: &Context,
    chain: &Chain,
    best: &Snapshot,
    report: &mut Report,
) -> Result<(), Failure> {
    let Ok(Some(key)) = context.key_if_given() else {
        return Ok(());
    };
    let standing = Standing::read(chain, best, keys::account(&key)).await?;
    if !standing.is_somebody() {
        return Ok(());
    }
    let obstacles = standing.obstacles();
    if obstacles.is_empty() {
        report.fine("validator", standing.headline());
    }
    for obstacle in obstacles {
        let (found, next) = obstacle
            .split_once("; ")
            .unwrap_or((&obstacle, "look again"));
        report.problem("validator", found, next);
    }
    Ok(())
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
            active.push((*id, listing.parts.0.spec.profile));
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
    let mut serving_listings = 0u32;
    let mut without_offers = 0u32;
    let mut busy = Vec::new();
    for (id, profile) in active {
        let offers = best.offers(id).await?;
        if offers.is_empty() {
            without_offers = without_offers.saturating_add(1);
            continue;
        }
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
            "{serving} of {} offers for {id:?} ({}) can take a job now",
            offers.len(),
            records::profile(&profile)
        );
        match serving {
            0 => busy.push(found),
            _ => {
                serving_listings = serving_listings.saturating_add(1);
                report.fine("offers", found);
            }
        }
    }
    // Anybody may list what nobody offers, so that alone is nobody's problem.
    for found in &busy {
        report.note("offers", found);
    }
    if without_offers > 0 {
        let found = format!("{without_offers} active listings without any offer");
        report.note("offers", found);
    }
    if serving_listings == 0 {
        let next = match busy.is_empty() {
            true => "make an offer with `assay provider offer`".into(),
            false => format!(
                "wait, or as a provider be online (`assay provider online`) with a bond of at \
                 least {}",
                Amount(parameters.min_bond)
            ),
        };
        report.problem("offers", "no listing can take a job now", next);
    }
    Ok(())
}

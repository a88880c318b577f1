//! How much later the first token comes through a gateway than from the worker itself.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use assay_tests::{demo_source, Marketplace};

use super::{direct::Direct, Work};
use crate::report::{Bar, Page};

const DEMANDED: Duration = Duration::from_millis(5);
const PROMPT: &str = "Assay is";

pub async fn measure(work: &Work, page: &mut Page) -> Result<()> {
    // The demo model's prefill takes next to nothing, so that what is measured is the way there and back.
    let market = Marketplace::of_one(&demo_source()?, &[]).await?;
    let server = market.servers.first().context("a market has a server")?;
    let gateway = market.gateway("100 ASY", &[])?;
    let model = gateway.model()?;
    let mut direct = Direct::open(&market.scene, server, PROMPT).await?;
    let through = || {
        let began = Instant::now();
        let mut first = None;
        gateway.ask(&model, PROMPT, 1, |heard| {
            if !heard.text.is_empty() {
                first.get_or_insert_with(|| began.elapsed());
            }
            Ok(())
        })?;
        first.context("the gateway told no token")
    };
    // Open the channels and the connections.
    through()?;
    direct.first_token().await?;

    let (mut by_gateway, mut by_itself) = (Vec::new(), Vec::new());
    for _ in 0..work.requests {
        by_gateway.push(through()?);
        by_itself.push(direct.first_token().await?);
    }
    let (by_gateway, by_itself) = (median(by_gateway), median(by_itself));
    let added = by_gateway.saturating_sub(by_itself);
    let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    page.add(format!(
        "## Time to the first token\n\nMedians of {} requests each, in turns, with the demo model and a prompt of a few \
         tokens.\n",
        work.requests
    ));
    page.table(
        &["asked", "first token after"],
        &[
            vec![
                "the worker itself, with a voucher".into(),
                millis(by_itself),
            ],
            vec!["the gateway".into(), millis(by_gateway)],
            vec!["added".into(), millis(added)],
        ],
    );
    page.bar(Bar {
        demand: format!(
            "the gateway adds less than {} to the first token",
            millis(DEMANDED)
        ),
        measured: millis(added),
        met: added < DEMANDED,
    });
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

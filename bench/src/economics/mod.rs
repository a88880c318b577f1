//! What the rewards come to over years, under stated assumptions, by the formulas that the runtime uses: those of
//! `assay_primitives::rewards` and `fees`, with their default parameters.
//!
//! 1. [`scenario`]: what people are assumed to do.
//! 2. [`simulate`]: era by era, what is minted, burned and paid.
//! 3. [`plot`]: the issuance as a picture.

mod plot;
mod scenario;
mod simulate;
#[cfg(test)]
mod tests;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use assay_primitives::{fees, Balance, Emission, ProviderRewards, ValidatorRewards};

use crate::report::{Bar, Page};
use scenario::{Scenario, BONDED, ERAS_PER_YEAR, GENESIS_ASY, SCENARIOS};
use simulate::{run as simulate_years, Year};

const PAGE: &str = "docs/results/economics.md";
const PLOT: &str = "docs/results/economics.svg";
const ASY: Balance = 1_000_000_000_000;

#[derive(clap::Args)]
pub struct Args {
    /// How many years to simulate.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=50))]
    years: u32,
    /// Write the page to docs/results/economics.md, and its picture beside it.
    #[arg(long)]
    write: bool,
}

pub fn run(args: Args) -> Result<()> {
    let mut page = Page::of_formulas("Economics");
    assumptions(&mut page);
    let stories: Vec<_> = SCENARIOS
        .iter()
        .map(|scenario| (scenario, simulate_years(scenario, args.years)))
        .collect();
    page.add("![millions of ASY that there are, over the years](economics.svg)\n");
    for (scenario, years) in &stories {
        story(&mut page, scenario, years);
    }
    bars(&mut page, &stories);
    if args.write {
        let lines: Vec<_> = stories
            .iter()
            .map(|(scenario, years)| plot::Line {
                name: scenario.name,
                points: issuance(years),
            })
            .collect();
        let title = "millions of ASY over the years";
        fs::write(PLOT, plot::lines(title, &lines))
            .with_context(|| format!("cannot write {PLOT}; run this in the checkout's root"))?;
    }
    page.finish(args.write.then_some(Path::new(PAGE)))
}

/// At the beginning, and at the end of each year, in millions of ASY.
fn issuance(years: &[Year]) -> Vec<f64> {
    std::iter::once(GENESIS_ASY as f64 / 1e6)
        .chain(years.iter().map(|year| in_millions(year.issuance)))
        .collect()
}

fn in_millions(planck: Balance) -> f64 {
    planck as f64 / (ASY as f64 * 1e6)
}

fn millions(planck: Balance) -> String {
    format!("{:.3}", in_millions(planck))
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn assumptions(page: &mut Page) {
    page.add(
        "Simulated, not measured: era by era, by the formulas of [the economics](../economics.md) as the runtime has them, with \
         the default parameters. The amounts that people spend are assumptions, in ASY, whatever an ASY may be worth.\n",
    );
    let validators = ValidatorRewards::default();
    let providers = ProviderRewards::default();
    let emission = |emission: &Emission| {
        format!(
            "{} of the issuance in a year, at most {} ASY in an era",
            percent(f64::from(emission.yearly_rate.deconstruct()) / 1e6),
            emission.max_per_era / ASY,
        )
    };
    let share = |parts: u32| percent(f64::from(parts) / 1e6);
    let rows = [
        ("at genesis", format!("{GENESIS_ASY} ASY")),
        ("eras", format!("{ERAS_PER_YEAR} in a year")),
        (
            "bonded behind validators",
            format!("{} of the issuance", percent(BONDED)),
        ),
        ("minted for validators", emission(&validators.emission)),
        (
            "validators' share of transaction fees",
            share(validators.fee_share.deconstruct()),
        ),
        (
            "protocol fee of an answer",
            share(fees::PROTOCOL_FEE.deconstruct()),
        ),
        ("of that burned", share(fees::BURNED_SHARE.deconstruct())),
        (
            "of that returned to the provider",
            format!("{} at most", share(providers.return_share.deconstruct())),
        ),
        ("returned to all providers", emission(&providers.emission)),
    ]
    .map(|(what, value)| vec![what.to_string(), value]);
    page.table(&["assumed", ""], &rows);
}

fn story(page: &mut Page, scenario: &Scenario, years: &[Year]) {
    page.add(format!("## {}\n\n{}\n", scenario.name, scenario.says));
    page.add("Millions of ASY in each year, and what a bond of a year brought a nominator whose validator keeps a tenth.\n");
    let rows: Vec<_> = years
        .iter()
        .enumerate()
        .map(|(index, year)| {
            vec![
                (index + 1).to_string(),
                millions(year.issuance),
                millions(year.minted_for_validators),
                millions(year.minted_for_providers),
                millions(year.burned),
                millions(year.validators),
                percent(year.nominator_yield),
                millions(year.providers),
                millions(year.treasury),
                match year.washed {
                    0 => "–".into(),
                    washed => percent(year.washer as f64 / washed as f64),
                },
            ]
        })
        .collect();
    page.table(
        &[
            "year",
            "issuance at its end",
            "minted for validators",
            "minted for providers",
            "burned",
            "validators and nominators",
            "a nominator's bond",
            "honest providers",
            "treasury",
            "the washer, of what it paid itself",
        ],
        &rows,
    );
}

fn bars(page: &mut Page, stories: &[(&Scenario, Vec<Year>)]) {
    let all = || stories.iter().flat_map(|(_, years)| years);
    let mut bar = |demand: &str, measured: String, met: bool| {
        page.bar(Bar {
            demand: demand.into(),
            measured,
            met,
        })
    };
    let wrong = all().map(|year| year.unaccounted).max().unwrap_or(0);
    bar(
        "issuance, as minted and burned, is what all accounts own together, after every era",
        format!("{wrong} planck apart"),
        wrong == 0,
    );
    let excess = all().map(|year| year.returned_too_much).max().unwrap_or(0);
    bar(
        "no provider gets more in an era than its own settlements burned",
        format!("{excess} planck more"),
        excess == 0,
    );
    let best = all()
        .filter(|year| year.washed > 0)
        .map(|year| year.washer as f64 / year.washed as f64)
        .fold(f64::NEG_INFINITY, f64::max);
    bar(
        "whoever pays itself loses in every year",
        format!("its best year: {}", percent(best)),
        best < 0.0,
    );
    let bound = f64::from(
        ValidatorRewards::default()
            .emission
            .yearly_rate
            .deconstruct(),
    ) / 1e6;
    let growth = stories
        .iter()
        .flat_map(|(_, years)| {
            let years = issuance(years);
            years
                .windows(2)
                .map(|pair| pair[1] / pair[0] - 1.0)
                .collect::<Vec<_>>()
        })
        .fold(f64::NEG_INFINITY, f64::max);
    bar(
        "issuance never grows faster than the validators' rate, compounded",
        format!("{} in the year of most growth", percent(growth)),
        growth <= bound.exp() - 1.0,
    );
}

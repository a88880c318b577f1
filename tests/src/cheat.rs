//! Providers that cheat, each in one named way, on one chain; and challengers that dispute what is right.
//!
//! A [`Provider`] is built for tests: it sells one answer with a lie in it and plays the disputes over it, with
//! its own false trace or in another bad manner ([`CHEATS`] lists all of them). Who finds the lie and takes it to
//! the end are the shipped programs. A [`Case`] is one cheat from the sale to what became of everybody's money.

mod alone;
mod arena;
mod broken;
mod case;
mod fork;
pub mod honest;
mod ledger;
mod lie;
mod list;
mod provider;
pub mod sale;
mod stake;
mod table;
mod trace;

pub use self::{
    alone::node_left_alone,
    arena::{as_root, govern, Arena, Listed, People},
    broken::broken_model,
    case::{Case, Line},
    fork::{on_a_fork, Replayed, Right},
    ledger::{Game, Ledger},
    list::{Cheat, CHEATS},
    provider::{Located, Provider},
    stake::Stake,
    table::table,
};

use std::{sync::Arc, time::Duration};

use anyhow::{ensure, Result};

use crate::{demo_source, qwen3_source};

/// Plays all of these, which have one model, at once on one chain.
pub async fn play(cheats: &[Cheat]) -> Result<Vec<Line>> {
    let folder = tempfile::tempdir()?;
    let floats = match cheats.iter().any(|cheat| cheat.with_norms) {
        true => qwen3_source(folder.path())?,
        false => demo_source()?,
    };
    let arena = Arc::new(Arena::of(cheats.len(), &floats).await?);
    let first = arena.scene.chain.best().await?;
    let mut ledger = Ledger::default();

    let cases = cheats.iter().enumerate().map(|(number, cheat)| {
        let case = Case::play(arena.clone(), number, *cheat);
        tokio::spawn(case)
    });
    let cases: Vec<_> = cases.collect();
    let (mut over, mut failed) = (Vec::new(), Vec::new());
    for case in cases {
        match case.await? {
            Ok(case) => over.push(case),
            Err(error) => failed.push(error),
        }
        ledger.catch_up(&arena.scene.chain).await?;
    }
    let last = arena.scene.chain.best().await?;
    while ledger.catch_up(&arena.scene.chain).await? < last.number() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut lines = Vec::new();
    for case in over {
        match case.close(&ledger) {
            Ok(line) => lines.push(line),
            Err(error) => failed.push(error),
        }
    }
    arena.scene.check_money().await?;
    let (issued, now) = (first.total_issuance().await?, last.total_issuance().await?);
    let growth = ledger.growth(first.number(), last.number());
    ensure!(
        now as i128 == issued as i128 + growth,
        "{issued} planck and {growth} are not {now}"
    );
    for error in &failed {
        eprintln!("{error:#}");
    }
    ensure!(
        failed.is_empty(),
        "{} of {} cases failed",
        failed.len(),
        cheats.len()
    );
    Ok(lines)
}

//! Providers that cheat, each in one named way, on one chain; and challengers that dispute what is right.
//!
//! A [`Provider`] is built for tests: it sells one answer with a lie in it and plays the disputes over it, with
//! its own false trace or in another bad manner ([`CHEATS`] lists all of them). Who finds the lie and takes it to
//! the end are the shipped programs. A [`Case`] is one cheat from the sale to what became of everybody's money.

mod arena;
mod case;
pub mod honest;
mod ledger;
mod lie;
mod list;
mod provider;
pub mod sale;
mod table;
mod trace;

pub use self::{
    arena::{Arena, Listed, People},
    case::{Case, Line},
    ledger::{Game, Ledger},
    list::{Cheat, CHEATS},
    provider::{Located, Provider},
    table::table,
};

use std::{sync::Arc, time::Duration};

use anyhow::{ensure, Result};

/// Plays all of these at once on one chain.
pub async fn play(cheats: &[Cheat]) -> Result<Vec<Line>> {
    let arena = Arc::new(Arena::new(cheats.len()).await?);
    let issued = arena.scene.chain.best().await?.total_issuance().await?;
    let mut ledger = Ledger::default();
    ledger.catch_up(&arena.scene.chain).await?;
    let destroyed: u128 = ledger.burned.iter().map(|(_, amount)| amount).sum();

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
    let now = last.total_issuance().await?;
    let burned = ledger
        .burned
        .iter()
        .filter(|(block, _)| *block <= last.number());
    let burned: u128 = burned.map(|(_, amount)| amount).sum();
    ensure!(
        now + burned - destroyed == issued,
        "{issued} planck were there, {now} are, and {} were destroyed",
        burned - destroyed
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

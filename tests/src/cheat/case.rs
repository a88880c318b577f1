//! One cheat from the sale of its answer to what became of everybody's money.

use std::{fs, sync::Arc, time::Duration};

use anyhow::{bail, ensure, Context, Result};
use assay_client::{
    dispute::{without_game, Charge, Verdict},
    keys, Snapshot,
};
use assay_exact::trace::Row;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{
    arena::{Arena, People},
    ledger::{Conviction, Game, Ledger},
    list::{Cheat, End, Manner},
    provider::{Due, Located, Provider},
    sale,
    stake::Stake,
};
use crate::Assay;

/// Far longer than any game takes while dozens are played.
const PATIENCE: Duration = Duration::from_secs(600);

/// A case that is over.
pub struct Case {
    pub cheat: Cheat,
    people: Arc<People>,
    provider: Arc<Provider>,
    pub charge: Charge,
    located: Option<Located>,
    due: Option<Due>,
    before: Totals,
    after: Totals,
    fee: u128,
}

/// What everybody in a case has, holds included, at one block.
struct Totals {
    block: u32,
    stash: u128,
    operator: u128,
    user: u128,
    challenger: u128,
    friend: u128,
    stake: Stake,
}

impl Totals {
    async fn at(snapshot: &Snapshot, people: &People) -> Result<Self> {
        let total = async |key| {
            let balances = snapshot.balances(keys::account(key)).await?;
            anyhow::Ok(balances.free + balances.reserved)
        };
        Ok(Self {
            block: snapshot.number(),
            stash: total(&people.stash).await?,
            operator: total(&people.operator).await?,
            user: total(&people.user).await?,
            challenger: total(&people.challenger).await?,
            friend: total(&people.friend).await?,
            stake: Stake::at(snapshot, keys::account(&people.stash)).await?,
        })
    }
}

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: &'static str,
    pub detected: String,
    pub located: String,
    pub game: Game,
    pub conviction: Conviction,
    /// Of the challenger's transactions, in planck.
    pub fees: u128,
}

impl Case {
    /// Sells the answer, has the shipped programs find the lie and dispute it, and waits for the end.
    pub async fn play(arena: Arc<Arena>, number: usize, cheat: Cheat) -> Result<Self> {
        let case = Self::run(arena, number, cheat);
        let case = timeout(PATIENCE, case).await;
        case.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not end")))
            .with_context(|| cheat.name)
    }

    async fn run(arena: Arc<Arena>, number: usize, cheat: Cheat) -> Result<Self> {
        let people = Arc::new(People::of(number)?);
        let folder = arena.scene.folder().join(format!("case-{number}"));
        fs::create_dir(&folder)?;
        let (listed, prompt) = (arena.listed.clone(), &arena.prompt);
        let provider = match cheat.in_job {
            true => {
                let user = arena.scene.user.with_key(&People::uri(number, "user"));
                let limit = format!("--max-tokens={}", cheat.limit);
                let model = format!("--model-dir={}", arena.scene.model_dir());
                let words = ["job", "submit", "What is Assay?", &model, &limit];
                let ready = || user.json(&words).map(drop);
                sale::by_job(listed, people.clone(), cheat, &folder, ready).await?
            }
            false => sale::in_channel(listed, people.clone(), cheat, prompt, &folder).await?,
        };
        let provider = Arc::new(provider);
        let chain = &arena.scene.chain;
        let before = Totals::at(&chain.best().await?, &people).await?;

        let file = folder.join("answer.json");
        fs::write(&file, provider.answer.to_json().to_string())?;
        let defence = tokio::spawn(provider.clone().play());
        let challenger = arena
            .scene
            .user
            .with_key(&People::uri(number, "challenger"));
        let other = provider.other.as_ref().filter(|_| {
            // Nobody but the liar and its friend has it.
            cheat.manner != Manner::Overtakes
        });
        let without = without_game(chain, &provider.answer, other).await?;
        let charge = match &without {
            Some(charge) => charge.clone(),
            None => wrong_token(&challenger, &file, &arena).await?,
        };
        let file = file.display().to_string();
        let mut words = match &without {
            Some(Charge::Header) => vec!["accuse".into(), file, "--never-asked".into()],
            Some(_) => vec!["accuse".into(), file],
            None => vec![
                "open".into(),
                file,
                format!("--model={}", arena.scene.model_dir()),
                "--threads=1".into(),
            ],
        };
        if let Some(other) = other {
            let file = folder.join("other.json");
            fs::write(&file, other.to_json().to_string())?;
            words.push(file.display().to_string());
        }
        let dispute = move || {
            let words = words.iter().map(String::as_str);
            let words: Vec<&str> = ["dispute"]
                .into_iter()
                .chain(words)
                .chain(["--yes"])
                .collect();
            challenger.run(&words)
        };
        let outcome = tokio::task::spawn_blocking(dispute).await??;
        ensure!(outcome.code == 0, "{outcome:?}");
        if defence.is_finished() {
            defence.await??;
            bail!("the provider went away");
        }
        defence.abort();
        // What its friend sent may be under way.
        sleep(Duration::from_secs(3)).await;
        let after = Totals::at(&chain.best().await?, &people).await?;
        Ok(Self {
            cheat,
            located: provider.located(),
            due: provider.due(),
            fee: provider.answer.signed.receipt.fee,
            provider,
            people,
            charge,
            before,
            after,
        })
    }

    /// The line of the table, if everything in it is as it must be: the provider lost what the others got, to
    /// the last planck.
    pub fn close(&self, ledger: &Ledger) -> Result<Line> {
        self.line(ledger).with_context(|| self.cheat.name)
    }

    fn line(&self, ledger: &Ledger) -> Result<Line> {
        let claim = self.provider.answer.header.claim;
        let mut convictions = ledger.convictions.iter().filter(|one| one.claim == claim);
        let conviction = convictions.next().context("nobody was convicted")?;
        ensure!(convictions.next().is_none(), "it was convicted twice");
        let account = |key| keys::account(key);
        let challenger = account(&self.people.challenger);
        ensure!(
            conviction.challenger == challenger,
            "another than the first challenger was rewarded"
        );
        let (before, after) = (&self.before, &self.after);
        let left = before.stake.convicted(self.fee, conviction)?;
        ensure!(after.stake == left, "{:?} is not {left:?}", after.stake);
        let changes = [
            (
                &self.people.stash,
                before.stash,
                after.stash,
                0,
                conviction.slashed(),
            ),
            (&self.people.operator, before.operator, after.operator, 0, 0),
            (
                &self.people.user,
                before.user,
                after.user,
                conviction.refund,
                0,
            ),
            (
                &self.people.challenger,
                before.challenger,
                after.challenger,
                conviction.reward,
                0,
            ),
            (&self.people.friend, before.friend, after.friend, 0, 0),
        ];
        for (key, had, has, got, lost) in changes {
            let who = account(key);
            let fees = ledger.fees_of(&who, before.block, after.block);
            let dues = ledger.dues_of(&who, before.block, after.block);
            ensure!(
                had + got == has + lost + fees + dues,
                "{who} had {had}, got {got}, lost {lost}, paid {fees} and {dues}, and has {has}"
            );
        }
        let mut games = ledger.games.values();
        let game = games.find(|game| game.who == challenger);
        let line = Line {
            name: self.cheat.name,
            detected: self.charge.describe(),
            located: self.place(),
            game: game.context("a commitment")?.clone(),
            conviction: conviction.clone(),
            fees: ledger.fees_of(&challenger, before.block, after.block),
        };
        self.check_end(&line)?;
        Ok(line)
    }

    /// That it ended where such a cheat has to end, and the dispute as it has to.
    fn check_end(&self, line: &Line) -> Result<()> {
        let row: Option<Row> = self.located.map(|located| located.cell.place.row);
        let fault = line.conviction.fault.as_ref();
        let fault = fault.map(|fault| format!("{fault:?}"));
        // The chain convicts in the block of a move, or once its deadline has passed; a block ends with one reading more.
        let is_late = self
            .due
            .is_some_and(|due| line.conviction.clock > due.deadline + 1);
        let is_it = match self.cheat.end {
            End::Face(expected) => row.is_none() && fault.as_deref() == Some(expected),
            End::Late(pause) => is_late && self.due.is_some_and(|due| due.pause == pause),
            End::Step => row.is_some() && !is_late,
            End::Row(expected) => row == Some(expected) && !is_late,
        };
        ensure!(
            is_it,
            "it ended at {row:?}, for {fault:?}, at {} on the clock, due {:?}, and not with {:?}",
            line.conviction.clock,
            self.due,
            self.cheat.end
        );
        let game = &line.game;
        let is_over = match (self.cheat.end, self.cheat.manner) {
            // Its friend's accusation came first, and rewarded who had opened before.
            (End::Face(_), Manner::Overtakes) => {
                matches!(game.verdict, Some(Verdict::Superseded))
            }
            (End::Face(_), _) => game.verdict.is_none(),
            _ => matches!(game.verdict, Some(Verdict::Convicted)) && fault.is_none(),
        };
        ensure!(
            is_over && game.compensation == 0 && game.burned == 0,
            "the dispute did not end so: {game:?}, {fault:?}"
        );
        let by_parts = self.located.is_some_and(|located| located.parts > 0);
        ensure!(
            by_parts == self.cheat.manner.fits_parts(),
            "parts are not what it was convicted by"
        );
        Ok(())
    }

    fn place(&self) -> String {
        let Some(Located { cell, parts }) = self.located else {
            return match self.cheat.end {
                End::Face(_) => "its face".into(),
                _ => "silence".into(),
            };
        };
        let layer = match cell.place.row {
            Row::Seen | Row::Angles | Row::Embed => String::new(),
            row if row >= Row::FinalMaximum => String::new(),
            _ => format!(", layer {}", cell.place.layer),
        };
        let part = if parts > 0 { ", a part" } else { "" };
        format!(
            "`{:?}`, position {}{layer}{part}",
            cell.place.row, cell.place.position
        )
    }
}

/// What `assay verify` finds.
async fn wrong_token(assay: &Assay, file: &std::path::Path, arena: &Arena) -> Result<Charge> {
    let (assay, file) = (assay.clone(), file.display().to_string());
    let model = arena.scene.model_dir();
    let verify = move || assay.run(&["--output", "json", "verify", &file, "--model", &model]);
    let outcome = tokio::task::spawn_blocking(verify).await??;
    ensure!(outcome.code == 1, "assay verify found nothing: {outcome:?}");
    let json: Value = serde_json::from_str(&outcome.stdout)?;
    let number = json["first_wrong"]["token"].as_u64();
    let number = number.with_context(|| format!("no wrong token in {json}"))?;
    Ok(Charge::Token {
        position: u32::try_from(number)? - 1,
    })
}

//! An honest provider, by the shipped worker, and challengers that dispute what is right.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{ensure, Context, Result};
use assay_client::{
    answer::Answer,
    chain::runtime,
    dispute::{self, Choice, Dispute, DisputeId, Move, MoveCall, Side, Stage, Verdict},
    keys, Chain, Keypair, Wait, H256,
};
use assay_exact::{
    folder::Folder,
    trace::{Cell, Cost, Layout, Operator, Row},
    Shape,
};
use tokio::time::{sleep, timeout};

use super::{
    arena,
    ledger::{Game, Ledger},
};
use crate::{Provider, Scene, Worker};

const PATIENCE: Duration = Duration::from_secs(120);
/// Far longer than all games of a siege take.
const SIEGE: Duration = Duration::from_secs(900);

/// A chain with one honest provider.
pub struct Siege {
    pub scene: Scene,
    pub provider: Provider,
    pub worker: Worker,
    shape: Shape,
    challengers: usize,
    ledger: Ledger,
}

/// What an unjust challenger says is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Aim {
    pub cell: Cell,
    /// Which part it names, of as many as there are.
    pub part: u64,
    /// It does not go on when it has to choose an element.
    pub stops: bool,
}

/// A game that an unjust challenger has lost.
#[derive(Clone, Debug)]
pub struct Lost {
    pub aim: Aim,
    pub game: Game,
}

impl Siege {
    /// Of the model of these floats.
    pub async fn new(floats: &Path) -> Result<Self> {
        let scene = Scene::of(floats).await?;
        arena::govern(&scene, arena::WINDOW, arena::REPLY).await?;
        let provider = scene.provider("//Bob", 1, 3)?;
        let worker = scene.worker(&provider, "honest")?;
        let shape = Folder::open(&scene.model)?.manifest().shape.clone();
        Ok(Self {
            scene,
            provider,
            worker,
            shape,
            challengers: 0,
            ledger: Ledger::default(),
        })
    }

    /// Buys an answer.
    pub async fn buy(&self, question: &str, extra: &[&str]) -> Result<Answer> {
        let model = self.scene.model_dir();
        let mut arguments = vec!["job", "submit", question, "--model-dir", &model];
        arguments.extend(extra);
        let submitted = self.scene.user.json(&arguments)?;
        let job = submitted["job"].as_u64().context("a job's number")?;
        let delivered = |record: &assay_client::chain::Job| {
            use assay_client::chain::JobState;
            matches!(record.state, JobState::Delivered { .. }).then_some(())
        };
        self.scene.wait_for(job, "delivered", delivered).await?;
        let status = self.scene.user.json(&["job", "status", &job.to_string()])?;
        Answer::parse(status.to_string().as_bytes()).map_err(anyhow::Error::msg)
    }

    /// The trace of a token.
    pub fn layout(&self, answer: &Answer, position: u32) -> Result<Layout> {
        let settings = answer.header.sampling.into();
        let layout = Layout::new(&self.shape, &settings, answer.header.prompt_len, position);
        layout.map_err(|error| anyhow::anyhow!("{error:?}"))
    }

    /// Disputes the token at `position` with all these aims at once, each by somebody else, and gives how each
    /// was lost. Every planck is accounted for.
    pub async fn endure(
        &mut self,
        answer: &Answer,
        position: u32,
        aims: &[Aim],
        during: impl AsyncFnOnce(&mut Self) -> Result<()>,
    ) -> Result<Vec<Lost>> {
        let first = self.challengers;
        self.challengers += aims.len();
        let key = |number| keys::load(&format!("//Unjust//{number}"));
        let keys: Vec<Keypair> = (first..self.challengers)
            .map(key)
            .collect::<Result<_, _>>()?;
        let accounts = keys.iter().map(keys::account);
        arena::fund(
            &self.scene,
            accounts.map(|account| (account, FUNDS)).collect(),
        )
        .await?;
        self.ledger.catch_up(&self.scene.chain).await?;
        let layout = Arc::new(self.layout(answer, position)?);
        let mut games = Vec::new();
        for (key, aim) in keys.into_iter().zip(aims) {
            // One that finds the node again after it was gone.
            let chain = Chain::connect_for_long(self.scene.node.url().as_str()).await?;
            let challenger = Unjust {
                chain,
                key,
                aim: *aim,
                layout: layout.clone(),
            };
            let (answer, aim) = (answer.clone(), *aim);
            let game = async move {
                let dispute = timeout(SIEGE, challenger.play(&answer, position)).await;
                let dispute = dispute.unwrap_or_else(|_| Err(anyhow::anyhow!("it did not end")));
                dispute.with_context(|| format!("{aim:?}"))
            };
            games.push(tokio::spawn(game));
        }
        during(self).await?;
        let mut lost = Vec::new();
        for (game, aim) in games.into_iter().zip(aims) {
            let (dispute, bond) = game.await??;
            lost.push((dispute, bond, *aim));
            self.ledger.catch_up(&self.scene.chain).await?;
        }
        let last = self.scene.chain.best().await?.number();
        while self.ledger.catch_up(&self.scene.chain).await? < last {
            sleep(Duration::from_millis(500)).await;
        }
        self.scene.check_money().await?;
        ensure!(
            self.ledger.convictions.is_empty(),
            "an honest provider was convicted"
        );
        let cost = Cost::new(&layout);
        let lost = lost
            .into_iter()
            .map(|(id, bond, aim)| self.judge(id, bond, aim, &cost));
        let lost: Vec<Lost> = lost.collect::<Result<_>>()?;
        for one in &lost {
            let balances = self
                .scene
                .chain
                .best()
                .await?
                .balances(one.game.who)
                .await?;
            let fees = self.ledger.fees_of(&one.game.who, 0, u32::MAX);
            let cost = one.game.compensation + one.game.burned;
            ensure!(
                balances.free + balances.reserved + fees + cost == FUNDS,
                "{:?}: {balances:?}, fees of {fees} and a bond of {cost} are not {FUNDS}",
                one.aim
            );
        }
        Ok(lost)
    }

    fn judge(&self, id: DisputeId, bond: u128, aim: Aim, cost: &Cost) -> Result<Lost> {
        let game = self.ledger.games.get(&id).context("a dispute")?;
        ensure!(
            matches!(game.verdict, Some(Verdict::Acquitted)),
            "{aim:?} ended with {:?}",
            game.verdict
        );
        ensure!(
            game.compensation > 0 && game.compensation + game.burned == bond,
            "{aim:?}: of {bond}, {} went to the provider and {} were destroyed",
            game.compensation,
            game.burned
        );
        // What is said beforehand of a trace's dearest dispute; what was refused is no part of a game.
        let has_cost = game.moves <= cost.moves && game.largest as u64 <= cost.largest.0;
        ensure!(
            has_cost && (game.refused > 0 || game.bytes as u64 <= cost.bytes),
            "{aim:?} cost more than {} moves, {} bytes and {:?} at once: {game:?}",
            cost.moves,
            cost.bytes,
            cost.largest
        );
        Ok(Lost {
            aim,
            game: game.clone(),
        })
    }
}

/// Disputes that one provider can have at once: those whose clocks run, and those that wait.
pub const QUEUE: usize = 64;

/// With what each challenger begins, in planck: the last of a flood has a bond of hundreds.
const FUNDS: u128 = 2_000_000_000_000_000;

/// A challenger that knows that it is wrong.
pub struct Unjust {
    pub chain: Chain,
    pub key: Keypair,
    pub aim: Aim,
    /// Of the disputed token's trace.
    pub layout: Arc<Layout>,
}

impl Unjust {
    /// Commits, opens and plays to the end. The dispute's number, and its bond in planck.
    pub async fn play(self, answer: &Answer, position: u32) -> Result<(DisputeId, u128)> {
        let id = self.open(answer, position).await?;
        Ok((id, self.go_on(id).await?))
    }

    /// Commits, and opens in the next block. The dispute's number.
    pub async fn open(&self, answer: &Answer, position: u32) -> Result<DisputeId> {
        let me = keys::account(&self.key);
        let salt = H256::repeat_byte(1);
        let commit = dispute::commit(&answer.header.claim, &me, &salt);
        let committed = self
            .chain
            .submit(&commit, &self.key, Wait::InBlock, PATIENCE);
        let committed = committed.await?;
        let event = committed
            .events
            .find_first::<runtime::disputes::events::Committed>();
        let id = event.context("a commitment")??.dispute;
        let made_at = committed.block.number();
        let mut blocks = self.chain.best_blocks().await?;
        while blocks.next().await?.number() <= made_at {}
        let open = dispute::open(answer, Some(position), salt, None);
        let opened = self.chain.submit(&open, &self.key, Wait::InBlock, PATIENCE);
        opened.await?;
        Ok(id)
    }

    /// Plays the open dispute to its end. The bond in planck.
    pub async fn go_on(&self, id: DisputeId) -> Result<u128> {
        let mut bond = None;
        let mut made = HashSet::new();
        let mut blocks = self.chain.best_blocks().await?;
        loop {
            let best = loop {
                match blocks.next().await {
                    Ok(best) => break best,
                    Err(_) => {
                        sleep(Duration::from_secs(1)).await;
                        if let Ok(again) = self.chain.best_blocks().await {
                            blocks = again;
                        }
                    }
                }
            };
            match best.dispute(id).await {
                Ok(Some(dispute)) => {
                    bond = Some(dispute.bond);
                    if self.choose(&dispute, &mut made).await.is_err() {
                        // The node was away: the same again.
                        made.remove(&dispute.state);
                    }
                }
                Ok(None) => return bond.context("it was open once"),
                // As above.
                Err(_) => {}
            }
        }
    }

    /// Makes its move, if it is its turn and it has not made one at this state.
    async fn choose(&self, dispute: &Dispute, made: &mut HashSet<H256>) -> Result<()> {
        let mine = dispute.turn() == Some(Side::Challenger);
        let Some(choice) = self.choice(&dispute.stage).filter(|_| mine) else {
            return Ok(());
        };
        if made.insert(dispute.state) {
            let call = MoveCall::new(dispute, Move::Choose(choice));
            let sent = self.chain.submit(&call, &self.key, Wait::InBlock, PATIENCE);
            sent.await?;
        }
        Ok(())
    }

    /// What leads to what it aims at.
    fn choice(&self, stage: &Stage) -> Option<Choice> {
        let (leaf, element) = self.layout.leaf_of(self.aim.cell)?;
        Some(match stage {
            Stage::Nodes { level, first, .. } => {
                Choice::Node(u32::try_from((leaf >> level).checked_sub(*first)?).ok()?)
            }
            Stage::Leaves { .. } if self.aim.stops => return None,
            Stage::Leaves { first, .. } => Choice::Element {
                leaf: u32::try_from(leaf.checked_sub(*first)?).ok()?,
                element,
            },
            Stage::Parts { parts, .. } => {
                Choice::Part(u32::try_from(self.aim.part % parts.len() as u64).ok()?)
            }
            Stage::Answer | Stage::Node { .. } | Stage::Step(_) => return None,
        })
    }
}

/// One aim at each kind of row that a trace has. Which number of the row it is depends on `seed`.
pub fn each_row(layout: &Layout, seed: u64) -> Vec<Aim> {
    let last = layout.positions() - 1;
    let mut rows = BTreeMap::new();
    // Values are written once more at the last position of a page.
    for position in [15, last, seed as u32 % last] {
        for span in layout.rows(position) {
            let spans: &mut Vec<_> = rows.entry(span.place.row).or_default();
            spans.push(span);
        }
    }
    let pick = |row: Row, spans: Vec<assay_exact::trace::Span>| {
        let mut number = mix(seed ^ row as u64);
        let span = spans[number as usize % spans.len()];
        number = mix(number);
        let elements = span.extent.elements();
        let element = match number % 4 {
            0 => 0,
            1 => elements - 1,
            _ => mix(number) % elements,
        };
        Aim {
            cell: Cell {
                place: span.place,
                element,
            },
            part: mix(number + 1),
            stops: false,
        }
    };
    rows.into_iter()
        .map(|(row, spans)| pick(row, spans))
        .collect()
}

/// What the numbers that were disputed are computed by.
pub fn operators(games: &[Lost]) -> BTreeSet<Operator> {
    let rows = games.iter().map(|lost| lost.aim.cell.place.row);
    rows.map(Row::operator).collect()
}

/// Any numbers of the trace.
pub fn any(layout: &Layout, count: usize, seed: u64) -> Vec<Aim> {
    let aim = |index| {
        let number = mix(seed ^ index);
        let leaf = layout.leaf(number % layout.leaves())?;
        Some(Aim {
            cell: layout.cell(number % layout.leaves(), mix(number) as u32 % leaf.elements)?,
            part: mix(number + 1),
            stops: false,
        })
    };
    (0..count as u64).filter_map(aim).collect()
}

/// A number that looks as if it had nothing to do with this one (splitmix64).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What was disputed in vain, in Markdown.
pub fn table(games: &[Lost]) -> String {
    let mut table = String::from(
        "| disputed | moves | bytes | largest | blocks | to the provider | burned |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Lost { aim, game } in games {
        let Cell { place, element } = aim.cell;
        let row = [
            format!("`{:?}` {element}, position {}", place.row, place.position),
            game.moves.to_string(),
            game.bytes.to_string(),
            game.largest.to_string(),
            (game.last - game.first + 1).to_string(),
            format!("{:.3}", game.compensation as f64 / 1e12),
            format!("{:.3}", game.burned as f64 / 1e12),
        ];
        table.push_str(&format!("| {} |\n", row.join(" | ")));
    }
    table
}

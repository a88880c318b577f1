//! A dispute over which the network forks: moves on a branch that is given up are made again on the one that stays.

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use anyhow::{bail, ensure, Context, Result};
use assay_client::{
    answer::Answer,
    dispute::{Dispute, DisputeId, Stage, Verdict},
    keys,
    subxt::config::substrate::DigestItem,
    Chain, Snapshot, H256,
};
use assay_exact::{folder::Folder, trace::Layout};
use serde_json::{json, Value};
use tokio::task::JoinHandle;

use super::{
    arena, honest,
    ledger::{Game, Ledger},
    stake::Stake,
};
use crate::{
    demo_source, eventually, free_port, network::Halves, node::BOOTNODE_KEY, programs, Daemon,
    Node, Scene,
};

/// Far longer than any step of this takes.
const PATIENCE: Duration = Duration::from_secs(240);
/// Blocks in which answers are disputed; a branch that stays may be as long meanwhile.
const WINDOW: u32 = 200;
/// Counted blocks for a move: more than a branch has on which nobody moves.
const REPLY: u32 = 60;
/// As consensus numbers its own digests, of blocks whose author was drawn for the slot. Branches are weighed by them.
const ENGINE: [u8; 4] = *b"BABE";
const PRIMARY: u8 = 1;

/// What became of it.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Moves and blocks that were lost with their branch.
    pub moves: u32,
    pub blocks: u32,
    pub game: Game,
}

/// Who is right in the game.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    /// A worker whose disk went bad, against `assay dispute`.
    Challenger,
    /// A worker that is as it should be, against somebody who disputes what is right.
    Provider,
}

/// Two validators, of which one is cut off with both players behind it until it is in a minority. The worker is the
/// shipped program.
pub async fn on_a_fork(right: Right) -> Result<Replayed> {
    let halves = Halves::open().context("a network to cut in two")?;
    let mut folder = tempfile::tempdir()?;
    if std::env::var_os("ASSAY_KEEP").is_some() {
        folder.disable_cleanup(true);
        eprintln!("logs and stores stay in {}", folder.path().display());
    }
    let spec = folder.path().join("spec.json");
    let chain = format!("--chain={}", two_validators(&spec)?);
    let validator = |name: &str, half, identity: &[String]| {
        let own = [chain.as_str(), "--validator", name, "--force-authoring"];
        let own = own.into_iter().chain(["--no-mdns"]).map(str::to_owned);
        let arguments: Vec<String> = own.chain(identity.iter().cloned()).collect();
        let name = name.trim_start_matches('-');
        let mut node = Node::launch(
            folder.path(),
            name,
            &halves.place(half),
            free_port()?,
            &arguments,
        )?;
        node.wait_until_up()?;
        anyhow::Ok(node)
    };
    let alice = validator("--alice", 0, &[format!("--node-key={BOOTNODE_KEY}")])?;
    let bob = validator(
        "--bob",
        1,
        &[
            "--unsafe-force-node-key-generation".into(),
            format!("--bootnodes={}", alice.address()),
        ],
    )?;
    let far = alice.chain().await?;
    let mut scene = Scene::on(bob, folder, &demo_source()?).await?;
    eventually_async("both validators finalise blocks", async || {
        Ok((scene.chain.finalized().await?.number() > 2).then_some(()))
    })
    .await?;
    arena::govern(&scene, WINDOW, REPLY).await?;
    let provider = scene.provider("//Bob", 1, 3)?;
    let _worker = scene.worker(&provider, "worker")?;
    if right == Right::Challenger {
        scene.damage_model()?;
    }
    let file = scene.folder().join("receipt.json").display().to_string();
    scene.buy("What is Assay?", &file).await?;
    let answer = Answer::parse(&fs::read(&file)?).map_err(anyhow::Error::msg)?;
    let stake = Stake::at(&far.best().await?, provider.stash).await?;
    let challenger = Challenger::open(&scene, right, file, &answer).await?;
    let dispute = async |chain: &Chain| {
        let best = chain.best().await?;
        let disputes = best.disputes_of_provider(provider.stash).await?;
        anyhow::Ok((disputes.into_iter().next(), best))
    };
    let reaches = async |chain: &Chain, is_there: fn(&Dispute) -> bool| {
        eventually_async("the game goes on", async || {
            let (found, best) = dispute(chain).await?;
            Ok(found.filter(is_there).map(|found| (found, best)))
        })
        .await
    };
    let (_, common) = reaches(&far, |found| found.moves > 0).await?;

    halves.cut()?;
    let playing = challenger.play(&scene)?;
    let (lost, head) = reaches(&scene.chain, |found| matches!(found.stage, Stage::Step(_))).await?;
    let given_up = primaries(&scene.chain, common.number(), &head).await?;
    scene.node.daemon.signal("-STOP")?;
    let (kept, _) = eventually_async("the other branch outweighs it", async || {
        let (kept, best) = dispute(&far).await?;
        let heavier = primaries(&far, common.number(), &best).await? > given_up;
        Ok(kept.filter(|_| heavier).map(|kept| (kept, best)))
    })
    .await?;
    ensure!(kept.moves < lost.moves, "the moves are on both branches");
    halves.join()?;
    scene.node.daemon.signal("-CONT")?;

    scene.chain = eventually_async("the node is back", async || {
        Ok(scene.node.chain().await.ok())
    })
    .await?;
    eventually_async("the branch is given up", async || {
        let now = scene.chain.block_hash(head.number()).await?;
        Ok(now.filter(|now| *now != head.hash()))
    })
    .await?;
    playing.end().await?;
    let ledger = eventually_async("the ending is final", async || {
        let ledger = Ledger::read_all(&scene.chain).await?;
        let game = ledger.games.get(&lost.id);
        Ok(game
            .is_some_and(|game| game.verdict.is_some())
            .then_some(ledger))
    })
    .await?;
    let game = ledger.games.get(&lost.id).context("a dispute")?;
    let fee = answer.signed.receipt.fee;
    let left = match (right, &game.verdict, &ledger.convictions[..]) {
        (Right::Challenger, Some(Verdict::Convicted), [conviction]) => {
            stake.convicted(fee, conviction)?
        }
        (Right::Provider, Some(Verdict::Acquitted), []) => stake,
        _ => bail!("{game:?} {:?}", ledger.convictions),
    };
    let now = Stake::at(&scene.chain.best().await?, provider.stash).await?;
    // What an answer earned may mature behind an acquittal.
    ensure!(
        now.bonded == left.bonded && now.disputes == 0,
        "{now:?} is not {left:?}"
    );
    scene.check_money().await?;
    Ok(Replayed {
        moves: lost.moves - kept.moves,
        blocks: head.number() - common.number(),
        game: game.clone(),
    })
}

/// Who disputes the receipt in this file.
enum Challenger {
    Just(String),
    Unjust(Box<honest::Unjust>, DisputeId),
}

/// A challenger at work.
enum Playing {
    Just(Daemon),
    Unjust(JoinHandle<Result<u128>>),
}

impl Challenger {
    /// Opens a dispute, and makes no move.
    async fn open(scene: &Scene, right: Right, receipt: String, answer: &Answer) -> Result<Self> {
        let model = scene.model_dir();
        if right == Right::Challenger {
            let open = ["dispute", "open", &receipt, "--model", &model];
            let opened = scene
                .user
                .run(&[&open[..], &["--yes", "--no-watch"]].concat())?;
            ensure!(opened.code == 0, "{opened:?}");
            return Ok(Self::Just(receipt));
        }
        let shape = Folder::open(&scene.model)?.manifest().shape.clone();
        let position = answer.output.len() as u32 - 1;
        let settings = answer.header.sampling.into();
        let layout = Layout::new(&shape, &settings, answer.header.prompt_len, position)
            .map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let aim = honest::any(&layout, 1, 4);
        let unjust = Box::new(honest::Unjust {
            // One that finds the node again after it was gone.
            chain: Chain::connect_for_long(scene.node.url().as_str()).await?,
            key: keys::load(scene.user.key())?,
            aim: *aim.first().context("a trace has leaves")?,
            layout: Arc::new(layout),
        });
        let dispute = unjust.open(answer, position).await?;
        Ok(Self::Unjust(unjust, dispute))
    }

    /// Goes on to the end.
    fn play(self, scene: &Scene) -> Result<Playing> {
        Ok(match self {
            Self::Just(receipt) => {
                let model = scene.model_dir();
                let words = [
                    "--output", "json", "dispute", "watch", &receipt, "--model", &model,
                ];
                let log = scene.folder().join("watch.log");
                Playing::Just(Daemon::start("assay", &scene.user.words(&words), &log)?)
            }
            Self::Unjust(unjust, dispute) => {
                Playing::Unjust(tokio::spawn(async move { unjust.go_on(dispute).await }))
            }
        })
    }
}

impl Playing {
    /// Waits until the challenger says that the game is over.
    async fn end(self) -> Result<()> {
        match self {
            Self::Just(watching) => {
                let ending: Value = eventually("the game ends", PATIENCE, || {
                    let log = watching.log()?;
                    let json = log.find('{').and_then(|start| log.get(start..));
                    Ok(json.and_then(|json| serde_json::from_str(json).ok()))
                })?;
                ensure!(ending["verdict"] == "Convicted", "{ending}");
            }
            Self::Unjust(playing) => {
                tokio::time::timeout(PATIENCE, playing).await???;
            }
        }
        Ok(())
    }
}

/// Writes the specification of a chain of two validators; its path.
fn two_validators(path: &Path) -> Result<String> {
    let output = Command::new(programs()?.join("assay-node"))
        .args(["export-chain-spec", "--chain=local", "--output"])
        .arg(path)
        .output()?;
    ensure!(output.status.success(), "no specification: {output:?}");
    let mut spec: Value = serde_json::from_slice(&fs::read(path)?)?;
    let patch = &mut spec["genesis"]["runtimeGenesis"]["patch"];
    for (pallet, list) in [("session", "keys"), ("validators", "validators")] {
        let list = patch[pallet][list].as_array_mut();
        list.context("a list of validators")?.truncate(2);
    }
    patch["validators"]["parameters"]["min_validators"] = json!(2);
    fs::write(path, spec.to_string())?;
    Ok(path.display().to_string())
}

/// How many of the blocks behind number `from` up to this one are by authors that were drawn.
async fn primaries(chain: &Chain, from: u32, to: &Snapshot) -> Result<u32> {
    let mut count = 0;
    let mut at = to.hash();
    loop {
        let block = chain.at(at).await?;
        if block.number() <= from {
            return Ok(count);
        }
        let header = block.client().block_header().await?;
        let is_primary = |item: &DigestItem| matches!(item, DigestItem::PreRuntime(ENGINE, data) if data.first() == Some(&PRIMARY));
        count += u32::from(header.digest.logs.iter().any(is_primary));
        at = H256(header.parent_hash.0);
    }
}

/// As [`eventually`], for what is asked of a chain; a node that does not answer is asked again.
async fn eventually_async<T>(
    what: &str,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let wait = async {
        loop {
            if let Ok(Some(answer)) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.with_context(|| format!("waiting until {what}"))
}

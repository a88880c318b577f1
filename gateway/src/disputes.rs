//! Wrong answers that were found here, taken to the chain with the user's key: committed, opened, and played in
//! the background, also after a restart.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use assay_client::{
    answer::Answer,
    dispute::{
        computed, without_game, Campaign, Charge, Ending, Exhibit, Plan, Show, Study, Verdict,
    },
    folder::ModelFolder,
    keys, Amount, Error, H256,
};
use assay_exact::Cpu;
use tokio::runtime::Handle;

use crate::{evidence, market::Challenger};

/// What traces are computed on, all cores: a bond depends on each. Disputes share it, and take turns.
static CPU: LazyLock<Arc<Cpu>> = LazyLock::new(|| Arc::new(Cpu::detect()));

/// Held while the trace of a dispute is computed that is not open yet.
static TURN: Mutex<()> = Mutex::new(());

/// The disputes of a gateway. Cheap to clone.
#[derive(Clone)]
pub struct Disputes {
    challenger: Challenger,
    /// Tasks of it end with the gateway; their plans on disk go on.
    runtime: Handle,
}

impl Disputes {
    /// Must be called within a runtime.
    pub fn new(challenger: Challenger) -> Self {
        Self {
            challenger,
            runtime: Handle::current(),
        }
    }

    /// Goes on with what is not over: what was begun before, and what was found before that and not begun.
    /// `models` are the folders that can be asked.
    pub fn resume(&self, data: &Path, models: &[PathBuf]) {
        // What is found from now on is begun by who finds it.
        let found = unfinished(data);
        let (disputes, models) = (self.clone(), models.to_vec());
        // Models are large.
        self.runtime.spawn_blocking(move || {
            let mut roots = Roots::default();
            for (file, position) in found {
                match read(&file, &models, &mut roots) {
                    Some((answer, folder)) => disputes.begin(file, answer, folder, position),
                    None => tracing::warn!(
                        target: "assay_gateway", file = %file.display(),
                        "a dispute does not go on: its answer, or the folder of its model, is not here"
                    ),
                }
            }
        });
    }

    /// Takes an answer to the chain whose evidence is in `file`. `position` is its first wrong token, from 0; none
    /// if something else is wrong with it, or a plan says what.
    pub fn begin(&self, file: PathBuf, answer: Answer, folder: PathBuf, position: Option<u32>) {
        let challenger = self.challenger.clone();
        self.runtime.spawn(async move {
            let claim = answer.claim();
            match dispute(&challenger, &file, &answer, folder, position).await {
                Ok(Some(ending)) => tell(&claim, &ending),
                Ok(None) => tracing::warn!(
                    target: "assay_gateway", %claim, file = %file.display(),
                    "nothing that is wrong with the answer can be disputed on the chain"
                ),
                Err(error) => tracing::error!(
                    target: "assay_gateway", %claim, file = %file.display(), %error,
                    "the dispute does not go on; `assay dispute watch` with the file does, when that is seen to"
                ),
            }
        });
    }
}

async fn dispute(
    challenger: &Challenger,
    file: &Path,
    answer: &Answer,
    folder: PathBuf,
    position: Option<u32>,
) -> Result<Option<Ending>, Error> {
    let plan = match Plan::read(file)? {
        Some(plan) => plan,
        None => {
            let charge = match position {
                Some(position) => Some(Charge::Token { position }),
                None => without_game(&challenger.chain, answer, None).await?,
            };
            let Some(charge) = charge else {
                return Ok(None);
            };
            let genesis = challenger.chain.genesis_hash();
            let plan = Plan::new(genesis, keys::account(&challenger.key), charge, None);
            plan.write(file)?;
            plan
        }
    };
    let study = match plan.charge.position() {
        Some(position) => {
            let exhibit = Exhibit::of(answer, position);
            let show = computed(folder, CPU.clone(), exhibit);
            let show = match plan.opened {
                // Its clock may run.
                Some(_) => show,
                None => in_turn(&TURN, show),
            };
            Some(Study::start(show).map_err(Error::Dispute)?)
        }
        None => None,
    };
    let campaign = Campaign {
        chain: &challenger.chain,
        key: &challenger.key,
        answer,
        other: None,
        study: study.as_ref(),
        file: Some(file),
        plan,
        only_open: false,
    };
    let claim = answer.claim();
    campaign
        .run(&mut |news| match news.is_waiting() {
            true => tracing::debug!(target: "assay_gateway", %claim, "{news}"),
            false => tracing::info!(target: "assay_gateway", %claim, "{news}"),
        })
        .await
}

/// The same, but computed when no other is: all at once would take as long as one after another, and the memory of all
/// of them. The next one's turn comes when the trace is there, or fails.
fn in_turn(turn: &'static Mutex<()>, show: Show) -> Show {
    Box::new(move |tell| {
        let mut held = Some(turn.lock().unwrap_or_else(PoisonError::into_inner));
        show(&mut |witness| {
            held.take();
            tell(witness);
        })
    })
}

/// The files of evidence with a plan that is not at its end, or with a wrong token and no plan yet.
fn unfinished(data: &Path) -> Vec<(PathBuf, Option<u32>)> {
    let mut found = Vec::new();
    for name in evidence::names(data).unwrap_or_default() {
        let file = evidence::path(data, &name);
        let position = evidence::wrong_token(&file);
        match Plan::read(&file) {
            Ok(Some(plan)) if !plan.over => found.push((file, position)),
            Ok(None) if position.is_some() => found.push((file, position)),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(target: "assay_gateway", %error, "a dispute does not go on");
            }
        }
    }
    found
}

/// The roots of the models in folders, once they were asked for; none where there is no model.
#[derive(Default)]
struct Roots(HashMap<PathBuf, Option<H256>>);

impl Roots {
    /// Reads every byte of the model, the first time.
    fn of(&mut self, folder: &Path) -> Option<H256> {
        let read = || {
            let parts = ModelFolder::open(folder).and_then(|folder| folder.parts());
            Some(parts.ok()?.root())
        };
        *self.0.entry(folder.into()).or_insert_with(read)
    }
}

/// An answer, and the folder of its model.
fn read(file: &Path, models: &[PathBuf], roots: &mut Roots) -> Option<(Answer, PathBuf)> {
    let answer = Answer::parse(&fs::read(file).ok()?).ok()?;
    let is_its = |folder: &&PathBuf| roots.of(folder) == Some(answer.model.root);
    let folder = models.iter().find(is_its)?.clone();
    Some((answer, folder))
}

fn tell(claim: &str, ending: &Ending) {
    match &ending.dispute {
        Some((dispute, Verdict::Acquitted)) => tracing::error!(
            target: "assay_gateway", claim, dispute, block = ending.block,
            lost = %Amount(ending.compensation.saturating_add(ending.burned)),
            "the dispute is lost: the answer was right, or this gateway was away for too long"
        ),
        _ => {
            let money = ending.conviction.as_ref();
            tracing::info!(
                target: "assay_gateway", claim, block = ending.block,
                refund = %Amount(money.map_or(0, |m| m.returned.saturating_add(m.refund))),
                reward = %Amount(money.map_or(0, |m| m.reward)),
                "the dispute is over, and its bond is back"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        ops::Range,
        sync::mpsc::{self, Receiver, Sender},
    };

    use assay_client::{dispute::Witness, AccountId32, H256};
    use assay_exact::trace::{Layout, Opening, Proof, Target};
    use serde_json::json;

    use super::*;

    /// A trace that nobody looks into.
    struct Shut;

    impl Witness for Shut {
        fn layout(&self) -> &Layout {
            unreachable!()
        }

        fn nodes(&mut self, _: u32, _: Range<u64>) -> Result<Vec<H256>, String> {
            unreachable!()
        }

        fn leaves(&mut self, _: Range<u64>) -> Result<Vec<Vec<u8>>, String> {
            unreachable!()
        }

        fn open_last(&mut self) -> Result<Opening, String> {
            unreachable!()
        }

        fn open_token(&mut self) -> Result<Opening, String> {
            unreachable!()
        }

        fn parts(&mut self, _: &Target) -> Result<Vec<i64>, String> {
            unreachable!()
        }

        fn prove(&mut self, _: &Target) -> Result<Proof, String> {
            unreachable!()
        }
    }

    /// Begins a trace that says so when it is begun, and is there, or fails, when it is told to.
    fn begin(turn: &'static Mutex<()>) -> (Study, Receiver<()>, Sender<bool>) {
        let (begun, seen) = mpsc::channel();
        let (go, gate) = mpsc::channel::<bool>();
        let show: Show = Box::new(move |tell| {
            begun.send(()).unwrap();
            match gate.recv().unwrap() {
                true => tell(&mut Shut),
                false => return Err("no such folder".into()),
            }
            Ok(())
        });
        (Study::start(in_turn(turn, show)).unwrap(), seen, go)
    }

    #[tokio::test]
    async fn traces_are_computed_one_after_another() {
        static TURN: Mutex<()> = Mutex::new(());
        let mut waiting = vec![begin(&TURN), begin(&TURN), begin(&TURN)];
        // What is there stays while the next ones are computed.
        let mut kept = Vec::new();
        for comes in [true, false, true] {
            let mut begun = Vec::new();
            while begun.is_empty() {
                tokio::task::yield_now().await;
                begun = (0..waiting.len())
                    .filter(|at| waiting[*at].1.try_recv().is_ok())
                    .collect();
            }
            // Long enough for another to begin as well.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            assert_eq!(begun.len(), 1);
            let (study, _, go) = waiting.remove(begun[0]);
            assert!(waiting.iter().all(|(_, seen, _)| seen.try_recv().is_err()));
            assert!(study.is_computing());
            go.send(comes).unwrap();
            assert_eq!(study.ready().await.is_ok(), comes);
            kept.push(study);
        }
    }

    #[test]
    fn what_is_not_over_is_taken_up_again_begun_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let file = |name: &str, position: Option<u32>| {
            let path = evidence::path(data, name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, json!({ "position": position }).to_string()).unwrap();
            path
        };
        let plan = |path: &Path, over: bool| {
            let charge = Charge::Token { position: 4 };
            let mut plan = Plan::new(H256([1; 32]), AccountId32([2; 32]), charge, None);
            plan.over = over;
            plan.write(path).unwrap();
        };
        plan(&file("answer-begun.json", None), false);
        plan(&file("answer-over.json", Some(4)), true);
        let found = file("answer-found.json", Some(7));
        file("channel-elsewhere.json", None);
        let spoilt = Plan::path(&file("answer-spoilt.json", Some(1)));
        fs::write(spoilt, "{").unwrap();
        let begun = evidence::path(data, "answer-begun.json");
        assert_eq!(unfinished(data), [(begun, None), (found, Some(7))]);
        assert_eq!(unfinished(&data.join("nowhere")), []);
    }
}

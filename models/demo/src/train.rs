//! The training loop: packed rows of fresh text, AdamW, warm-up and cosine.

use crate::{
    corpus::Corpus,
    fused::CrossEntropy,
    model::{Batch, Config, Model},
    tokenizer::{render, Vocabulary},
};
use anyhow::{Context, Result};
use candle_core::{backprop::GradStore, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

#[derive(Clone, Debug, clap::Args)]
pub struct Schedule {
    /// Optimiser steps.
    #[arg(long, default_value_t = 3_000)]
    pub steps: usize,
    /// Rows of packed dialogues in a step; half of them on each thread.
    #[arg(long, default_value_t = 8)]
    pub rows: usize,
    /// Tokens in a row. Longer dialogues are left out.
    #[arg(long, default_value_t = 192)]
    pub positions: usize,
    /// Highest learning rate.
    #[arg(long, default_value_t = 3e-3)]
    pub learning_rate: f64,
    /// Steps until the highest learning rate.
    #[arg(long, default_value_t = 100)]
    pub warm_up: usize,
    /// The gradient is scaled down to this norm.
    #[arg(long, default_value_t = 1.0)]
    pub clip: f64,
    /// A progress line every so many steps.
    #[arg(long, default_value_t = 25)]
    pub report_every: usize,
}

impl Schedule {
    /// Linear warm-up, then half a cosine down to a fiftieth.
    fn learning_rate_at(&self, step: usize) -> f64 {
        if step < self.warm_up {
            return self.learning_rate * (step + 1) as f64 / self.warm_up as f64;
        }
        let done =
            (step - self.warm_up) as f64 / self.steps.saturating_sub(self.warm_up).max(1) as f64;
        self.learning_rate * (0.02 + 0.98 * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()))
    }
}

/// One line of `loss.csv`.
pub struct Record {
    pub step: usize,
    /// Tokens read so far, padding not counted.
    pub tokens: usize,
    /// Mean cross-entropy of the answers' tokens in this step, in nats.
    pub loss: f32,
    pub learning_rate: f64,
}

/// The shards of a step are computed side by side and added in a fixed order. Their number is part
/// of the result; the number of cores is not.
const SHARDS: usize = 2;

/// A batch with the tokens that its places have to predict.
struct Shard {
    batch: Batch,
    targets: Vec<u32>,
    tokens: usize,
}

/// Fills rows with whole dialogues, and what is left of a row with padding that nobody reads.
struct Packer<'a> {
    vocabulary: &'a Vocabulary,
    corpus: Corpus,
    /// The next dialogues: the first one that still fits into the row is taken.
    waiting: VecDeque<Vec<u32>>,
}

/// With so many to choose from, about one token in fifty is padding.
const WAITING: usize = 16;

impl Packer<'_> {
    /// The next dialogue of at most `room` tokens, or none among those that wait.
    fn dialogue(&mut self, room: usize, longest: usize) -> Result<Option<Vec<u32>>> {
        while self.waiting.len() < WAITING {
            let dialogue = self.corpus.next().context("the corpus has ended")?;
            let ids = self.vocabulary.encode(&render(&dialogue))?;
            if ids.len() <= longest {
                self.waiting.push_back(ids);
            }
        }
        let fitting = self.waiting.iter().position(|ids| ids.len() <= room);
        Ok(fitting.and_then(|index| self.waiting.remove(index)))
    }

    fn shard(&mut self, rows: usize, positions: usize) -> Result<Shard> {
        let mut shard = Shard {
            batch: Batch {
                rows,
                positions,
                ..Default::default()
            },
            targets: Vec::new(),
            tokens: 0,
        };
        let mut starts = Vec::with_capacity(rows * positions);
        for row in 0..rows {
            let row_end = (row + 1) * positions;
            while let Some(ids) = self.dialogue(row_end - shard.batch.ids.len(), positions)? {
                let offset = shard.batch.ids.len();
                for (place, answer) in self
                    .vocabulary
                    .answers(&ids)
                    .into_iter()
                    .enumerate()
                    .filter(|(_, answer)| *answer)
                {
                    debug_assert!(answer && place > 0);
                    shard.batch.places.push((offset + place - 1) as u32);
                    shard.targets.push(ids[place]);
                }
                starts.resize(offset + ids.len(), (offset - row * positions) as u32);
                shard.tokens += ids.len();
                shard.batch.ids.extend(ids);
            }
            let filled = shard.batch.ids.len() - row * positions;
            shard.batch.ids.resize(row_end, self.vocabulary.end);
            starts.resize(row_end, filled as u32);
        }
        shard.batch.starts = Arc::new(starts);
        Ok(shard)
    }
}

/// The loss of a shard's answers, its share of the step's mean, with the gradients.
fn gradients(model: &Model, shard: &Shard, count: usize) -> Result<(f32, GradStore)> {
    let loss = CrossEntropy {
        targets: Arc::new(shard.targets.clone()),
        count: count as f32,
    };
    let loss = model.logits(&shard.batch)?.apply_op1(loss)?;
    Ok((loss.to_scalar()?, loss.backward()?))
}

/// Adds the shards' gradients and scales the sum to at most `clip`.
fn combine(vars: &BTreeMap<String, Var>, stores: Vec<GradStore>, clip: f64) -> Result<GradStore> {
    let mut stores = stores.into_iter();
    let mut total = stores.next().context("a step has no shard")?;
    for store in stores {
        for var in vars.values() {
            if let (Some(sum), Some(grad)) = (total.get(var), store.get(var)) {
                let sum = (sum + grad)?;
                total.insert(var, sum);
            }
        }
    }
    let mut squares = 0f64;
    for var in vars.values() {
        if let Some(grad) = total.get(var) {
            squares += f64::from(grad.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    let norm = squares.sqrt();
    if norm > clip {
        for var in vars.values() {
            if let Some(grad) = total.get(var) {
                let grad: Tensor = (grad * (clip / norm))?;
                total.insert(var, grad);
            }
        }
    }
    Ok(total)
}

/// Trains a fresh model. The corpus is endless, so no text is read twice on purpose.
pub fn train(
    config: Config,
    vocabulary: &Vocabulary,
    schedule: &Schedule,
    seed: u64,
) -> Result<(Model, Vec<Record>)> {
    let (model, vars) = Model::init(config, seed)?;
    let parameters = ParamsAdamW {
        lr: schedule.learning_rate,
        beta1: 0.9,
        beta2: 0.98,
        eps: 1e-8,
        weight_decay: 0.05,
    };
    let mut optimiser = AdamW::new(vars.values().cloned().collect(), parameters)?;
    let mut packer = Packer {
        vocabulary,
        corpus: Corpus::new(seed),
        waiting: VecDeque::new(),
    };
    let mut records = Vec::with_capacity(schedule.steps);
    let (began, mut tokens, mut recent) = (Instant::now(), 0, 0f32);
    eprintln!(
        "{} parameters, {} steps of {} rows of {} tokens",
        model.parameters(),
        schedule.steps,
        schedule.rows,
        schedule.positions
    );
    for step in 0..schedule.steps {
        let shards = (0..SHARDS)
            .map(|_| packer.shard(schedule.rows.div_ceil(SHARDS), schedule.positions))
            .collect::<Result<Vec<_>>>()?;
        let count = shards
            .iter()
            .map(|shard| shard.targets.len())
            .sum::<usize>()
            .max(1);
        tokens += shards.iter().map(|shard| shard.tokens).sum::<usize>();
        let results = std::thread::scope(|scope| {
            let threads: Vec<_> = shards
                .iter()
                .map(|shard| scope.spawn(|| gradients(&model, shard, count)))
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .map_err(|_| anyhow::anyhow!("a training thread stopped"))?
                })
                .collect::<Result<Vec<_>>>()
        })?;
        let loss: f32 = results.iter().map(|(loss, _)| loss).sum();
        let stores = results.into_iter().map(|(_, store)| store).collect();
        let learning_rate = schedule.learning_rate_at(step);
        optimiser.set_learning_rate(learning_rate);
        optimiser.step(&combine(&vars, stores, schedule.clip)?)?;
        records.push(Record {
            step: step + 1,
            tokens,
            loss,
            learning_rate,
        });
        recent += loss;
        if (step + 1) % schedule.report_every.max(1) == 0 {
            let seconds = began.elapsed().as_secs_f64();
            let left = seconds / (step + 1) as f64 * (schedule.steps - step - 1) as f64;
            eprintln!(
                "step {:>5}/{}  loss {:.4}  learning rate {learning_rate:.2e}  {:.0} tokens/s  {:.0} s, {left:.0} s left",
                step + 1,
                schedule.steps,
                recent / schedule.report_every.max(1) as f32,
                tokens as f64 / seconds,
                seconds,
            );
            recent = 0.0;
        }
    }
    Ok((model, records))
}

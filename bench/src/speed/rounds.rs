//! Everything in turns: each round measures each thing once.

use std::fmt;

use anyhow::{Context, Result};
use assay_exact::{folder::Folder, Backend};

use super::{
    files::Files,
    job::{self, Job, Outcome, Task},
    llama::Llama,
    machine::{self, Arena},
    shape::Shape,
};

/// Sequences that are decoded together.
pub const BATCHES: [usize; 4] = [1, 2, 4, 8];

/// How much is done for one figure.
pub struct Work {
    /// Tokens before those that are decoded.
    pub prompt: usize,
    /// Tokens that are decoded.
    pub tokens: usize,
    /// Tokens of the prefill that is compared.
    pub prefill: usize,
    /// Bytes that the memory's ceiling is measured on.
    pub arena_bytes: usize,
}

/// Who does a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    Exact(Backend),
    Candle,
    Llama,
}

/// What is measured in each round.
pub struct Plan<'a> {
    shape: &'a Shape,
    files: &'a Files,
    threads: usize,
    llama: Option<&'a Llama>,
    rows: Vec<Row>,
}

/// One thing that is measured.
#[derive(Clone, Copy)]
struct Row {
    engine: Engine,
    task: Task,
    /// In the first round only.
    once: bool,
}

/// All outcomes.
pub struct Measured {
    pub rows: Vec<(Engine, Task, Vec<Outcome>)>,
    /// 10^9 bytes a second, of memory and of the mapped weights.
    pub memory: Vec<f64>,
    pub mapped: Vec<f64>,
    /// 10^9 products a second of each backend that is not portable.
    pub products: Vec<(Backend, Vec<f64>)>,
}

impl Work {
    pub const REAL: Self = Self {
        prompt: 128,
        tokens: 128,
        prefill: 512,
        arena_bytes: 1 << 30,
    };
    pub const TINY: Self = Self {
        prompt: 32,
        tokens: 16,
        prefill: 64,
        arena_bytes: 1 << 26,
    };

    pub fn decode(&self, batch: usize) -> Task {
        Task::Decode {
            prompt: self.prompt,
            tokens: self.tokens,
            batch,
        }
    }

    pub fn prefill(&self) -> Task {
        Task::Prefill {
            tokens: self.prefill,
        }
    }

    /// The reading of the prompt alone.
    pub fn prompt(&self) -> Task {
        Task::Prefill {
            tokens: self.prompt,
        }
    }

    pub fn answer(&self) -> Task {
        Task::Answer {
            prompt: self.prompt,
            tokens: self.tokens,
        }
    }

    /// A sixteenth of it, for a backend whose speed is not what it is for.
    fn shortened(&self) -> Self {
        Self {
            prompt: self.prompt / 16,
            tokens: self.tokens / 16,
            prefill: self.prefill / 16,
            ..*self
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Exact(backend) => write!(f, "exact, {backend}"),
            Self::Candle => f.write_str("candle, Q8_0"),
            Self::Llama => f.write_str("llama.cpp, Q8_0"),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Decode { tokens, batch, .. } => write!(f, "decode {tokens}, batch {batch}"),
            Self::Prefill { tokens } => write!(f, "prefill {tokens}"),
            Self::Answer { prompt, tokens } => write!(f, "answer and check {prompt} + {tokens}"),
        }
    }
}

impl Task {
    /// Tokens that come out, or of a prefill go in.
    pub fn tokens(&self) -> usize {
        match self {
            Self::Decode { tokens, batch, .. } => tokens * batch,
            Self::Prefill { tokens } | Self::Answer { tokens, .. } => *tokens,
        }
    }

    /// Positions in the caches at its end.
    pub fn positions(&self) -> usize {
        match self {
            Self::Decode {
                prompt,
                tokens,
                batch,
            } => (prompt + tokens) * batch,
            Self::Prefill { tokens } => *tokens,
            Self::Answer { prompt, tokens } => prompt + tokens,
        }
    }
}

impl<'a> Plan<'a> {
    pub fn new(
        shape: &'a Shape,
        files: &'a Files,
        threads: usize,
        work: &Work,
        llama: Option<&'a Llama>,
    ) -> Self {
        let best = Backend::best();
        let mut rows = Vec::new();
        let mut add = |engine, tasks: &[Task], once| {
            rows.extend(tasks.iter().map(|task| Row {
                engine,
                task: *task,
                once,
            }));
        };
        // The figures that are compared stand side by side.
        let compared = [work.decode(1), work.prefill()];
        add(Engine::Exact(best), &compared, false);
        if llama.is_some() {
            add(Engine::Llama, &compared, false);
        }
        add(Engine::Candle, &compared, false);
        let batches = BATCHES.map(|batch| work.decode(batch));
        add(Engine::Exact(best), &batches[1..], false);
        add(Engine::Exact(best), &[work.prompt(), work.answer()], false);
        let others = Backend::ALL.into_iter().rev();
        for backend in others.filter(|backend| *backend != best && backend.is_available()) {
            let portable = backend == Backend::Portable;
            let short = work.shortened();
            let work = if portable { &short } else { work };
            let batches = BATCHES.map(|batch| work.decode(batch));
            add(Engine::Exact(backend), &batches, portable);
            add(Engine::Exact(backend), &[work.prefill()], portable);
        }
        Self {
            shape,
            files,
            threads,
            llama,
            rows,
        }
    }

    /// Measures everything `rounds` times.
    pub fn run(&self, rounds: u16, arena: &Arena) -> Result<Measured> {
        let folder = Folder::open(&self.files.folder)?;
        let model = folder.model();
        let mut measured = Measured {
            rows: self
                .rows
                .iter()
                .map(|row| (row.engine, row.task, Vec::new()))
                .collect(),
            memory: Vec::new(),
            mapped: Vec::new(),
            products: Vec::new(),
        };
        for round in 1..=rounds {
            for (row, (engine, task, outcomes)) in self.rows.iter().zip(&mut measured.rows) {
                if row.once && round > 1 {
                    continue;
                }
                measured.memory.push(arena.read(self.threads));
                let outcome = self
                    .measure(row)
                    .with_context(|| format!("{}: {engine}: {task}", self.shape.name))?;
                eprintln!(
                    "{}, round {round} of {rounds}: {engine}: {task}: {:.1} tokens/s",
                    self.shape.name,
                    task.tokens() as f64 / outcome.seconds
                );
                outcomes.push(outcome);
            }
            let weights = model.embedding.high.weights;
            let mapped = machine::read_mapped(weights, self.threads);
            measured.mapped.push(mapped);
            for backend in Backend::ALL {
                let Some(rate) = machine::multiply(backend, self.threads) else {
                    continue;
                };
                match measured.products.iter_mut().find(|(of, _)| *of == backend) {
                    Some((_, rates)) => rates.push(rate),
                    None => measured.products.push((backend, vec![rate])),
                }
            }
        }
        Ok(measured)
    }

    fn measure(&self, row: &Row) -> Result<Outcome> {
        let (engine, model) = match row.engine {
            Engine::Exact(backend) => (job::Engine::Exact(backend.to_string()), &self.files.folder),
            Engine::Candle => (job::Engine::Candle(self.shape.family), &self.files.gguf),
            Engine::Llama => {
                let llama = self.llama.context("llama.cpp is not here")?;
                return llama.measure(&self.files.gguf, self.threads, row.task);
            }
        };
        Job {
            engine,
            model: model.clone(),
            vocabulary: self.shape.vocabulary,
            threads: self.threads,
            task: row.task,
        }
        .start()
    }
}

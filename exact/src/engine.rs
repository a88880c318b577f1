//! The engine: runs the program for the positions of several sequences at once.
//!
//! The tokens of all sequences of a call are the rows of one *pass*, so that every weight is read
//! once for all of them; attention alone looks at each sequence by itself. Continuous batching,
//! batched decoding and prefill in chunks are therefore one call, and however the positions are cut
//! and put together, the bits are the same.

mod attention;
mod embedding;
mod linear;
mod observer;
mod pass;
mod times;

use core::fmt;
use std::{io, sync::Arc};

pub(crate) use self::observer::{Attended, Heads, Norm, Observer, Quantised, Rows};
pub use self::times::{Part, Times};
use self::{attention::Attention, pass::Pass};
use crate::{
    accelerator::{Accelerator, AcceleratorError, Slabs},
    cache::Cache,
    cpu::Cpu,
    folder::Folder,
    leaf::{LeafError, Operand},
    model::{Model, ModelError},
    op::norm,
    rows::Intervals,
    sampling::Settings,
};

/// Most rows of one pass: enough that reading the weights costs little beside the products, and few
/// enough that the rows take little memory beside the weights.
pub const CHUNK: usize = 256;

/// Why a run failed. All caches are then as they were before; after a panic they are not, and must be
/// dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineError {
    /// The model's tensors do not fit its shape, or a stored number is outside its range.
    Model(ModelError),
    /// A token is outside the vocabulary.
    Token(u32),
    /// The positions would exceed the shape's context.
    Context,
    /// A cache was made for another shape, or in another memory.
    Cache,
    /// A stored number is outside its range.
    Leaf(LeafError),
    /// A token's row of the embedding does not come from the model's file.
    Read { token: u32, error: io::ErrorKind },
    /// The accelerator failed.
    Accelerator(AcceleratorError),
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Model(error) => write!(f, "the model is not sound: {error}"),
            Self::Token(token) => write!(f, "token {token} is outside the vocabulary"),
            Self::Context => write!(f, "more positions than the model's context"),
            Self::Cache => write!(f, "the cache belongs to another engine"),
            Self::Leaf(error) => write!(f, "a number is outside the format: {error:?}"),
            Self::Read { token, error } => write!(
                f,
                "the embedding of token {token} cannot be read from the model's weights: {error}; \
                 see whether the folder is still whole"
            ),
            Self::Accelerator(error) => write!(f, "{error}"),
        }
    }
}

impl core::error::Error for EngineError {}

impl From<LeafError> for EngineError {
    fn from(error: LeafError) -> Self {
        Self::Leaf(error)
    }
}

impl From<AcceleratorError> for EngineError {
    fn from(error: AcceleratorError) -> Self {
        match error {
            AcceleratorError::Leaf(error) => Self::Leaf(error),
            other => Self::Accelerator(other),
        }
    }
}

impl From<Operand> for EngineError {
    fn from(error: Operand) -> Self {
        Self::Leaf(error.into())
    }
}

/// Which of a sequence's tokens a run gives the logits of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Logits {
    /// None: the run only fills the cache.
    None,
    /// The last one's.
    Last,
    /// Every one's.
    All,
    /// Those of the last n.
    Tail(usize),
}

impl Logits {
    /// How many of `tokens` tokens.
    fn of(self, tokens: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Last => tokens.min(1),
            Self::All => tokens,
            Self::Tail(rows) => tokens.min(rows),
        }
    }
}

/// What a run does for one sequence: `tokens` stand at the positions after the cache's, and are
/// added to it.
#[derive(Debug)]
pub struct Sequence<'a> {
    pub cache: &'a mut Cache,
    pub tokens: &'a [u32],
    pub logits: Logits,
}

/// How the tokens behind a sequence's rows are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// The sequence's tokens from the first position on, at least up to the last one that is run.
    pub seen: &'a [u32],
    pub settings: Settings,
    /// Of the draws; unused when the settings are greedy.
    pub seed: [u8; 32],
}

/// What a run makes of the rows that a sequence asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Made {
    /// Their logits, one row after the other (i32, Q16).
    Logits(Vec<i32>),
    /// The token that each of them chooses.
    Tokens(Vec<u32>),
}

impl Made {
    fn into_logits(self) -> Vec<i32> {
        match self {
            Self::Logits(logits) => logits,
            Self::Tokens(_) => Vec::new(),
        }
    }
}

impl Default for Made {
    fn default() -> Self {
        Self::Logits(Vec::new())
    }
}

/// A model that was checked, and what it runs on.
#[derive(Debug)]
pub struct Engine<'m> {
    model: Model<'m>,
    folder: Option<&'m Folder>,
    cpu: &'m Cpu,
    /// What runs the passes, if it is not the processor, and its memory.
    accelerator: Option<(&'m dyn Accelerator, Arc<dyn Slabs>)>,
    embedding: embedding::Rows<'m>,
    intervals: Intervals,
    hidden: norm::Width,
    head: norm::Width,
    attention: Attention,
}

impl<'m> Engine<'m> {
    /// Checks the shape, all lengths and the ranges of the small parameters.
    pub fn new(model: &Model<'m>, cpu: &'m Cpu) -> Result<Self, EngineError> {
        Self::with(model.clone(), None, cpu)
    }

    /// Runs a folder's model. The embedding's low limbs are read row by row, and take no memory.
    pub fn of(folder: &'m Folder, cpu: &'m Cpu) -> Result<Self, EngineError> {
        Self::with(folder.model(), Some(folder), cpu)
    }

    fn with(
        model: Model<'m>,
        folder: Option<&'m Folder>,
        cpu: &'m Cpu,
    ) -> Result<Self, EngineError> {
        model.check().map_err(EngineError::Model)?;
        Ok(Self {
            cpu,
            accelerator: None,
            embedding: embedding::Rows::new(&model, folder.map(Folder::low_limbs)),
            intervals: Intervals::new(&model.tables),
            hidden: norm::Width::hidden(model.shape),
            head: norm::Width::head(model.shape),
            attention: Attention::new(model.shape),
            model,
            folder,
        })
    }

    /// Lets the passes run on an accelerator that holds the same model. Traces are the processor's.
    pub fn on(self, accelerator: &'m dyn Accelerator) -> Self {
        Self {
            accelerator: Some((accelerator, accelerator.slabs())),
            ..self
        }
    }

    /// The model that it runs.
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// The folder that the model is from, if it is from one.
    pub fn folder(&self) -> Option<&'m Folder> {
        self.folder
    }

    /// What it runs on.
    pub fn cpu(&self) -> &'m Cpu {
        self.cpu
    }

    /// An empty cache.
    pub fn cache(&self) -> Cache {
        match &self.accelerator {
            None => Cache::new(self.model.shape),
            Some((_, slabs)) => Cache::elsewhere(self.model.shape, slabs.clone()),
        }
    }

    /// Bytes of memory of one slab of a cache.
    pub(crate) fn slab_bytes(&self) -> usize {
        match &self.accelerator {
            None => Cache::slab_bytes(self.model.shape),
            Some((_, slabs)) => slabs.bytes(),
        }
    }

    /// Runs all sequences together. Gives for each the rows of logits that it asked for, one after
    /// the other (i32, Q16).
    pub fn run(&self, batch: &mut [Sequence]) -> Result<Vec<Vec<i32>>, EngineError> {
        self.run_timed(batch, &mut Times::default())
    }

    /// As [`run`](Self::run), adding the time that each part of the work took.
    pub fn run_timed(
        &self,
        batch: &mut [Sequence],
        times: &mut Times,
    ) -> Result<Vec<Vec<i32>>, EngineError> {
        let made = self.run_pass(batch, &[], times, None)?;
        Ok(made.into_iter().map(Made::into_logits).collect())
    }

    /// As [`run`](Self::run), given a choice or none for each sequence: an accelerator gives tokens for
    /// logits where there is one. The processor gives logits to everybody, and the choice is the caller's.
    pub fn run_choosing(
        &self,
        batch: &mut [Sequence],
        choices: &[Option<Choice>],
    ) -> Result<Vec<Made>, EngineError> {
        for choice in choices.iter().flatten() {
            choice.settings.validate()?;
        }
        self.run_pass(batch, choices, &mut Times::default(), None)
    }

    /// As [`run`](Self::run) for one sequence, whose rows the observer sees.
    pub(crate) fn run_observed(
        &self,
        sequence: Sequence,
        observer: &dyn Observer,
    ) -> Result<Vec<i32>, EngineError> {
        let made = self.run_pass(&mut [sequence], &[], &mut Times::default(), Some(observer))?;
        Ok(made.into_iter().next().unwrap_or_default().into_logits())
    }

    fn run_pass(
        &self,
        batch: &mut [Sequence],
        choices: &[Option<Choice>],
        times: &mut Times,
        observer: Option<&dyn Observer>,
    ) -> Result<Vec<Made>, EngineError> {
        // What is observed is this machine's own.
        let accelerator = match observer {
            None => self.accelerator.as_ref(),
            Some(_) => None,
        };
        for sequence in batch.iter() {
            self.accept(sequence, accelerator.map(|(_, slabs)| slabs))?;
        }
        let before: Vec<usize> = batch.iter().map(|one| one.cache.positions()).collect();
        let accelerator = accelerator.map(|(accelerator, _)| *accelerator);
        let mut pass = Pass::new(self, accelerator, times, observer);
        let result = pass.run(batch, choices);
        if result.is_err() {
            for (sequence, positions) in batch.iter_mut().zip(before) {
                sequence.cache.truncate(positions);
            }
        }
        result
    }

    /// The intervals of its tables.
    pub(crate) fn intervals(&self) -> &Intervals {
        &self.intervals
    }

    fn accept(
        &self,
        sequence: &Sequence,
        memory: Option<&Arc<dyn Slabs>>,
    ) -> Result<(), EngineError> {
        let shape = self.model.shape;
        if !sequence.cache.fits(shape, memory) {
            return Err(EngineError::Cache);
        }
        let positions = sequence.cache.positions();
        if positions.saturating_add(sequence.tokens.len()) > shape.context as usize {
            return Err(EngineError::Context);
        }
        let mut tokens = sequence.tokens.iter();
        match tokens.find(|token| **token >= shape.vocabulary) {
            Some(token) => Err(EngineError::Token(*token)),
            None => Ok(()),
        }
    }
}

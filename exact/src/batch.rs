//! Continuous batching: requests join and leave at any step, and each gets the tokens that
//! [`generate`](crate::answer::generate) gives it alone.
//!
//! # Terminology
//!
//! * **Step**: one run of the engine: a token of each request that decodes, and a piece of the prompts
//!   of those that do not yet, so that a long prompt never holds up the others' tokens.
//! * **Credit**: how many tokens of an answer may be computed. A request without credit is passed over
//!   and keeps its cache; its prompt is not read before it has any.
//! * **Reserve**: the slabs of cache that a request takes at worst. A request is admitted when all
//!   reserves fit in the memory, so that none that was admitted can want for it.
//! * **Prefix**: complete slabs of what was computed. They are kept while there is memory that nobody
//!   has reserved, and a prompt that begins with the same tokens begins with the same slabs.

mod member;
mod prefixes;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{Mutex, PoisonError},
};

use self::{member::Member, prefixes::Prefixes};
use crate::{
    answer::{self, AnswerError, Finish, Request},
    cache::SLAB,
    engine::{Choice, Engine, EngineError, Made, Sequence},
};

/// How much a batch takes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most requests at a time.
    pub requests: usize,
    /// Most tokens of prompts that are read in one step.
    pub prefill: usize,
    /// Most bytes of keys and values, those of kept prefixes included.
    pub memory: usize,
}

/// What a batch holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    pub requests: usize,
    /// Bytes of keys and values that requests have reserved.
    pub reserved: usize,
    /// Bytes of prefixes that no request uses at the moment.
    pub kept: usize,
    /// Positions so far that were taken from a prefix instead of being computed.
    pub reused: u64,
}

/// What a step says about a request. After an end, a score or a failure the request has left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The next token; and to those who are [shown](Batch::show_logits) them, the logits of all tokens before
    /// penalty and temperature (i32, Q16).
    Token {
        token: u32,
        logits: Vec<i32>,
    },
    /// The answer is whole: for its stop token or its limit.
    End(Finish),
    /// So many tokens of the answer that was to be scored are right, from its first on; the next, if there is one,
    /// is wrong.
    Scored(usize),
    Failed(BatchError),
}

/// Why a request gets no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    #[error(transparent)]
    Answer(#[from] AnswerError),
    #[error(
        "the request's keys and values take {needed} bytes and the batch may hold {memory}: give it more \
         memory, or ask for fewer tokens"
    )]
    Memory { needed: usize, memory: usize },
    #[error("the engine panicked; report this with the lines above")]
    Panic,
}

impl From<EngineError> for BatchError {
    fn from(error: EngineError) -> Self {
        Self::Answer(error.into())
    }
}

/// The requests that an engine works at. Their names are the caller's numbers; among prompts, the one
/// with the lowest number is read first.
pub struct Batch<'m> {
    engine: Engine<'m>,
    limits: Limits,
    /// Slabs that the memory holds, and bytes of one.
    slabs: usize,
    slab: usize,
    members: BTreeMap<u64, Member>,
    prefixes: Prefixes,
    reused: u64,
}

impl<'m> Batch<'m> {
    /// A batch without requests.
    pub fn new(engine: Engine<'m>, limits: Limits) -> Self {
        let slab = engine.slab_bytes();
        Self {
            slabs: limits.memory.checked_div(slab).unwrap_or_default(),
            engine,
            limits,
            slab,
            members: BTreeMap::new(),
            prefixes: Prefixes::default(),
            reused: 0,
        }
    }

    /// What runs it.
    pub fn engine(&self) -> &Engine<'m> {
        &self.engine
    }

    /// What it holds.
    pub fn usage(&self) -> Usage {
        Usage {
            requests: self.members.len(),
            reserved: self.reserved().saturating_mul(self.slab),
            kept: self.prefixes.idle().saturating_mul(self.slab),
            reused: self.reused,
        }
    }

    /// Takes a request in, without credit. False if there is no place or no memory for it now; the
    /// error says why there never will be. `id` is of no request that is in.
    pub fn admit(&mut self, id: u64, request: &Request) -> Result<bool, BatchError> {
        self.accept(request)?;
        self.enter(id, Member::new(request, self.engine.cache()))
    }

    /// Takes in the answer to a request, to be scored: its stop tokens end nothing, and its limit is the answer's
    /// length. It is read like a prompt, and says one thing, [`Event::Scored`].
    pub fn admit_score(
        &mut self,
        id: u64,
        request: &Request,
        answer: &[u32],
    ) -> Result<bool, BatchError> {
        let request = Request {
            limit: u32::try_from(answer.len()).unwrap_or(u32::MAX),
            ..*request
        };
        self.accept(&request)?;
        let vocabulary = self.engine.model().shape.vocabulary;
        let cache = self.engine.cache();
        self.enter(id, Member::score(&request, answer, vocabulary, cache))
    }

    /// Whether there can be an answer.
    fn accept(&self, request: &Request) -> Result<(), BatchError> {
        answer::accept(&self.engine, request)?;
        let vocabulary = self.engine.model().shape.vocabulary;
        match request.prompt.iter().find(|token| **token >= vocabulary) {
            Some(token) => Err(EngineError::Token(*token).into()),
            None => Ok(()),
        }
    }

    fn enter(&mut self, id: u64, mut member: Member) -> Result<bool, BatchError> {
        if member.reserve() > self.slabs {
            return Err(BatchError::Memory {
                needed: member.reserve().saturating_mul(self.slab),
                memory: self.limits.memory,
            });
        }
        let reserved = self.reserved().saturating_add(member.reserve());
        if self.members.len() >= self.limits.requests || reserved > self.slabs {
            return Ok(false);
        }
        // First, so that what it begins with does not make room for it.
        self.reused = self
            .reused
            .saturating_add(member.take_prefix(&mut self.prefixes));
        self.prefixes.shrink(self.slabs.saturating_sub(reserved));
        self.members.insert(id, member);
        Ok(true)
    }

    /// Lets an answer have `tokens` tokens in all, or an answer be scored. What was allowed before stays so.
    pub fn allow(&mut self, id: u64, tokens: u32) {
        if let Some(member) = self.members.get_mut(&id) {
            member.allow(tokens);
        }
    }

    /// From now on the request's tokens come with their logits, which an accelerator otherwise keeps.
    pub fn show_logits(&mut self, id: u64) {
        if let Some(member) = self.members.get_mut(&id) {
            member.show_logits();
        }
    }

    /// Ends a request; nothing more is said about it.
    pub fn cancel(&mut self, id: u64) {
        self.members.remove(&id);
    }

    /// Runs what has credit. None if nothing can go on.
    pub fn step(&mut self) -> Option<Vec<(u64, Event)>> {
        let mut events = Vec::new();
        // An answer of no tokens needs neither credit nor a run.
        for (id, member) in &self.members {
            if let Some(finish) = member.finish() {
                events.push((*id, Event::End(finish)));
            }
        }
        self.leave(&events);
        let vocabulary = self.engine.model().shape.vocabulary as usize;
        let plan = self.plan();
        if plan.is_empty() {
            return (!events.is_empty()).then_some(events);
        }
        let runs = self.run(&plan);
        self.keep(&plan);
        let (good, failed): (Vec<_>, Vec<_>) = runs.into_iter().partition(|(_, made)| made.is_ok());
        let good = good.into_iter().flat_map(|(id, made)| {
            let read = self.members.get(&id).map_or(0, Member::read);
            next(id, read, made.unwrap_or_default(), vocabulary)
        });
        let asked: Vec<_> = good.collect();
        let tokens = self.choose(&asked);
        let mut over = BTreeSet::new();
        for (next, token) in asked.into_iter().zip(tokens) {
            let Next { id, seen, by } = next;
            let logits = match by {
                By::Logits(logits) => logits,
                By::Device(_) => Vec::new(),
            };
            let member = self.members.get_mut(&id).filter(|_| !over.contains(&id));
            let told = match (member, token) {
                (None, _) => continue,
                (Some(_), Err(error)) => vec![Event::Failed(error)],
                (Some(member), Ok(token)) => member.push(token, seen, logits),
            };
            if told.iter().any(Event::is_last) {
                over.insert(id);
            }
            events.extend(told.into_iter().map(|event| (id, event)));
        }
        for (id, error) in failed {
            if let Err(error) = error {
                events.push((id, Event::Failed(error)));
            }
        }
        self.leave(&events);
        Some(events)
    }

    /// Slabs that all members have reserved.
    fn reserved(&self) -> usize {
        let reserves = self.members.values().map(Member::reserve);
        reserves.fold(0, usize::saturating_add)
    }

    fn leave(&mut self, events: &[(u64, Event)]) {
        for (id, event) in events {
            if event.is_last() {
                self.members.remove(id);
            }
        }
    }

    /// Who takes part in the next run, with how many tokens.
    fn plan(&mut self) -> BTreeMap<u64, usize> {
        let mut plan = BTreeMap::new();
        let mut prefill = self.limits.prefill.max(1);
        for (id, member) in &mut self.members {
            if !member.has_credit() {
                continue;
            }
            if member.pending() > 1 {
                if prefill == 0 {
                    continue;
                }
                let taken = member.take_prefix(&mut self.prefixes);
                self.reused = self.reused.saturating_add(taken);
            }
            // The last token of a prompt is as dear as one that decodes.
            let tokens = match member.pending() {
                1 => 1,
                _ => {
                    let tokens = member.piece(prefill);
                    prefill = prefill.saturating_sub(tokens);
                    tokens
                }
            };
            if tokens > 0 {
                plan.insert(*id, tokens);
            }
        }
        plan
    }

    /// Runs everyone together; after an error, each alone, so that it is only his who has it. What is made
    /// is of a member's tokens that choose.
    fn run(&mut self, plan: &BTreeMap<u64, usize>) -> Vec<(u64, Result<Made, BatchError>)> {
        let mut ids = Vec::with_capacity(plan.len());
        let (mut sequences, mut choices) = (Vec::new(), Vec::new());
        for (id, member) in &mut self.members {
            if let Some(tokens) = plan.get(id) {
                ids.push(*id);
                let (sequence, choice) = member.sequence(*tokens);
                sequences.push(sequence);
                choices.push(choice);
            }
        }
        let results: Vec<_> = match run(&self.engine, &mut sequences, &choices) {
            Ok(made) => made.into_iter().map(Ok).collect(),
            Err(error) if sequences.len() == 1 => vec![Err(error)],
            Err(_) => sequences
                .chunks_mut(1)
                .zip(choices.chunks(1))
                .map(|(one, choice)| {
                    let made = run(&self.engine, one, choice)?;
                    Ok(made.into_iter().next().unwrap_or_default())
                })
                .collect(),
        };
        ids.into_iter().zip(results).collect()
    }

    /// Keeps the slabs that a run has completed.
    fn keep(&mut self, plan: &BTreeMap<u64, usize>) {
        for id in plan.keys() {
            if let Some(member) = self.members.get_mut(id) {
                member.keep_prefix(&mut self.prefixes);
            }
        }
    }

    /// The tokens that are chosen: a sum over the vocabulary for each that a device has not chosen, on all
    /// threads.
    fn choose(&self, asked: &[Next]) -> Vec<Result<u32, BatchError>> {
        let slots: Vec<_> = asked.iter().map(|_| Mutex::new(None)).collect();
        let choose = |index: usize| {
            let Next { id, seen, by } = asked.get(index)?;
            let logits = match by {
                By::Logits(logits) => logits,
                By::Device(token) => return Some(Ok(*token)),
            };
            let member = self.members.get(id)?;
            let seen = member.seen().get(..*seen)?;
            let choice = || answer::choose(&self.engine, &member.request(), seen, logits);
            Some(match catch_unwind(AssertUnwindSafe(choice)) {
                Ok(token) => token.map_err(BatchError::from),
                Err(_) => Err(BatchError::Panic),
            })
        };
        let unit = |_: &mut (), index: usize| {
            if let (Some(slot), Some(token)) = (slots.get(index), choose(index)) {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
            }
            Ok::<_, ()>(())
        };
        let _ = self.engine.cpu().each(asked.len(), || (), unit);
        let token = |slot: Mutex<Option<_>>| {
            let token = slot.into_inner().unwrap_or_else(PoisonError::into_inner);
            token.unwrap_or(Err(BatchError::Panic))
        };
        slots.into_iter().map(token).collect()
    }
}

/// A token of a member.
struct Next {
    id: u64,
    /// How many tokens are ahead of it.
    seen: usize,
    by: By,
}

/// What says which it is.
enum By {
    /// Logits that are to choose it.
    Logits(Vec<i32>),
    /// The device that has chosen it.
    Device(u32),
}

/// The tokens behind a member's last ones, of what was made of them; it has read so many.
fn next(id: u64, read: usize, made: Made, vocabulary: usize) -> Vec<Next> {
    let all: Vec<By> = match made {
        Made::Tokens(tokens) => tokens.into_iter().map(By::Device).collect(),
        // One row, as of all that decode, is not copied.
        Made::Logits(row) if row.len() == vocabulary => vec![By::Logits(row)],
        Made::Logits(rows) => {
            let rows = rows.chunks_exact(vocabulary);
            rows.map(|row| By::Logits(row.to_vec())).collect()
        }
    };
    let first = read.saturating_sub(all.len()).saturating_add(1);
    let next = |(seen, by)| Next { id, seen, by };
    (first..).zip(all).map(next).collect()
}

impl Event {
    /// Whether the request has left with it.
    fn is_last(&self) -> bool {
        !matches!(self, Self::Token { .. })
    }
}

/// A run after whose failure, panics included, all caches are as they were before.
fn run(
    engine: &Engine,
    sequences: &mut [Sequence],
    choices: &[Option<Choice>],
) -> Result<Vec<Made>, BatchError> {
    let before: Vec<usize> = sequences.iter().map(|one| one.cache.positions()).collect();
    match catch_unwind(AssertUnwindSafe(|| engine.run_choosing(sequences, choices))) {
        Ok(made) => made.map_err(BatchError::from),
        Err(_) => {
            // What a run writes lies behind these positions, and is written anew by the next one.
            for (sequence, positions) in sequences.iter_mut().zip(before) {
                sequence.cache.truncate(positions);
            }
            Err(BatchError::Panic)
        }
    }
}

/// Bytes of keys and values that one request of `positions` tokens, prompt and answer, takes at most.
pub fn memory(engine: &Engine, positions: usize) -> usize {
    positions.div_ceil(SLAB).saturating_mul(engine.slab_bytes())
}

//! What every request gets, whatever else happens in its batch.

mod faults;
mod schedules;
mod scores;

use std::{collections::HashSet, ops::ControlFlow, sync::Arc};

use super::*;
use crate::{
    cache::{Cache, Slab},
    random::{Numbers, Weights},
    sampling::Settings,
    shape::{Rotary, Shape, PPM},
    Backend, Cpu,
};

const SAMPLED: Settings = Settings {
    temperature: 900_000,
    top_k: 40,
    top_p: 950_000,
    min_p: 10_000,
    penalty: 1_100_000,
};

fn shape() -> Shape {
    Shape {
        layers: 2,
        hidden: 24,
        intermediate: 32,
        heads: 4,
        kv_heads: 2,
        head_dim: 6,
        vocabulary: 97,
        context: 400,
        tied: true,
        biases: true,
        head_norms: false,
        fraction_bits: 16,
        eps40: 1_099_512,
        rotary: Rotary {
            base: 10_000 * PPM,
            scaling: None,
        },
    }
}

/// A request that owns what it says.
#[derive(Clone, Debug)]
struct Asked {
    prompt: Vec<u32>,
    settings: Settings,
    seed: [u8; 32],
    stop_tokens: Vec<u32>,
    limit: u32,
}

impl Asked {
    fn new(prompt: &[u32], limit: u32) -> Self {
        Self {
            prompt: prompt.to_vec(),
            settings: SAMPLED,
            seed: [5; 32],
            stop_tokens: vec![],
            limit,
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            prompt: &self.prompt,
            settings: self.settings,
            seed: self.seed,
            stop_tokens: &self.stop_tokens,
            limit: self.limit,
        }
    }

    /// Its answer by itself.
    fn alone(&self, engine: &Engine) -> (Vec<u32>, Finish) {
        let go_on = &mut |_| ControlFlow::Continue(());
        let answer = answer::generate(engine, &self.request(), go_on).unwrap();
        (answer.tokens, answer.finish)
    }
}

fn tokens(count: usize) -> Vec<u32> {
    Numbers::new(1).tokens(count, &shape())
}

/// What a request has been told.
#[derive(Clone, Default, PartialEq, Debug)]
struct Told {
    tokens: Vec<u32>,
    end: Option<Result<Finish, BatchError>>,
}

/// A batch, and what it says to each request.
struct Watched<'m> {
    batch: Batch<'m>,
    told: BTreeMap<u64, Told>,
    allowed: BTreeMap<u64, u32>,
}

impl<'m> Watched<'m> {
    fn new(engine: Engine<'m>, limits: Limits) -> Self {
        Self {
            batch: Batch::new(engine, limits),
            told: BTreeMap::new(),
            allowed: BTreeMap::new(),
        }
    }

    fn admit(&mut self, id: u64, asked: &Asked) -> bool {
        let admitted = self.batch.admit(id, &asked.request()).unwrap();
        if admitted {
            // Every other one is shown its logits.
            if id.is_multiple_of(2) {
                self.batch.show_logits(id);
            }
            self.told.insert(id, Told::default());
        }
        self.check();
        admitted
    }

    fn allow(&mut self, id: u64, tokens: u32) {
        self.batch.allow(id, tokens);
        let allowed = self.allowed.entry(id).or_default();
        *allowed = tokens.max(*allowed);
    }

    /// Whether there was something to do.
    fn step(&mut self) -> bool {
        let events = self.batch.step();
        let is_busy = events.is_some();
        for (id, event) in events.into_iter().flatten() {
            let told = self.told.get_mut(&id).unwrap();
            assert_eq!(told.end, None, "{id} has left");
            match event {
                Event::Token { token, logits } => {
                    assert_eq!(logits.len(), if id.is_multiple_of(2) { 97 } else { 0 });
                    told.tokens.push(token);
                }
                Event::End(finish) => told.end = Some(Ok(finish)),
                Event::Scored(_) => panic!("nothing is scored"),
                Event::Failed(error) => told.end = Some(Err(error)),
            }
        }
        self.check();
        is_busy
    }

    fn finish(&mut self) {
        while self.step() {}
    }

    /// Memory and credit are kept, after every step.
    fn check(&self) {
        let batch = &self.batch;
        let held = batch.members.values().flat_map(|one| one.cache().slabs());
        let all: HashSet<*const Slab> = held
            .chain(batch.prefixes.slabs())
            .map(Arc::as_ptr)
            .collect();
        assert!(all.len() <= batch.slabs, "{} of {}", all.len(), batch.slabs);
        let usage = batch.usage();
        assert!(all.len() * batch.slab <= usage.reserved + usage.kept);
        assert!(usage.reserved + usage.kept <= batch.limits.memory);
        for (id, told) in &self.told {
            let allowed = self.allowed.get(id).copied().unwrap_or_default();
            assert!(told.tokens.len() <= allowed as usize, "{id}");
        }
    }
}

fn limits(requests: usize, prefill: usize, slabs: usize) -> Limits {
    Limits {
        requests,
        prefill,
        memory: slabs * Cache::slab_bytes(&shape()),
    }
}

fn with_engine(test: impl Fn(Engine, &Engine)) {
    let weights = Weights::random(&shape(), 3);
    for threads in [1, 2] {
        let cpu = Cpu::new(Backend::best(), threads).unwrap();
        let engine = || Engine::new(&weights.model(), &cpu).unwrap();
        test(engine(), &engine());
    }
}

#[test]
fn a_long_prompt_stops_nobody() {
    with_engine(|engine, alone| {
        let mut batch = Watched::new(engine, limits(3, 50, 100));
        let (short, long) = (Asked::new(&tokens(7), 60), Asked::new(&tokens(300), 4));
        assert!(batch.admit(0, &short) && batch.admit(1, &long));
        batch.allow(0, 100);
        batch.allow(1, 100);
        for step in 1..=6 {
            assert!(batch.told[&1].tokens.is_empty());
            batch.step();
            assert_eq!(batch.told[&0].tokens.len(), step);
        }
        // Of the first step's fifty tokens the short prompt took seven.
        assert!(batch.told[&1].tokens.is_empty());
        batch.step();
        assert_eq!(batch.told[&1].tokens.len(), 1);
        batch.finish();
        for (id, asked) in [(0, short), (1, long)] {
            let (tokens, finish) = asked.alone(alone);
            let end = Some(Ok(finish));
            assert_eq!(batch.told[&id], Told { tokens, end });
        }
    });
}

#[test]
fn nothing_is_computed_without_credit_and_nothing_is_lost() {
    with_engine(|engine, alone| {
        let mut batch = Watched::new(engine, limits(2, 64, 100));
        let asked = Asked::new(&tokens(100), 30);
        let (tokens, _) = asked.alone(alone);
        assert!(batch.admit(4, &asked));
        assert!(!batch.step(), "not even the prompt");
        assert_eq!(batch.batch.members[&4].cache().positions(), 0);
        for allowed in [1, 2, 9, 5, 9] {
            batch.allow(4, allowed);
            // A lower number takes nothing back.
            batch.allow(4, allowed - 1);
            batch.finish();
            let seen = batch.allowed[&4] as usize;
            assert_eq!(batch.told[&4].tokens, tokens[..seen]);
            assert_eq!(batch.batch.members[&4].pending(), 1);
        }
        batch.allow(4, u32::MAX);
        batch.finish();
        assert_eq!(batch.told[&4].tokens, tokens);
        assert_eq!(batch.told[&4].end, Some(Ok(Finish::Length)));
        assert_eq!(batch.batch.usage().requests, 0);
        // An answer of no tokens costs nothing.
        assert!(batch.admit(5, &Asked::new(&asked.prompt, 0)));
        assert!(batch.step());
        assert_eq!(batch.told[&5].end, Some(Ok(Finish::Length)));
    });
}

#[test]
fn a_request_waits_until_its_worst_case_fits() {
    with_engine(|engine, alone| {
        // 64 + 65 tokens, of which the last is never read: two slabs.
        let asked = Asked::new(&tokens(64), 65);
        let mut batch = Watched::new(engine, limits(9, 64, 5));
        assert!(batch.admit(0, &asked) && batch.admit(1, &asked));
        assert!(!batch.admit(2, &asked));
        let one = Asked::new(&tokens(64), 1);
        assert!(batch.admit(3, &one));
        assert!(!batch.admit(4, &one));
        for id in [0, 1, 3] {
            batch.allow(id, u32::MAX);
        }
        batch.step();
        batch.batch.cancel(0);
        assert!(batch.admit(2, &asked));
        batch.allow(2, u32::MAX);
        batch.finish();
        for id in [1, 2] {
            assert_eq!(batch.told[&id].tokens, asked.alone(alone).0);
        }
        let error = batch
            .batch
            .admit(9, &Asked::new(&tokens(300), 22).request());
        let slab = Cache::slab_bytes(&shape());
        let (needed, memory) = (6 * slab, 5 * slab);
        assert_eq!(error, Err(BatchError::Memory { needed, memory }));
        assert_eq!(super::memory(batch.batch.engine(), 321), needed);
    });
}

#[test]
fn places_are_bounded_and_bad_requests_refused() {
    with_engine(|engine, _| {
        let mut batch = Watched::new(engine, limits(2, 64, 100));
        let asked = Asked::new(&tokens(9), 5);
        assert!(batch.admit(0, &asked) && batch.admit(1, &asked));
        assert!(!batch.admit(2, &asked));
        let refused = |change: fn(&mut Asked)| {
            let mut bad = asked.clone();
            change(&mut bad);
            batch.batch.admit(7, &bad.request()).unwrap_err()
        };
        let mut refused = refused;
        let empty = BatchError::Answer(AnswerError::EmptyPrompt);
        assert_eq!(refused(|bad| bad.prompt.clear()), empty);
        let unknown = BatchError::from(EngineError::Token(97));
        assert_eq!(refused(|bad| bad.prompt[3] = 97), unknown);
        let context = refused(|bad| bad.limit = 392);
        assert!(matches!(
            context,
            BatchError::Answer(AnswerError::Context { .. })
        ));
        let settings = refused(|bad| bad.settings.top_p = 0);
        assert!(matches!(
            settings,
            BatchError::Answer(AnswerError::Settings(_))
        ));
    });
}

/// Positions that the second of two requests, one after the other, takes from the first.
fn reused(batch: &mut Watched, alone: &Engine, first: &Asked, second: &Asked) -> u64 {
    let id = 2 * batch.told.len() as u64;
    let before = batch.batch.usage().reused;
    for (id, asked) in [(id, first), (id + 1, second)] {
        assert!(batch.admit(id, asked));
        batch.allow(id, u32::MAX);
        batch.finish();
        assert_eq!(batch.told[&id].tokens, asked.alone(alone).0);
    }
    batch.batch.usage().reused - before
}

#[test]
fn equal_beginnings_are_computed_once() {
    with_engine(|engine, alone| {
        let prompt = tokens(200);
        let asked = |prompt: &[u32]| Asked::new(prompt, 3);
        let fresh = |first: &[u32], second: &[u32]| {
            let engine = Engine::new(engine.model(), engine.cpu()).unwrap();
            let mut batch = Watched::new(engine, limits(2, 64, 100));
            reused(&mut batch, alone, &asked(first), &asked(second))
        };
        assert_eq!(fresh(&prompt, &prompt), 192);
        // One token must be left to run.
        assert_eq!(fresh(&prompt, &prompt[..192]), 128);
        assert_eq!(fresh(&prompt, &prompt[..193]), 192);
        assert_eq!(fresh(&prompt[..127], &prompt), 64);
        // The answer's tokens count as well: 126 + 3 - 1 positions are whole slabs.
        let answered = asked(&prompt[..126]).alone(alone).0;
        let next: Vec<u32> = prompt[..126].iter().chain(&answered).copied().collect();
        assert_eq!(fresh(&prompt[..126], &next), 128);
        for (changed, expected) in [(0, 0), (63, 0), (64, 64), (127, 64), (128, 128), (192, 192)] {
            let mut other = prompt.clone();
            other[changed] = (other[changed] + 1) % 97;
            assert_eq!(fresh(&prompt, &other), expected, "{changed}");
        }
    });
}

#[test]
fn requests_that_run_together_share_what_one_of_them_has_read() {
    with_engine(|engine, alone| {
        let mut batch = Watched::new(engine, limits(4, 64, 100));
        let prompt = tokens(300);
        let asked: Vec<_> = (0..4)
            .map(|seed| Asked {
                seed: [seed; 32],
                ..Asked::new(&prompt, 9)
            })
            .collect();
        for (id, asked) in (0..).zip(&asked) {
            assert!(batch.admit(id, asked));
            batch.allow(id, u32::MAX);
        }
        batch.finish();
        assert_eq!(batch.batch.usage().reused, 3 * 256);
        for (id, asked) in (0..).zip(&asked) {
            assert_eq!(batch.told[&id].tokens, asked.alone(alone).0);
        }
    });
}

#[test]
fn beginnings_give_way_to_requests_the_oldest_first() {
    with_engine(|engine, alone| {
        let mut batch = Watched::new(engine, limits(2, 64, 6));
        let all = tokens(300);
        let [a, b, c] = [0, 100, 150].map(|from| Asked::new(&all[from..from + 130], 2));
        // Two slabs of each are kept, and each takes three at worst.
        assert_eq!(reused(&mut batch, alone, &a, &b), 0);
        assert_eq!(batch.batch.usage().kept, 4 * Cache::slab_bytes(&shape()));
        // For c one of them must go: the last of a.
        let before = batch.batch.usage().reused;
        for (id, asked) in [(10, &c), (11, &b), (12, &a)] {
            assert!(batch.admit(id, asked));
            batch.allow(id, u32::MAX);
            batch.finish();
            assert_eq!(batch.told[&id].tokens, asked.alone(alone).0);
        }
        assert_eq!(batch.batch.usage().reused - before, 128 + 64);
    });
}

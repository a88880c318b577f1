//! The exact engine at work.

use std::{ops::ControlFlow, slice};

use anyhow::{ensure, Result};
use assay_exact::{
    answer::{check, generate, Request},
    folder::Folder,
    sampling::Settings,
    Cache, Cpu, Engine, Logits, Sequence,
};

use super::job::{timed, tokens, Job, Outcome, Task};

/// Does the job's task on one backend.
pub fn measure(job: &Job, backend: &str) -> Result<Outcome> {
    let cpu = Cpu::new(backend.parse()?, job.threads)?;
    let folder = Folder::open(&job.model)?;
    let engine = Engine::of(&folder, &cpu)?;
    // Maps every page of the weights.
    prefill(&engine, &tokens(job.vocabulary, 0, 2))?;
    match job.task {
        Task::Prefill { tokens: count } => {
            let tokens = tokens(job.vocabulary, 1, count);
            let ((), time) = timed(|| prefill(&engine, &tokens))?;
            Ok(Outcome::of(time))
        }
        Task::Decode {
            prompt,
            tokens: count,
            batch,
        } => {
            let mut cache = engine.cache();
            let prompt = tokens(job.vocabulary, 1, prompt);
            run(&engine, &mut [last(&mut cache, &prompt)])?;
            let mut caches = vec![cache; batch];
            let next: Vec<_> = (0..batch)
                .map(|stream| tokens(job.vocabulary, 2 + stream, count))
                .collect();
            let ((), time) = timed(|| {
                (0..count).try_for_each(|step| {
                    let each = caches.iter_mut().zip(&next);
                    let mut batch: Vec<_> = each
                        .map(|(cache, next)| last(cache, slice::from_ref(&next[step])))
                        .collect();
                    run(&engine, &mut batch)
                })
            })?;
            Ok(Outcome::of(time))
        }
        Task::Answer {
            prompt,
            tokens: count,
        } => {
            let request = Request {
                prompt: &tokens(job.vocabulary, 1, prompt),
                settings: Settings::GREEDY,
                seed: [0; 32],
                stop_tokens: &[],
                limit: count as u32,
            };
            let (answer, time) = timed(|| {
                Ok(generate(&engine, &request, &mut |_| {
                    ControlFlow::Continue(())
                })?)
            })?;
            let (wrong, checking) =
                timed(|| Ok(check(&engine, &request, &answer.tokens, &mut |_| ())?))?;
            ensure!(
                wrong.is_none() && answer.tokens.len() == count,
                "the engine does not confirm its own answer: {wrong:?}"
            );
            Ok(Outcome {
                checking_seconds: Some(checking.as_secs_f64()),
                ..Outcome::of(time)
            })
        }
    }
}

fn prefill(engine: &Engine, tokens: &[u32]) -> Result<()> {
    run(engine, &mut [last(&mut engine.cache(), tokens)])
}

fn last<'a>(cache: &'a mut Cache, tokens: &'a [u32]) -> Sequence<'a> {
    Sequence {
        cache,
        tokens,
        logits: Logits::Last,
    }
}

fn run(engine: &Engine, batch: &mut [Sequence]) -> Result<()> {
    let logits = engine.run(batch)?;
    std::hint::black_box(logits);
    Ok(())
}

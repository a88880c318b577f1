//! The engines' side: a bounded queue of work, computed one answer at a time.

use std::{
    ops::ControlFlow,
    panic::AssertUnwindSafe,
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc, Mutex, PoisonError,
    },
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{
    engine::{Engine, EngineError, Finish, GenerateRequest, Generation},
    ledger::Key,
};

/// Answers that may wait for the engine. More stay on the chain, where they are found again.
pub const QUEUE: usize = 16;

/// A loaded model, taken by one answer at a time.
pub type SharedEngine = Arc<Mutex<Box<dyn Engine>>>;

/// An answer to compute.
pub struct Work {
    pub key: Key,
    pub engine: SharedEngine,
    pub request: GenerateRequest,
    /// Set when nobody wants the answer any more.
    pub cancelled: Arc<AtomicBool>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// No machine could answer this request with this model.
    Request(String),
    /// This machine failed.
    Machine(String),
    /// Nobody wants it any more.
    Cancelled,
}

/// A step of a piece of work, told to whoever gave it.
#[derive(Debug)]
pub enum Progress {
    Started(Key),
    Ended {
        key: Key,
        result: Result<Generation, Failure>,
        took: Duration,
    },
}

/// Starts the queue; it ends when the sender is dropped.
pub fn start() -> (mpsc::Sender<Work>, mpsc::UnboundedReceiver<Progress>) {
    let (sender, mut queue) = mpsc::channel::<Work>(QUEUE);
    let (progress, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(work) = queue.recv().await {
            let key = work.key;
            if work.cancelled.load(Ordering::Relaxed) {
                let result = Err(Failure::Cancelled);
                let _ = progress.send(Progress::Ended {
                    key,
                    result,
                    took: Duration::ZERO,
                });
                continue;
            }
            let _ = progress.send(Progress::Started(key));
            let start = Instant::now();
            let result = tokio::task::spawn_blocking(move || compute(&work)).await;
            let result = result.unwrap_or_else(|error| Err(Failure::Machine(error.to_string())));
            let _ = progress.send(Progress::Ended {
                key,
                result,
                took: start.elapsed(),
            });
        }
    });
    (sender, receiver)
}

fn compute(work: &Work) -> Result<Generation, Failure> {
    // An engine begins each request from nothing, so one that panicked before is as good as new.
    let mut engine = work.engine.lock().unwrap_or_else(PoisonError::into_inner);
    let mut watch = |_| match work.cancelled.load(Ordering::Relaxed) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let run = AssertUnwindSafe(|| engine.generate(&work.request, &mut watch));
    match std::panic::catch_unwind(run) {
        Ok(Ok(generation)) if generation.finish == Finish::Caller => Err(Failure::Cancelled),
        Ok(Ok(generation)) => Ok(generation),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Err(Failure::Machine(
            "the engine panicked; report this with the lines above".into(),
        )),
    }
}

fn failure(error: &EngineError) -> Failure {
    match error.is_request() {
        true => Failure::Request(error.to_string()),
        false => Failure::Machine(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Sampling;

    /// Answers with the prompt, or fails as the first token says.
    struct Echo;

    impl Engine for Echo {
        fn describe(&self) -> String {
            "echo".into()
        }

        fn generate(
            &mut self,
            request: &GenerateRequest,
            on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
        ) -> Result<Generation, EngineError> {
            match request.prompt.first() {
                None => return Err(EngineError::EmptyPrompt),
                Some(0) => panic!("a fault of the engine"),
                Some(1) => {
                    let problem = "out of memory".into();
                    return Err(EngineError::Compute {
                        position: 1,
                        problem,
                    });
                }
                Some(_) => {}
            }
            let mut tokens = Vec::new();
            for token in &request.prompt {
                tokens.push(*token);
                if on_token(*token).is_break() {
                    return Ok(Generation {
                        tokens,
                        finish: Finish::Caller,
                    });
                }
            }
            Ok(Generation {
                tokens,
                finish: Finish::Length,
            })
        }
    }

    fn echo() -> SharedEngine {
        Arc::new(Mutex::new(Box::new(Echo)))
    }

    fn work(engine: &SharedEngine, job: u64, prompt: Vec<u32>) -> Work {
        let request = GenerateRequest {
            prompt,
            sampling: Sampling::GREEDY,
            max_output_tokens: 4,
            stop_tokens: vec![],
        };
        let cancelled = Arc::default();
        Work {
            key: Key { job, seed: [0; 32] },
            engine: engine.clone(),
            request,
            cancelled,
        }
    }

    #[tokio::test]
    async fn failures_are_told_apart_and_do_not_stop_the_queue() {
        let engine = echo();
        let (queue, mut progress) = start();
        for (job, prompt) in [vec![], vec![0], vec![1], vec![5, 6]]
            .into_iter()
            .enumerate()
        {
            queue.send(work(&engine, job as u64, prompt)).await.unwrap();
        }
        let unwanted = work(&engine, 4, vec![7]);
        unwanted.cancelled.store(true, Ordering::Relaxed);
        queue.send(unwanted).await.unwrap();
        drop(queue);

        let mut results = Vec::new();
        while let Some(step) = progress.recv().await {
            if let Progress::Ended { key, result, .. } = step {
                assert_eq!(key.job, results.len() as u64);
                results.push(result);
            }
        }
        assert!(
            matches!(&results[0], Err(Failure::Request(_))),
            "{results:?}"
        );
        assert!(
            matches!(&results[1], Err(Failure::Machine(_))),
            "{results:?}"
        );
        assert!(
            matches!(&results[2], Err(Failure::Machine(_))),
            "{results:?}"
        );
        assert_eq!(results[3].as_ref().unwrap().tokens, [5, 6]);
        assert_eq!(results[4], Err(Failure::Cancelled));
    }
}

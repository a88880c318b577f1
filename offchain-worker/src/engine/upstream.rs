//! An engine that is another server: anything that speaks OpenAI's completions and takes a prompt as
//! token ids. The model folder says which tokens there are; whose weights answer, nobody can prove.
//!
//! The server is asked for no more tokens than a request has credit for, and asked again, with the
//! answer so far behind the prompt, when there is more.

mod answer;
mod reply;
mod server;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{mpsc, Arc},
};

use assay_primitives::ModelSpec;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use self::{answer::Answer, server::Server};
use super::{Engine, EngineError, GenerateRequest, Progress, RequestId, Session, Use, Wake};

/// Which server, and what it is asked for.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// The address below which `/completions` lies.
    pub url: String,
    /// File that holds the key, if it wants one.
    pub key_file: Option<PathBuf>,
    /// The model's name there.
    pub model: String,
    /// Requests that it is given together.
    pub requests: usize,
}

/// The `upstream` engine.
pub struct UpstreamEngine {
    server: Arc<Server>,
    spec: ModelSpec,
    requests: usize,
    runtime: Handle,
}

impl UpstreamEngine {
    /// Reads the key and the tokenizer of the model folder at `path`. The server is first spoken to with
    /// the first request. Inside a runtime, on which the answers are then read.
    pub fn load(path: &Path, spec: &ModelSpec, upstream: &Upstream) -> Result<Self, EngineError> {
        let key = upstream.key_file.as_deref();
        let server = Server::new(path, &upstream.url, &upstream.model, key)?;
        tracing::info!(
            target: "assay_worker", model = %path.display(), url = %server.url,
            "another server answers for this model"
        );
        Ok(Self {
            server: Arc::new(server),
            spec: spec.clone(),
            requests: upstream.requests,
            runtime: Handle::current(),
        })
    }
}

impl Engine for UpstreamEngine {
    fn describe(&self) -> String {
        // Not its address, which is nobody's business but the provider's: clients are shown this.
        let model = &self.server.model;
        format!("upstream, {model} (unverified: nobody can prove a wrong answer)")
    }

    fn gives_logprobs(&self) -> bool {
        false
    }

    fn start(&mut self, wake: Wake) -> Result<Box<dyn Session + '_>, EngineError> {
        let (told, news) = mpsc::channel();
        Ok(Box::new(UpstreamSession {
            engine: self,
            answers: HashMap::new(),
            tasks: JoinSet::new(),
            told,
            news,
            wake: wake.into(),
        }))
    }
}

struct UpstreamSession<'a> {
    engine: &'a UpstreamEngine,
    answers: HashMap<RequestId, Asked>,
    /// They end with the session.
    tasks: JoinSet<()>,
    told: mpsc::Sender<(RequestId, Progress)>,
    news: mpsc::Receiver<(RequestId, Progress)>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

struct Asked {
    allowed: watch::Sender<u32>,
    task: AbortHandle,
}

impl Session for UpstreamSession<'_> {
    fn admit(&mut self, id: RequestId, request: &GenerateRequest) -> Result<bool, EngineError> {
        request.admit(&self.engine.spec)?;
        if self.answers.len() >= self.engine.requests {
            return Ok(false);
        }
        let (allowed, credit) = watch::channel(0);
        let (told, wake) = (self.told.clone(), self.wake.clone());
        let tell = move |progress| {
            let _ = told.send((id, progress));
            wake();
        };
        let answer = Answer::new(self.engine.server.clone(), request.clone(), credit);
        let task = answer.run(tell);
        let task = self.tasks.spawn_on(task, &self.engine.runtime);
        self.answers.insert(id, Asked { allowed, task });
        Ok(true)
    }

    fn allow(&mut self, id: RequestId, tokens: u32) {
        if let Some(asked) = self.answers.get(&id) {
            asked.allowed.send_if_modified(|allowed| {
                let more = tokens > *allowed;
                *allowed = tokens.max(*allowed);
                more
            });
        }
    }

    fn cancel(&mut self, id: RequestId) {
        if let Some(asked) = self.answers.remove(&id) {
            asked.task.abort();
        }
    }

    fn step(&mut self) -> Option<Vec<(RequestId, Progress)>> {
        while self.tasks.try_join_next().is_some() {}
        let mut told = Vec::new();
        for (id, progress) in self.news.try_iter() {
            // What a cancelled one still said is nobody's.
            if !self.answers.contains_key(&id) {
                continue;
            }
            if !matches!(progress, Progress::Token(_)) {
                self.answers.remove(&id);
            }
            told.push((id, progress));
        }
        (!told.is_empty()).then_some(told)
    }

    fn usage(&self) -> Use {
        Use {
            places: self.engine.requests,
            ..Use::default()
        }
    }
}

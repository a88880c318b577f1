//! The exact engine: integers, the same bits on every machine, on the instruction set that the
//! processor is best at or on a GPU, for many requests at once.

use std::{collections::BTreeMap, sync::Arc};

use assay_cuda::Resident;
use assay_exact::{
    accelerator::AcceleratorError,
    answer::{self, AnswerError},
    batch::{self, Batch, BatchError, Event, Limits},
    cpu::Cpu,
    folder::Folder,
    sampling::Settings,
};
use assay_primitives::ModelSpec;

use super::{
    logprobs, Alarm, Engine, EngineError, Finish, GenerateRequest, Gpu, Progress, RequestId,
    Sampling, Session, Use, Wake,
};

/// Tokens of prompts that are read in one step: enough that the weights are read for several at a
/// time, few enough that those who wait for their next token hardly notice.
const PREFILL: usize = 128;

/// How many requests an exact model works at together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    pub requests: usize,
    /// Bytes of keys and values.
    pub cache: usize,
}

/// The `exact` engine. The weights stay in the mapped file, so they take memory once, however many
/// processes map it.
pub struct ExactEngine {
    folder: Box<Folder>,
    spec: ModelSpec,
    cpu: Arc<Cpu>,
    /// The model on a GPU, if it is computed there, and who is told when that is gone.
    resident: Option<(Resident, Alarm)>,
    places: Places,
}

impl ExactEngine {
    /// Checks the model's small parameters, and that there is memory for any one request. `cpu` and
    /// `gpu` may serve other models as well.
    pub fn load(
        folder: Box<Folder>,
        cpu: Arc<Cpu>,
        gpu: Option<&Gpu>,
        places: Places,
    ) -> Result<Self, EngineError> {
        let engine = assay_exact::Engine::of(&folder, &cpu).map_err(failed)?;
        let spec = folder.parts().spec;
        let needed = match gpu {
            None => batch::memory(&engine, spec.context as usize),
            Some(_) => Resident::cache(&folder.manifest().shape, spec.context as usize),
        };
        if needed > places.cache {
            return Err(EngineError::CacheMemory {
                context: spec.context,
                needed,
                given: places.cache,
            });
        }
        let resident = match gpu {
            None => None,
            Some(Gpu { device, alarm }) => {
                let resident = Resident::new(device.clone(), engine.model(), places.cache);
                let resident = resident.map_err(|error| EngineError::Device(error.to_string()))?;
                Some((resident, alarm.clone()))
            }
        };
        Ok(Self {
            folder,
            spec,
            cpu,
            resident,
            places,
        })
    }
}

impl Engine for ExactEngine {
    fn describe(&self) -> String {
        let Self { cpu, places, .. } = self;
        let threads = match cpu.threads() {
            1 => "1 thread".into(),
            several => format!("{several} threads"),
        };
        let (backend, requests) = (cpu.backend(), places.requests);
        let machine = match &self.resident {
            None => format!("{backend} on {threads}"),
            Some((resident, _)) => format!("on {}", resident.device().name()),
        };
        format!("exact, {machine}, up to {requests} requests together")
    }

    fn gives_logprobs(&self) -> bool {
        true
    }

    fn start(&mut self, _: Wake) -> Result<Box<dyn Session + '_>, EngineError> {
        let Self { folder, places, .. } = self;
        let engine = assay_exact::Engine::of(folder, &self.cpu).map_err(failed)?;
        let (engine, alarm) = match &self.resident {
            None => (engine, None),
            Some((resident, alarm)) => (engine.on(resident), Some(alarm)),
        };
        let limits = Limits {
            requests: places.requests,
            prefill: PREFILL,
            memory: places.cache,
        };
        Ok(Box::new(ExactSession {
            spec: &self.spec,
            alarm,
            limits,
            batch: Batch::new(engine, limits),
            logprobs: BTreeMap::new(),
        }))
    }
}

struct ExactSession<'a> {
    spec: &'a ModelSpec,
    /// Rings when the GPU is gone.
    alarm: Option<&'a Alarm>,
    limits: Limits,
    batch: Batch<'a>,
    /// What the requests that want log-probabilities asked for.
    logprobs: BTreeMap<RequestId, u8>,
}

impl Session for ExactSession<'_> {
    fn admit(&mut self, id: RequestId, request: &GenerateRequest) -> Result<bool, EngineError> {
        request.admit(self.spec)?;
        if let Some(cause) = self.alarm.and_then(Alarm::cause) {
            return Err(EngineError::Device(cause.into()));
        }
        let asked = answer::Request {
            prompt: &request.prompt,
            settings: settings(&request.sampling),
            seed: request.sampling.seed,
            stop_tokens: &request.stop_tokens,
            limit: request.max_output_tokens,
        };
        let admitted = match &request.scored {
            None => self.batch.admit(id, &asked),
            Some(answer) => self.batch.admit_score(id, &asked, answer),
        };
        let admitted = admitted.map_err(failed)?;
        if let Some(top) = request.logprobs.filter(|_| admitted) {
            self.batch.show_logits(id);
            self.logprobs.insert(id, top);
        }
        Ok(admitted)
    }

    fn allow(&mut self, id: RequestId, tokens: u32) {
        self.batch.allow(id, tokens);
    }

    fn cancel(&mut self, id: RequestId) {
        self.batch.cancel(id);
        self.logprobs.remove(&id);
    }

    fn step(&mut self) -> Option<Vec<(RequestId, Progress)>> {
        let events = self.batch.step()?;
        if let (Some(alarm), Some(lost)) = (self.alarm, events.iter().find_map(lost)) {
            alarm.ring(&lost);
        }
        let told = events.into_iter().map(|(id, event)| {
            let progress = match event {
                Event::Token { token, logits } => {
                    let logits = logits.iter().map(|logit| *logit as f32 / 65536.0);
                    Progress::Token(logprobs::token(
                        token,
                        logits,
                        self.logprobs.get(&id).copied(),
                    ))
                }
                Event::End(answer::Finish::Eos) => Progress::End(Finish::Eos),
                Event::End(_) => Progress::End(Finish::Length),
                Event::Scored(right) => Progress::Scored(u32::try_from(right).unwrap_or(u32::MAX)),
                Event::Failed(error) => Progress::Failed(failed(error)),
            };
            if !matches!(progress, Progress::Token(_)) {
                self.logprobs.remove(&id);
            }
            (id, progress)
        });
        Some(told.collect())
    }

    fn usage(&self) -> Use {
        let usage = self.batch.usage();
        Use {
            places: self.limits.requests,
            cache: usage.reserved.saturating_add(usage.kept),
            cache_limit: self.limits.memory,
        }
    }
}

/// That the device is gone, in the words of its driver.
fn lost((_, event): &(RequestId, Event)) -> Option<String> {
    match event {
        Event::Failed(BatchError::Answer(AnswerError::Engine(
            assay_exact::EngineError::Accelerator(error @ AcceleratorError::Failed { .. }),
        ))) => Some(error.to_string()),
        _ => None,
    }
}

fn settings(sampling: &Sampling) -> Settings {
    Settings {
        temperature: sampling.temperature,
        top_k: sampling.top_k,
        top_p: sampling.top_p,
        min_p: sampling.min_p,
        penalty: sampling.penalty,
    }
}

/// What a request can be at fault for is found by [`GenerateRequest::admit`], so this is the machine's
/// or the folder's fault.
fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Exact(error.to_string())
}

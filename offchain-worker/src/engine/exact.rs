//! The exact engine: integers, the same bits on every machine, on the instruction set that the processor is best at.

use std::{ops::ControlFlow, sync::Arc};

use assay_exact::{answer, cpu::Cpu, folder::Folder, sampling::Settings};
use assay_primitives::ModelSpec;

use super::{Engine, EngineError, Finish, GenerateRequest, Generation, Sampling};

/// The `exact` engine. The weights stay in the mapped file, so they take memory once, however many processes map it.
pub struct ExactEngine {
    folder: Box<Folder>,
    spec: ModelSpec,
    cpu: Arc<Cpu>,
}

impl ExactEngine {
    /// Checks the model's small parameters. `cpu` may serve other models as well.
    pub fn load(folder: Box<Folder>, cpu: Arc<Cpu>) -> Result<Self, EngineError> {
        let model = folder.model();
        assay_exact::Engine::new(&model, &cpu).map_err(failed)?;
        drop(model);
        let spec = folder.parts().spec;
        Ok(Self { folder, spec, cpu })
    }
}

impl Engine for ExactEngine {
    fn describe(&self) -> String {
        let Self { cpu, .. } = self;
        let threads = match cpu.threads() {
            1 => "1 thread".into(),
            several => format!("{several} threads"),
        };
        format!("exact, {} on {threads}", cpu.backend())
    }

    fn generate(
        &mut self,
        request: &GenerateRequest,
        on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Generation, EngineError> {
        request.admit(&self.spec)?;
        // An engine borrows the model, and making one reads no weights.
        let model = self.folder.model();
        let engine = assay_exact::Engine::new(&model, &self.cpu).map_err(failed)?;
        let asked = answer::Request {
            prompt: &request.prompt,
            settings: settings(&request.sampling),
            seed: request.sampling.seed,
            stop_tokens: &request.stop_tokens,
            limit: request.max_output_tokens,
        };
        let answer = answer::generate(&engine, &asked, on_token).map_err(failed)?;
        Ok(Generation {
            tokens: answer.tokens,
            finish: match answer.finish {
                answer::Finish::Eos => Finish::Eos,
                answer::Finish::Length => Finish::Length,
                answer::Finish::Caller => Finish::Caller,
            },
        })
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

/// What a request can be at fault for is found by [`GenerateRequest::admit`], so this is the machine's or the
/// folder's fault.
fn failed(error: impl std::fmt::Display) -> EngineError {
    EngineError::Exact(error.to_string())
}

//! candle's quantised models at work, on the Q8_0 file.

use std::{fs::File, io::BufReader};

use anyhow::{bail, Result};
use candle_core::{quantized::gguf_file::Content, Device, Tensor};
use candle_transformers::models::{quantized_llama, quantized_qwen2};

use super::{
    job::{timed, tokens, Job, Outcome, Task},
    shape::Family,
};

enum Model {
    Llama(quantized_llama::ModelWeights),
    Qwen2(quantized_qwen2::ModelWeights),
}

/// Does the job's task; candle decodes one sequence at a time.
pub fn measure(job: &Job, family: Family) -> Result<Outcome> {
    let mut model = Model::open(job, family)?;
    model.forward(&tokens(job.vocabulary, 0, 2), 0)?;
    model.forget();
    let ((), time) = match job.task {
        Task::Prefill { tokens: count } => {
            let tokens = tokens(job.vocabulary, 1, count);
            timed(|| model.forward(&tokens, 0))?
        }
        Task::Decode {
            prompt,
            tokens: count,
            batch: 1,
        } => {
            model.forward(&tokens(job.vocabulary, 1, prompt), 0)?;
            let next = tokens(job.vocabulary, 2, count);
            let mut next = (prompt..).zip(&next);
            timed(|| next.try_for_each(|(position, token)| model.forward(&[*token], position)))?
        }
        Task::Decode { .. } | Task::Answer { .. } => {
            bail!("candle is not asked for {:?}", job.task)
        }
    };
    Ok(Outcome::of(time))
}

impl Model {
    fn open(job: &Job, family: Family) -> Result<Self> {
        let mut file = BufReader::new(File::open(&job.model)?);
        let content = Content::read(&mut file)?;
        let cpu = Device::Cpu;
        Ok(match family {
            Family::Llama => Self::Llama(quantized_llama::ModelWeights::from_gguf(
                content, &mut file, &cpu,
            )?),
            Family::Qwen2 => Self::Qwen2(quantized_qwen2::ModelWeights::from_gguf(
                content, &mut file, &cpu,
            )?),
        })
    }

    /// Reads tokens that stand at `position` and after it, up to the last one's logits.
    fn forward(&mut self, tokens: &[u32], position: usize) -> Result<()> {
        let tokens = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let logits = match self {
            Self::Llama(model) => model.forward(&tokens, position)?,
            Self::Qwen2(model) => model.forward(&tokens, position)?,
        };
        std::hint::black_box(logits);
        Ok(())
    }

    fn forget(&mut self) {
        match self {
            Self::Llama(model) => model.clear_kv_cache(),
            Self::Qwen2(model) => model.clear_kv_cache(),
        }
    }
}

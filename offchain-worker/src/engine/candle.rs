//! The float engine: candle's own Llama, Qwen2 and Qwen3, computed in f32 on the CPU.

use std::{collections::HashMap, path::Path};

use assay_client::folder::{Config, HuggingFace};
use assay_primitives::{Architecture, ModelSpec};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::{llama, qwen2, qwen3};

use super::{
    folder::{one_line, read_tensors},
    logprobs,
    sampling::Sampler,
    Engine, EngineError, Finish, GenerateRequest, Progress, RequestId, Session, Token, Use, Wake,
};

/// Tokens of a prompt that are read in one step: whoever goes away is noticed after each.
const PREFILL: usize = 64;

/// The `candle` engine. It holds the weights as f32: twice the size of files in bf16 or f16.
pub struct CandleEngine {
    spec: ModelSpec,
    network: Network,
}

/// The three models behind one face, each with the keys and values of the tokens seen so far.
enum Network {
    Llama(Box<Llama>),
    Qwen2(Box<qwen2::ModelForCausalLM>),
    Qwen3(Box<qwen3::ModelForCausalLM>),
}

struct Llama {
    model: llama::Llama,
    cache: llama::Cache,
    /// The cache before any token. A clone shares its rotary tables, which are dear to compute.
    empty: llama::Cache,
}

impl CandleEngine {
    /// Reads the weights of `folder`, which lies at `path`, and builds the model.
    pub fn load(path: &Path, folder: &HuggingFace) -> Result<Self, EngineError> {
        let tensors = read_tensors(path, folder)?;
        let network = Network::build(folder.config(), tensors).map_err(|error| {
            let problem = format!(
                "no model can be built from it: {}",
                one_line(&error.to_string())
            );
            let next = "check that all its files are of one model";
            EngineError::Model {
                file: path.into(),
                problem,
                next: next.into(),
            }
        })?;
        Ok(Self {
            spec: folder.spec().clone(),
            network,
        })
    }

    /// The logits of the token after `tokens`, of which the first has the given position. The
    /// earlier positions are those of previous calls since the last reset.
    fn logits(&mut self, tokens: &[u32], position: usize) -> Result<Vec<f32>, EngineError> {
        self.network
            .forward(tokens, position)
            .map_err(|error| EngineError::Compute {
                position: position.saturating_add(tokens.len()),
                problem: one_line(&error.to_string()),
            })
    }

    /// The logits of the token after `prompt`, in one forward pass and with an empty cache.
    pub(super) fn prefill(&mut self, prompt: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.network.reset();
        self.logits(prompt, 0)
    }
}

impl Engine for CandleEngine {
    fn describe(&self) -> String {
        "candle, f32, one request at a time (unverified: nobody can prove a wrong answer)".into()
    }

    fn gives_logprobs(&self) -> bool {
        true
    }

    fn start(&mut self, _: Wake) -> Result<Box<dyn Session + '_>, EngineError> {
        self.network.reset();
        Ok(Box::new(CandleSession {
            engine: self,
            answer: None,
        }))
    }
}

/// The engine and the one request that it works at.
struct CandleSession<'a> {
    engine: &'a mut CandleEngine,
    answer: Option<Answer>,
}

struct Answer {
    id: RequestId,
    request: GenerateRequest,
    sampler: Sampler,
    /// Tokens of the prompt that have been read.
    read: usize,
    /// The answer so far.
    tokens: Vec<u32>,
    allowed: u32,
}

impl Answer {
    fn finish(&self) -> Option<Finish> {
        let GenerateRequest {
            stop_tokens,
            max_output_tokens,
            ..
        } = &self.request;
        let last = self.tokens.last();
        if last.is_some_and(|last| stop_tokens.contains(last)) {
            return Some(Finish::Eos);
        }
        (self.tokens.len() >= *max_output_tokens as usize).then_some(Finish::Length)
    }
}

impl CandleSession<'_> {
    /// The next token of the answer; none while there is more of the prompt to read.
    fn next(engine: &mut CandleEngine, answer: &mut Answer) -> Result<Option<Token>, EngineError> {
        let prompt = &answer.request.prompt;
        let position = prompt.len().saturating_add(answer.tokens.len());
        let logits = match answer.tokens.last() {
            None => {
                let rest = prompt.get(answer.read..).unwrap_or_default();
                let piece = rest.get(..PREFILL).unwrap_or(rest);
                let logits = match answer.read {
                    0 => engine.prefill(piece)?,
                    before => engine.logits(piece, before)?,
                };
                answer.read = answer.read.saturating_add(piece.len());
                if answer.read < prompt.len() {
                    return Ok(None);
                }
                logits
            }
            Some(last) => engine.logits(&[*last], position.saturating_sub(1))?,
        };
        let id = answer
            .sampler
            .next(logits.clone())
            .map_err(|found| EngineError::Logits { position, found })?;
        answer.tokens.push(id);
        Ok(Some(logprobs::token(
            id,
            logits.into_iter(),
            answer.request.logprobs,
        )))
    }

    /// Gives the memory of keys and values back.
    fn leave(&mut self) {
        self.answer = None;
        self.engine.network.reset();
    }
}

impl Session for CandleSession<'_> {
    fn admit(&mut self, id: RequestId, request: &GenerateRequest) -> Result<bool, EngineError> {
        request.admit(&self.engine.spec)?;
        if self.answer.is_some() {
            return Ok(false);
        }
        self.answer = Some(Answer {
            id,
            request: request.clone(),
            sampler: Sampler::new(request.sampling, &request.prompt),
            read: 0,
            tokens: Vec::new(),
            allowed: 0,
        });
        Ok(true)
    }

    fn allow(&mut self, id: RequestId, tokens: u32) {
        if let Some(answer) = self.answer.as_mut().filter(|answer| answer.id == id) {
            answer.allowed = answer.allowed.max(tokens);
        }
    }

    fn cancel(&mut self, id: RequestId) {
        if self.answer.as_ref().is_some_and(|answer| answer.id == id) {
            self.leave();
        }
    }

    fn step(&mut self) -> Option<Vec<(RequestId, Progress)>> {
        let answer = self.answer.as_mut()?;
        let id = answer.id;
        // An answer of no tokens needs no credit.
        if let Some(finish) = answer.finish() {
            self.leave();
            return Some(vec![(id, Progress::End(finish))]);
        }
        if answer.tokens.len() >= answer.allowed as usize {
            return None;
        }
        let mut told = match Self::next(self.engine, answer) {
            Ok(None) => return Some(Vec::new()),
            Ok(Some(token)) => vec![(id, Progress::Token(token))],
            Err(error) => {
                self.leave();
                return Some(vec![(id, Progress::Failed(error))]);
            }
        };
        if let Some(finish) = self.answer.as_ref().and_then(Answer::finish) {
            self.leave();
            told.push((id, Progress::End(finish)));
        }
        Some(told)
    }

    fn usage(&self) -> Use {
        Use {
            places: 1,
            ..Use::default()
        }
    }
}

impl Network {
    fn build(config: &Config, tensors: HashMap<String, Tensor>) -> candle_core::Result<Self> {
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        Ok(match config.architecture {
            Architecture::Llama => {
                let config = llama_config(config);
                let empty = llama::Cache::new(true, DType::F32, &config, &Device::Cpu)?;
                let model = llama::Llama::load(weights, &config)?;
                Self::Llama(Box::new(Llama {
                    model,
                    cache: empty.clone(),
                    empty,
                }))
            }
            Architecture::Qwen2 => {
                let model = qwen2::ModelForCausalLM::new(&qwen2_config(config), weights)?;
                Self::Qwen2(Box::new(model))
            }
            Architecture::Qwen3 => {
                let model = qwen3::ModelForCausalLM::new(&qwen3_config(config), weights)?;
                Self::Qwen3(Box::new(model))
            }
        })
    }

    fn forward(&mut self, tokens: &[u32], position: usize) -> candle_core::Result<Vec<f32>> {
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let logits = match self {
            Self::Llama(llama) => llama.model.forward(&input, position, &mut llama.cache)?,
            Self::Qwen2(model) => model.forward(&input, position)?,
            Self::Qwen3(model) => model.forward(&input, position)?,
        };
        logits.flatten_all()?.to_vec1()
    }

    /// Forgets every token seen so far.
    fn reset(&mut self) {
        match self {
            Self::Llama(llama) => llama.cache = llama.empty.clone(),
            Self::Qwen2(model) => model.clear_kv_cache(),
            Self::Qwen3(model) => model.clear_kv_cache(),
        }
    }
}

fn llama_config(config: &Config) -> llama::Config {
    let rope_scaling = config.rope_scaling.map(|scaling| llama::Llama3RopeConfig {
        factor: scaling.factor,
        low_freq_factor: scaling.low_freq_factor,
        high_freq_factor: scaling.high_freq_factor,
        original_max_position_embeddings: scaling.original_context as usize,
        rope_type: llama::Llama3RopeType::Llama3,
    });
    llama::Config {
        hidden_size: config.hidden as usize,
        intermediate_size: config.intermediate as usize,
        vocab_size: config.vocabulary as usize,
        num_hidden_layers: config.layers as usize,
        num_attention_heads: config.heads as usize,
        num_key_value_heads: config.kv_heads as usize,
        use_flash_attn: false,
        rms_norm_eps: config.norm_epsilon,
        rope_theta: config.rope_theta as f32,
        bos_token_id: None,
        eos_token_id: None,
        rope_scaling,
        // candle 0.11 compares this with the number of heads and cuts the cache when that is
        // larger. The engine never goes beyond the context, so a larger value is harmless.
        max_position_embeddings: config.context.max(config.kv_heads) as usize,
        tie_word_embeddings: config.tied_embeddings,
    }
}

fn qwen2_config(config: &Config) -> qwen2::Config {
    qwen2::Config {
        vocab_size: config.vocabulary as usize,
        hidden_size: config.hidden as usize,
        intermediate_size: config.intermediate as usize,
        num_hidden_layers: config.layers as usize,
        num_attention_heads: config.heads as usize,
        num_key_value_heads: config.kv_heads as usize,
        max_position_embeddings: config.context as usize,
        // candle 0.11 applies the window during prefill whatever `use_sliding_window` says, and
        // files name a window that they do not use. One as long as the context hides nothing.
        sliding_window: config.context as usize,
        max_window_layers: config.layers as usize,
        tie_word_embeddings: config.tied_embeddings,
        rope_theta: config.rope_theta,
        rms_norm_eps: config.norm_epsilon,
        use_sliding_window: false,
        hidden_act: Activation::Silu,
    }
}

fn qwen3_config(config: &Config) -> qwen3::Config {
    qwen3::Config {
        vocab_size: config.vocabulary as usize,
        hidden_size: config.hidden as usize,
        intermediate_size: config.intermediate as usize,
        num_hidden_layers: config.layers as usize,
        num_attention_heads: config.heads as usize,
        head_dim: config.head_dim as usize,
        attention_bias: config.attention_bias,
        num_key_value_heads: config.kv_heads as usize,
        max_position_embeddings: config.context as usize,
        sliding_window: None,
        max_window_layers: config.layers as usize,
        tie_word_embeddings: config.tied_embeddings,
        rope_theta: config.rope_theta,
        rms_norm_eps: config.norm_epsilon,
        use_sliding_window: false,
        hidden_act: Activation::Silu,
    }
}

//! From a request to its answer, and from an answer back to whether it is the request's.

use std::ops::ControlFlow;

use crate::{
    engine::{Engine, EngineError, Logits, Sequence},
    folder::root::blake2_256,
    leaf::LeafError,
    sampling::{self, Settings},
};

/// Tokens of a prompt that are read between two reports of progress.
const PROMPT_PIECE: usize = 256;
/// Tokens of an answer that are checked at a time: their logits are all held.
pub(crate) const ANSWER_PIECE: usize = 32;

/// What is asked of a model.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub prompt: &'a [u32],
    pub settings: Settings,
    /// Of the draws; unused when the settings are greedy.
    pub seed: [u8; 32],
    /// Each of them ends the answer, whose last token it then is.
    pub stop_tokens: &'a [u32],
    /// The most tokens of the answer.
    pub limit: u32,
}

/// Why an answer ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finish {
    /// With a stop token.
    Eos,
    /// At the limit.
    Length,
    /// Where the caller ended it.
    Caller,
}

/// What a model answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub tokens: Vec<u32>,
    pub finish: Finish,
}

/// The first place at which tokens are not the model's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wrong {
    /// Place in the answer, from 0.
    pub index: usize,
    /// The token that is there; none where the answer ended too early.
    pub found: Option<u32>,
    /// The token that the model chooses; none where the answer should have ended before.
    pub expected: Option<u32>,
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnswerError {
    #[error("the prompt has no tokens: a model answers at least one")]
    EmptyPrompt,
    #[error(
        "a prompt of {prompt} tokens and an answer of up to {limit} exceed the context of {context}; \
         shorten the prompt or ask for fewer tokens"
    )]
    Context {
        prompt: usize,
        limit: u32,
        context: u32,
    },
    #[error("the sampling's values are outside their ranges: {0:?}")]
    Settings(LeafError),
    #[error("{0}")]
    Engine(#[from] EngineError),
}

/// Prefill, then one token after the other. `on_token` gets each, and may end the answer with it.
pub fn generate(
    engine: &Engine,
    request: &Request,
    on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
) -> Result<Answer, AnswerError> {
    accept(engine, request)?;
    let mut cache = engine.cache();
    let mut seen = request.prompt.to_vec();
    let mut fresh = 0;
    let finish = loop {
        let answer = seen.get(request.prompt.len()..).unwrap_or_default();
        if let Some(finish) = finish(request, answer) {
            break finish;
        }
        let logits = run(
            engine,
            Sequence {
                cache: &mut cache,
                tokens: seen.get(fresh..).unwrap_or_default(),
                logits: Logits::Last,
            },
        )?;
        fresh = seen.len();
        let token = choose(engine, request, &seen, &logits)?;
        seen.push(token);
        if on_token(token).is_break() {
            // An answer that is over anyway was not ended by its caller.
            let answer = seen.get(request.prompt.len()..).unwrap_or_default();
            break finish(request, answer).unwrap_or(Finish::Caller);
        }
    };
    Ok(Answer {
        tokens: seen.split_off(request.prompt.len()),
        finish,
    })
}

/// The first place at which `tokens` is not what the model answers. Prompt and answer are read in one
/// prefill; `progress` gets how many of their tokens have been read so far.
pub fn check(
    engine: &Engine,
    request: &Request,
    tokens: &[u32],
    progress: &mut dyn FnMut(usize),
) -> Result<Option<Wrong>, AnswerError> {
    accept(engine, request)?;
    let prompt = request.prompt.len();
    let limit = tokens.len().min(request.limit as usize);
    let wrong = |index: usize, expected| Wrong {
        index,
        found: tokens.get(index).copied(),
        expected,
    };
    // Places where the model has to choose: up to where the answer has to end, and as far as it can
    // read, which is not beyond a token that it does not have.
    let end = (0..=limit).find(|length| {
        let answer = tokens.get(..*length).unwrap_or(tokens);
        finish(request, answer).is_some()
    });
    let vocabulary = engine.model().shape.vocabulary;
    let unknown = tokens.iter().position(|token| *token >= vocabulary);
    let choices = end
        .unwrap_or(limit.saturating_add(1))
        .min(unknown.map_or(usize::MAX, |index| index.saturating_add(1)));

    let seen: Vec<u32> = request.prompt.iter().chain(tokens).copied().collect();
    let mut cache = engine.cache();
    let mut read = 0;
    // The prompt's last token is the first whose logits choose.
    let first = prompt.saturating_sub(1);
    while choices > 0 && read < first {
        let until = first.min(read.saturating_add(PROMPT_PIECE));
        let tokens = seen.get(read..until).unwrap_or_default();
        run(
            engine,
            Sequence {
                cache: &mut cache,
                tokens,
                logits: Logits::None,
            },
        )?;
        read = until;
        progress(read);
    }
    let mut index = 0usize;
    while index < choices {
        let until = choices.min(index.saturating_add(ANSWER_PIECE));
        let piece = seen.get(first.saturating_add(index)..first.saturating_add(until));
        let logits = run(
            engine,
            Sequence {
                cache: &mut cache,
                tokens: piece.unwrap_or_default(),
                logits: Logits::All,
            },
        )?;
        for row in logits.chunks_exact(vocabulary as usize) {
            let seen = seen.get(..prompt.saturating_add(index)).unwrap_or(&seen);
            let expected = choose(engine, request, seen, row)?;
            if tokens.get(index) != Some(&expected) {
                return Ok(Some(wrong(index, Some(expected))));
            }
            index = index.saturating_add(1);
        }
        progress(first.saturating_add(index));
    }
    let more = end.filter(|end| *end < tokens.len());
    Ok(more.map(|end| wrong(end, None)))
}

/// Whether there can be an answer.
pub(crate) fn accept(engine: &Engine, request: &Request) -> Result<(), AnswerError> {
    request.settings.validate().map_err(AnswerError::Settings)?;
    let (prompt, context) = (request.prompt.len(), engine.model().shape.context);
    if prompt == 0 {
        return Err(AnswerError::EmptyPrompt);
    }
    if prompt.saturating_add(request.limit as usize) > context as usize {
        return Err(AnswerError::Context {
            prompt,
            limit: request.limit,
            context,
        });
    }
    Ok(())
}

/// Whether an answer ends after these tokens.
pub(crate) fn finish(request: &Request, answer: &[u32]) -> Option<Finish> {
    let last = answer.last();
    if last.is_some_and(|last| request.stop_tokens.contains(last)) {
        return Some(Finish::Eos);
    }
    (answer.len() >= request.limit as usize).then_some(Finish::Length)
}

fn run(engine: &Engine, sequence: Sequence) -> Result<Vec<i32>, EngineError> {
    let logits = engine.run(&mut [sequence])?;
    Ok(logits.into_iter().next().unwrap_or_default())
}

/// The token that follows `seen`, prompt and answer so far, from the last one's logits.
pub(crate) fn choose(
    engine: &Engine,
    request: &Request,
    seen: &[u32],
    logits: &[i32],
) -> Result<u32, AnswerError> {
    let exp2 = engine.model().tables.exp2;
    let random = random(&request.seed, seen.len());
    let token = sampling::choose(logits, seen, &request.settings, random, exp2);
    token.map_err(|error| AnswerError::Engine(error.into()))
}

/// The random number of the draw at `position`, the index of the token that is chosen.
pub(crate) fn random(seed: &[u8; 32], position: usize) -> u64 {
    let message = sampling::draw_message(seed, position as u32);
    sampling::random(&blake2_256(&message).0)
}

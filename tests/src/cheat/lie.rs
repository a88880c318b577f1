//! What is wrong with an answer, and how a liar came to it.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{bail, ensure, Context, Result};
use assay_client::{
    dispute::{Exhibit, Show},
    primitives::{Finish, Sampling, TokenId},
};
use assay_exact::{
    answer::{self, generate, Request},
    folder::Folder,
    trace::{Answered, Case, Cell, Layout, Place, Row, Trace, Tree},
    Cpu, Engine,
};

use super::trace;
use crate::{copy, damage};

/// What is wrong with an answer, or with a score of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// The numbers are another model's.
    Model(Tampering),
    /// The prompt is not the user's.
    Prompt,
    /// The draws are of a seed of its choice.
    Seed,
    /// The answer is what another provider gave to the same request.
    Copied,
    /// One number of the trace is one too large, and so is the token.
    Number(Number),
    /// The token is another than the one that was chosen; a score calls such a token right.
    Token,
    /// A score calls a right token wrong.
    Refused,
    /// A stop token stands where the model goes on.
    Early,
    /// The answer goes on behind its stop token.
    Late,
    /// The answer goes on with another token where the model stops.
    NoStop,
    /// It is longer than was asked for; a score calls a token wrong that is not there.
    TooLong,
    /// It is shorter than its end says.
    TooShort,
    /// The fee is one for more tokens than there are.
    Inflated,
    /// The fee is of another price.
    Price,
    /// Two answers to one request.
    Twice,
    /// Its anchor is no block of the chain.
    InventedAnchor,
    /// Its anchor is a block that is not there yet.
    FutureAnchor,
    /// Nobody asked.
    Unasked,
    /// Nothing.
    None,
}

/// What was done to a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tampering {
    /// Layers are left out, which is cheaper.
    LayerLeftOut,
    WeightBit,
}

/// A number of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Number {
    pub row: Row,
    pub layer: u16,
    /// From the first position, or if negative from the last.
    pub position: i32,
    pub element: u64,
}

impl Number {
    fn cell(&self, layout: &Layout) -> Cell {
        let position = match u32::try_from(self.position) {
            Ok(position) => position,
            Err(_) => layout.positions() - self.position.unsigned_abs(),
        };
        Cell {
            place: Place {
                position,
                layer: self.layer,
                row: self.row,
            },
            element: self.element,
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    pub prompt: Vec<TokenId>,
    pub sampling: Sampling,
    pub limit: u32,
    pub seed: [u8; 32],
    /// The seed of the same request at another provider.
    pub another: [u8; 32],
    pub stop_tokens: Vec<TokenId>,
    /// Whether an answer is to be scored, and not made.
    pub in_score: bool,
}

/// Place in the answer of the tokens that are replaced, from 0.
pub const AT: usize = 12;

/// What a liar says, and what it computes with when it is asked about it.
#[derive(Clone, Debug)]
pub struct Story {
    /// The answer; of a score, the one that is scored.
    pub output: Vec<TokenId>,
    /// What the receipt counts: the answer's tokens, or those of them that a score calls right.
    pub counted: u32,
    pub finish: Finish,
    /// What a score says stands behind those that it calls right.
    instead: TokenId,
    /// Folder of the model that it runs.
    model: PathBuf,
    prompt: Vec<TokenId>,
    seed: [u8; 32],
    lie: Lie,
}

impl Story {
    /// Made up with the model in the folder `honest`. What is needed besides is put into `scratch`.
    pub fn invent(lie: Lie, honest: &Path, asked: &Question, scratch: &Path) -> Result<Self> {
        let mut story = Self {
            output: Vec::new(),
            counted: 0,
            finish: Finish::Length,
            instead: 0,
            model: honest.into(),
            prompt: asked.prompt.clone(),
            seed: asked.seed,
            lie,
        };
        let (truth, end) = story.compute(asked, asked.limit)?;
        (story.output, story.finish) = (truth.clone(), end);
        let vocabulary = Folder::open(honest)?.manifest().shape.vocabulary;
        // A token that is neither the model's at this place nor one that ends an answer.
        let other = |token: TokenId| {
            let others = (1..vocabulary).map(|step| (token + step) % vocabulary);
            let mut others = others.filter(|token| !asked.stop_tokens.contains(token));
            others.next().context("a model has more than one token")
        };
        match lie {
            Lie::Model(tampering) => {
                story.model = scratch.join("model");
                copy(honest, &story.model)?;
                story.tamper(tampering, asked, &truth)?;
            }
            Lie::Prompt => {
                let middle = asked.prompt.len() / 2;
                story.prompt[middle] = other(asked.prompt[middle])?;
                (story.output, story.finish) = story.compute(asked, asked.limit)?;
            }
            Lie::Seed | Lie::Copied => {
                story.seed = match lie {
                    Lie::Seed => [7; 32],
                    _ => asked.another,
                };
                (story.output, story.finish) = story.compute(asked, asked.limit)?;
            }
            Lie::Number(_) | Lie::Token | Lie::Twice => {
                story.replace(asked, AT, other(truth[AT])?)?;
            }
            Lie::Early => {
                story.output.truncate(AT);
                story.output.push(asked.stop_tokens[0]);
                story.finish = Finish::Eos;
            }
            Lie::Late | Lie::NoStop => {
                ensure!(end == Finish::Eos, "the answer has to end by itself");
                let last = truth.len() - 1;
                match lie {
                    Lie::Late => story.replace(asked, last + 1, other(truth[last])?)?,
                    _ => story.replace(asked, last, other(truth[last])?)?,
                }
            }
            Lie::TooLong => story.output.extend([other(truth[0])?; 3]),
            Lie::TooShort => story.output.truncate(AT),
            Lie::Inflated
            | Lie::Price
            | Lie::InventedAnchor
            | Lie::FutureAnchor
            | Lie::Unasked
            | Lie::Refused
            | Lie::None => {}
        }
        let is_true = matches!(
            lie,
            Lie::Inflated
                | Lie::Price
                | Lie::InventedAnchor
                | Lie::FutureAnchor
                | Lie::Unasked
                | Lie::Refused
                | Lie::None
        );
        ensure!(is_true == (story.output == truth), "{lie:?} is no lie here");
        story.counted = story.output.len() as u32;
        if asked.in_score {
            story.score(truth, other)?;
        }
        Ok(story)
    }

    /// Made a score: of the answer that was made up, if it is to be called right, and else of the true one.
    fn score(
        &mut self,
        truth: Vec<TokenId>,
        other: impl Fn(TokenId) -> Result<TokenId>,
    ) -> Result<()> {
        let right = match self.lie {
            Lie::Token => {
                self.finish = Finish::Length;
                return Ok(());
            }
            Lie::Model(_) => {
                let mut both = self.output.iter().zip(&truth);
                let right = both.position(|(said, token)| said != token);
                right.context("its model stops where the true one goes on")?
            }
            Lie::Refused => AT,
            Lie::TooLong => truth.len(),
            other => bail!("{other:?} is no lie of a score"),
        };
        self.instead = match (self.lie, truth.get(right)) {
            (Lie::Model(_), _) => self.output[right],
            (_, Some(token)) => other(*token)?,
            (_, None) => 0,
        };
        (self.output, self.counted, self.finish) = (truth, right as u32, Finish::Mismatch);
        Ok(())
    }

    /// What this liar's model answers to this liar's prompt.
    fn compute(&self, asked: &Question, limit: u32) -> Result<(Vec<TokenId>, Finish)> {
        let folder = Folder::open(&self.model)?;
        let cpu = Cpu::detect();
        let engine = Engine::of(&folder, &cpu)?;
        let prompt = [&self.prompt[..], &self.output].concat();
        let request = Request {
            prompt: &prompt,
            settings: asked.sampling.into(),
            seed: self.seed,
            stop_tokens: &asked.stop_tokens,
            limit,
        };
        let answer = generate(&engine, &request, &mut |_| ControlFlow::Continue(()))?;
        let finish = match answer.finish {
            answer::Finish::Eos => Finish::Eos,
            answer::Finish::Length | answer::Finish::Caller => Finish::Length,
        };
        Ok((answer.tokens, finish))
    }

    /// Another token at a place, and what follows from it.
    fn replace(&mut self, asked: &Question, at: usize, token: TokenId) -> Result<()> {
        self.output.truncate(at);
        self.output.push(token);
        let left = asked.limit.saturating_sub(self.output.len() as u32);
        self.finish = Finish::Length;
        if left > 0 {
            let (rest, finish) = self.compute(asked, left)?;
            self.output.extend(rest);
            self.finish = finish;
        }
        Ok(())
    }

    /// Does so to the model until it answers another thing than the truth.
    fn tamper(&mut self, tampering: Tampering, asked: &Question, truth: &[TokenId]) -> Result<()> {
        self.output.clear();
        let file = damage::weights(&self.model);
        let original = fs::read(&file)?;
        let places = damage::places(&Folder::open(&self.model)?);
        let place = |name: &str| damage::place(&places, name);
        let layers = Folder::open(&self.model)?.manifest().shape.layers;
        for attempt in 0..200 {
            let mut weights = original.clone();
            match tampering {
                Tampering::LayerLeftOut => {
                    // One more each time, from the last.
                    let left = layers.saturating_sub(attempt as u16);
                    for layer in left.saturating_sub(1)..layers {
                        for matrix in ["o", "down"] {
                            let (start, bytes) =
                                place(&format!("layers.{layer}.{matrix}.weights"))?;
                            weights[start..start + bytes].fill(0);
                        }
                    }
                }
                Tampering::WeightBit => {
                    // The exponent of a token's row: 8 bytes, of which it is the second pair.
                    let (start, _) = place("embedding.high.rows")?;
                    weights[start + 8 * (attempt + 5) + 2] ^= 2;
                }
            }
            fs::write(&file, weights)?;
            let Ok((output, finish)) = self.compute(asked, asked.limit) else {
                continue;
            };
            if output != truth {
                (self.output, self.finish) = (output, finish);
                return Ok(());
            }
        }
        bail!("{tampering:?} changes nothing that this model answers")
    }

    /// The trace that it stands by.
    pub fn show(self, honest: PathBuf, cpu: Arc<Cpu>, exhibit: Exhibit, in_parts: bool) -> Show {
        Box::new(move |show| {
            let open = |path: &Path| Folder::open(path).map_err(|error| error.to_string());
            let (true_folder, folder) = (open(&honest)?, open(&self.model)?);
            let engine = |folder| Engine::of(folder, &cpu).map_err(|error| error.to_string());
            let (true_engine, engine) = (engine(&true_folder)?, engine(&folder)?);
            let truth = Answered {
                prompt: &exhibit.prompt,
                output: &exhibit.output,
                settings: exhibit.sampling.into(),
                seed: exhibit.seed,
                secret: exhibit.secret,
                scored: exhibit.scored,
                index: exhibit.position,
            };
            let told = Answered {
                prompt: &self.prompt,
                seed: self.seed,
                ..truth
            };
            let trace = |engine, answered: &Answered| {
                Trace::new(engine, answered).map_err(|error| error.to_string())
            };
            let honest = trace(&true_engine, &truth)?;
            let case = Case {
                layout: honest.layout().clone(),
                seed: exhibit.seed,
            };
            let output_len = exhibit.output.len() as u32;
            let list = match exhibit.scored {
                false => (Tree::Output, output_len, exhibit.position),
                true => {
                    let before = exhibit.prompt.len() as u32;
                    (Tree::Prompt, before + output_len, before + exhibit.position)
                }
            };
            let mut lie = trace::Lie {
                case,
                output_len,
                list,
                said: trace(&engine, &told)?,
                honest,
                changed: BTreeMap::new(),
                in_parts,
            };
            if let Lie::Number(number) = self.lie {
                lie.add_one(number.cell(&lie.case.layout))?;
            }
            lie.say_token(match exhibit.position < self.counted {
                true => {
                    let token = exhibit.output.get(exhibit.position as usize);
                    *token.ok_or("the answer is shorter")?
                }
                false => self.instead,
            });
            show(&mut lie);
            Ok(())
        })
    }
}

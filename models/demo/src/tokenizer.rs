//! The byte-level BPE tokenizer, and how a dialogue becomes tokens.

use crate::corpus::{Corpus, Dialogue};
use anyhow::{anyhow, Context, Result};
use std::{collections::HashSet, path::Path};
use tokenizers::{
    decoders::byte_level::ByteLevel as ByteLevelDecoder,
    models::bpe::{BpeTrainer, BPE},
    pre_tokenizers::byte_level::ByteLevel,
    AddedToken, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    Tokenizer, TokenizerBuilder,
};

pub const BOS: &str = "<|bos|>";
pub const USER: &str = "<|user|>";
pub const ASSISTANT: &str = "<|assistant|>";
pub const END: &str = "<|end|>";

/// The chat format as a Hugging Face template. A system message is left out: the model has never
/// read one.
pub const CHAT_TEMPLATE: &str = "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '<|user|>' + message['content'] }}{% elif message['role'] == 'assistant' %}{{ '<|assistant|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/// The same format, for the corpus and for `sample`.
pub fn render(dialogue: &Dialogue) -> String {
    let turns = dialogue
        .iter()
        .map(|turn| format!("{USER}{}{ASSISTANT}{}{END}", turn.user, turn.assistant));
    std::iter::once(BOS.to_string()).chain(turns).collect()
}

/// A prompt up to the place where the answer begins.
pub fn render_prompt(prompt: &str) -> String {
    format!("{BOS}{USER}{prompt}{ASSISTANT}")
}

/// Trains on the first `dialogues` dialogues of the seed's corpus.
pub fn train(seed: u64, dialogues: usize, vocabulary: usize) -> Result<Tokenizer> {
    let special = |token: &str| AddedToken::from(token, true).normalized(false);
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocabulary)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect::<HashSet<char>>())
        .special_tokens([BOS, USER, ASSISTANT, END].map(special).to_vec())
        .build();
    // The pattern of the pre-tokenizer splits before a word's space, so " twelve" is one token.
    let mut tokenizer = TokenizerBuilder::<
        BPE,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >::new()
    .with_model(BPE::default())
    .with_normalizer(None)
    .with_pre_tokenizer(Some(PreTokenizerWrapper::ByteLevel(ByteLevel::new(
        false, true, true,
    ))))
    .with_post_processor(None)
    .with_decoder(Some(DecoderWrapper::ByteLevel(ByteLevelDecoder::default())))
    .build()
    .map_err(|error| anyhow!("cannot build the tokenizer: {error}"))?;
    let texts = Corpus::new(seed)
        .take(dialogues)
        .flatten()
        .flat_map(|turn| [turn.user, turn.assistant]);
    let trained = tokenizer
        .train(&mut trainer, texts)
        .map_err(|error| anyhow!("cannot train the tokenizer: {error}"))?;
    let text = trained
        .to_string(false)
        .map_err(|error| anyhow!("cannot write the tokenizer: {error}"))?;
    text.parse()
        .map_err(|error| anyhow!("cannot read the tokenizer back: {error}"))
}

pub fn load(path: &Path) -> Result<Tokenizer> {
    Tokenizer::from_file(path).map_err(|error| {
        anyhow!(
            "cannot read {}: {error}; train the model first",
            path.display()
        )
    })
}

/// The tokenizer with the ids of its special tokens.
pub struct Vocabulary {
    tokenizer: Tokenizer,
    pub bos: u32,
    pub assistant: u32,
    pub end: u32,
}

impl Vocabulary {
    pub fn new(tokenizer: Tokenizer) -> Result<Self> {
        let id = |token: &str| {
            tokenizer
                .token_to_id(token)
                .with_context(|| format!("the tokenizer has no {token}; train it again"))
        };
        Ok(Self {
            bos: id(BOS)?,
            assistant: id(ASSISTANT)?,
            end: id(END)?,
            tokenizer,
        })
    }

    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .tokenizer
            .encode(text, false)
            .map_err(|error| anyhow!("cannot encode {text:?}: {error}"))?;
        Ok(encoding.get_ids().to_vec())
    }

    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.tokenizer
            .decode(ids, true)
            .map_err(|error| anyhow!("cannot decode {} tokens: {error}", ids.len()))
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Marks the tokens that the model has to predict: what the assistant says, with its end.
    pub fn answers(&self, ids: &[u32]) -> Vec<bool> {
        let mut speaking = false;
        ids.iter()
            .map(|&id| {
                let predicted = speaking;
                if id == self.assistant {
                    speaking = true;
                } else if id == self.end {
                    speaking = false;
                }
                predicted
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> Vocabulary {
        Vocabulary::new(train(3, 1_000, 700).unwrap()).unwrap()
    }

    #[test]
    fn any_text_survives_the_round_trip() {
        let vocabulary = vocabulary();
        for text in [
            "What is Assay?",
            "7 + 5 = ?",
            " leading and  double spaces\n",
            "Grüße, 你好, 🦊",
            "",
        ] {
            assert_eq!(
                vocabulary
                    .decode(&vocabulary.encode(text).unwrap())
                    .unwrap(),
                text
            );
        }
        for turn in Corpus::new(9).take(300).flatten() {
            assert_eq!(
                vocabulary
                    .decode(&vocabulary.encode(&turn.assistant).unwrap())
                    .unwrap(),
                turn.assistant
            );
        }
    }

    #[test]
    fn the_same_corpus_gives_the_same_tokenizer() {
        let [first, second] =
            [(); 2].map(|()| train(3, 1_000, 700).unwrap().to_string(true).unwrap());
        assert_eq!(first, second);
    }

    #[test]
    fn special_tokens_are_single_and_mark_the_answer() {
        let vocabulary = vocabulary();
        let dialogue = vec![crate::corpus::Turn {
            user: "Hi.".into(),
            assistant: "Hello!".into(),
        }];
        let ids = vocabulary.encode(&render(&dialogue)).unwrap();
        assert_eq!(ids.first(), Some(&vocabulary.bos));
        assert_eq!(ids.last(), Some(&vocabulary.end));
        let answers = vocabulary.answers(&ids);
        let predicted: Vec<u32> = ids
            .iter()
            .zip(answers)
            .filter(|(_, answer)| *answer)
            .map(|(id, _)| *id)
            .collect();
        assert_eq!(vocabulary.decode(&predicted).unwrap(), "Hello!");
        assert_eq!(predicted.last(), Some(&vocabulary.end));
    }
}

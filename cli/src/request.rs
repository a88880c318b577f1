//! A prompt on its way into a job: which model, which tokens, how to sample, what to pay.

use std::path::PathBuf;

use assay_client::{
    chain::{runtime, Listing},
    keys,
    text::{Message, Text},
    AccountId32, Amount, Chain, H256,
};
use assay_primitives::{Profile, Sampling, SamplingError, TokenId};
use clap::Args;

use crate::{
    context::{parts_per_million, Context, Progress},
    failure::Failure,
    funds::Deposits,
    listing,
    offers::{Lengths, Offers},
};

const DEFAULT_OUTPUT_TOKENS: u32 = 256;

#[derive(Args)]
pub struct RequestArgs {
    /// What to ask.
    prompt: String,

    /// Listing to ask: its id or the first digits of it. Not needed where only one is of the model in
    /// --model-dir, or only one that --provider or somebody offers has its tokenizer and template.
    #[arg(long, value_name = "LISTING")]
    model: Option<String>,

    /// Folder with the model's tokenizer.json and chat template; held against the listing's hashes.
    #[arg(long, value_name = "DIR", env = "ASSAY_MODEL_DIR")]
    model_dir: PathBuf,

    /// System message to put before the prompt.
    #[arg(long, value_name = "TEXT", conflicts_with = "raw")]
    system: Option<String>,

    /// Send the prompt as it stands, without the chat template.
    #[arg(long)]
    raw: bool,

    /// The most tokens to answer with [default: 256, or what the context leaves].
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    max_tokens: Option<u32>,

    /// The fewest tokens that the fee must pay for: an offer that cannot give this many for
    /// --max-fee is not drawn, or a dear one could take nearly all of it for a single word. An
    /// answer may still end earlier by itself [default: all of --max-tokens].
    #[arg(long, value_name = "TOKENS", allow_hyphen_values = true)]
    min_tokens: Option<u32>,

    /// The most to pay, such as "0.5 ASY" or "300 mASY". What is paid is the price of the offer that
    /// is drawn [default: the worst case of the dearest offer within twice the cheapest].
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    max_fee: Option<Amount>,

    /// Temperature, 0.001 to 10; 0 always takes the likeliest token.
    #[arg(long, default_value = "0", allow_hyphen_values = true, value_parser = parts_per_million)]
    temperature: u32,

    /// Keep only this many of the likeliest tokens; 0 keeps all.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    top_k: u32,

    /// Keep the likeliest tokens whose probabilities reach this share, above 0 and up to 1.
    #[arg(long, default_value = "1", allow_hyphen_values = true, value_parser = parts_per_million)]
    top_p: u32,

    /// Keep only tokens that are at least this share as likely as the likeliest, 0 to 1.
    #[arg(long, default_value = "0", allow_hyphen_values = true, value_parser = parts_per_million)]
    min_p: u32,

    /// Make tokens that prompt or answer already have less likely, 0.5 to 4: their logits are divided
    /// by this if positive, else multiplied; 1 changes nothing, and less than 1 makes them likelier.
    #[arg(
        long,
        value_name = "PENALTY",
        default_value = "1",
        allow_hyphen_values = true,
        value_parser = parts_per_million
    )]
    repetition_penalty: u32,

    /// Your share in the sampling seed: another number gives another answer.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    nonce: u64,

    /// Only this provider (its stash) may answer.
    #[arg(long, value_name = "ACCOUNT")]
    provider: Option<String>,
}

/// A request that is ready to be submitted.
pub struct Request {
    pub listing_id: H256,
    pub listing: Listing,
    pub text: Text,
    prompt: Vec<TokenId>,
    sampling: Sampling,
    max_output_tokens: u32,
    min_output_tokens: u32,
    max_fee: Amount,
    provider: Option<AccountId32>,
}

impl RequestArgs {
    fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            penalty: self.repetition_penalty,
            nonce: self.nonce,
        }
    }
}

impl Request {
    pub async fn prepare(
        args: RequestArgs,
        chain: &Chain,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let sampling = args.sampling();
        sampling
            .validate()
            .map_err(|error| Failure::Usage(out_of_range(error).into()))?;
        let provider = args
            .provider
            .as_deref()
            .map(keys::parse_account)
            .transpose()?;
        if args.prompt.trim().is_empty() {
            return Err(Failure::Usage(
                "the prompt is empty; write what to ask".into(),
            ));
        }
        let text = Text::open(&args.model_dir)?;
        let snapshot = chain.best().await?;
        let (listing_id, listing) =
            listing::for_text(&snapshot, args.model.as_deref(), &text, provider).await?;
        let prompt = match args.raw {
            true => text.raw(&args.prompt)?,
            false => {
                let system = args.system.map(|system| Message::new("system", system));
                let user = Message::new("user", args.prompt);
                let messages: Vec<Message> = system.into_iter().chain([user]).collect();
                let tokens = text.chat(&messages);
                tokens.map_err(|error| Failure::Usage(format!("{error} (--raw)")))?
            }
        };
        let prompt_len = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let max_output_tokens = output_limit(
            prompt_len,
            listing.parts.0.spec.context,
            snapshot.max_tokens()?,
            args.max_tokens,
        )?;
        let lengths = Lengths {
            prompt: prompt_len,
            most: max_output_tokens,
            least: least_output(max_output_tokens, args.min_tokens)?,
        };
        let offers = Offers::look(&snapshot, listing_id, lengths, provider).await?;
        let max_fee = offers.max_fee(args.max_fee, |line| progress.say(line))?;
        Ok(Self {
            listing_id,
            listing,
            text,
            prompt,
            sampling,
            max_output_tokens,
            min_output_tokens: lengths.least,
            max_fee,
            provider,
        })
    }

    /// Whether the answer can be verified.
    pub fn is_exact(&self) -> bool {
        self.listing.parts.0.spec.profile != Profile::Unverified
    }

    /// Submit the job; returns its id.
    pub async fn submit(
        &self,
        context: &Context,
        progress: &Progress,
        chain: &Chain,
    ) -> Result<u64, Failure> {
        if !self.is_exact() {
            progress.say("this model is unverified: nobody can prove a wrong answer of it");
        }
        let call = runtime::tx().jobs().submit(
            self.listing_id,
            runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec(
                self.prompt.clone(),
            ),
            self.sampling.into(),
            self.max_output_tokens,
            self.min_output_tokens,
            self.max_fee.0,
            self.provider,
        );
        let deposits = Deposits::at(&chain.best().await?).await?;
        let takes = [
            ("for --max-fee", self.max_fee.0),
            deposits.job(self.prompt.len(), self.max_output_tokens),
        ];
        let included = context.submit_under(progress, chain, &call, &takes).await?;
        let submitted = included
            .events
            .find_first::<runtime::jobs::events::Submitted>();
        match submitted {
            Some(Ok(event)) => Ok(event.job),
            _ => Err(Failure::Chain(
                "the chain does not say which job it made; update this program".into(),
            )),
        }
    }
}

/// Which flag is out of range, and what it may be.
fn out_of_range(error: SamplingError) -> &'static str {
    match error {
        SamplingError::TemperatureTooHigh => "--temperature is too high; use one up to 10",
        SamplingError::TemperatureTooLow => {
            "--temperature is too low; use one of 0.001 or more, or 0 for the likeliest token"
        }
        SamplingError::TopP => "--top-p is out of range; use one above 0, up to 1",
        SamplingError::MinP => "--min-p is out of range; use one of 0 to 1",
        SamplingError::Penalty => {
            "--repetition-penalty is out of range; use one of 0.5 to 4, where 1 is none"
        }
    }
}

fn output_limit(
    prompt_len: u32,
    context: u32,
    max_tokens: u32,
    wanted: Option<u32>,
) -> Result<u32, Failure> {
    let room = context.saturating_sub(prompt_len).min(max_tokens);
    if prompt_len == 0 || prompt_len > max_tokens || room == 0 {
        return Err(Failure::Usage(format!(
            "the prompt has {prompt_len} tokens; write one of 1 to {}",
            max_tokens.min(context.saturating_sub(1))
        )));
    }
    match wanted {
        None => Ok(DEFAULT_OUTPUT_TOKENS.min(room)),
        Some(wanted) if (1..=room).contains(&wanted) => Ok(wanted),
        Some(wanted) => Err(Failure::Usage(format!(
            "--max-tokens {wanted} does not fit behind a prompt of {prompt_len} tokens; ask for 1 to {room}"
        ))),
    }
}

fn least_output(max_output_tokens: u32, wanted: Option<u32>) -> Result<u32, Failure> {
    match wanted {
        None => Ok(max_output_tokens),
        Some(wanted) if (1..=max_output_tokens).contains(&wanted) => Ok(wanted),
        Some(wanted) => Err(Failure::Usage(format!(
            "--min-tokens {wanted} does not go with an answer of at most {max_output_tokens}; ask \
             for 1 to {max_output_tokens}, or set --max-tokens"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        request: RequestArgs,
    }

    /// The sampling of a command line.
    fn sampling(flags: &[&str]) -> Sampling {
        use clap::Parser;
        let command = ["assay", "prompt", "--model-dir", "models"];
        let command = Command::try_parse_from(command.iter().chain(flags)).unwrap();
        command.request.sampling()
    }

    #[test]
    fn without_flags_the_answer_is_the_likeliest() {
        assert_eq!(sampling(&[]), Sampling::GREEDY);
    }

    #[test]
    fn every_flag_of_the_sampling_has_its_range() {
        let all =
            "--temperature 0.7 --top-k 40 --top-p 0.95 --min-p 0.05 --repetition-penalty 1.1 \
                   --nonce 2";
        let flags: Vec<&str> = all.split_whitespace().collect();
        let expected = Sampling {
            temperature: 700_000,
            top_k: 40,
            top_p: 950_000,
            min_p: 50_000,
            penalty: 1_100_000,
            nonce: 2,
        };
        assert_eq!(sampling(&flags), expected);
        for (flag, lowest, highest, outside) in [
            ("--temperature", "0.001", "10", ["0.000999", "10.000001"]),
            ("--top-p", "0.000001", "1", ["0", "1.000001"]),
            ("--min-p", "0", "1", ["1.000001", "2"]),
            ("--repetition-penalty", "0.5", "4", ["0.499999", "4.000001"]),
        ] {
            for inside in [lowest, highest] {
                assert_eq!(
                    sampling(&[flag, inside]).validate(),
                    Ok(()),
                    "{flag} {inside}"
                );
            }
            for outside in outside {
                let error = sampling(&[flag, outside]).validate().unwrap_err();
                let message = out_of_range(error);
                assert!(
                    message.starts_with(flag) && !message.contains('\n'),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn the_answer_gets_what_the_context_leaves() {
        assert_eq!(output_limit(10, 512, 2048, None).unwrap(), 256);
        assert_eq!(output_limit(500, 512, 2048, None).unwrap(), 12);
        assert_eq!(output_limit(10, 512, 100, Some(100)).unwrap(), 100);
        for (prompt_len, wanted) in [
            (0, None),
            (512, None),
            (2049, None),
            (500, Some(13)),
            (1, Some(0)),
        ] {
            assert!(
                output_limit(prompt_len, 512, 2048, wanted).is_err(),
                "{prompt_len} {wanted:?}"
            );
        }
    }

    #[test]
    fn the_fee_pays_for_the_whole_answer_unless_less_is_asked_for() {
        assert_eq!(least_output(64, None).unwrap(), 64);
        assert_eq!(least_output(64, Some(1)).unwrap(), 1);
        assert_eq!(least_output(64, Some(64)).unwrap(), 64);
        for wanted in [0, 65, u32::MAX] {
            let error = least_output(64, Some(wanted)).unwrap_err();
            assert!(matches!(error, Failure::Usage(_)), "{error}");
            let message = error.to_string();
            assert!(
                message.contains(&format!("--min-tokens {wanted} ")) && !message.contains('\n'),
                "{message}"
            );
        }
    }
}

//! A prompt on its way into a job: which model, which tokens, how to sample, what to pay.

use std::path::PathBuf;

use assay_client::{
    chain::{runtime, Listing},
    keys, AccountId32, Amount, Chain, Snapshot, H256,
};
use assay_primitives::{Sampling, TokenId};
use clap::Args;

use crate::{
    context::{choose_listing, parts_per_million, Context, Progress},
    failure::Failure,
    text::Text,
};

const DEFAULT_OUTPUT_TOKENS: u32 = 256;

#[derive(Args)]
pub struct RequestArgs {
    /// What to ask.
    prompt: String,

    /// Listing to ask: its id or the first digits of it. Not needed where only one is active.
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
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<u32>,

    /// The most to pay, such as "0.5 ASY" or "300 mASY" [default: the worst case of the cheapest
    /// offer; a dearer provider then answers with fewer tokens].
    #[arg(long, value_name = "AMOUNT")]
    max_fee: Option<Amount>,

    /// Temperature; 0 always takes the likeliest token.
    #[arg(long, default_value = "0", value_parser = parts_per_million)]
    temperature: u32,

    /// Keep only this many of the likeliest tokens; 0 keeps all.
    #[arg(long, default_value_t = 0)]
    top_k: u32,

    /// Keep the likeliest tokens whose probabilities reach this share.
    #[arg(long, default_value = "1", value_parser = parts_per_million)]
    top_p: u32,

    /// Your share in the sampling seed: another number gives another answer.
    #[arg(long, default_value_t = 0)]
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
    max_fee: Amount,
    provider: Option<AccountId32>,
}

impl Request {
    pub async fn prepare(
        args: RequestArgs,
        chain: &Chain,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let sampling = Sampling {
            temperature: args.temperature,
            top_k: args.top_k,
            top_p: args.top_p,
            nonce: args.nonce,
        };
        sampling.validate().map_err(|_| {
            Failure::Usage("sampling is out of range; use a --temperature up to 10 and a --top-p above 0, up to 1".into())
        })?;
        let provider = args
            .provider
            .as_deref()
            .map(keys::parse_account)
            .transpose()?;
        let snapshot = chain.best().await?;
        let (listing_id, listing) = choose_listing(&snapshot, args.model.as_deref()).await?;
        let text = Text::open(&args.model_dir, &listing.parts.0)?;
        let prompt = match args.raw {
            true => text.raw(&args.prompt)?,
            false => text.chat(args.system.as_deref(), &args.prompt)?,
        };
        let prompt_len = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
        let max_output_tokens = output_limit(
            prompt_len,
            listing.parts.0.spec.context,
            snapshot.max_tokens()?,
            args.max_tokens,
        )?;
        let max_fee = match args.max_fee {
            Some(max_fee) => max_fee,
            None => {
                let provider = provider.as_ref();
                let (stash, fee) = cheapest(
                    &snapshot,
                    listing_id,
                    prompt_len,
                    max_output_tokens,
                    provider,
                )
                .await?;
                progress.say(&format!(
                    "paying at most {fee}: the worst case of {stash}'s offer"
                ));
                fee
            }
        };
        Ok(Self {
            listing_id,
            listing,
            text,
            prompt,
            sampling,
            max_output_tokens,
            max_fee,
            provider,
        })
    }

    /// Submit the job; returns its id.
    pub async fn submit(
        &self,
        context: &Context,
        progress: &Progress,
        chain: &Chain,
    ) -> Result<u64, Failure> {
        let call = runtime::tx().jobs().submit(
            self.listing_id,
            runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec(
                self.prompt.clone(),
            ),
            self.sampling.into(),
            self.max_output_tokens,
            self.max_fee.0,
            self.provider,
        );
        let included = context.submit_under(progress, chain, &call).await?;
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

/// The lowest worst-case fee among the offers that could take the request.
async fn cheapest(
    snapshot: &Snapshot,
    listing: H256,
    prompt_len: u32,
    max_output_tokens: u32,
    only: Option<&AccountId32>,
) -> Result<(AccountId32, Amount), Failure> {
    let mut best: Option<(AccountId32, u128)> = None;
    for (stash, offer) in snapshot.offers(listing).await? {
        let long_enough = prompt_len.saturating_add(max_output_tokens) <= offer.context;
        let meant = only.is_none_or(|only| *only == stash);
        if !long_enough || !meant || offer.capacity == 0 {
            continue;
        }
        let online = snapshot
            .provider(stash)
            .await?
            .is_some_and(|provider| provider.online);
        let fee = offer
            .price
            .0
            .fee(prompt_len, max_output_tokens)
            .filter(|_| online);
        if let Some(fee) = fee.filter(|fee| best.is_none_or(|(_, lowest)| *fee < lowest)) {
            best = Some((stash, fee));
        }
    }
    best.map(|(stash, fee)| (stash, Amount(fee)))
        .ok_or_else(|| {
            let who = only.map_or("no provider".to_owned(), |only| {
                format!("{only} is not a provider that")
            });
            let verb = if only.is_some() {
                "is online and offers"
            } else {
                "that is online offers"
            };
            Failure::Request(format!(
            "{who} {verb} listing {listing:?} for {prompt_len} + {max_output_tokens} tokens; lower \
             --max-tokens, or look at `assay doctor`"
        ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

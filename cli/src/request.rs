//! A prompt on its way into a job: which model, which tokens, how to sample, what to pay.

use std::path::PathBuf;

use assay_client::{
    chain::{runtime, Listing},
    keys, AccountId32, Amount, Chain, Snapshot, H256,
};
use assay_primitives::{Price, Sampling, TokenId};
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

    /// The fewest tokens that the fee must pay for: an offer that cannot give this many for
    /// --max-fee is not drawn, or a dear one could take nearly all of it for a single word. An
    /// answer may still end earlier by itself [default: all of --max-tokens].
    #[arg(long, value_name = "TOKENS")]
    min_tokens: Option<u32>,

    /// The most to pay, such as "0.5 ASY" or "300 mASY". What is paid is the price of the offer that
    /// is drawn [default: the worst case of the dearest offer within twice the cheapest].
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
    min_output_tokens: u32,
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
        let lengths = Lengths {
            prompt: prompt_len,
            most: max_output_tokens,
            least: least_output(max_output_tokens, args.min_tokens)?,
        };
        let only = provider.as_ref();
        let candidates = candidates(&snapshot, listing_id, lengths, only).await?;
        let max_fee = match args.max_fee {
            Some(max_fee) => {
                check_reach(&candidates, lengths, max_fee, only)?;
                max_fee
            }
            None => {
                let max_fee = default_fee(&candidates)
                    .ok_or_else(|| Failure::Request(nobody(listing_id, lengths, only)))?;
                progress.say(&format!(
                    "paying at most {max_fee}{}",
                    out_of_reach(&candidates, lengths, max_fee)
                ));
                max_fee
            }
        };
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
            self.min_output_tokens,
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

/// What a request asks of an offer, in tokens.
#[derive(Clone, Copy)]
struct Lengths {
    prompt: u32,
    /// Output tokens that are wanted.
    most: u32,
    /// Output tokens that the fee must pay for.
    least: u32,
}

/// An offer that could take the request.
struct Candidate {
    price: Price,
    /// Its worst case: the fee for all the tokens that are wanted.
    full_fee: u128,
    /// Its capacity or its bond is used up for now.
    busy: bool,
}

impl Candidate {
    /// How many of the wanted tokens it gives for `max_fee`.
    fn reach(&self, lengths: Lengths, max_fee: Amount) -> u32 {
        self.price
            .affordable(max_fee.0, lengths.prompt, lengths.most)
            .unwrap_or(0)
    }
}

/// The offers that could take the request for enough money, now or when they have room.
async fn candidates(
    snapshot: &Snapshot,
    listing: H256,
    lengths: Lengths,
    only: Option<&AccountId32>,
) -> Result<Vec<Candidate>, Failure> {
    let parameters = snapshot.provider_parameters().await?;
    let mut candidates = Vec::new();
    for (stash, offer) in snapshot.offers(listing).await? {
        let price = offer.price.0;
        let long_enough = lengths.prompt.saturating_add(lengths.most) <= offer.context;
        let meant = only.is_none_or(|only| *only == stash);
        let full_fee = price.fee(lengths.prompt, lengths.most);
        let Some(full_fee) = full_fee.filter(|_| long_enough && meant && offer.capacity > 0) else {
            continue;
        };
        let Some(provider) = snapshot.provider(stash).await? else {
            continue;
        };
        if !provider.online || provider.bond < parameters.min_bond {
            continue;
        }
        let free_bond = provider
            .bond
            .saturating_mul(parameters.exposure_factor.into())
            .saturating_sub(provider.exposure);
        candidates.push(Candidate {
            price,
            full_fee,
            busy: offer.open_jobs >= offer.capacity || free_bond < full_fee,
        });
    }
    Ok(candidates)
}

/// The worst case of the dearest offer within twice the cheapest: more offers are in the draw, and
/// none that is out of all proportion. Offers without room count only where all are.
fn default_fee(candidates: &[Candidate]) -> Option<Amount> {
    let all_busy = candidates.iter().all(|candidate| candidate.busy);
    let fees = || {
        candidates
            .iter()
            .filter(|candidate| candidate.busy == all_busy)
            .map(|candidate| candidate.full_fee)
    };
    let most = fees().min()?.saturating_mul(2);
    fees().filter(|fee| *fee <= most).max().map(Amount)
}

/// Whether some offer gives the least tokens for `max_fee`. Where nobody offers anything the chain
/// itself says why.
fn check_reach(
    candidates: &[Candidate],
    lengths: Lengths,
    max_fee: Amount,
    only: Option<&AccountId32>,
) -> Result<(), Failure> {
    let found = candidates.iter().filter_map(|candidate| {
        let fee = candidate.price.fee(lengths.prompt, lengths.least)?;
        Some((candidate.reach(lengths, max_fee), fee))
    });
    let best = found.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1)));
    match best {
        Some((most, lowest)) if most < lengths.least => {
            let who = match only {
                Some(only) => format!("{only} does not give"),
                None => "no offer gives".to_owned(),
            };
            let or_less = match most {
                0 => String::new(),
                most => format!(", or lower --min-tokens to {most}"),
            };
            Err(Failure::Request(format!(
                "{who} {} tokens for {max_fee}; raise --max-fee to {}{or_less}",
                lengths.least,
                Amount(lowest)
            )))
        }
        _ => Ok(()),
    }
}

/// What to say of the offers that cannot give the least tokens for `max_fee`, if there are any.
fn out_of_reach(candidates: &[Candidate], lengths: Lengths, max_fee: Amount) -> String {
    let too_dear = candidates
        .iter()
        .filter(|candidate| candidate.reach(lengths, max_fee) < lengths.least)
        .count();
    match too_dear {
        0 => String::new(),
        some => format!(
            "; too little for {some} of {} offers: raise --max-fee or lower --min-tokens for those",
            candidates.len()
        ),
    }
}

fn nobody(listing: H256, lengths: Lengths, only: Option<&AccountId32>) -> String {
    let who = only.map_or("no provider".to_owned(), |only| {
        format!("{only} is not a provider that")
    });
    let verb = if only.is_some() {
        "is online and offers"
    } else {
        "that is online offers"
    };
    format!(
        "{who} {verb} listing {listing:?} for {} + {} tokens; lower --max-tokens, or look at \
         `assay doctor`",
        lengths.prompt, lengths.most
    )
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

    const LENGTHS: Lengths = Lengths {
        prompt: 10,
        most: 50,
        least: 20,
    };

    /// An offer at `price` for a prompt token and twice that for an output token, so with a worst
    /// case of 110 times `price`, and 50 times for the least tokens.
    fn candidate(price: u128, busy: bool) -> Candidate {
        let price = Price {
            input: price,
            output: price * 2,
        };
        Candidate {
            price,
            full_fee: price.fee(LENGTHS.prompt, LENGTHS.most).unwrap(),
            busy,
        }
    }

    #[test]
    fn the_default_fee_reaches_the_offers_up_to_twice_the_cheapest_with_room() {
        let fee = |candidates: &[Candidate]| default_fee(candidates).map(|fee| fee.0);
        assert_eq!(fee(&[]), None);
        let mut all = vec![
            candidate(4, false),
            candidate(2, false),
            candidate(5, false),
            candidate(1, true),
        ];
        assert_eq!(fee(&all), Some(4 * 110));
        for candidate in &mut all {
            candidate.busy = true;
        }
        assert_eq!(fee(&all), Some(2 * 110));
    }

    #[test]
    fn a_fee_that_buys_too_little_everywhere_is_refused_with_what_would_do() {
        let offers = [candidate(2, false), candidate(3, false)];
        let check = |max_fee| check_reach(&offers, LENGTHS, Amount(max_fee), None);
        // The first offer gives 20 tokens for 100.
        assert!(check(100).is_ok());
        let message = check(99).unwrap_err().to_string();
        assert!(message.contains("no offer gives 20 tokens for 99 planck"));
        assert!(message.contains("--max-fee to 100 planck, or lower --min-tokens to 19"));

        // It does not even pay for the prompt, so fewer tokens are no way out.
        let message = check(20).unwrap_err().to_string();
        assert!(message.contains("--max-fee to 100 planck") && !message.contains("--min-tokens"));

        let only = AccountId32([2; 32]);
        let refused = check_reach(&offers[1..], LENGTHS, Amount(149), Some(&only));
        let message = refused.unwrap_err().to_string();
        assert!(
            message.contains(&format!("{only} does not give")),
            "{message}"
        );
        assert!(message.contains("--max-fee to 150 planck"), "{message}");

        // The chain knows better why there is no offer at all.
        assert!(check_reach(&[], LENGTHS, Amount(0), None).is_ok());
    }

    #[test]
    fn offers_that_the_default_fee_keeps_out_are_told() {
        let offers = [candidate(2, false), candidate(20, false)];
        let said = |max_fee| out_of_reach(&offers, LENGTHS, Amount(max_fee));
        assert!(said(220).contains("1 of 2 offers"), "{}", said(220));
        assert_eq!(said(1_000), "");
    }
}

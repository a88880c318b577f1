//! `assay verify --by`: an answer scored by another provider, for whoever has not the model's weights.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use assay_client::{answer::Answer, keys, Amount, Chain};
use assay_gateway::{ChainMarket, Opinion, Policy, Terms};
use clap::Args as ClapArgs;
use serde_json::{json, Value};

use crate::{
    context::{some_amount, Context},
    failure::{one_line, Failure},
    receipt::Source,
};

#[derive(ClapArgs)]
pub struct Args {
    /// Pay this provider to score the answer, where the weights are not in the folder, which then needs only the
    /// model's tokenizer and chat template. The provider reads prompt and answer. A channel to it is opened
    /// from your account if there is none, and stays for the next time; `assay gateway close` ends it.
    #[arg(long = "by", value_name = "PROVIDER", requires = "budget")]
    pub provider: Option<String>,

    /// The most that may be in channels and spent, ever, with this data folder, such as "1 ASY".
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, value_parser = some_amount, requires = "provider")]
    budget: Option<Amount>,

    /// Folder of a gateway's store, keys and evidence; the gateway must not be running.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "assay-gateway",
        requires = "provider"
    )]
    data: PathBuf,

    /// Send prompt and answer without sealing them to the provider.
    #[arg(long, requires = "provider")]
    no_seal: bool,
}

pub async fn run(
    context: &Context,
    answer: Answer,
    source: &Source,
    provider: &str,
    model: &Path,
    args: &Args,
) -> Result<(), Failure> {
    let by = keys::parse_account(provider)?;
    let key = context.key()?;
    let budget = args.budget.unwrap_or(Amount(0));
    let terms = Terms {
        // A channel has what the score costs, or the least that a channel may have.
        policy: Policy {
            budget: budget.0,
            ..Policy::default()
        },
        max_price: None,
        seal: !args.no_seal,
        max_tokens: 0,
        check: 0,
        score: true,
    };
    let progress = context.progress();
    progress.say(&format!(
        "{} is scored by {by}, within {budget}",
        answer.claim()
    ));
    let market = Arc::new(ChainMarket::new(Chain::connect(context.url()).await?, key));
    let asked = answer.clone();
    let opinion = assay_gateway::score(market, &args.data, model.into(), terms, asked, by).await;
    let opinion = opinion.map_err(|error| Failure::Request(one_line(&format!("{error:#}"))))?;
    progress.say(&source.describe(&answer));
    let data = args.data.display();
    progress.say(&format!(
        "the channel stays for the next score; `assay gateway close --data {data}` begins to get back what is left in it"
    ));
    report(context, &answer, source, &opinion, &args.data)
}

fn report(
    context: &Context,
    answer: &Answer,
    source: &Source,
    opinion: &Opinion,
    data: &Path,
) -> Result<(), Failure> {
    let Opinion { score, against } = opinion;
    let right = score.signed.receipt.output_len;
    let tokens = answer.output.len();
    let first = against.as_ref().map(|_| {
        json!({
            "token": right.saturating_add(1),
            "found": answer.output.get(right as usize),
        })
    });
    let json = json!({
        "claim": answer.to_json()["claim"],
        "source": source.name(),
        "verdict": if against.is_some() { "contradicted" } else { "right" },
        "tokens": tokens,
        "seconds": Value::Null,
        "reason": against,
        "first_wrong": first,
        "score": score.to_json(),
    });
    let by = score.header.provider;
    let Some(against) = against else {
        let fee = Amount(score.signed.receipt.fee);
        context.show(json, || {
            format!("{by} calls every token right, and signed it ({tokens} tokens, for {fee})")
        });
        return Ok(());
    };
    if context.is_json() {
        context.print_json(&json);
    }
    Err(Failure::Request(format!(
        "{against}: one of the two lies; the receipts of both are in {}, and whoever has the weights finds out which with \
         `assay verify`, and takes the liar to the chain with `assay dispute open`",
        data.join("evidence").display()
    )))
}

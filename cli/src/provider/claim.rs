//! `assay provider claim`.

use assay_client::{chain::runtime, keys::parse_account, Amount};
use clap::Args as ClapArgs;
use serde_json::json;

use crate::{context::Context, failure::Failure, records};

#[derive(ClapArgs)]
pub struct Args {
    /// Stash of the provider [default: the key's account].
    provider: Option<String>,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let stash = match &args.provider {
        Some(text) => parse_account(text)?,
        None => context.account(None)?,
    };
    let chain = context.chain().await?;
    let reward = chain.best().await?.provider_reward(stash).await?;
    let reward = reward.ok_or_else(|| super::no_provider(stash))?;
    if reward.due == 0 {
        return Err(Failure::Request(format!(
            "no reward is due to {stash}; one is when an era ends in which its settlements burned something, and in \
             era {}, which is under way, that is {} so far",
            reward.era,
            Amount(reward.burned),
        )));
    }
    let call = runtime::tx().providers().claim_reward(stash);
    let included = context.submit(&chain, &call, &[]).await?;
    let event = included
        .events
        .find_first::<runtime::providers::events::Rewarded>();
    let Some(Ok(event)) = event else {
        return Err(Failure::Chain(
            "the reward left no event; look at `assay provider status`".into(),
        ));
    };
    let json = json!({
        "provider": records::account(&stash),
        "era": event.era,
        "amount": Amount(event.amount),
    });
    context.show(json, || {
        format!(
            "{stash} gets {} for era {}, once it has matured",
            Amount(event.amount),
            event.era
        )
    });
    Ok(())
}

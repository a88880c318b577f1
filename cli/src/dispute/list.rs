//! `assay dispute list`.

use assay_client::keys;
use clap::Args as ClapArgs;
use serde_json::json;

use super::show;
use crate::{context::Context, failure::Failure};

#[derive(ClapArgs)]
pub struct Args {
    /// Only those with this provider's stash.
    #[arg(long, value_name = "ACCOUNT")]
    provider: Option<String>,

    /// Only those of the key's account: as challenger, delegate or provider.
    #[arg(long)]
    mine: bool,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let provider = args.provider.as_deref().map(keys::parse_account);
    let provider = provider.transpose()?;
    let mine = match args.mine {
        true => Some(context.account(None)?),
        false => None,
    };
    let chain = context.chain().await?;
    let best = chain.best().await?;
    let clock = best.dispute_clock().await?;
    let stash = match mine {
        Some(account) => best.provider_of(account).await?,
        None => None,
    };
    let mut disputes = match provider {
        Some(provider) => best.disputes_of_provider(provider).await?,
        None => best.disputes().await?,
    };
    if let Some(account) = mine {
        disputes.retain(|dispute| {
            dispute.is_challenger(&account)
                || dispute.provider == account
                || Some(dispute.provider) == stash
        });
    }
    let list: Vec<_> = disputes
        .iter()
        .map(|dispute| show::dispute_json(dispute, clock))
        .collect();
    context.show(json!(list), || match disputes.is_empty() {
        true => "there are none that are not over".into(),
        false => disputes
            .iter()
            .map(|dispute| show::dispute(dispute, clock))
            .collect::<Vec<_>>()
            .join("\n"),
    });
    Ok(())
}

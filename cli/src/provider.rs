//! `assay provider`.

use assay_client::{
    chain::{
        runtime::{self, runtime_types},
        Offer, Provider,
    },
    keys,
    subxt::transactions::Payload,
    AccountId32, Amount, Snapshot, H256,
};
use clap::{Args, Subcommand};
use runtime_types::{
    bounded_collections::bounded_vec::BoundedVec, pallet_providers::types::ProviderInfo,
};
use serde_json::json;

use crate::{
    context::{choose_listing, Context},
    failure::Failure,
    records,
};

#[derive(Subcommand)]
pub enum Command {
    /// Become a provider: bond money and name the key that the worker signs with.
    Register(RegisterArgs),
    /// Serve a model, or change the terms.
    Offer(OfferArgs),
    /// Stop serving a model.
    Unoffer {
        /// Listing: its id or the first digits of it.
        #[arg(long)]
        model: Option<String>,
    },
    /// Clear away an offer of somebody else that stands in the way: its listing is retired, its
    /// provider's bond is too small, or the listing is full and your bond is larger. Free of charge
    /// when it succeeds.
    Evict(EvictArgs),
    /// Accept new jobs. The stash or its operator may say so.
    Online,
    /// Accept no new jobs.
    Offline,
    /// Show a provider: its bond, offers, record and earnings.
    Status {
        /// Its stash or operator [default: the key's account].
        account: Option<String>,
    },
    /// Replace the operator key.
    Rotate {
        /// Account of the new key.
        operator: String,
    },
    /// Add to the bond.
    Bond { amount: Amount },
    /// Begin to take money out of the bond.
    Unbond { amount: Amount },
    /// Release the unbonded money that is due.
    Withdraw,
    /// Leave, once nothing is open, bonded, offered or maturing.
    Deregister,
}

#[derive(Args)]
pub struct RegisterArgs {
    /// How much to bond, such as "100 ASY".
    #[arg(long, value_name = "AMOUNT")]
    bond: Amount,
    /// Account of the key that the worker signs with; keep it apart from the stash.
    #[arg(long, value_name = "ACCOUNT")]
    operator: String,
    /// URL at which the worker can be reached; not needed for jobs on the chain.
    #[arg(long, default_value = "")]
    endpoint: String,
}

#[derive(Args)]
pub struct OfferArgs {
    /// Listing: its id or the first digits of it. Not needed where only one is active.
    #[arg(long)]
    model: Option<String>,
    /// Price of a prompt token, such as "20 uASY".
    #[arg(long, value_name = "AMOUNT")]
    input_price: Amount,
    /// Price of an output token.
    #[arg(long, value_name = "AMOUNT")]
    output_price: Amount,
    /// The most tokens of prompt and answer together [default: the model's context].
    #[arg(long)]
    context: Option<u32>,
    /// The most jobs at once.
    #[arg(long, default_value_t = 1)]
    capacity: u32,
}

#[derive(Args)]
pub struct EvictArgs {
    /// Listing: its id or the first digits of it.
    #[arg(long, value_name = "LISTING")]
    listing: String,
    /// Stash of the provider whose offer it is.
    #[arg(long, value_name = "ACCOUNT")]
    provider: String,
}

pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let calls = runtime::tx().providers();
    match command {
        Command::Register(args) => {
            let info = ProviderInfo {
                endpoint: BoundedVec(args.endpoint.into_bytes()),
                // Nothing listens yet, so there is no key to pin.
                tls_key_hash: H256::zero(),
                x25519_key: [0; 32],
            };
            let operator = keys::parse_account(&args.operator)?;
            send(context, &calls.register(operator, info, args.bond.0)).await
        }
        Command::Offer(args) => {
            let chain = context.chain().await?;
            let (id, listing) = choose_listing(&chain.best().await?, args.model.as_deref()).await?;
            let tokens = args.context.unwrap_or(listing.parts.0.spec.context);
            let (input, output) = (args.input_price.0, args.output_price.0);
            send(
                context,
                &calls.set_offer(id, input, output, tokens, args.capacity),
            )
            .await
        }
        Command::Unoffer { model } => {
            let snapshot = context.chain().await?.best().await?;
            let (id, _) = choose_listing(&snapshot, model.as_deref()).await?;
            send(context, &calls.remove_offer(id)).await
        }
        Command::Evict(args) => evict(context, args).await,
        Command::Online => send(context, &calls.set_online(true)).await,
        Command::Offline => send(context, &calls.set_online(false)).await,
        Command::Status { account } => {
            let account = context.account(account.as_deref())?;
            let snapshot = context.chain().await?.best().await?;
            show(context, &snapshot, account).await
        }
        Command::Rotate { operator } => {
            send(
                context,
                &calls.rotate_operator(keys::parse_account(&operator)?),
            )
            .await
        }
        Command::Bond { amount } => send(context, &calls.bond_extra(amount.0)).await,
        Command::Unbond { amount } => send(context, &calls.unbond(amount.0)).await,
        Command::Withdraw => send(context, &calls.withdraw_unbonded()).await,
        Command::Deregister => send(context, &calls.deregister()).await,
    }
}

/// Send a call, then show what the provider looks like after it.
async fn send<C: Payload>(context: &Context, call: &C) -> Result<(), Failure> {
    let account = context.account(None)?;
    let chain = context.chain().await?;
    let included = context.submit(&chain, call).await?;
    show(context, &included.block, account).await
}

/// Anyone may do this, so what is shown is the offer and not the caller.
async fn evict(context: &Context, args: EvictArgs) -> Result<(), Failure> {
    let stash = keys::parse_account(&args.provider)?;
    let chain = context.chain().await?;
    let (id, _) = choose_listing(&chain.best().await?, Some(&args.listing)).await?;
    let call = runtime::tx().providers().evict_offer(id, stash);
    context.submit(&chain, &call).await?;
    let json = json!({ "listing": records::hash(&id), "provider": records::account(&stash) });
    context.show(json, || {
        format!("the offer of {stash} for {id:?} is gone, and its deposit returned to its provider")
    });
    Ok(())
}

/// The provider whose stash or operator this account is.
async fn find(
    snapshot: &Snapshot,
    account: AccountId32,
) -> Result<Option<(AccountId32, Provider)>, Failure> {
    if let Some(provider) = snapshot.provider(account).await? {
        return Ok(Some((account, provider)));
    }
    let Some(stash) = snapshot.provider_of(account).await? else {
        return Ok(None);
    };
    Ok(snapshot
        .provider(stash)
        .await?
        .map(|provider| (stash, provider)))
}

async fn show(context: &Context, snapshot: &Snapshot, account: AccountId32) -> Result<(), Failure> {
    let Some((stash, provider)) = find(snapshot, account).await? else {
        context.show(
            json!({ "provider": null, "account": records::account(&account) }),
            || format!("{account} is no provider; become one with `assay provider register`"),
        );
        return Ok(());
    };
    let mut offers: Vec<(H256, Offer)> = Vec::new();
    for (id, _) in snapshot.listings().await? {
        offers.extend(snapshot.offer(id, stash).await?.map(|offer| (id, offer)));
    }
    let json = records::provider(&stash, &provider, &offers);
    context.show(json, || text(&stash, &provider, &offers));
    Ok(())
}

fn text(stash: &AccountId32, provider: &Provider, offers: &[(H256, Offer)]) -> String {
    let state = if provider.online { "online" } else { "offline" };
    let record = &provider.record;
    let mut lines = vec![
        format!("provider {stash} is {state}"),
        format!("  operator {}", provider.operator),
        format!(
            "  bond {}, {} open jobs for which it answers with {}",
            Amount(provider.bond),
            provider.open_jobs,
            Amount(provider.exposure),
        ),
        format!(
            "  {} assigned: {} delivered, {} declined, {} missed; score {}",
            record.assigned,
            record.delivered,
            record.declined,
            record.missed,
            records::percent(record.score),
        ),
        format!(
            "  {} earned, {} maturing",
            Amount(record.earned),
            Amount(provider.maturing)
        ),
    ];
    for chunk in &provider.unbonding.0 {
        lines.push(format!(
            "  unbonding {}, due in block {}",
            Amount(chunk.amount),
            chunk.due
        ));
    }
    for (id, offer) in offers {
        lines.push(format!(
            "  offers {id:?}: {} in, {} out, context {}, {} of {} jobs open, unchanged since block {}",
            Amount(offer.price.0.input),
            Amount(offer.price.0.output),
            offer.context,
            offer.open_jobs,
            offer.capacity,
            offer.since,
        ));
    }
    if offers.is_empty() {
        lines.push("  offers nothing; add an offer with `assay provider offer`".into());
    } else if !provider.online {
        lines.push("  gets no jobs; go online with `assay provider online`".into());
    }
    lines.join("\n")
}

//! `assay provider`.

mod claim;
mod endpoint;
mod show;

use assay_client::{
    chain::{
        runtime::{self, runtime_types},
        Provider,
    },
    keys,
    subxt::transactions::Payload,
    AccountId32, Amount, H256,
};
use clap::{Args, Subcommand};
use runtime_types::{
    bounded_collections::bounded_vec::BoundedVec, pallet_providers::types::ProviderInfo,
};
use serde_json::json;

use crate::{
    context::{some_amount, Context},
    failure::Failure,
    funds::{Deposits, Takes},
    listing, records,
};
use show::show;

#[derive(Subcommand)]
pub enum Command {
    /// Become a provider: bond money and name the key that the worker signs with.
    Register(RegisterArgs),
    /// Serve a model, or change the terms.
    Offer(OfferArgs),
    /// Stop serving a model.
    Unoffer {
        /// Listing: its id or the first digits of it. Not needed for the only one that you offer.
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
    /// Say how clients of channels reach the worker. What is not named stays as it is.
    SetInfo(SetInfoArgs),
    /// Replace the operator key.
    Rotate {
        /// Account of the new key.
        operator: String,
    },
    /// Add to the bond.
    Bond {
        #[arg(allow_hyphen_values = true, value_parser = some_amount)]
        amount: Amount,
    },
    /// Begin to take money out of the bond.
    Unbond {
        #[arg(allow_hyphen_values = true, value_parser = some_amount)]
        amount: Amount,
    },
    /// Release the unbonded money that is due.
    Withdraw,
    /// Fetch what a provider gets back of what its settlements burned in an era that is over. Anyone may; it is
    /// free of charge.
    Claim(claim::Args),
    /// Leave, once nothing is open, bonded, offered or maturing.
    Deregister,
}

#[derive(Args)]
pub struct RegisterArgs {
    /// How much to bond, such as "100 ASY".
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, value_parser = some_amount)]
    bond: Amount,
    /// Account of the key that the worker signs with; keep it apart from the stash.
    #[arg(long, value_name = "ACCOUNT")]
    operator: String,
    /// URL at which the worker's server can be reached, such as https://example.org:9617; not needed for jobs on
    /// the chain.
    #[arg(long, value_name = "URL", default_value = "")]
    endpoint: String,
}

#[derive(Args)]
pub struct SetInfoArgs {
    /// URL at which the worker's server can be reached, such as https://example.org:9617; "" takes it away, and
    /// with it all that new channels would bring.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// SHA-256 of the server's TLS public key, as the worker prints it; zero for plain http.
    #[arg(long, value_name = "0x…", value_parser = hash)]
    tls_key_hash: Option<H256>,
    /// X25519 key that requests are sealed to, as the worker prints it.
    #[arg(long, value_name = "0x…", value_parser = hash)]
    x25519_key: Option<H256>,
}

fn hash(text: &str) -> Result<H256, String> {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    match (digits.len(), digits.parse()) {
        (64, Ok(hash)) => Ok(hash),
        _ => Err("write 0x and 64 hexadecimal digits".into()),
    }
}

#[derive(Args)]
pub struct OfferArgs {
    /// Listing: its id or the first digits of it. Not needed for the only one that you offer, or
    /// where only one is active.
    #[arg(long)]
    model: Option<String>,
    /// Price of a prompt token, such as "20 uASY".
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    input_price: Amount,
    /// Price of an output token.
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    output_price: Amount,
    /// The most tokens of prompt and answer together [default: the model's context].
    #[arg(long, allow_hyphen_values = true)]
    context: Option<u32>,
    /// The most jobs at once; 0 pauses the offer, and what is under way goes on.
    #[arg(long, default_value_t = 1, allow_hyphen_values = true)]
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
        Command::Register(args) => register(context, args).await,
        Command::Offer(args) => offer(context, args).await,
        Command::Unoffer { model } => {
            let stash = context.account(None)?;
            let snapshot = context.chain().await?.best().await?;
            let (id, _) = listing::offered_by(&snapshot, model.as_deref(), stash).await?;
            send(context, &calls.remove_offer(id), &[]).await
        }
        Command::Evict(args) => evict(context, args).await,
        Command::Online => send(context, &calls.set_online(true), &[]).await,
        Command::Offline => send(context, &calls.set_online(false), &[]).await,
        Command::Status { account } => {
            let account = context.account(account.as_deref())?;
            let snapshot = context.chain().await?.best().await?;
            if show(context, &snapshot, account).await? {
                return Ok(());
            }
            if context.is_json() {
                let json = json!({ "provider": null, "account": records::account(&account) });
                context.print_json(&json);
            }
            Err(no_provider(account))
        }
        Command::SetInfo(args) => {
            endpoint::check(args.endpoint.as_deref().unwrap_or_default())?;
            let stash = context.account(None)?;
            let snapshot = context.chain().await?.best().await?;
            let provider = snapshot.provider(stash).await?;
            let mut info = provider.ok_or_else(|| no_provider(stash))?.info;
            if let Some(url) = args.endpoint {
                info.endpoint = endpoint::encode(&snapshot, url)?;
            }
            info.tls_key_hash = args.tls_key_hash.unwrap_or(info.tls_key_hash);
            info.x25519_key = args.x25519_key.map_or(info.x25519_key, |key| key.0);
            send(context, &calls.update_info(info), &[]).await
        }
        Command::Rotate { operator } => {
            let operator = keys::parse_account(&operator)?;
            warn_of_one_key(context, operator)?;
            send(context, &calls.rotate_operator(operator), &[]).await
        }
        Command::Bond { amount } => {
            let (provider, min_bond) = own(context).await?;
            check_bond(provider.bond, amount.0, min_bond)?;
            let takes = [("to bond", amount.0)];
            send(context, &calls.bond_extra(amount.0), &takes).await
        }
        Command::Unbond { amount } => {
            let (provider, min_bond) = own(context).await?;
            check_unbond(provider.bond, amount.0, min_bond)?;
            send(context, &calls.unbond(amount.0), &[]).await
        }
        Command::Withdraw => send(context, &calls.withdraw_unbonded(), &[]).await,
        Command::Claim(args) => claim::run(context, args).await,
        Command::Deregister => {
            let account = context.account(None)?;
            let chain = context.chain().await?;
            context.submit(&chain, &calls.deregister(), &[]).await?;
            let json = json!({ "provider": null, "account": records::account(&account) });
            context.show(json, || format!("{account} is no provider any more"));
            Ok(())
        }
    }
}

async fn register(context: &Context, args: RegisterArgs) -> Result<(), Failure> {
    let operator = keys::parse_account(&args.operator)?;
    endpoint::check(&args.endpoint)?;
    warn_of_one_key(context, operator)?;
    let snapshot = context.chain().await?.best().await?;
    check_bond(
        0,
        args.bond.0,
        snapshot.provider_parameters().await?.min_bond,
    )?;
    let info = ProviderInfo {
        endpoint: endpoint::encode(&snapshot, args.endpoint)?,
        // Nothing listens yet, so there is no key to pin.
        tls_key_hash: H256::zero(),
        x25519_key: [0; 32],
    };
    let call = runtime::tx()
        .providers()
        .register(operator, info, args.bond.0);
    let takes = [
        ("to bond", args.bond.0),
        Deposits::at(&snapshot).await?.provider(),
    ];
    send(context, &call, &takes).await
}

async fn offer(context: &Context, args: OfferArgs) -> Result<(), Failure> {
    let stash = context.account(None)?;
    let snapshot = context.chain().await?.best().await?;
    let (id, listing) = listing::to_offer(&snapshot, args.model.as_deref(), stash).await?;
    let tokens = args.context.unwrap_or(listing.parts.0.spec.context);
    let (input, output) = (args.input_price.0, args.output_price.0);
    let call = runtime::tx()
        .providers()
        .set_offer(id, input, output, tokens, args.capacity);
    match snapshot.offer(id, stash).await? {
        Some(_) => send(context, &call, &[]).await,
        None => {
            let deposit = Deposits::at(&snapshot).await?.offer();
            send(context, &call, &[deposit]).await
        }
    }
}

/// The key's own provider, and the least bond.
async fn own(context: &Context) -> Result<(Provider, u128), Failure> {
    let stash = context.account(None)?;
    let snapshot = context.chain().await?.best().await?;
    let provider = snapshot.provider(stash).await?;
    let provider = provider.ok_or_else(|| no_provider(stash))?;
    Ok((provider, snapshot.provider_parameters().await?.min_bond))
}

fn no_provider(account: AccountId32) -> Failure {
    Failure::Request(format!(
        "{account} is no provider; become one with `assay provider register`"
    ))
}

/// The operator's key lies on a machine that others talk to, and the stash's can take the bond.
fn warn_of_one_key(context: &Context, operator: AccountId32) -> Result<(), Failure> {
    if context.account(None)? == operator {
        context.progress().say(
            "warning: stash and operator are the same key, so whoever gets at the worker's machine \
             can take the bond; name a key of its own with `assay provider rotate`",
        );
    }
    Ok(())
}

fn check_bond(bond: u128, more: u128, min_bond: u128) -> Result<(), Failure> {
    let sum = bond.saturating_add(more);
    if sum >= min_bond {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "a bond of {} is below the least, {}; bond at least {}",
        Amount(sum),
        Amount(min_bond),
        Amount(min_bond.saturating_sub(bond))
    )))
}

fn check_unbond(bond: u128, less: u128, min_bond: u128) -> Result<(), Failure> {
    let all = Amount(bond);
    let Some(rest) = bond.checked_sub(less) else {
        return Err(Failure::Usage(match bond {
            0 => "nothing is bonded any more; look at `assay provider status`".into(),
            _ => format!("only {all} is bonded; unbond at most that"),
        }));
    };
    if rest == 0 || rest >= min_bond {
        return Ok(());
    }
    let or_less = match bond.checked_sub(min_bond) {
        None | Some(0) => String::new(),
        Some(most) => format!(", or at most {}", Amount(most)),
    };
    Err(Failure::Usage(format!(
        "that would leave {} bonded, below the least, {}; unbond all {all}{or_less}",
        Amount(rest),
        Amount(min_bond)
    )))
}

/// Send a call, then show what the provider looks like after it.
async fn send<C: Payload>(context: &Context, call: &C, takes: Takes<'_>) -> Result<(), Failure> {
    let account = context.account(None)?;
    let chain = context.chain().await?;
    let included = context.submit(&chain, call, takes).await?;
    show(context, &included.block, account).await?;
    Ok(())
}

/// Anyone may do this, so what is shown is the offer and not the caller.
async fn evict(context: &Context, args: EvictArgs) -> Result<(), Failure> {
    let stash = keys::parse_account(&args.provider)?;
    let chain = context.chain().await?;
    let (id, _) = listing::any(&chain.best().await?, Some(&args.listing)).await?;
    let call = runtime::tx().providers().evict_offer(id, stash);
    context.submit(&chain, &call, &[]).await?;
    let json = json!({ "listing": records::hash(&id), "provider": records::account(&stash) });
    context.show(json, || {
        format!("the offer of {stash} for {id:?} is gone, and its deposit returned to its provider")
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: u128 = 100_000_000_000_000;

    #[test]
    fn a_bond_is_never_left_below_the_least() {
        assert!(check_bond(0, LEAST, LEAST).is_ok());
        assert!(check_bond(LEAST - 1, 1, LEAST).is_ok());
        let message = check_bond(LEAST / 2, 1, LEAST).unwrap_err().to_string();
        assert!(
            message.contains("a bond of 50.000000000001 ASY is below the least, 100 ASY"),
            "{message}"
        );
        assert!(message.contains("bond at least 50 ASY"), "{message}");

        assert!(check_unbond(3 * LEAST, 2 * LEAST, LEAST).is_ok());
        assert!(check_unbond(3 * LEAST, 3 * LEAST, LEAST).is_ok());
        for (bond, less, part) in [
            (2 * LEAST, 2 * LEAST + 1, "only 200 ASY is bonded"),
            (0, 1, "nothing is bonded"),
            (3 * LEAST, 5 * LEAST / 2, "would leave 50 ASY bonded"),
            (
                3 * LEAST,
                5 * LEAST / 2,
                "unbond all 300 ASY, or at most 200 ASY",
            ),
        ] {
            let message = check_unbond(bond, less, LEAST).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let message = check_unbond(LEAST, 1, LEAST).unwrap_err().to_string();
        assert!(message.ends_with("unbond all 100 ASY"), "{message}");
    }
}

//! `assay model`: for those who make and publish models, and those who look for one.

use std::path::PathBuf;

use assay_client::{
    chain::{
        runtime::{self, runtime_types},
        Listing, ListingAccount,
    },
    folder::ModelFolder,
    Amount, Chain, H256,
};
use clap::Subcommand;
use serde_json::{json, Value};

use crate::{
    context::{bounded, decimal, Context},
    failure::Failure,
    funds::Deposits,
    listing, records,
};

mod folder;

#[derive(Subcommand)]
pub enum Command {
    /// Make an exact model, whose answers can be verified, of float weights.
    Import {
        /// Folder from Hugging Face (config.json, tokenizer.json, safetensors in bf16, f16 or f32), or
        /// a GGUF file (F32, F16, BF16 or Q8_0).
        source: PathBuf,
        /// Folder to make [default: the source's name and -exact, in the current folder].
        dir: Option<PathBuf>,
        /// Binary digits after the point of the residual, which holds numbers below 2 to the power of
        /// (31 - BITS): fewer for a model whose residual is larger, more for one of small numbers.
        #[arg(long, value_name = "BITS", default_value_t = assay_exact::import::FRACTION_BITS,
            value_parser = clap::value_parser!(u8).range(8..=20))]
        fraction_bits: u8,
    },
    /// Show what a model folder holds: shape, tensors, hashes.
    Inspect { dir: PathBuf },
    /// Read every byte of an exact model, and say whether it has the root that it claims.
    Verify { dir: PathBuf },
    /// List the model in a folder. Its files stay where they are; the chain gets their hashes. A
    /// folder that `assay model import` made is listed as exact, one from Hugging Face as unverified:
    /// nobody can prove a wrong answer of it.
    Register {
        /// Folder of an exact model, or one with config.json, tokenizer.json and the safetensors.
        dir: PathBuf,
        /// Your share of each fee, in percent.
        #[arg(long, value_name = "PERCENT", default_value = "0", allow_hyphen_values = true,
            value_parser = percent)]
        royalty: u32,
        /// Where others get the files.
        #[arg(long, default_value = "")]
        uri: String,
    },
    /// Show all listings.
    List,
    /// Show one listing and the offers for it.
    Show { model: Option<String> },
    /// Withdraw a listing: nothing new may name it.
    Retire { model: Option<String> },
    /// Pay a listing's royalties to its publisher.
    Claim { model: Option<String> },
    /// Drop a retired listing that nothing names any more; its deposit returns.
    Drop { model: String },
}

fn percent(text: &str) -> Result<u32, String> {
    let ppm = decimal(text.trim_end_matches('%').trim_end(), 4)?;
    if ppm > 1_000_000 {
        return Err("more than 100 percent".into());
    }
    Ok(ppm)
}

pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Import {
            source,
            dir,
            fraction_bits,
        } => folder::import(context, &source, dir, fraction_bits),
        Command::Inspect { dir } => folder::inspect(context, dir),
        Command::Verify { dir } => folder::verify(context, dir),
        Command::Register { dir, royalty, uri } => register(context, dir, royalty, uri).await,
        Command::List => list(context).await,
        Command::Show { model } => show(context, model).await,
        Command::Retire { model } => {
            let (chain, id) = own(context, model).await?;
            context
                .submit(&chain, &runtime::tx().models().retire(id), &[])
                .await?;
            done(
                context,
                id,
                "is retired: offers and jobs that name it run out",
            );
            Ok(())
        }
        Command::Claim { model } => {
            let (chain, id) = own(context, model).await?;
            let included = context
                .submit(&chain, &runtime::tx().models().claim_royalties(id), &[])
                .await?;
            let claimed = included
                .events
                .find_first::<runtime::models::events::RoyaltiesClaimed>();
            let amount = claimed
                .and_then(Result::ok)
                .map(|event| Amount(event.amount));
            let json = json!({ "listing": records::hash(&id), "amount": amount });
            context.show(json, || {
                format!(
                    "{} went to the publisher of {id:?}",
                    amount.unwrap_or_default()
                )
            });
            Ok(())
        }
        Command::Drop { model } => {
            let (chain, id) = own(context, Some(model)).await?;
            context
                .submit(&chain, &runtime::tx().models().drop_retired(id), &[])
                .await?;
            done(context, id, "is dropped and its deposit returned");
            Ok(())
        }
    }
}

fn done(context: &Context, id: H256, what: &str) {
    context.show(json!({ "listing": records::hash(&id) }), || {
        format!("listing {id:?} {what}")
    });
}

/// The key's own listing.
async fn own(context: &Context, model: Option<String>) -> Result<(Chain, H256), Failure> {
    let publisher = context.account(None)?;
    let chain = context.chain().await?;
    let best = chain.best().await?;
    let (id, _) = listing::published_by(&best, model.as_deref(), publisher).await?;
    Ok((chain, id))
}

async fn register(
    context: &Context,
    dir: PathBuf,
    royalty: u32,
    uri: String,
) -> Result<(), Failure> {
    context.key()?;
    let chain = context.chain().await?;
    let best = chain.best().await?;
    check_royalty(royalty, best.max_royalty().await?)?;
    let address = runtime::constants().models().max_uri_length();
    let uri = bounded(&best, "--uri", uri, address)?;
    let deposit = Deposits::at(&best).await?.listing();
    let progress = context.progress();
    progress.wait("checking and hashing the model's files");
    let folder = ModelFolder::open(&dir)?;
    let parts = folder.parts()?;
    if !folder.is_exact() {
        progress.say(&format!(
            "this is listed as unverified: floats, so nobody can prove a wrong answer; `assay model import {}` makes \
             an exact model",
            dir.display()
        ));
    }
    drop(progress);
    let call = runtime::tx().models().register(
        parts.spec.clone().into(),
        parts.tokenizer,
        parts.template,
        parts.tables,
        parts.weights_root,
        runtime_types::sp_arithmetic::per_things::Permill(royalty),
        uri,
    );
    let included = context.submit(&chain, &call, &[deposit]).await?;
    let registered = included
        .events
        .find_first::<runtime::models::events::Registered>();
    let unknown = || {
        Failure::Chain("the chain does not say how it filed the model; update this program".into())
    };
    let id = registered.and_then(Result::ok).ok_or_else(unknown)?.listing;
    let listing = included.block.listing(id).await?.ok_or_else(unknown)?;
    context.show(records::listing(&id, &listing, None), || {
        format!(
            "{}\noffer it with `assay provider offer`",
            line(&id, &listing, None)
        )
    });
    Ok(())
}

fn check_royalty(royalty: u32, cap: u32) -> Result<(), Failure> {
    if royalty <= cap {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "a royalty of {} is above the chain's cap of {}; lower --royalty",
        records::percent(royalty),
        records::percent(cap)
    )))
}

async fn list(context: &Context) -> Result<(), Failure> {
    let snapshot = context.chain().await?.best().await?;
    let mut json = Vec::new();
    let mut lines = Vec::new();
    for (id, listing) in snapshot.listings().await? {
        let account = snapshot.listing_account(id).await?;
        json.push(records::listing(&id, &listing, account.as_ref()));
        lines.push(line(&id, &listing, account.as_ref()));
    }
    context.show(Value::Array(json), || match lines.is_empty() {
        true => "no model is listed; list one with `assay model register DIR`".into(),
        false => lines.join("\n"),
    });
    Ok(())
}

async fn show(context: &Context, model: Option<String>) -> Result<(), Failure> {
    let snapshot = context.chain().await?.best().await?;
    let (id, listing) = listing::any(&snapshot, model.as_deref()).await?;
    let account = snapshot.listing_account(id).await?;
    let offers = snapshot.offers(id).await?;
    let mut json = records::listing(&id, &listing, account.as_ref());
    let profile = listing.parts.0.spec.profile;
    if let Value::Object(fields) = &mut json {
        let offers = offers
            .iter()
            .map(|(stash, offer)| records::offer(stash, (&id, &profile), offer));
        fields.insert("offers".into(), offers.collect());
    }
    context.show(json, || {
        let mut lines = vec![line(&id, &listing, account.as_ref())];
        lines.push(format!("  publisher {}", listing.publisher));
        let parts = &listing.parts.0;
        for (what, hash) in [
            ("root", parts.root()),
            ("tokenizer", parts.tokenizer),
            ("template", parts.template),
            ("tables", parts.tables),
            ("weights_root", parts.weights_root),
        ] {
            lines.push(format!("  {what} {hash:?}"));
        }
        for (stash, offer) in &offers {
            lines.push(format!(
                "  offer of {stash}: {} in, {} out, context {}, {} of {} jobs open, unchanged since \
                 block {}",
                Amount(offer.price.0.input),
                Amount(offer.price.0.output),
                offer.context,
                offer.open_jobs,
                offer.capacity,
                offer.since,
            ));
        }
        if offers.is_empty() {
            lines.push("  no provider offers it".into());
        }
        lines.join("\n")
    });
    Ok(())
}

fn line(id: &H256, listing: &Listing, account: Option<&ListingAccount>) -> String {
    let spec = &listing.parts.0.spec;
    let mut line = format!(
        "{id:?} {}, {}, {:?}: {} layers of {}, context {}, royalty {}",
        records::status(&listing.status),
        records::profile(&spec.profile),
        spec.architecture,
        spec.layers,
        spec.hidden,
        spec.context,
        records::percent(listing.royalty.0),
    );
    if let Some(account) = account {
        line.push_str(&format!(
            ", {} uses, pot {}",
            account.uses,
            Amount(account.pot)
        ));
    }
    let uri = String::from_utf8_lossy(&listing.uri.0);
    if !uri.is_empty() {
        // A publisher's text must not be able to write over the lines around it.
        let printable: String = uri.chars().filter(|c| !c.is_control()).collect();
        line.push_str(&format!(", {printable}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_royalty_above_the_cap_is_told_with_both_figures() {
        assert!(check_royalty(200_000, 200_000).is_ok());
        let message = check_royalty(300_000, 200_000).unwrap_err().to_string();
        assert!(
            message.contains("30 %") && message.contains("20 %"),
            "{message}"
        );
    }
}

//! `assay validator rotate-keys`: keys that a node makes and keeps, and whose registration says so.

use assay_client::{chain::runtime, Amount};
use serde_json::json;

use crate::{context::Context, failure::Failure, records};

pub async fn rotate(context: &Context) -> Result<(), Failure> {
    let account = context.account(None)?;
    let chain = context.chain().await?;
    let best = chain.best().await?;
    let deposit = match best.session_keys(account).await? {
        Some(_) => 0,
        None => best.session_key_deposit()?,
    };
    // An account that cannot pay finds out before the node has made keys in vain.
    let spendable = best.balances(account).await?.free;
    if spendable <= deposit {
        return Err(Failure::Request(format!(
            "{account} has {} free, and registering keys takes a deposit of {} and a fee; send it ASY",
            Amount(spendable),
            Amount(deposit)
        )));
    }
    let new = chain.new_session_keys(&account).await?;
    let takes = [("as a deposit for the keys", deposit)];
    let included = context.submit(&chain, &new.register(), &takes).await?;
    let session = included.block.session().await?;
    // The sets of this session and the next are made already.
    let from = session.saturating_add(2);
    let keys = format!("0x{}", hex::encode(&new.keys));
    let json = json!({
        "account": records::account(&account),
        "session_keys": keys,
        "works_from_session": from,
    });
    context.show(json, || {
        format!(
            "{account} has registered the session keys {keys}\n  the node at {} has them, and works with \
             them from session {from} on (this is {session}); until then it needs the old ones, so leave \
             the node as it is",
            context.url()
        )
    });
    Ok(())
}

pub async fn purge(context: &Context) -> Result<(), Failure> {
    let account = context.account(None)?;
    let chain = context.chain().await?;
    let best = chain.best().await?;
    if best.session_keys(account).await?.is_none() {
        return Err(Failure::Usage(format!(
            "{account} has no session keys; there is nothing to remove"
        )));
    }
    if best.bond(account).await?.is_some() {
        return Err(Failure::Usage(
            "keys stay as long as there is a bond; `assay validator unbond` all of it and `withdraw` first"
                .into(),
        ));
    }
    let members = best.session_validators().await?;
    let stays = members.iter().any(|(member, _)| *member == account);
    if stays || best.elected().await?.contains(&account) {
        return Err(Failure::Request(format!(
            "{account} is in the set that makes blocks, which needs its keys; try again when `assay validator list` \
             is without it"
        )));
    }
    let call = runtime::tx().validators().purge_keys();
    context.submit(&chain, &call, &[]).await?;
    let json = json!({ "account": records::account(&account), "session_keys": null });
    context.show(json, || {
        format!("{account} has no session keys any more, and their deposit is back")
    });
    Ok(())
}

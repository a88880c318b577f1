//! `assay validator rotate-keys`: keys that a node makes and keeps, and whose registration says so.

use std::collections::BTreeSet;

use assay_client::{chain::runtime, AccountId32, Amount, Chain, Snapshot};
use serde_json::json;

use crate::{context::Context, failure::Failure, records};

pub async fn rotate(context: &Context) -> Result<(), Failure> {
    let account = context.account(None)?;
    let chain = context.chain().await?;
    let best = chain.best().await?;
    let old = best.session_keys(account).await?;
    let deposit = match old {
        Some(_) => 0,
        None => best.session_key_deposit()?,
    };
    if let Some(other) = tenant(&chain, &best, account).await? {
        return Err(occupied(context.url(), other));
    }
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
             them from session {from} on (this is {session}), if {account} is elected then{}",
            context.url(),
            match old {
                Some(_) => "; until then it needs the old ones, so leave the node as it is",
                None => "; next: `assay validator validate`",
            }
        )
    });
    Ok(())
}

/// The session keys that the key's account has registered.
pub async fn registered(context: &Context) -> Result<Option<Vec<u8>>, Failure> {
    let best = context.chain().await?.best().await?;
    Ok(best.session_keys(context.account(None)?).await?)
}

/// Whether the node that has these keys, if it is the one that is asked, has no other validator's.
pub async fn check_alone(context: &Context, keys: &[u8]) -> Result<(), Failure> {
    let chain = context.chain().await?;
    if chain.has_session_keys(keys).await? != Some(true) {
        return Ok(());
    }
    match tenant(&chain, &chain.best().await?, context.account(None)?).await? {
        Some(other) => Err(occupied(context.url(), other)),
        None => Ok(()),
    }
}

/// The other validator whose keys the node has. A node votes in GRANDPA with one key alone: the votes of another
/// validator's would be missing, and finality could stand still for good.
async fn tenant(
    chain: &Chain,
    best: &Snapshot,
    account: AccountId32,
) -> Result<Option<AccountId32>, Failure> {
    let members = best.session_validators().await?;
    let standings = best.standings().await?;
    let others = others(
        account,
        members.into_iter().map(|(who, _)| who),
        best.elected().await?,
        standings.into_iter().map(|(who, _)| who),
    );
    for other in others {
        if let Some(keys) = best.session_keys(other).await? {
            match chain.has_session_keys(&keys).await? {
                Some(true) => return Ok(Some(other)),
                Some(false) => {}
                // It tells that to its own machine alone.
                None => return Ok(None),
            }
        }
    }
    Ok(None)
}

/// Who is in the present set, in the next one, or may be in a later one, without this account.
fn others(
    account: AccountId32,
    members: impl IntoIterator<Item = AccountId32>,
    elected: impl IntoIterator<Item = AccountId32>,
    standing: impl IntoIterator<Item = AccountId32>,
) -> BTreeSet<AccountId32> {
    let all = members.into_iter().chain(elected).chain(standing);
    all.filter(|who| *who != account).collect()
}

fn occupied(url: &str, other: AccountId32) -> Failure {
    Failure::Request(format!(
        "the node at {url} has the session keys of {other}, and one node makes blocks and votes for one validator; \
         start another node for this account and name it with --chain"
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_other_validator_counts_from_its_candidacy_to_its_last_session() {
        let account = |byte| AccountId32([byte; 32]);
        let own = account(1);
        let found = others(
            own,
            [own, account(4)],
            [own, account(3), account(4)],
            [account(2), own],
        );
        assert_eq!(found, [account(2), account(3), account(4)].into());
        assert!(others(own, [own], [own], [own]).is_empty());
    }

    #[test]
    fn a_node_that_is_taken_is_named_with_who_has_it() {
        let other = AccountId32([4; 32]);
        let failure = occupied("ws://127.0.0.1:9944", other);
        let message = failure.to_string();
        assert!(matches!(failure, Failure::Request(_)), "{message}");
        assert!(
            message.contains("ws://127.0.0.1:9944")
                && message.contains(&other.to_string())
                && message.contains("; start another node"),
            "{message}"
        );
    }
}

//! What a provider looks like to people.

use assay_client::{
    chain::{Offer, Provider, ProviderReward},
    AccountId32, Amount, Snapshot, H256,
};
use assay_primitives::Profile;
use serde_json::json;

use super::endpoint;
use crate::{context::Context, failure::Failure, records};

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

/// Show the provider of an account, if there is one.
pub async fn show(
    context: &Context,
    snapshot: &Snapshot,
    account: AccountId32,
) -> Result<bool, Failure> {
    let Some((stash, provider)) = find(snapshot, account).await? else {
        return Ok(false);
    };
    let mut offers: Vec<(H256, Profile, Offer)> = Vec::new();
    for (id, listing) in snapshot.listings().await? {
        let profile = listing.parts.0.spec.profile;
        let offer = snapshot.offer(id, stash).await?;
        offers.extend(offer.map(|offer| (id, profile, offer)));
    }
    let min_bond = snapshot.provider_parameters().await?.min_bond;
    let reward = snapshot.provider_reward(stash).await?;
    let mut json = records::provider(&stash, &provider, &offers);
    if let Some(reward) = &reward {
        json["reward"] = json!({
            "era": reward.era,
            "burned": Amount(reward.burned),
            "due": Amount(reward.due),
        });
    }
    context.show(json, || {
        let mut text = text(&stash, &provider, &offers, min_bond);
        text.extend(reward.iter().map(of_reward));
        text
    });
    Ok(true)
}

fn of_reward(reward: &ProviderReward) -> String {
    let due = match reward.due {
        0 => String::new(),
        due => format!(
            "; {} for an earlier one are to be fetched with `assay provider claim`",
            Amount(due)
        ),
    };
    let burned = Amount(reward.burned);
    format!("\n  its settlements burned {burned} in this era{due}")
}

/// Why a provider gets no jobs, and how to mend it.
fn obstacles(online: bool, bond: u128, has_offers: bool, min_bond: u128) -> Vec<String> {
    let mut found = Vec::new();
    if !has_offers {
        found.push("offers nothing; add an offer with `assay provider offer`".into());
    }
    if bond < min_bond {
        found.push(format!(
            "gets no jobs: its bond of {} is below the least, {}; add {} with `assay provider bond`",
            Amount(bond),
            Amount(min_bond),
            Amount(min_bond.saturating_sub(bond))
        ));
    }
    if has_offers && !online {
        found.push("gets no jobs; go online with `assay provider online`".into());
    }
    found
}

fn text(
    stash: &AccountId32,
    provider: &Provider,
    offers: &[(H256, Profile, Offer)],
    min_bond: u128,
) -> String {
    let state = if provider.online { "online" } else { "offline" };
    let record = &provider.record;
    let mut lines = vec![
        format!("provider {stash} is {state}"),
        format!("  operator {}", provider.operator),
        format!("  {}", endpoint::describe(&provider.info)),
        format!(
            "  bond {}, {} open jobs for which it answers with {}, and {} of channels",
            Amount(provider.bond),
            provider.open_jobs,
            Amount(provider.exposure),
            Amount(provider.channel_exposure),
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
    if record.convicted > 0 {
        lines.push(format!("  {} wrong answers were proven", record.convicted));
    }
    if provider.disputes > 0 {
        lines.push(format!(
            "  {} live disputes: nothing is released or withdrawn before they are over",
            provider.disputes
        ));
    }
    for chunk in &provider.unbonding.0 {
        lines.push(format!(
            "  unbonding {}, due in block {}",
            Amount(chunk.amount),
            chunk.due
        ));
    }
    for (id, profile, offer) in offers {
        lines.push(format!(
            "  offers {id:?} ({}): {} in, {} out, context {}, {} of {} jobs open, unchanged since block {}",
            records::profile(profile),
            Amount(offer.price.0.input),
            Amount(offer.price.0.output),
            offer.context,
            offer.open_jobs,
            offer.capacity,
            offer.since,
        ));
    }
    for obstacle in obstacles(provider.online, provider.bond, !offers.is_empty(), min_bond) {
        lines.push(format!("  {obstacle}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: u128 = 100_000_000_000_000;

    #[test]
    fn what_keeps_jobs_away_is_told_with_the_way_out() {
        assert!(obstacles(true, LEAST, true, LEAST).is_empty());
        let all = obstacles(false, LEAST / 2, true, LEAST);
        assert_eq!(all.len(), 2);
        assert!(
            all[0].contains("below the least, 100 ASY; add 50 ASY"),
            "{all:?}"
        );
        assert!(all[1].contains("provider online"), "{all:?}");
        assert!(obstacles(false, LEAST, false, LEAST)[0].contains("offers nothing"));
    }

    #[test]
    fn a_reward_that_is_due_is_told_with_the_way_to_it() {
        let reward = ProviderReward {
            era: 7,
            burned: LEAST,
            burned_by_all: 2 * LEAST,
            due: 0,
        };
        let told = of_reward(&reward);
        assert!(told.contains("burned 100 ASY"), "{told}");
        assert!(!told.contains("claim"), "{told}");
        let told = of_reward(&ProviderReward {
            due: LEAST / 2,
            ..reward
        });
        assert!(told.contains("50 ASY for an earlier one"), "{told}");
        assert!(told.contains("assay provider claim"), "{told}");
    }
}

//! `assay channel watch`: a watchtower. It needs no key of user or provider, only one that pays the
//! transaction's fee.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use assay_client::{
    chain::{
        runtime::{self, runtime_types::bounded_collections::bounded_vec::BoundedVec},
        ChannelState,
    },
    subxt::utils::Static,
    AccountId32, Amount, Chain, Snapshot,
};
use assay_primitives::ChannelId;
use clap::Args as ClapArgs;
use serde_json::json;

use super::claim::Claim;
use crate::{
    context::{Context, Progress},
    failure::Failure,
    records,
};

/// How many vouchers the chain takes at once; all are of one provider's channels.
const MAX_VOUCHERS: usize = 100;

/// What is owed, by provider.
type Pending = BTreeMap<AccountId32, Vec<Claim>>;

#[derive(ClapArgs)]
pub struct Args {
    /// Files with the last vouchers, as the worker writes them with its --vouchers: in each line a
    /// voucher and the planck that are owed. They are read again whenever there is a new block.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Look once, settle what has to be settled, and end.
    #[arg(long)]
    once: bool,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    context.key()?;
    let progress = context.progress();
    let mut claims = read(&args.files)?;
    if args.once {
        let chain = context.chain().await?;
        let pending = pending(&chain, &chain.best().await?, &claims, &mut |problem| {
            progress.say(problem);
        })
        .await?;
        return settle(context, &progress, &chain, &pending).await;
    }
    let chain = Chain::connect_for_long(context.url()).await?;
    let mut blocks = chain.best_blocks().await?;
    progress.say(&format!("watching {} channels", claims.len()));
    // What is wrong stays wrong for many blocks; it is said once.
    let mut said = BTreeSet::new();
    let mut say = |problem: &str| {
        if said.insert(problem.to_owned()) {
            progress.say(problem);
        }
    };
    loop {
        let snapshot = blocks.next().await?;
        match read(&args.files) {
            Ok(newer) => claims = newer,
            Err(failure) => say(&format!("{failure}; going on with what it had before")),
        }
        // A block that cannot be looked at, or a transaction that is not taken, is tried again with
        // the next block: nothing is done twice, since the chain is asked what is still owed.
        let looked = pending(&chain, &snapshot, &claims, &mut say).await;
        let settled = match looked {
            Ok(pending) => settle(context, &progress, &chain, &pending).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = settled {
            say(&failure.to_string());
        }
        progress.wait(&format!(
            "block {}: watching {} channels",
            snapshot.number(),
            claims.len()
        ));
    }
}

/// The highest claim of each channel in all files.
fn read(files: &[PathBuf]) -> Result<BTreeMap<ChannelId, Claim>, Failure> {
    let mut claims = BTreeMap::<ChannelId, Claim>::new();
    for file in files {
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::Usage(format!(
                "{name} cannot be read: {error}; let the worker write it with --vouchers"
            ))
        })?;
        let lines = text.lines().enumerate();
        for (at, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let claim: Claim = line.parse().map_err(|problem| {
                let number = at.saturating_add(1);
                Failure::Usage(format!("{name}, line {number}: {problem}"))
            })?;
            let last = claims.entry(claim.voucher.channel).or_insert(claim);
            if claim.amount > last.amount {
                *last = claim;
            }
        }
    }
    Ok(claims)
}

/// What is owed by channels that are about to close.
async fn pending(
    chain: &Chain,
    snapshot: &Snapshot,
    claims: &BTreeMap<ChannelId, Claim>,
    say: &mut impl FnMut(&str),
) -> Result<Pending, Failure> {
    let mut pending = Pending::new();
    for (id, claim) in claims {
        let Some(channel) = snapshot.channel(*id).await? else {
            continue;
        };
        let ChannelState::Closing { finalize_at } = channel.state else {
            continue;
        };
        match claim.owed(snapshot, &channel, chain.genesis_hash()).await {
            Ok(0) => {}
            Ok(owed) => {
                say(&format!(
                    "channel {id:?} closes in block {finalize_at}: settling {}",
                    Amount(owed)
                ));
                pending.entry(channel.provider).or_default().push(*claim);
            }
            Err(failure @ Failure::Chain(_)) => return Err(failure),
            Err(failure) => say(&failure.to_string()),
        }
    }
    Ok(pending)
}

async fn settle(
    context: &Context,
    progress: &Progress,
    chain: &Chain,
    pending: &Pending,
) -> Result<(), Failure> {
    let calls = pending
        .values()
        .flat_map(|of_one| of_one.chunks(MAX_VOUCHERS));
    for claims in calls {
        let vouchers = claims
            .iter()
            .map(|claim| (Static(claim.voucher), claim.amount))
            .collect();
        let call = runtime::tx().channels().settle_many(BoundedVec(vouchers));
        let included = context.submit_under(progress, chain, &call, &[]).await?;
        for event in included
            .events
            .find::<runtime::channels::events::Settled>()
            .flatten()
        {
            let (id, paid) = (event.channel, event.settlement.fee);
            let json = json!({ "channel": records::hash(&id), "fee": Amount(paid) });
            context.show(json, || {
                format!("settled {} of channel {id:?}", Amount(paid))
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_client::H256;
    use assay_primitives::{SignedVoucher, VoucherSignature};
    use codec::Encode;

    fn line(channel: u8, amount: u128) -> String {
        let voucher = SignedVoucher {
            channel: H256::repeat_byte(channel),
            cumulative: amount + 5,
            signature: VoucherSignature::Sr25519([channel; 64].into()),
        };
        format!("0x{} {amount}\n", hex::encode(voucher.encode()))
    }

    #[test]
    fn the_highest_claim_of_each_channel_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let first = write("first", line(1, 100) + "\n" + &line(2, 700));
        let second = write("second", line(1, 300) + &line(2, 600));
        let claims = read(&[first.clone(), second]).unwrap();
        let amounts: Vec<_> = claims.values().map(|claim| claim.amount).collect();
        assert_eq!(amounts, [300, 700]);
        assert!(claims
            .iter()
            .all(|(id, claim)| claim.voucher.channel == *id));

        let broken = write("broken", line(1, 100) + "0x12 5\n");
        let told = read(&[first, broken]).unwrap_err().to_string();
        assert!(told.contains("broken, line 2: "), "{told}");
        let told = read(&[folder.path().join("none")]).unwrap_err().to_string();
        assert!(
            told.contains("cannot be read") && !told.contains('\n'),
            "{told}"
        );
    }
}

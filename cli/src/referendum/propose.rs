//! `assay referendum propose`.

use std::path::PathBuf;

use assay_client::{
    chain::{
        runtime, Bounded, DispatchTime, GovernanceOrigin, OriginCaller, RawOrigin, Referendum,
        ReferendumInfo, Track, MAX_INLINE_BYTES,
    },
    keys::parse_account,
    primitives::blake2_256,
    Amount, Chain, Snapshot,
};
use clap::{ArgGroup, Args as ClapArgs, ValueEnum};
use runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec;
use serde_json::json;

use super::{
    parameters::{self, Change, Difference},
    treasury,
    wasm::Wasm,
};
use crate::{
    context::{some_amount, Context},
    failure::Failure,
    funds::Deposits,
};

/// More than a transaction has besides its call.
const TRANSACTION_BYTES: usize = 1_024;

#[derive(ClapArgs)]
#[command(group(ArgGroup::new("what").required(true).args(["runtime", "set", "spend", "call"])))]
pub struct Args {
    /// A new runtime: the compressed Wasm of a build.
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,
    /// A new parameter: jobs.challenge_blocks=20, validators.min_validator_bond=500ASY (or planck; amounts need
    /// their unit), models.max_royalty=25% (or 250000parts); may be given several times for one pallet.
    /// `assay referendum parameters` shows them all.
    #[arg(long, value_name = "PALLET.NAME=VALUE", value_parser = parameters::change)]
    set: Vec<Change>,
    /// Money of the treasury, for the account that --to names.
    #[arg(long, value_name = "AMOUNT", requires = "to", allow_hyphen_values = true, value_parser = some_amount)]
    spend: Option<Amount>,
    /// Who is to have what is spent.
    #[arg(long, value_name = "ACCOUNT", requires = "spend")]
    to: Option<String>,
    /// Any call, encoded, as wallets show it.
    #[arg(long, value_name = "0x…", value_parser = bytes)]
    call: Option<Bytes>,
    /// What it needs to be allowed to do [default: root for a runtime, parameters for parameters; for money spender
    /// or, where that is too much for it, root].
    #[arg(long, value_enum)]
    track: Option<TrackName>,
    /// Blocks from its approval until it is done; never fewer than its track asks for.
    #[arg(long, value_name = "BLOCKS", default_value_t = 1)]
    after: u32,
    /// Leave the deposit without which nothing is decided to somebody else.
    #[arg(long)]
    no_deposit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TrackName {
    Root,
    Parameters,
    Spender,
}

impl TrackName {
    fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Parameters => "parameters",
            Self::Spender => "spender",
        }
    }

    fn origin(self) -> OriginCaller {
        match self {
            Self::Root => OriginCaller::system(RawOrigin::Root),
            Self::Parameters => OriginCaller::Governance(GovernanceOrigin::Parameters),
            Self::Spender => OriginCaller::Governance(GovernanceOrigin::Spender),
        }
    }
}

#[derive(Clone)]
struct Bytes(Vec<u8>);

fn bytes(text: &str) -> Result<Bytes, String> {
    let digits = text.strip_prefix("0x").unwrap_or_default();
    match hex::decode(digits) {
        Ok(bytes) if !bytes.is_empty() => Ok(Bytes(bytes)),
        _ => Err("write 0x and hexadecimal digits".into()),
    }
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let best = chain.best().await?;
    let Proposed {
        call,
        tracks,
        differences,
    } = proposed(&best, &args).await?;
    // What is no call of this runtime would be voted on and do nothing.
    let described = best.describe_call(&call);
    let described = described.map_err(|error| match &args.call {
        Some(_) => no_call(&call),
        None => error.into(),
    })?;
    let track = track(args.track, &tracks)?;
    if differences.as_ref().is_some_and(Vec::is_empty) {
        return Err(Failure::Usage(
            "--set: all is set so already, and nothing would change; `assay referendum parameters` shows what is set".into(),
        ));
    }
    let progress = context.progress();
    if let Some(differences) = &differences {
        for line in parameters::describe(differences) {
            progress.say(&line);
        }
    }
    if let Some(Amount(planck)) = args.spend {
        if let Some(warning) = too_poor(planck, treasury::spendable(&best).await?) {
            progress.say(&warning);
        }
    }
    let (hash, len) = (blake2_256(&call), call.len());
    let proposal = if len <= MAX_INLINE_BYTES {
        Bounded::Inline(BoundedVec(call))
    } else {
        note(context, &chain, call).await?;
        progress.say(&format!(
            "{} is on chain under 0x{}",
            described.name,
            hex::encode(hash)
        ));
        Bounded::Lookup {
            hash: hash.into(),
            len: u32::try_from(len).unwrap_or(u32::MAX),
        }
    };
    let submit =
        runtime::tx()
            .referenda()
            .submit(track.origin(), proposal, DispatchTime::After(args.after));
    let takes = [("as a deposit", best.submission_deposit()?)];
    let included = context
        .submit_under(&progress, &chain, &submit, &takes)
        .await?;
    let submitted = included
        .events
        .find_first::<runtime::referenda::events::Submitted>();
    let Some(Ok(submitted)) = submitted else {
        return Err(Failure::Chain(
            "the proposal left no event; look at `assay referendum list`".into(),
        ));
    };
    let index = submitted.index;
    if !args.no_deposit {
        progress.say(&format!("referendum {index} is proposed"));
        place_deposit(context, &chain, index).await?;
    }
    let json = json!({
        "referendum": index,
        "call": described.name,
        "hash": format!("0x{}", hex::encode(hash)),
        "bytes": len,
        "changes": differences
            .as_deref()
            .map(|all| all.iter().map(Difference::json).collect::<Vec<_>>()),
        "decision_deposit": !args.no_deposit,
    });
    context.show(json, || {
        let next = match args.no_deposit {
            true => format!("`assay referendum deposit {index}` by somebody, and then votes"),
            false => format!("`assay referendum vote {index} aye --amount AMOUNT`"),
        };
        format!(
            "referendum {index} would call {}; next: {next}",
            described.name
        )
    });
    Ok(())
}

/// What is proposed.
struct Proposed {
    call: Vec<u8>,
    /// The tracks that may do this, first the one that is easiest; none if it may be any.
    tracks: Vec<TrackName>,
    /// The parameters that it would change; none if it is not about any.
    differences: Option<Vec<Difference>>,
}

impl Proposed {
    fn new(call: Vec<u8>, tracks: Vec<TrackName>) -> Self {
        Self {
            call,
            tracks,
            differences: None,
        }
    }
}

/// Bytes that somebody gave as a call, and that this runtime cannot read.
fn no_call(bytes: &[u8]) -> Failure {
    Failure::Usage(format!(
        "--call: these {} bytes are no call of this runtime; give the index of a pallet, that of its call, and exactly \
         its arguments, encoded, as a wallet shows them",
        bytes.len()
    ))
}

/// The tracks that may spend so much, where the spenders' has a limit.
fn spending(planck: u128, limit: u128) -> Vec<TrackName> {
    match planck > limit {
        true => vec![TrackName::Root],
        false => vec![TrackName::Spender, TrackName::Root],
    }
}

/// The track that was asked for, or else the first of those that may do it. What another one decides would be voted on
/// and then refused.
fn track(asked: Option<TrackName>, may: &[TrackName]) -> Result<TrackName, Failure> {
    match (asked, may.first()) {
        (Some(asked), Some(usual)) if !may.contains(&asked) => Err(Failure::Usage(format!(
            "--track {}: this is more than that track may do; it takes {}",
            asked.name(),
            usual.name()
        ))),
        (Some(asked), _) => Ok(asked),
        (None, Some(usual)) => Ok(*usual),
        (None, None) => Err(Failure::Usage(
            "a call may need any of the origins; name the one with --track".into(),
        )),
    }
}

/// What is said of a spend that the treasury has no money for now.
fn too_poor(planck: u128, pot: u128) -> Option<String> {
    (planck > pot).then(|| {
        format!(
            "warning: the treasury can spend only {} now; unless it has {} while this can be paid, nothing of it will be",
            Amount(pot),
            Amount(planck)
        )
    })
}

async fn proposed(best: &Snapshot, args: &Args) -> Result<Proposed, Failure> {
    if let Some(path) = &args.runtime {
        let wasm = Wasm::read(path)?;
        wasm.check(path, best)?;
        let call = runtime::tx().system().set_code(wasm.code);
        return Ok(Proposed::new(
            best.encode_call(&call)?,
            vec![TrackName::Root],
        ));
    }
    if let (Some(Amount(planck)), Some(to)) = (args.spend, &args.to) {
        let call = runtime::tx()
            .treasury()
            .spend((), planck, parse_account(to)?, None);
        return Ok(Proposed::new(
            best.encode_call(&call)?,
            spending(planck, best.spend_limit()?),
        ));
    }
    if let Some(Bytes(call)) = &args.call {
        return Ok(Proposed::new(call.clone(), Vec::new()));
    }
    let (call, differences) = parameters::call(best, &args.set).await?;
    Ok(Proposed {
        call: best.encode_call(&call)?,
        tracks: vec![TrackName::Parameters, TrackName::Root],
        differences: Some(differences),
    })
}

/// Put the call on chain, unless it is there.
async fn note(context: &Context, chain: &Chain, call: Vec<u8>) -> Result<(), Failure> {
    let len = u32::try_from(call.len()).unwrap_or(u32::MAX);
    let hash = blake2_256(&call);
    let best = chain.best().await?;
    if best.preimage(hash.into(), len).await?.is_some() {
        return Ok(());
    }
    let most = max_call_bytes(&best)?;
    if call.len() > most {
        return Err(Failure::Usage(format!(
            "the call has {} bytes, and a transaction takes {most} at most; name the compressed Wasm of a build",
            call.len()
        )));
    }
    let takes = [Deposits::at(&best).await?.preimage(call.len())];
    let note = runtime::tx().preimage().note_preimage(call);
    context.submit(chain, &note, &takes).await?;
    Ok(())
}

/// The most bytes of a call that a transaction can carry.
fn max_call_bytes(best: &Snapshot) -> Result<usize, Failure> {
    let address = runtime::constants().system().block_length();
    let length = best.client().constants().entry(address);
    let length = length.map_err(|error| Failure::Chain(error.to_string()))?;
    let most = usize::try_from(length.max.normal).unwrap_or(usize::MAX);
    Ok(most.saturating_sub(TRANSACTION_BYTES))
}

pub async fn deposit(context: &Context, index: u32) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let amount = place_deposit(context, &chain, index).await?;
    let json = json!({ "referendum": index, "decision_deposit": Amount(amount) });
    context.show(json, || {
        format!(
            "{} is put down for referendum {index}; next: votes",
            Amount(amount)
        )
    });
    Ok(())
}

async fn place_deposit(context: &Context, chain: &Chain, index: u32) -> Result<u128, Failure> {
    let best = chain.best().await?;
    let referendum = open(&best, index).await?;
    if matches!(&referendum, ReferendumInfo::Ongoing(status) if status.decision_deposit.is_some()) {
        return Err(Failure::Usage(format!(
            "referendum {index} has its deposit already; vote with `assay referendum vote {index}`"
        )));
    }
    let track = track_of(&best, index, &referendum)?;
    let call = runtime::tx().referenda().place_decision_deposit(index);
    let takes = [("as a deposit for the decision", track.decision_deposit)];
    context.submit(chain, &call, &takes).await?;
    Ok(track.decision_deposit)
}

/// The referendum, if it can still be decided.
pub async fn open(best: &Snapshot, index: u32) -> Result<Referendum, Failure> {
    match best.referendum(index).await? {
        Some(referendum @ ReferendumInfo::Ongoing(_)) => Ok(referendum),
        Some(_) => Err(Failure::Request(format!(
            "referendum {index} is over; look at it with `assay referendum status {index}`"
        ))),
        None => Err(unknown(index)),
    }
}

pub fn unknown(index: u32) -> Failure {
    Failure::Request(format!(
        "there is no referendum {index}; look at `assay referendum list --all`"
    ))
}

pub fn track_of(best: &Snapshot, index: u32, referendum: &Referendum) -> Result<Track, Failure> {
    let ReferendumInfo::Ongoing(status) = referendum else {
        return Err(unknown(index));
    };
    let found = best
        .tracks()?
        .into_iter()
        .find(|track| track.id == status.track);
    found.ok_or_else(|| {
        Failure::Chain(format!(
            "referendum {index} is on track {}, which this runtime does not have; update this program",
            status.track
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_hexadecimal() {
        assert!(bytes("0x0001").is_ok());
        for text in ["", "0x", "0001", "0x001", "0xzz"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_call_are_the_callers_mistake() {
        let failure = no_call(&[255; 3]);
        assert!(matches!(failure, Failure::Usage(_)), "{failure:?}");
        assert!(failure.to_string().contains("--call: these 3 bytes"));
    }

    #[test]
    fn what_is_proposed_is_on_a_track_that_may_do_it() {
        use TrackName::{Parameters, Root, Spender};
        let cases = [
            (spending(10, 10), None, Some(Spender)),
            (spending(11, 10), None, Some(Root)),
            (spending(10, 10), Some(Root), Some(Root)),
            (spending(11, 10), Some(Spender), None),
            (spending(10, 10), Some(Parameters), None),
            (vec![Root], Some(Spender), None),
            (vec![], Some(Spender), Some(Spender)),
            (vec![], None, None),
        ];
        for (may, asked, expected) in cases {
            assert_eq!(track(asked, &may).ok(), expected, "{asked:?} of {may:?}");
        }
        let refused = track(Some(Spender), &spending(11, 10)).unwrap_err();
        assert!(refused.to_string().contains("it takes root"), "{refused}");
    }

    #[test]
    fn a_spend_larger_than_what_the_treasury_has_is_warned_of() {
        assert_eq!(too_poor(5, 5), None);
        let warning = too_poor(6, 5).unwrap();
        assert!(warning.contains("only 5 planck"), "{warning}");
    }
}

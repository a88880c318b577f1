//! `assay channel close`: a user asks for it and waits for the window; its provider does it at once.

use assay_client::{
    chain::{runtime, Channel, ChannelState},
    subxt::utils::Static,
    AccountId32, Amount,
};
use assay_primitives::ChannelId;

use super::{
    claim::{Claim, Hex},
    id, read, send, tell,
};
use crate::{
    context::{some_amount, Context},
    failure::Failure,
    records,
};

#[derive(clap::Args)]
pub struct Args {
    /// Id of the channel.
    #[arg(value_parser = id)]
    channel: ChannelId,

    /// Of its provider: the last signed voucher, in SCALE and hexadecimal, which is settled first.
    #[arg(long, value_name = "0x…", requires = "amount")]
    voucher: Option<Hex>,

    /// Of its provider: what it is owed since the channel was opened, as in the worker's file.
    #[arg(long, value_name = "AMOUNT", requires = "voucher", value_parser = some_amount)]
    amount: Option<Amount>,

    /// Of its provider: settle nothing more, so that all that is left goes back to the user.
    #[arg(long, conflicts_with = "voucher")]
    settled: bool,
}

/// What a provider has to settle before its channel is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Last {
    Nothing,
    Claim(Claim),
}

/// How the caller closes the channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// As its user, who waits for the close window.
    Request,
    /// As its provider, at once.
    AtOnce(Last),
}

impl Args {
    fn last(&self) -> Option<Last> {
        match (self.voucher, self.amount) {
            (Some(Hex(voucher)), Some(Amount(amount))) => {
                Some(Last::Claim(Claim { voucher, amount }))
            }
            _ => self.settled.then_some(Last::Nothing),
        }
    }
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let id = args.channel;
    let account = context.account(None)?;
    let chain = context.chain().await?;
    let snapshot = chain.best().await?;
    let channel = read(&snapshot, id).await?;
    let is_provider = account == channel.provider
        || snapshot.provider_of(account).await? == Some(channel.provider);
    let calls = runtime::tx().channels();
    match way(id, &channel, account, is_provider, args.last())? {
        Way::Request => {
            let included = context
                .submit(&chain, &calls.request_close(id), &[])
                .await?;
            let channel = read(&included.block, id).await?;
            context.show(records::channel(&id, &channel), || asked(id, &channel));
            Ok(())
        }
        Way::AtOnce(Last::Nothing) => send(context, id, &calls.close(id, None), &[]).await,
        Way::AtOnce(Last::Claim(claim)) => {
            claim
                .owed(&snapshot, &channel, chain.genesis_hash())
                .await?;
            let last = Some((Static(claim.voucher), claim.amount));
            let included = context.submit(&chain, &calls.close(id, last), &[]).await?;
            tell(context, id, &read(&included.block, id).await?);
            Ok(())
        }
    }
}

/// The channel after its user asked.
fn asked(id: ChannelId, channel: &Channel) -> String {
    let told = records::describe_channel(&id, channel);
    match channel.state {
        ChannelState::Closing { finalize_at } => format!(
            "{told}\nwhat is left comes back in block {finalize_at}, or with `assay channel finalize` from then on"
        ),
        ChannelState::Open | ChannelState::Closed { .. } => told,
    }
}

/// What `account` can do, said before it costs a fee. Who is user and provider in one is the provider where it says
/// what is settled.
fn way(
    id: ChannelId,
    channel: &Channel,
    account: AccountId32,
    is_provider: bool,
    last: Option<Last>,
) -> Result<Way, Failure> {
    let is_user = account == channel.user;
    let refused = |why: String| Err(Failure::Request(why));
    if let ChannelState::Closed { .. } = channel.state {
        return refused(records::describe_channel(&id, channel));
    }
    match last {
        Some(Last::Claim(claim)) if is_provider && claim.voucher.channel != id => {
            Err(Failure::Usage(format!(
                "the voucher is of channel {:?}; take the one of channel {id:?}",
                claim.voucher.channel
            )))
        }
        Some(last) if is_provider => Ok(Way::AtOnce(last)),
        Some(_) if is_user => Err(Failure::Usage(
            "what is settled at the end is for the provider to say; leave it out".into(),
        )),
        None if is_user => match channel.state {
            ChannelState::Closing { finalize_at } => refused(format!(
                "channel {id:?} is closing already; it can be finalized in block {finalize_at}"
            )),
            ChannelState::Open | ChannelState::Closed { .. } => Ok(Way::Request),
        },
        None if is_provider => Err(Failure::Usage(
            "what is not settled now is lost; give the last --voucher and --amount from the worker's file, or \
             --settled if nothing is owed"
                .into(),
        )),
        Some(_) | None => refused(format!(
            "channel {id:?} is of {} with {}; close it with the key of one of them",
            channel.user, channel.provider
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches};

    use super::*;
    use crate::channel::claim::tests::{channel, claim};

    const CHANNEL: ChannelId = assay_client::H256::repeat_byte(7);
    const USER: AccountId32 = AccountId32([1; 32]);
    const OPERATOR: AccountId32 = AccountId32([3; 32]);

    fn told(way: Result<Way, Failure>) -> String {
        let told = way.unwrap_err().to_string();
        assert!(!told.contains('\n'), "{told}");
        told
    }

    #[test]
    fn a_user_asks_and_a_provider_closes_at_once() {
        let open = channel(100, ChannelState::Open);
        let owed = Last::Claim(claim(600, 500));
        assert_eq!(
            way(CHANNEL, &open, USER, false, None).unwrap(),
            Way::Request
        );
        for last in [Last::Nothing, owed] {
            for (account, also_user) in [(OPERATOR, false), (USER, true)] {
                let found = way(CHANNEL, &open, account, true, Some(last)).unwrap();
                assert_eq!(found, Way::AtOnce(last), "{also_user}");
            }
        }
        // While it is closing, the provider may still end it.
        let closing = channel(100, ChannelState::Closing { finalize_at: 9 });
        let found = way(CHANNEL, &closing, OPERATOR, true, Some(owed)).unwrap();
        assert_eq!(found, Way::AtOnce(owed));
    }

    #[test]
    fn what_would_fail_or_lose_money_is_refused_before_it_is_sent() {
        let open = channel(100, ChannelState::Open);
        let closing = channel(100, ChannelState::Closing { finalize_at: 9 });
        let closed = channel(100, ChannelState::Closed { remove_at: 80 });
        let owed = Some(Last::Claim(claim(600, 500)));
        let told_of = |channel: &Channel, account, is_provider, last| {
            told(way(CHANNEL, channel, account, is_provider, last))
        };
        assert!(told_of(&open, OPERATOR, true, None).contains("not settled now is lost"));
        assert!(told_of(&open, USER, false, owed).contains("leave it out"));
        assert!(told_of(&open, OPERATOR, false, None).contains("key of one of them"));
        assert!(told_of(&open, OPERATOR, false, owed).contains("key of one of them"));
        assert!(told_of(&closing, USER, false, None).contains("finalized in block 9"));
        assert!(told_of(&closed, USER, false, None).contains("is closed"));
        assert!(told_of(&closed, OPERATOR, true, owed).contains("is closed"));
        let elsewhere = ChannelId::repeat_byte(8);
        let told = told(way(elsewhere, &open, OPERATOR, true, owed));
        assert!(
            told.starts_with("the voucher is of channel 0x0707"),
            "{told}"
        );
    }

    #[test]
    fn a_user_is_told_when_the_rest_is_due() {
        let told = asked(
            CHANNEL,
            &channel(100, ChannelState::Closing { finalize_at: 9 }),
        );
        assert!(told.contains("comes back in block 9"), "{told}");
    }

    #[test]
    fn a_voucher_comes_with_its_amount_or_not_at_all() {
        let parsed = |words: &[&str]| {
            let none = clap::Command::new("close").no_binary_name(true);
            let id = "07".repeat(32);
            let words = [&[id.as_str()], words].concat();
            let matches = Args::augment_args(none).try_get_matches_from(words).ok()?;
            Some(Args::from_arg_matches(&matches).unwrap().last())
        };
        let owed = claim(600, 500);
        let hex = format!("0x{}", hex::encode(codec::Encode::encode(&owed.voucher)));
        assert_eq!(parsed(&[]), Some(None));
        assert_eq!(parsed(&["--settled"]), Some(Some(Last::Nothing)));
        assert_eq!(
            parsed(&["--voucher", &hex, "--amount", "500 planck"]),
            Some(Some(Last::Claim(owed)))
        );
        for wrong in [
            &["--voucher", &hex][..],
            &["--amount", "500 planck"],
            &["--voucher", &hex, "--amount", "500 planck", "--settled"],
            &["--voucher", &hex, "--amount", "0"],
        ] {
            assert_eq!(parsed(wrong), None, "{wrong:?}");
        }
    }
}

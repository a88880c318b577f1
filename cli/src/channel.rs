//! `assay channel`: what is on the chain of a payment channel.

mod claim;
mod close;
mod watch;

use assay_client::{
    chain::{runtime, Channel, ChannelState},
    keys,
    subxt::{transactions::Payload, utils::Static},
    AccountId32, Amount, Snapshot, H256,
};
use assay_primitives::{ChannelId, VoucherKey};
use clap::{Args, Subcommand};
use serde_json::json;

use self::claim::{Claim, Hex};
use crate::{
    context::{some_amount, Context},
    failure::Failure,
    funds::{Deposits, Takes},
    listing, records,
};

#[derive(Subcommand)]
pub enum Command {
    /// List the channels of an account, closed ones too as long as their record is kept.
    List {
        /// User or stash [default: the key's account].
        account: Option<String>,
    },
    /// Show a channel.
    Show {
        /// Id of the channel.
        #[arg(value_parser = id)]
        channel: ChannelId,
    },
    /// Open a channel to a provider for a model. The gateway does this by itself.
    Open(OpenArgs),
    /// Add to a channel's deposit. A channel that is closing is open again.
    TopUp {
        /// Id of the channel.
        #[arg(value_parser = id)]
        channel: ChannelId,
        /// Such as "2 ASY"; 0 only takes back that you wanted to close it.
        #[arg(allow_hyphen_values = true)]
        amount: Amount,
    },
    /// Close a channel. Its user gets back what the provider does not settle in the close window; its provider
    /// closes at once.
    Close(close::Args),
    /// Take a channel's next step if it is due; anyone may, and it is free.
    Finalize {
        /// Id of the channel.
        #[arg(value_parser = id)]
        channel: ChannelId,
    },
    /// Pay the model's publisher and the protocol what they have of a channel so far; anyone may. A
    /// channel that closes does it by itself.
    PayDues {
        /// Id of the channel.
        #[arg(value_parser = id)]
        channel: ChannelId,
    },
    /// Pay a provider what a user's voucher allows; anyone may.
    Settle(SettleArgs),
    /// Settle the last vouchers of channels as soon as their users ask to close them, for a provider
    /// whose worker may be away.
    Watch(watch::Args),
}

#[derive(Args)]
pub struct OpenArgs {
    /// Stash of the provider; it must be online and have an endpoint.
    provider: String,
    /// How much to put in, such as "5 ASY".
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true, value_parser = some_amount)]
    deposit: Amount,
    /// Public key that vouchers and requests are signed with, as an account or as 32 bytes in
    /// hexadecimal; not that of a wallet.
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    voucher_key: AccountId32,
    /// The voucher key is an ed25519 key and not an sr25519 key.
    #[arg(long)]
    ed25519: bool,
    /// Listing: its id or the first digits of it. Not needed for the only one that the provider
    /// offers.
    #[arg(long)]
    model: Option<String>,
}

#[derive(Args)]
pub struct SettleArgs {
    /// The signed voucher, in SCALE and hexadecimal.
    #[arg(long, value_name = "0x…")]
    voucher: Hex,
    /// What the provider is owed since the channel was opened. A voucher pays ahead, so this is
    /// mostly less than what it allows.
    #[arg(long, value_name = "AMOUNT", value_parser = some_amount)]
    amount: Amount,
}

fn id(text: &str) -> Result<ChannelId, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    match (digits.len(), digits.parse()) {
        (64, Ok(id)) => Ok(id),
        _ => Err("copy the channel's id from `assay channel list`".into()),
    }
}

fn public_key(text: &str) -> Result<AccountId32, String> {
    let digits = text.strip_prefix("0x");
    // No address is as long as a key in digits.
    if digits.is_none() && text.len() != 64 {
        return keys::parse_account(text).map_err(|error| error.to_string());
    }
    match digits.unwrap_or(text).parse::<H256>() {
        Ok(key) if digits.is_none_or(|digits| digits.len() == 64) => Ok(AccountId32(key.0)),
        _ => {
            Err("a key is 32 bytes, so 64 digits of hexadecimal; or write it as an account".into())
        }
    }
}

pub async fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let calls = runtime::tx().channels();
    match command {
        Command::List { account } => list(context, account.as_deref()).await,
        Command::Show { channel } => {
            let snapshot = context.chain().await?.best().await?;
            tell(context, channel, &read(&snapshot, channel).await?);
            Ok(())
        }
        Command::Open(args) => open(context, args).await,
        Command::TopUp { channel, amount } => {
            let state = read(&context.chain().await?.best().await?, channel)
                .await?
                .state;
            check_top_up(amount, &state)?;
            let takes = [("to put in", amount.0)];
            send(context, channel, &calls.top_up(channel, amount.0), &takes).await
        }
        Command::Close(args) => close::run(context, args).await,
        Command::Finalize { channel } => finalize(context, channel).await,
        Command::PayDues { channel } => pay_dues(context, channel).await,
        Command::Settle(SettleArgs { voucher, amount }) => {
            let claim = Claim {
                voucher: voucher.0,
                amount: amount.0,
            };
            settle(context, claim).await
        }
        Command::Watch(args) => watch::run(context, args).await,
    }
}

async fn list(context: &Context, account: Option<&str>) -> Result<(), Failure> {
    let account = context.account(account)?;
    let snapshot = context.chain().await?.best().await?;
    let mut channels = snapshot.channels_of_user(account).await?;
    let of_provider = snapshot.channels_of_provider(account).await?;
    // A provider may be its own user.
    channels.extend(
        of_provider
            .into_iter()
            .filter(|(_, channel)| channel.user != account),
    );
    let json = channels
        .iter()
        .map(|(id, channel)| records::channel(id, channel))
        .collect();
    context.show(json, || match channels.is_empty() {
        true => format!("{account} has no channels; open one with `assay channel open`"),
        false => {
            let lines = channels
                .iter()
                .map(|(id, channel)| records::describe_channel(id, channel));
            lines.collect::<Vec<_>>().join("\n")
        }
    });
    Ok(())
}

/// A channel, or what became of it.
async fn read(snapshot: &Snapshot, id: ChannelId) -> Result<Channel, Failure> {
    snapshot.channel(id).await?.ok_or_else(|| {
        Failure::Request(format!(
            "there is no channel {id:?}, or its record was removed; look at `assay channel list`"
        ))
    })
}

fn tell(context: &Context, id: ChannelId, channel: &Channel) {
    context.show(records::channel(&id, channel), || {
        records::describe_channel(&id, channel)
    });
}

/// Send a call, then show what the channel looks like after it.
async fn send<C: Payload>(
    context: &Context,
    id: ChannelId,
    call: &C,
    takes: Takes<'_>,
) -> Result<(), Failure> {
    let chain = context.chain().await?;
    read(&chain.best().await?, id).await?;
    let included = context.submit(&chain, call, takes).await?;
    tell(context, id, &read(&included.block, id).await?);
    Ok(())
}

async fn open(context: &Context, args: OpenArgs) -> Result<(), Failure> {
    let stash = keys::parse_account(&args.provider)?;
    let AccountId32(key) = args.voucher_key;
    let voucher_key = match args.ed25519 {
        true => VoucherKey::Ed25519(key.into()),
        false => VoucherKey::Sr25519(key.into()),
    };
    if context.account(None)? == AccountId32(key) {
        context.progress().say(
            "warning: the voucher key is your account's, so whoever gets at the machine that signs \
             vouchers can take all that you own; make a key for the channel alone",
        );
    }
    let chain = context.chain().await?;
    let snapshot = chain.best().await?;
    let (listing, _) = listing::offered_by(&snapshot, args.model.as_deref(), stash).await?;
    let deposit = args.deposit.0;
    let least = snapshot.channel_parameters().await?.min_deposit;
    if deposit < least {
        return Err(Failure::Usage(format!(
            "a deposit of {} is below the least; put in at least {}",
            args.deposit,
            Amount(least)
        )));
    }
    let call = runtime::tx()
        .channels()
        .open(stash, listing, Static(voucher_key), deposit);
    let takes = [
        ("to put in", deposit),
        Deposits::at(&snapshot).await?.channel(),
    ];
    let included = context.submit(&chain, &call, &takes).await?;
    let opened = included
        .events
        .find_first::<runtime::channels::events::Opened>();
    let Some(Ok(opened)) = opened else {
        return Err(Failure::Chain(
            "the chain does not say which channel it opened; update this program".into(),
        ));
    };
    let id = opened.channel;
    tell(context, id, &read(&included.block, id).await?);
    Ok(())
}

/// Nothing may be added where it takes something back: that the channel is to be closed.
fn check_top_up(amount: Amount, state: &ChannelState<u32>) -> Result<(), Failure> {
    match (amount, state) {
        (Amount(0), ChannelState::Open) => Err(Failure::Usage(
            "nothing would move, and the channel is open; give more than 0".into(),
        )),
        _ => Ok(()),
    }
}

async fn finalize(context: &Context, id: ChannelId) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let snapshot = chain.best().await?;
    check_due(id, &read(&snapshot, id).await?, snapshot.number())?;
    let finalize = runtime::tx().channels().finalize(id);
    let included = context.submit(&chain, &finalize, &[]).await?;
    match included.block.channel(id).await? {
        Some(channel) => tell(context, id, &channel),
        None => {
            let json = json!({ "channel": records::hash(&id), "state": "Removed" });
            context.show(json, || {
                format!("the record of channel {id:?} is removed and its deposit returned")
            });
        }
    }
    Ok(())
}

/// That the channel has a step to take in the block after `best`.
fn check_due(id: ChannelId, channel: &Channel, best: u32) -> Result<(), Failure> {
    let (due, what) = match &channel.state {
        ChannelState::Open => {
            return Err(Failure::Request(format!(
            "there is nothing to finalize: channel {id:?} is open; close it with `assay channel \
                 close`"
        )))
        }
        ChannelState::Closing { finalize_at } => (*finalize_at, "can be closed"),
        ChannelState::Closed { .. } if channel.disputes > 0 => {
            return Err(Failure::Request(format!(
                "there is nothing to finalize now: answers of channel {id:?} are disputed, and its \
                 record stays until that is over; look at `assay dispute list`"
            )))
        }
        ChannelState::Closed { remove_at } => (*remove_at, "is closed; its record can be removed"),
    };
    if due <= best.saturating_add(1) {
        return Ok(());
    }
    Err(Failure::Request(format!(
        "there is nothing to finalize now: channel {id:?} {what} in block {due}, and this is block \
         {best}"
    )))
}

async fn pay_dues(context: &Context, id: ChannelId) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let channel = read(&chain.best().await?, id).await?;
    if records::dues(&channel) == 0 {
        return Err(Failure::Request(format!(
            "nothing is due of channel {id:?}: publisher and protocol have been paid; more is due when \
             its provider settles more"
        )));
    }
    let call = runtime::tx().channels().pay_dues(id);
    let included = context.submit(&chain, &call, &[]).await?;
    let paid = included
        .events
        .find_first::<runtime::channels::events::DuesPaid>();
    let Some(Ok(paid)) = paid else {
        return Err(Failure::Chain(
            "the chain does not say what it paid; update this program".into(),
        ));
    };
    let (royalty, treasury, burned) = (paid.dues.royalty, paid.dues.treasury, paid.dues.burned);
    let json = json!({
        "channel": records::hash(&id),
        "royalty": Amount(royalty),
        "treasury": Amount(treasury),
        "burned": Amount(burned),
    });
    context.show(json, || {
        format!(
            "of channel {id:?} the publisher got {}, the treasury {}, and {} were burned",
            Amount(royalty),
            Amount(treasury),
            Amount(burned)
        )
    });
    Ok(())
}

async fn settle(context: &Context, claim: Claim) -> Result<(), Failure> {
    let chain = context.chain().await?;
    let id = claim.voucher.channel;
    let snapshot = chain.best().await?;
    let channel = read(&snapshot, id).await?;
    let owed = claim
        .owed(&snapshot, &channel, chain.genesis_hash())
        .await?;
    if owed == 0 {
        return Err(Failure::Request(format!(
            "nothing is left to settle with this voucher: {}",
            records::describe_channel(&id, &channel)
        )));
    }
    let call = runtime::tx()
        .channels()
        .settle(Static(claim.voucher), claim.amount);
    let included = context.submit(&chain, &call, &[]).await?;
    tell(context, id, &read(&included.block, id).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_given_whole() {
        let whole = "ab".repeat(32);
        assert_eq!(id(&whole), Ok(H256::repeat_byte(0xab)));
        assert_eq!(id(&format!("0x{whole}")), Ok(H256::repeat_byte(0xab)));
        for wrong in [
            "",
            "0x",
            "ab",
            &format!("{whole}0"),
            &whole.replace('a', "g"),
        ] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_voucher_key_is_an_account_or_digits() {
        let account = keys::parse_account("//Alice").unwrap();
        let digits = hex::encode(account.0);
        for text in [
            "//Alice",
            &account.to_string(),
            &digits,
            &format!("0x{digits}"),
        ] {
            assert_eq!(public_key(text), Ok(account), "{text}");
        }
        for wrong in [
            "0x",
            "0x12",
            &format!("{digits}0"),
            &format!("0x0x{digits}"),
            &"g".repeat(64),
        ] {
            assert!(public_key(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn nothing_is_added_only_to_a_channel_that_closes() {
        let closing = ChannelState::Closing { finalize_at: 12 };
        assert!(check_top_up(Amount(0), &closing).is_ok());
        assert!(check_top_up(Amount(1), &ChannelState::Open).is_ok());
        let refused = check_top_up(Amount(0), &ChannelState::Open).unwrap_err();
        assert!(matches!(refused, Failure::Usage(_)), "{refused}");
    }

    #[test]
    fn what_is_not_due_yet_is_told_with_its_block() {
        let id = H256::repeat_byte(1);
        let closing = || claim::tests::channel(0, ChannelState::Closing { finalize_at: 12 });
        assert!(check_due(id, &closing(), 11).is_ok());
        let told_of = |channel: Channel, best| {
            let told = check_due(id, &channel, best);
            told.unwrap_err().to_string()
        };
        let message = |state, best| told_of(claim::tests::channel(0, state), best);
        let told = told_of(closing(), 10);
        assert!(
            told.contains("can be closed in block 12, and this is block 10"),
            "{told}"
        );
        let told = message(ChannelState::Closed { remove_at: 90 }, 10);
        assert!(told.contains("record can be removed in block 90"), "{told}");
        let mut disputed = claim::tests::channel(0, ChannelState::Closed { remove_at: 9 });
        assert!(check_due(id, &disputed, 10).is_ok());
        disputed.disputes = 1;
        let told = told_of(disputed, 10);
        assert!(told.contains("disputed"), "{told}");
        let told = message(ChannelState::Open, 10);
        assert!(told.contains("assay channel close"), "{told}");
    }
}

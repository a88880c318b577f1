//! `assay transfer`.

use assay_client::{chain::runtime, keys, subxt::utils::MultiAddress, Amount};
use clap::Args as ClapArgs;
use serde_json::json;

use crate::{
    context::{some_amount, Context},
    failure::Failure,
    records,
};

#[derive(ClapArgs)]
pub struct Args {
    /// Who gets it.
    to: String,
    /// How much, such as "1.5 ASY".
    #[arg(allow_hyphen_values = true, value_parser = some_amount)]
    amount: Amount,
}

pub async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let from = context.account(None)?;
    let to = keys::parse_account(&args.to)?;
    let chain = context.chain().await?;
    let call = runtime::tx()
        .balances()
        .transfer_keep_alive(MultiAddress::Id(to), args.amount.0);
    let included = context
        .submit(&chain, &call, &[("to send", args.amount.0)])
        .await?;
    let json = json!({
        "from": records::account(&from),
        "to": records::account(&to),
        "amount": args.amount,
        "block": included.block.number(),
    });
    context.show(json, || format!("{} went from {from} to {to}", args.amount));
    Ok(())
}

//! The money that referenda can give away.

use assay_client::{chain::runtime, keys, Snapshot};

use crate::failure::Failure;

/// How much of the treasury's money it can spend, in planck: its account keeps the existential deposit.
pub async fn spendable(snapshot: &Snapshot) -> Result<u128, Failure> {
    let address = runtime::constants().treasury().pallet_id();
    let id = snapshot.client().constants().entry(address);
    let id = id.map_err(|error| Failure::Chain(error.to_string()))?;
    let balances = snapshot.balances(keys::pallet_account(id.0)).await?;
    Ok(balances
        .free
        .saturating_sub(snapshot.existential_deposit()?))
}

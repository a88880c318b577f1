mod bonding;
mod election;
mod ledger;
mod money;
mod nominating;
mod offences;
mod rewards;
mod sessions;

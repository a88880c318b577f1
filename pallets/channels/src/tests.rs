mod agenda;
mod claims;
mod closing;
mod ledger;
mod money;
mod opening;
mod settlement;
mod topping_up;

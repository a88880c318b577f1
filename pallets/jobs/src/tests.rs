mod agenda;
mod assignment;
mod delivery;
mod ledger;
mod money;
mod settlement;
mod submission;

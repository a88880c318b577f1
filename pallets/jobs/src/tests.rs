mod agenda;
mod assignment;
mod delivery;
mod dispute;
mod ledger;
mod money;
mod settlement;
mod submission;

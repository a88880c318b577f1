mod agenda;
mod assignment;
mod delivery;
mod money;
mod settlement;
mod submission;

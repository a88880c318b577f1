mod clock;
mod committing;
mod ending;
mod face;
mod forged;
mod moves;
mod opening;
mod queue;

//! The surface as a client sees it: requests over TCP, with a backend that answers what the test says.

mod answers;
mod backend;
mod cancel;
mod client;
mod crowds;
mod kept;
mod models;
mod refusals;
mod streams;

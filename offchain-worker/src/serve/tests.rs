//! The server as clients meet it.

mod crash;
mod money;
mod refusals;
mod scene;
mod score;
mod tls;

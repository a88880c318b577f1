//! The server as clients meet it.

mod crash;
mod listen;
mod many;
mod money;
mod refusals;
mod scene;
mod score;
mod tls;

//! The server of clients that pay through channels: OpenAI's interface, with signed headers and vouchers in
//! the heads of requests, and receipts in the answers.
//!
//! In the order in which a request meets them: [`listen`](assay_openai::listen) bounds what a connection
//! holds, [`payment`] reads what it pays with, the [`cashier`] has the [`books`] of all channels and admits
//! it, [`room`] has place for its body as it comes, [`sealed`] opens it, [`shop`] holds that against what was signed and gives it to an engine, and
//! [`answer`] serves tokens as far as they are paid, or [`score`] says of another's how many are right.

mod answer;
pub mod books;
pub mod cashier;
mod pages;
mod payment;
mod room;
mod score;
mod sealed;
pub mod shop;
#[cfg(test)]
mod tests;
mod ticket;

pub use self::{
    books::{Offer, Summary, View},
    cashier::Cashier,
    pages::{bounds, router},
    room::Room,
    shop::{Listed, Shop, ShopConfig},
};

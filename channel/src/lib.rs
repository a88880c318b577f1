//! A payment channel as its two ends keep it, off chain: who owes what, and what must be on disk before the
//! other side may see it. No I/O, no clock, no async: worker and gateway bring those.
//!
//! *Terminology.* A **voucher** says how much of the deposit the provider may take in all. A **request** is a
//! signed header with a number (`seq`) that its channel never uses twice. A **receipt** is the provider's signed
//! statement of an answer so far. The **window** is what a voucher pays beyond the receipts. What a provider has
//! **spent** is the sum over requests of the fee in the last receipt that it put on disk: no more than that is
//! ever claimed on chain.
//!
//! *One request.*
//! 1. [`Payer::order`] gives the signed header and a voucher for the prompt and one window of output.
//! 2. [`Payee::admit`] takes both. From now on the request is live, and [`Payee::allow`] says how many output
//!    tokens are paid for.
//! 3. The provider signs a receipt before prefill, after each
//!    [`RECEIPT_TOKENS`](assay_primitives::RECEIPT_TOKENS) tokens and at the end: [`Payee::draft`], then
//!    [`Payee::issue`].
//! 4. For each of them [`Payer::receipt`] checks it and [`Payer::voucher`] pays the next stretch; the provider
//!    takes that by [`Payee::take_voucher`].
//! 5. [`Payee::settlement`] says what to claim on chain, with which voucher.
//!
//! *Disk before effect.* Every call that the other side could learn of returns a [`Step`]: records to write, and
//! an effect that [`Step::persisted`] hands out. A step that is dropped never happened. Both ends come back from
//! their records alone ([`Payee::restore`], [`Payer::restore`]).

#[cfg(test)]
mod fixture;
mod keys;
mod payee;
mod payer;
mod refusal;
pub mod seal;
mod step;
mod terms;
pub mod wire;

use assay_primitives::RequestHeader;
use sp_core::H256;

pub use self::{
    keys::VoucherPair,
    payee::{Admission, Draft, Misuse, Payee, Settlement, SettlementPolicy},
    payer::{
        AnchorView, Ask, Caught, Evidence, Exhibit, Order, Payer, PayerError, Phase, Recovery,
        Taken,
    },
    refusal::PaymentError,
    step::{Persistent, Step},
    terms::{anchor_age, check_prompt, window_end, ChannelState, Facts, Floor, Terms, ANCHOR_AGE},
    wire::{ChannelStatus, SignedReceipt},
};

/// What each end writes to disk.
pub mod record {
    pub use crate::{
        payee::record::{Record as PayeeRecord, Request as PayeeRequest},
        payer::record::{Record as PayerRecord, Request as PayerRequest},
        step::RecordKey,
    };
}

/// An account of the chain, as its 32 bytes.
pub type AccountId = [u8; 32];

/// A request header in a channel.
pub type Header = RequestHeader<AccountId>;

/// A request header in a channel, signed by the voucher key.
pub type SignedHeader = assay_primitives::SignedHeader<AccountId>;

/// The sampling seed of a request in a channel, from the hash of its header.
pub fn seed(header: &H256) -> [u8; 32] {
    assay_primitives::seed(header, &H256::zero())
}

use std::time::Duration;

use assay_channel::PayerError;
use assay_client::{AccountId32, Amount, Error};
use assay_primitives::Balance;

use crate::store::StoreError;

/// Why nothing can be bought, for reasons that are not the provider's.
#[derive(Debug, thiserror::Error)]
pub enum MoneyError {
    #[error(
        "this takes {} more in channels, and {} of the budget of {} are left; raise --budget, or ask for fewer tokens",
        Amount(*.needed), Amount(*.left), Amount(*.budget)
    )]
    Budget {
        needed: Balance,
        left: Balance,
        budget: Balance,
    },
    #[error(
        "the account {account} has {} free, and this takes {} into a channel and the fee of a transaction; send it ASY \
         with `assay transfer`, or lower --deposit",
        Amount(*.free), Amount(*.needed)
    )]
    Wallet {
        account: AccountId32,
        needed: Balance,
        free: Balance,
    },
    #[error(
        "{} are on their way into the channel with {provider}, and no more is sent after them before they are there, or \
         block {until} is final without them; try again then",
        Amount(*.amount)
    )]
    Pending {
        provider: AccountId32,
        amount: Balance,
        until: u32,
    },
    #[error(
        "the node at {node} is {} s behind, by the time of its best block {best}; see that it runs and has peers, and that \
         the clock of this machine is right, and ask again when it is in sync",
        .age.as_secs()
    )]
    Behind {
        /// Where it is.
        node: String,
        best: u32,
        /// How old that block is.
        age: Duration,
    },
    #[error("{0}")]
    Chain(#[from] Error),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Payer(#[from] PayerError),
    #[error("the fee does not fit; ask for fewer tokens")]
    Overflow,
    #[error("whoever asked has left, so nothing was ordered")]
    Left,
}

impl MoneyError {
    /// Whether there was too little to put into a channel, so that another one may do in which there is enough.
    pub fn is_short(&self) -> bool {
        matches!(self, Self::Budget { .. } | Self::Wallet { .. })
    }

    /// Whether it was the wallet that had too little.
    pub fn is_of_wallet(&self) -> bool {
        matches!(self, Self::Wallet { .. })
    }

    /// Whether it is about one channel, so that another provider's may do.
    pub fn is_of_channel(&self) -> bool {
        matches!(self, Self::Pending { .. } | Self::Payer(_))
    }
}

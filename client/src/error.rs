use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use assay_primitives::JobId;
use subxt::{
    error::{
        BackendError, ConstantError, DispatchError, ExtrinsicError, RpcError, StorageError,
        TransactionEventsError, ViewFunctionError,
    },
    rpcs::UserError,
    utils::AccountId32,
};

/// What the pool says when the fee cannot be paid.
const CANNOT_PAY: &str = "Inability to pay some fees";
/// The code with which it says that it has the very same transaction.
const ALREADY_IMPORTED: i32 = 1013;
/// What it says of one that it had a moment ago: it failed, or is in a block.
const BANNED: &str = "temporarily banned";
/// What it says when the account's nonce is used: in a block, or by a transaction that waits.
const OUTDATED: &str = "Transaction is outdated";
const LOW_PRIORITY: &str = "Priority is too low";

/// What can go wrong between here and the chain, each in one line that says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no node answers at {url}: {reason}; start one (`assay-node --dev`) or name another with \
         --chain"
    )]
    Unreachable { url: String, reason: String },

    #[error("{url:?} is not a node's address: {problem}; write --chain as in ws://127.0.0.1:9944")]
    Url { url: String, problem: &'static str },

    #[error("the node at {url} runs the chain {found:?} and not assay; name another with --chain")]
    WrongChain { url: String, found: String },

    #[error(
        "the chain's runtime differs from the one that this program was built for; install the \
         version that was released with it"
    )]
    Incompatible,

    /// The node failed to answer, or the connection was lost.
    #[error("the node failed to answer: {0}; look at its log and try again")]
    Node(String),

    /// The method is for a node's own machine.
    #[error(
        "the node at {url} does this for its own machine alone; run the command there, with --chain \
         ws://127.0.0.1:9944"
    )]
    Unsafe { url: String },

    /// The chain took a receipt, and the node shows no valid signature of it.
    #[error(
        "no valid signature of the provider's operator under the receipt of job {job} was found in \
         block {block}; ask another node with --chain"
    )]
    NoSignature { job: JobId, block: u32 },

    /// The transaction could not be made, so it changed nothing and cost nothing.
    #[error("{call} was not sent, since the node failed to answer: {reason}; look at its log and try again")]
    NotSent { call: String, reason: String },

    /// The pool did not take the transaction, so it changed nothing and cost nothing.
    #[error("the node did not take {call}: {reason}")]
    NotAccepted {
        call: String,
        reason: String,
        /// Whether it is that the account cannot pay.
        is_funds: bool,
        /// Whether it is that another transaction of the account has its nonce.
        is_overtaken: bool,
    },

    /// The pool took the transaction and let go of it: it may be in a block, or get there from another node.
    #[error(
        "the node took {call} and says no more of it: {reason}; it may be in a block all the same: look before sending \
         it again"
    )]
    Lost { call: String, reason: String },

    /// The transaction is in a block and failed.
    #[error("{call} failed: {reason}")]
    Dispatch {
        call: String,
        /// `Pallet::Variant`, or the name of the runtime's own error.
        error: String,
        /// The variant's documentation.
        reason: String,
    },

    #[error(
        "{call} was not in a block after {seconds} s; it may still get there: look before sending \
         it again"
    )]
    Timeout { call: String, seconds: u64 },

    #[error("{0}")]
    Amount(#[from] crate::amount::AmountError),

    /// The key cannot be used. Never holds any part of the secret.
    #[error("{problem}; give a secret URI (//Alice, 0x…, twelve words) or a file that holds one")]
    Key { problem: String },

    #[error("{text:?} is not an address: {problem}; give an SS58 address or a development key such as //Alice")]
    Address { text: String, problem: String },

    /// Right in itself, with another network's prefix: who gave it may not have the key of the account here.
    #[error("{text:?} is an address of another network; if the same key is meant on this chain, write it as {here}")]
    ForeignAddress { text: String, here: AccountId32 },

    /// A file cannot be used.
    #[error("{}: {problem}; {next}", path.display())]
    File {
        path: PathBuf,
        problem: String,
        next: String,
    },

    /// A chat template refuses the conversation, or fails.
    #[error(
        "the chat template cannot be filled in: {0}; write other messages, or send the prompt as it stands, \
         without the template"
    )]
    Template(String),

    #[error("the prompt cannot be tokenised: {0}; write it differently")]
    Prompt(String),

    #[error("the answer's tokens have no text: {0}; look at the tokens themselves")]
    Answer(String),

    /// A dispute cannot be begun, or not go on.
    #[error("{0}")]
    Dispute(String),

    /// An exact model folder cannot be used.
    #[error("{0}")]
    ExactFolder(String),
}

impl Error {
    /// An error about a file: what is wrong with it and what to do next.
    pub(crate) fn file(path: &Path, problem: impl Into<String>, next: impl Into<String>) -> Self {
        Self::File {
            path: path.into(),
            problem: one_line(&problem.into()),
            next: next.into(),
        }
    }

    /// Any error of subxt's outside of sending a transaction. What the runtime has in another shape, or has
    /// no more, is [`Self::Incompatible`].
    pub fn node(error: impl Into<subxt::Error>) -> Self {
        match error.into() {
            subxt::Error::StorageError(
                StorageError::IncompatibleCodegen
                | StorageError::PalletNameNotFound(_)
                | StorageError::StorageEntryNotFound { .. },
            )
            | subxt::Error::ConstantError(
                ConstantError::IncompatibleCodegen
                | ConstantError::PalletNameNotFound(_)
                | ConstantError::ConstantNameNotFound { .. },
            )
            | subxt::Error::ExtrinsicError(
                ExtrinsicError::IncompatibleCodegen
                | ExtrinsicError::PalletNameNotFound(_)
                | ExtrinsicError::CallNameNotFound { .. },
            )
            | subxt::Error::ViewFunctionError(
                ViewFunctionError::IncompatibleCodegen
                | ViewFunctionError::PalletNotFound(_)
                | ViewFunctionError::ViewFunctionNotFound { .. },
            ) => Self::Incompatible,
            other => Self::Node(one_line(&other.to_string())),
        }
    }

    /// An error on the way into the transaction pool.
    pub(crate) fn not_accepted(call: &str, account: &AccountId32, error: ExtrinsicError) -> Self {
        match error {
            ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(
                RpcError::ClientError(subxt::rpcs::Error::User(error)),
            )) => Self::not_accepted_because(call, account, &pool_message(&error)),
            other @ (ExtrinsicError::IncompatibleCodegen
            | ExtrinsicError::PalletNameNotFound(_)
            | ExtrinsicError::CallNameNotFound { .. }
            | ExtrinsicError::ErrorSubmittingTransaction(_)) => Self::node(other),
            other => Self::not_accepted_because(call, account, &other.to_string()),
        }
    }

    fn not_accepted_because(call: &str, account: &AccountId32, message: &str) -> Self {
        if has(message, BANNED) {
            return Self::lost(call, &refusal(account, message));
        }
        Self::NotAccepted {
            call: call.into(),
            reason: refusal(account, message),
            is_funds: has(message, CANNOT_PAY),
            is_overtaken: has(message, OUTDATED) || has(message, LOW_PRIORITY),
        }
    }

    /// An error on the way to a signed transaction.
    pub(crate) fn not_sent(call: &str, error: Self) -> Self {
        match error {
            Self::Node(reason) => Self::NotSent {
                call: call.into(),
                reason,
            },
            other => other,
        }
    }

    /// What became of a transaction that the pool had taken is not known.
    pub(crate) fn lost(call: &str, reason: &str) -> Self {
        Self::Lost {
            call: call.into(),
            reason: one_line(reason),
        }
    }

    /// Why the pool did not take a transaction of this account, with the next step where it is known.
    pub fn refusal(account: &AccountId32, error: &UserError) -> String {
        refusal(account, &pool_message(error))
    }

    /// An error of a transaction that is in a block.
    pub(crate) fn in_block(call: &str, error: TransactionEventsError) -> Self {
        match error {
            TransactionEventsError::ExtrinsicFailed(error) => Self::dispatch(call, &error),
            other => Self::node(other),
        }
    }

    pub(crate) fn dispatch(call: &str, error: &DispatchError) -> Self {
        let (name, reason) = match error {
            DispatchError::Module(module) => match module.details() {
                Ok(details) => {
                    let name = format!("{}::{}", details.pallet.name(), details.variant.name);
                    let reason = details.variant.docs.join(" ");
                    (name, reason.trim().to_owned())
                }
                Err(_) => (module.to_string(), String::new()),
            },
            DispatchError::Token(token) => (
                format!("{token:?}"),
                format!("{token} Look at the account with `assay balance`."),
            ),
            other => (format!("{other:?}"), other.to_string()),
        };
        let reason = if reason.is_empty() {
            name.clone()
        } else {
            one_line(&reason)
        };
        Self::Dispatch {
            call: call.into(),
            error: name,
            reason,
        }
    }

    /// Whether the account has too little money for what was sent.
    pub fn is_funds(&self) -> bool {
        match self {
            Self::NotAccepted { is_funds, .. } => *is_funds,
            Self::Dispatch { error, .. } => {
                matches!(
                    error.as_str(),
                    "FundsUnavailable" | "NotExpendable" | "Arithmetic(Underflow)"
                ) || error == "Balances::InsufficientBalance"
            }
            _ => false,
        }
    }

    /// Whether another transaction of the account has its nonce, so that the next one may do.
    pub(crate) fn is_overtaken(&self) -> bool {
        matches!(
            self,
            Self::NotAccepted {
                is_overtaken: true,
                ..
            }
        )
    }

    /// The failed call's error as `Pallet::Variant`, if that is what this is.
    pub fn dispatch_error(&self) -> Option<&str> {
        match self {
            Self::Dispatch { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Whether a transaction that was to be sent is in no block and will be in none, if
    /// [`Chain::submit`](crate::Chain::submit) says this. What is said of a block that is not final says less.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Dispatch { .. }
                | Self::NotAccepted { .. }
                | Self::NotSent { .. }
                | Self::Incompatible
        )
    }

    /// Whether the chain could not be reached or is the wrong one, so that the request itself may
    /// be right.
    pub fn is_chain(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Url { .. }
                | Self::WrongChain { .. }
                | Self::Incompatible
                | Self::Node(_)
                | Self::NotSent { .. }
                | Self::NoSignature { .. }
        )
    }
}

/// Whether the pool has the transaction already that it was just sent.
pub(crate) fn is_known(error: &ExtrinsicError) -> bool {
    match error {
        ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(RpcError::ClientError(
            subxt::rpcs::Error::User(error),
        ))) => error.code == ALREADY_IMPORTED,
        _ => false,
    }
}

/// The whole of what the pool says: the message is the same for all reasons, which are in the data.
fn pool_message(error: &UserError) -> String {
    let data = error.data.as_ref().map(|data| data.get());
    let data = data.unwrap_or_default().trim_matches('"');
    format!("{} {data}", error.message)
}

fn has(message: &str, text: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains(&text.to_ascii_lowercase())
}

fn refusal(account: &AccountId32, message: &str) -> String {
    let poor = format!(
        "the account {account} cannot pay the transaction's fee; send it ASY with `assay transfer`"
    );
    let known = [
        (CANNOT_PAY, poor.as_str()),
        (
            "Transaction has a bad signature",
            "it is not signed for the chain's present runtime, which a referendum may just have replaced; \
             try again",
        ),
        (
            OUTDATED,
            "another transaction of this account overtook it; try again",
        ),
        (
            LOW_PRIORITY,
            "another transaction of this account is under way; wait for its block",
        ),
        (
            BANNED,
            "it had the same transaction a moment ago, which failed or is in a block; wait a minute",
        ),
    ];
    let found = known.iter().find(|(text, _)| has(message, text));
    found.map_or_else(|| one_line(message), |(_, reason)| (*reason).to_owned())
}

/// So many characters of a text as fit into a message: what somebody gives may be megabytes, of which
/// nobody needs to be told all.
pub fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

/// A message from elsewhere, on one line.
pub(crate) fn one_line(message: &str) -> String {
    message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .trim_end_matches('.')
        .to_owned()
}

#[cfg(test)]
mod tests;

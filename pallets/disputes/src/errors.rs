//! Why a call is refused.

use frame_support::pallet_macros::pallet_section;

#[pallet_section]
mod errors {
    #[pallet::error]
    pub enum Error<T> {
        /// This account made this commitment already.
        AlreadyCommitted,
        /// There is no such commitment of this account: `commit` first, a block ahead at least.
        NotCommitted,
        /// The commitment is of this block: wait for the next.
        CommitmentTooNew,
        /// The commitment is too old: make another.
        CommitmentExpired,
        /// There is nothing under this claim that could be disputed, or not any more.
        UnknownClaim,
        /// The provider was convicted of this claim already: call `timeout` for disputes over it.
        AlreadyConvicted,
        /// The provider that made this promise has left.
        ProviderGone,
        /// The receipt is not the one that the job was delivered with.
        OtherReceipt,
        /// The receipt of a channel needs the operator's signature.
        SignatureMissing,
        /// The operator key that was valid at the anchor did not sign this receipt.
        InvalidSignature,
        /// The request's header is needed.
        HeaderMissing,
        /// The header is not that of the receipt, or not of this claim.
        WrongHeader,
        /// The header contradicts its claim: `accuse` instead.
        HeaderContradictsClaim,
        /// The header's format version is not judged.
        UnknownVersion,
        /// The window in which the receipt could be challenged is over.
        WindowClosed,
        /// A job's request is on chain, and its receipt was checked when it was delivered.
        JobIsChecked,
        /// The receipt says nothing about this position: the output has no such one, nor is it where a
        /// score says that the answer is wrong.
        PositionOutOfBounds,
        /// The answer was not promised to be exact.
        NotExact,
        /// There is no trace for this request: its sampling or its lengths are out of bounds.
        NoTrace,
        /// There is no listing under this id.
        UnknownListing,
        /// Too many disputes against this provider wait already: try again when some have ended.
        QueueFull,
        /// There is no dispute with this number, or it is over.
        UnknownDispute,
        /// The dispute waits for others of the same provider to end.
        DisputeWaits,
        /// The dispute has moved on: look at its state again.
        StateChanged,
        /// It is not the caller's turn.
        NotYourTurn,
        /// The move is late: it is lost.
        DeadlinePassed,
        /// The next move is not late.
        NotLate,
        /// This kind of move does not come next.
        OtherMoveExpected,
        /// There is nothing of this number to choose.
        ChoiceOutOfBounds,
        /// A level has another number of nodes, or a leaf another length.
        WrongLength,
        /// The hashes do not lead to the node, or the root, that they must lead to.
        WrongHash,
        /// The trace's token is not the one that the receipt says is right.
        TokenMismatch,
        /// The trace's token is the one that the score says is wrong.
        TokenMatches,
        /// The proof does not prove what was asked: a leaf is missing, too many, or not of its tree.
        InvalidProof,
        /// Nothing is wrong with it that could be seen without a game.
        NoFault,
        /// The provider has nothing left that could be taken, and the user nothing to get back.
        NothingToTake,
        /// All clocks stand still: nothing is judged now.
        Paused,
        /// The clocks run, or stand still, already.
        NothingToChange,
        /// The parameters contradict each other.
        InvalidParameters,
        /// Receipts could be challenged when what they earned has matured, or when their anchors are
        /// forgotten: raise the providers' `maturing_blocks` first.
        WindowTooLong,
        /// A sum does not fit its type.
        Overflow,
    }
}

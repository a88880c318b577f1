//! A channel between fixed keys, for tests.

use assay_primitives::{salted_token_root, Anchor, Finish, Price, Sampling, Side, Task, TokenId};
use sp_core::{sr25519, Pair, H256};
use sp_runtime::MultiSignature;

use crate::{
    AnchorView, Ask, ChannelState, Facts, Payee, Payer, SignedReceipt, Terms, VoucherPair,
};

pub const PRICE: Price = Price {
    input: 2,
    output: 10,
};
pub const SECRET: [u8; 32] = [7; 32];
pub const DEPOSIT: u128 = 1_000_000;

pub fn pair() -> VoucherPair {
    VoucherPair::ed25519(&[1; 32])
}

pub fn operator() -> sr25519::Pair {
    sr25519::Pair::from_seed(&[2; 32])
}

pub fn terms() -> Terms {
    Terms {
        genesis: H256::repeat_byte(0x11),
        channel: H256::repeat_byte(0x22),
        provider: [0x33; 32],
        listing: H256::repeat_byte(0x44),
        voucher_key: pair().public(),
    }
}

pub fn open(settled: u128) -> Facts {
    Facts {
        deposit: DEPOSIT,
        settled,
        state: ChannelState::Open,
    }
}

pub fn payee() -> Payee {
    let mut payee = Payee::restore(terms(), []);
    payee.observe(open(0)).persisted();
    payee
}

pub fn payer() -> Payer {
    let mut payer = Payer::restore(terms(), pair(), u128::MAX, []);
    payer.observe(open(0)).persisted().unwrap();
    payer
}

pub fn ask(prompt: &[TokenId], token_limit: u32) -> Ask {
    Ask {
        secret: SECRET,
        prompt_root: salted_token_root(&SECRET, Side::Prompt, prompt),
        prompt_len: prompt.len() as u32,
        task: Task::Generate,
        sampling: Sampling::GREEDY,
        token_limit,
        price: PRICE,
        since: ANCHOR.number,
    }
}

pub fn root(tokens: &[TokenId]) -> H256 {
    salted_token_root(&SECRET, Side::Output, tokens)
}

pub const ANCHOR: Anchor = Anchor {
    number: 100,
    hash: H256::repeat_byte(0x55),
};

pub fn good() -> AnchorView {
    AnchorView::Good {
        operator: operator().public().0,
    }
}

pub fn sign(receipt: &assay_primitives::Receipt) -> MultiSignature {
    MultiSignature::Sr25519(operator().sign(&receipt.signing_payload()))
}

/// The provider issues the next receipt over `tokens`.
pub fn issue(
    payee: &mut Payee,
    seq: u64,
    tokens: &[TokenId],
    finish: Option<Finish>,
) -> SignedReceipt {
    let draft = payee.draft(seq, ANCHOR, root(tokens), finish).unwrap();
    let signature = sign(&draft.receipt);
    payee.issue(draft, signature).unwrap().persisted()
}

//! An answer as it is kept: what was asked, what came, and the receipt.

use assay_channel::{SignedHeader, SignedReceipt};
use assay_client::{
    answer::{Answer, ListedModel, Origin},
    AccountId32, H256,
};
use assay_primitives::{Task, TokenId, VoucherKey};
use codec::Encode;

use crate::models::Model;

/// What was asked of a provider.
pub struct Asked<'a> {
    pub header: &'a SignedHeader,
    pub key: VoucherKey,
    pub secret: [u8; 32],
    pub prompt: &'a [TokenId],
}

impl Asked<'_> {
    /// The answer as far as this receipt of `operator` goes; none if its tokens are not all there.
    pub fn answer(
        &self,
        model: &Model,
        tokens: &[TokenId],
        signed: &SignedReceipt,
        operator: AccountId32,
    ) -> Option<Answer> {
        let header = &self.header.header;
        let listed = model.listing(&header.listing)?;
        let (prompt, output) = match header.task {
            Task::Generate => {
                let output = tokens.get(..signed.receipt.output_len as usize)?;
                (self.prompt, output)
            }
            Task::Score { answer_at, .. } => self.prompt.split_at_checked(answer_at as usize)?,
        };
        Some(Answer {
            header: header.clone().map_account(AccountId32),
            origin: Origin::Channel {
                secret: H256(self.secret),
                key: self.key,
                signature: self.header.signature,
            },
            seed: header.seed(&header.hash(), &H256::zero()),
            model: ListedModel {
                root: model.root,
                publisher: listed.publisher,
                royalty: listed.royalty,
                profile: if model.exact { "exact" } else { "unverified" }.into(),
                stop_tokens: model.text.stop_tokens.clone(),
            },
            prompt: prompt.to_vec(),
            output: output.to_vec(),
            signed: assay_client::SignedReceipt {
                receipt: signed.receipt.clone(),
                operator,
                signature: signed.signature.encode(),
            },
        })
    }
}

//! Whether the parts of a receipt fit one another. No model is needed for that.

use assay_primitives::{
    salted_token_root, token_root, Claim, Finish, Side, SignedHeader, Task, TokenId,
};
use subxt::utils::H256;

use super::{Answer, Origin};
use crate::{receipt::listing_id, Amount};

impl Answer {
    /// That everything in the receipt follows from the rest of it. The error is a sentence that says what does not.
    pub fn check(&self) -> Result<(), String> {
        let (header, receipt) = (&self.header, &self.signed.receipt);
        let output = (receipt.output_len, receipt.output_root);
        let prompt = (header.prompt_len, header.prompt_root);
        match header.task {
            Task::Generate => {
                self.check_tokens(Side::Output, &self.output, output)?;
                self.check_tokens(Side::Prompt, &self.prompt, prompt)?;
            }
            Task::Score { answer_at, .. } => {
                if self.prompt.len() != answer_at as usize {
                    return Err(format!(
                        "the answer that is scored begins at {answer_at}, and {} tokens are ahead of it here",
                        self.prompt.len()
                    ));
                }
                self.check_tokens(Side::Output, &[], (0, receipt.output_root))?;
                let request = [&self.prompt[..], &self.output].concat();
                self.check_tokens(Side::Prompt, &request, prompt)?;
            }
        }
        let hash = header.hash();
        if receipt.header != hash {
            return Err(format!(
                "the receipt is about another request: the header here has the hash {hash:?}, and the receipt names {:?}",
                receipt.header
            ));
        }
        self.check_request(hash)?;
        let seed = header.seed(&hash, &self.randomness());
        if self.seed != seed {
            return Err(format!(
                "the seed is {:?}, and header and randomness give {:?}",
                H256(self.seed),
                H256(seed)
            ));
        }
        let model = &self.model;
        let listing = listing_id(&model.root, &model.publisher, model.royalty);
        if listing != header.listing {
            return Err(format!(
                "the model is not the listing's: root, publisher and royalty give {listing:?}, and the request names {:?}",
                header.listing
            ));
        }
        self.check_end()?;
        if header.fee(receipt.output_len) != Some(receipt.fee) {
            return Err(format!(
                "the fee of {} is not the price of these tokens",
                Amount(receipt.fee)
            ));
        }
        if !self.signed.is_signed() {
            return Err(format!(
                "the signature is not one of operator {} over this receipt",
                self.signed.operator
            ));
        }
        Ok(())
    }

    /// That the answer ends for the reason that the receipt gives.
    fn check_end(&self) -> Result<(), String> {
        if let Task::Score { .. } = self.header.task {
            return self.check_end_of_score();
        }
        let stops = |token: &TokenId| self.model.stop_tokens.contains(token);
        let at_limit = self.output.len() >= self.header.token_limit as usize;
        let stopped = self.output.last().is_some_and(stops);
        match self.signed.receipt.finish {
            Finish::Eos if stopped => Ok(()),
            Finish::Eos => {
                Err("the receipt says that a stop token ended the answer, and none is there".into())
            }
            Finish::Length if at_limit && !stopped => Ok(()),
            Finish::Length => Err(format!(
                "the receipt says that the limit of {} tokens ended the answer, and it did not",
                self.header.token_limit
            )),
            Finish::Caller => match self.header.claim {
                Claim::Channel { .. } => Ok(()),
                Claim::Job(_) => Err(
                    "the receipt says that its user ended the answer, which nobody can in a job"
                        .into(),
                ),
            },
            Finish::Mismatch => {
                Err("the receipt calls a token wrong, which only a score does".into())
            }
        }
    }

    fn check_end_of_score(&self) -> Result<(), String> {
        let (looked_at, right) = (
            self.checked().len(),
            self.signed.receipt.output_len as usize,
        );
        let fits = match self.signed.receipt.finish {
            Finish::Length => right == looked_at,
            Finish::Mismatch => right < looked_at,
            Finish::Caller => right <= looked_at,
            Finish::Eos => false,
        };
        match fits {
            true => Ok(()),
            false => Err(format!(
                "the receipt is of no score: it calls {right} of {looked_at} tokens right and ends with {:?}",
                self.signed.receipt.finish
            )),
        }
    }

    /// Of a channel's request, that its voucher key signed it.
    fn check_request(&self, hash: H256) -> Result<(), String> {
        let Origin::Channel { key, signature, .. } = &self.origin else {
            return Ok(());
        };
        let payload = SignedHeader::<()>::signing_payload(&hash);
        match key.verify(&payload, signature) {
            true => Ok(()),
            false => Err(
                "the request is not signed: the signature is not one of the voucher key over the \
                 header"
                    .into(),
            ),
        }
    }

    /// What the seed is drawn from beside the header.
    fn randomness(&self) -> H256 {
        match self.origin {
            Origin::Job { randomness } => randomness,
            Origin::Channel { .. } => H256::zero(),
        }
    }

    fn check_tokens(
        &self,
        side: Side,
        tokens: &[TokenId],
        (length, root): (u32, H256),
    ) -> Result<(), String> {
        let (what, how) = match side {
            Side::Prompt => ("prompt", "asked for"),
            Side::Output => ("output", "signed"),
        };
        if tokens.len() != length as usize {
            return Err(format!(
                "the {what} is not the one that was {how}: {} tokens are here, and there were {length}",
                tokens.len()
            ));
        }
        let found = match &self.origin {
            Origin::Job { .. } => token_root(tokens),
            Origin::Channel { secret, .. } => salted_token_root(&secret.0, side, tokens),
        };
        if found != root {
            return Err(format!(
                "the {what} is not the one that was {how}: its tokens have the root {found:?}, and not {root:?}"
            ));
        }
        Ok(())
    }
}

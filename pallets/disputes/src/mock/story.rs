//! What the stories are told with: answers that Petra gave, and disputes over them.

use assay_primitives::{
    channel_id, dispute::commitment, salted_token_root, token_root, tree, Anchor, Balance,
    ChannelId, Claim, Finish, JobId, Receipt, RequestHeader, Sampling, Side, SignedHeader,
    SignedVoucher, Task, TokenId, Voucher, VoucherKey, VoucherSignature, FORMAT_VERSION,
    LEAF_TOKENS,
};
use frame_support::{
    dispatch::DispatchResultWithPostInfo,
    traits::fungible::{Inspect, InspectHold},
};
use sp_core::{sr25519, Pair, H256};
use sp_runtime::{testing::TestSignature, DispatchResult};

use super::*;
use crate::{
    Answer, Choice, DisputeId, DisputeRecordOf, EvidenceOf, HoldReason, LeafOpening, NextDispute,
    Revelation, Stage, StatementOf,
};

pub fn voucher_pair() -> sr25519::Pair {
    sr25519::Pair::from_seed(&[UMA as u8; 32])
}

pub fn user_signature(payload: &[u8]) -> VoucherSignature {
    VoucherSignature::Sr25519(voucher_pair().sign(payload))
}

/// Uma's channel to Petra, from which this much was settled.
pub fn channel(settled: Balance) -> ChannelId {
    let number = pallet_channels::NextChannel::<Test>::get();
    let key = VoucherKey::Sr25519(voucher_pair().public());
    let by = RuntimeOrigin::signed(UMA);
    Channels::open(by, PETRA, listing(), key, DEPOSIT).unwrap();
    let genesis = System::block_hash(0);
    let id = channel_id(&genesis, number);
    if settled > 0 {
        settle(id, settled).unwrap();
    }
    id
}

/// Settles a voucher of Uma's over so much.
pub fn settle(channel: ChannelId, cumulative: Balance) -> DispatchResult {
    let genesis = System::block_hash(0);
    let voucher = Voucher {
        genesis,
        channel,
        cumulative,
    };
    let voucher = SignedVoucher {
        channel,
        cumulative,
        signature: user_signature(&voucher.signing_payload()),
    };
    Channels::settle(RuntimeOrigin::signed(SAM), voucher, cumulative)
}

/// An answer that a provider gave: everything that its user knows.
#[derive(Clone)]
pub struct Given {
    pub claim: Claim,
    pub header: RequestHeader<u64>,
    pub prompt: Vec<TokenId>,
    pub output: Vec<TokenId>,
    pub receipt: Receipt,
    pub signer: u64,
    pub randomness: H256,
}

impl Given {
    /// Petra's answer to request `seq` of a channel; change what the story is about.
    pub fn in_channel(id: ChannelId, seq: u64, output: Vec<TokenId>) -> Self {
        Self::asked(id, seq, output, Sampling::GREEDY)
    }

    pub fn asked(id: ChannelId, seq: u64, output: Vec<TokenId>, sampling: Sampling) -> Self {
        let claim = Claim::Channel { id, seq };
        let header = RequestHeader {
            version: FORMAT_VERSION,
            genesis: hash_of(0),
            claim,
            provider: PETRA,
            listing: listing(),
            prompt_root: salted_token_root(&SECRET, Side::Prompt, &PROMPT),
            prompt_len: PROMPT.len() as u32,
            task: Task::Generate,
            sampling,
            token_limit: LIMIT,
            input_price: PRICE.input,
            output_price: PRICE.output,
        };
        let anchor = System::block_number() - 1;
        let receipt = Receipt {
            header: header.hash(),
            anchor: Anchor {
                number: anchor as u32,
                hash: hash_of(anchor),
            },
            output_len: output.len() as u32,
            output_root: salted_token_root(&SECRET, Side::Output, &output),
            finish: Finish::Caller,
            fee: PRICE.fee(PROMPT.len() as u32, output.len() as u32).unwrap(),
        };
        Self {
            claim,
            header,
            prompt: PROMPT.to_vec(),
            output,
            receipt,
            signer: operator(PETRA),
            randomness: H256::zero(),
        }
    }

    /// Petra's score of this answer, asked as request `seq`: so many of its tokens are right.
    pub fn scored(self, seq: u64, right: u32, finish: Finish) -> Self {
        let Claim::Channel { id, .. } = self.claim else {
            panic!("a job is not scored")
        };
        let claim = Claim::Channel { id, seq };
        let request = [&self.prompt[..], &self.output].concat();
        let seed = self.header.seed(&self.header.hash(), &H256::zero());
        let header = RequestHeader {
            claim,
            prompt_root: salted_token_root(&SECRET, Side::Prompt, &request),
            prompt_len: request.len() as u32,
            task: Task::Score {
                seed: seed.into(),
                answer_at: self.prompt.len() as u32,
            },
            token_limit: self.output.len() as u32,
            output_price: 0,
            ..self.header
        };
        let receipt = Receipt {
            header: header.hash(),
            output_len: right,
            output_root: salted_token_root(&SECRET, Side::Output, &[]),
            finish,
            fee: PRICE.fee(request.len() as u32, 0).unwrap(),
            ..self.receipt
        };
        Self {
            claim,
            header,
            receipt,
            ..self
        }
    }

    /// The same with another header.
    pub fn with_header(mut self, change: impl FnOnce(&mut RequestHeader<u64>)) -> Self {
        change(&mut self.header);
        self.receipt.header = self.header.hash();
        self
    }

    pub fn with_receipt(mut self, change: impl FnOnce(&mut Receipt)) -> Self {
        change(&mut self.receipt);
        self
    }

    pub fn signature(&self) -> TestSignature {
        TestSignature(self.signer, self.receipt.signing_payload())
    }

    pub fn statement(&self) -> StatementOf<Test> {
        match self.claim {
            Claim::Job(_) => StatementOf::<Test> {
                receipt: self.receipt.clone(),
                signature: None,
                header: None,
            },
            Claim::Channel { .. } => StatementOf::<Test> {
                receipt: self.receipt.clone(),
                signature: Some(self.signature()),
                header: Some(self.header.clone()),
            },
        }
    }

    /// The header as Uma signed it.
    pub fn signed_header(&self) -> SignedHeader<u64> {
        let payload = SignedHeader::<u64>::signing_payload(&self.header.hash());
        SignedHeader {
            header: self.header.clone(),
            signature: user_signature(&payload),
        }
    }

    /// What a provider shows beside its trace.
    pub fn user_signature(&self) -> Option<VoucherSignature> {
        match self.claim {
            Claim::Job(_) => None,
            Claim::Channel { .. } => Some(self.signed_header().signature),
        }
    }

    /// The leaf that has a token: of the output, or of a score's request.
    pub fn open_token(&self, position: u32) -> LeafOpening {
        match self.header.task {
            Task::Generate => self.open_in(Side::Output, &self.output, position),
            Task::Score { answer_at, .. } => {
                let request = [&self.prompt[..], &self.output].concat();
                self.open_in(Side::Prompt, &request, answer_at + position)
            }
        }
    }

    fn open_in(&self, side: Side, tokens: &[TokenId], position: u32) -> LeafOpening {
        let salted = matches!(self.claim, Claim::Channel { .. });
        let leaves: Vec<Vec<u8>> = (0u64..)
            .zip(tokens.chunks(LEAF_TOKENS))
            .map(|(index, tokens)| {
                let salt = tree::salt(&SECRET, side, index);
                let salt = if salted { &salt[..] } else { &[] };
                let tokens = tokens.iter().flat_map(|token| token.to_le_bytes());
                salt.iter().copied().chain(tokens).collect()
            })
            .collect();
        open_leaf(&leaves, u64::from(position) / LEAF_TOKENS as u64)
    }

    /// Commit as `who` and dispute it in the next block.
    pub fn dispute(&self, who: u64, position: impl Into<Option<u32>>) -> DisputeId {
        let number = commit(who, &self.claim);
        pass(1);
        self.open(who, position).unwrap();
        number
    }

    /// Dispute it, as somebody who has committed.
    pub fn open(&self, who: u64, position: impl Into<Option<u32>>) -> DispatchResult {
        Disputes::open(
            RuntimeOrigin::signed(who),
            self.claim,
            self.statement(),
            position.into(),
            SALT,
            None,
        )
    }

    pub fn accuse(&self, who: u64, evidence: EvidenceOf<Test>) -> DispatchResult {
        let by = RuntimeOrigin::signed(who);
        Disputes::accuse(by, self.claim, self.statement(), evidence, SALT)
    }
}

/// A job of Uma's that Petra has delivered with this output.
pub fn job(output: Vec<TokenId>, finish: Finish) -> Given {
    let id: JobId = pallet_jobs::NextJobId::<Test>::get();
    Jobs::submit(
        RuntimeOrigin::signed(UMA),
        listing(),
        PROMPT.to_vec().try_into().unwrap(),
        Sampling::GREEDY,
        LIMIT,
        1,
        10_000,
        Some(PETRA),
    )
    .unwrap();
    pass(3);
    let record = pallet_jobs::Jobs::<Test>::get(id).unwrap();
    let pallet_jobs::JobState::Assigned(assignment) = &record.state else {
        panic!("job {id} is not assigned: {:?}", record.state)
    };
    let header = record.header(hash_of(0), id, assignment);
    let anchor = System::block_number() - 1;
    let receipt = Receipt {
        header: header.hash(),
        anchor: Anchor {
            number: anchor as u32,
            hash: hash_of(anchor),
        },
        output_len: output.len() as u32,
        output_root: token_root(&output),
        finish,
        fee: PRICE.fee(PROMPT.len() as u32, output.len() as u32).unwrap(),
    };
    let given = Given {
        claim: Claim::Job(id),
        header,
        prompt: PROMPT.to_vec(),
        output: output.clone(),
        receipt: receipt.clone(),
        signer: operator(PETRA),
        randomness: assignment.randomness,
    };
    let by = RuntimeOrigin::signed(operator(PETRA));
    let output = output.try_into().unwrap();
    Jobs::deliver(by, id, receipt, given.signature(), output).unwrap();
    given
}

pub fn commit(who: u64, claim: &Claim) -> DisputeId {
    let number = NextDispute::<Test>::get();
    let hash = commitment(claim, &who, &SALT);
    Disputes::commit(RuntimeOrigin::signed(who), hash).unwrap();
    number
}

pub fn dispute(number: DisputeId) -> DisputeRecordOf<Test> {
    crate::Disputes::<Test>::get(number).unwrap()
}

pub fn is_over(number: DisputeId) -> bool {
    !crate::Disputes::<Test>::contains_key(number)
}

pub fn stage(number: DisputeId) -> Stage {
    dispute(number).stage
}

pub fn choose(who: u64, number: DisputeId, choice: Choice) -> DispatchResultWithPostInfo {
    let state = dispute(number).state;
    Disputes::choose(RuntimeOrigin::signed(who), number, state, choice)
}

pub fn answer(who: u64, number: DisputeId, answer: Answer<u64>) -> DispatchResultWithPostInfo {
    let state = dispute(number).state;
    Disputes::answer(RuntimeOrigin::signed(who), number, state, answer)
}

pub fn reveal(who: u64, number: DisputeId, what: Revelation) -> DispatchResultWithPostInfo {
    let state = dispute(number).state;
    Disputes::reveal(RuntimeOrigin::signed(who), number, state, what)
}

pub fn prove(who: u64, number: DisputeId, proof: Vec<u8>) -> DispatchResultWithPostInfo {
    let state = dispute(number).state;
    let proof = proof.try_into().unwrap();
    Disputes::prove(RuntimeOrigin::signed(who), number, state, proof)
}

/// Leaf `index` of these, with the hashes on its way to the root.
pub fn open_leaf(leaves: &[Vec<u8>], index: u64) -> LeafOpening {
    let mut level: Vec<H256> = leaves.iter().map(|leaf| tree::leaf_hash(leaf)).collect();
    let mut place = index as usize;
    let mut siblings = Vec::new();
    while level.len() > 1 {
        if let Some(sibling) = level.get(place ^ 1) {
            siblings.push(*sibling);
        }
        level = level
            .chunks(2)
            .map(|pair| tree::root_of(pair.to_vec()))
            .collect();
        place /= 2;
    }
    LeafOpening {
        bytes: leaves[index as usize].clone().try_into().unwrap(),
        siblings: siblings.try_into().unwrap(),
    }
}

pub fn free(who: u64) -> Balance {
    Balances::balance(&who)
}

pub fn held(reason: impl Into<RuntimeHoldReason>, who: u64) -> Balance {
    Balances::balance_on_hold(&reason.into(), &who)
}

pub fn bond_of(who: u64) -> Balance {
    held(HoldReason::ChallengeBond, who)
}

pub fn provider(stash: u64) -> pallet_providers::ProviderRecordOf<Test> {
    pallet_providers::Providers::<Test>::get(stash).unwrap()
}

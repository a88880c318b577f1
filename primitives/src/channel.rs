//! What the two ends of a payment channel sign: vouchers and request headers.

use alloc::vec::Vec;

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_core::{ed25519, sr25519, H256};
use sp_runtime::traits::Verify;

use crate::{hashing::blake2_256, Balance, RequestHeader};

/// Hash that names a channel: of the chain's first block and a number that is never used twice.
pub type ChannelId = H256;

/// The most output tokens that a user's vouchers pay for beyond the last receipt it holds.
pub const WINDOW_TOKENS: u32 = 64;

/// A provider signs a receipt before prefill, after each of this many output tokens, and at the end.
/// Half a window, so that the next voucher is on its way while the tokens of this one are made.
pub const RECEIPT_TOKENS: u32 = 32;

const CHANNEL_DOMAIN: &[u8] = b"assay/channel/v1";
const VOUCHER_DOMAIN: &[u8] = b"assay/voucher/v1";
const REQUEST_DOMAIN: &[u8] = b"assay/request/v1";

/// The id of channel number `number` of the chain with this first block.
pub fn channel_id(genesis: &H256, number: u64) -> ChannelId {
    blake2_256(&(CHANNEL_DOMAIN, genesis, number).encode()).into()
}

/// The key that signs a channel's vouchers and requests. Not a wallet's: who steals it can spend the
/// channel's deposit and nothing else.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum VoucherKey {
    #[codec(index = 0)]
    Sr25519(sr25519::Public),
    #[codec(index = 1)]
    Ed25519(ed25519::Public),
}

/// A signature by a [`VoucherKey`] of the same kind.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum VoucherSignature {
    #[codec(index = 0)]
    Sr25519(sr25519::Signature),
    #[codec(index = 1)]
    Ed25519(ed25519::Signature),
}

impl VoucherKey {
    /// Whether `signature` is this key's over `payload`.
    pub fn verify(&self, payload: &[u8], signature: &VoucherSignature) -> bool {
        match (self, signature) {
            (Self::Sr25519(key), VoucherSignature::Sr25519(signature)) => {
                signature.verify(payload, key)
            }
            (Self::Ed25519(key), VoucherSignature::Ed25519(signature)) => {
                signature.verify(payload, key)
            }
            _ => false,
        }
    }
}

/// "The provider may take this much of my deposit in all": each voucher contains those before it.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Voucher {
    /// Hash of the chain's first block.
    pub genesis: H256,
    pub channel: ChannelId,
    /// Planck since the channel was opened.
    pub cumulative: Balance,
}

impl Voucher {
    /// The bytes that the voucher key signs.
    pub fn signing_payload(&self) -> Vec<u8> {
        (VOUCHER_DOMAIN, self).encode()
    }
}

/// A voucher as it travels. The chain's first block is known to whoever takes it.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    Debug,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct SignedVoucher {
    pub channel: ChannelId,
    /// Planck since the channel was opened.
    pub cumulative: Balance,
    pub signature: VoucherSignature,
}

impl SignedVoucher {
    /// Whether `key` signed this for the chain with this first block.
    pub fn is_signed(&self, genesis: H256, key: &VoucherKey) -> bool {
        let Self {
            channel,
            cumulative,
            signature,
        } = *self;
        let voucher = Voucher {
            genesis,
            channel,
            cumulative,
        };
        key.verify(&voucher.signing_payload(), &signature)
    }
}

/// A request under a channel, with the signature that a provider needs in order to be acquitted.
#[derive(
    Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct SignedHeader<AccountId> {
    pub header: RequestHeader<AccountId>,
    pub signature: VoucherSignature,
}

impl<AccountId: Encode> SignedHeader<AccountId> {
    /// The bytes that the voucher key signs for the request whose header has this hash.
    pub fn signing_payload(header: &H256) -> Vec<u8> {
        (REQUEST_DOMAIN, header).encode()
    }

    /// Whether `key` signed this.
    pub fn is_signed(&self, key: &VoucherKey) -> bool {
        key.verify(&Self::signing_payload(&self.header.hash()), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashing::blake2_256;
    use sp_core::Pair;

    /// Anybody may sign and verify these in another language; the bytes must never change.
    #[test]
    fn the_signing_payloads_are_pinned() {
        let voucher = Voucher {
            genesis: H256::repeat_byte(0x11),
            channel: H256::repeat_byte(0x22),
            cumulative: 5_000_000_000,
        };
        let mut expected = vec![64];
        expected.extend(b"assay/voucher/v1");
        expected.extend([0x11; 32]);
        expected.extend([0x22; 32]);
        expected.extend(5_000_000_000u128.to_le_bytes());
        assert_eq!(voucher.signing_payload(), expected);

        let mut expected = vec![64];
        expected.extend(b"assay/request/v1");
        expected.extend([0x33; 32]);
        let payload = SignedHeader::<H256>::signing_payload(&H256::repeat_byte(0x33));
        assert_eq!(payload, expected);

        let mut expected = vec![64];
        expected.extend(b"assay/channel/v1");
        expected.extend([0x11; 32]);
        expected.extend(7u64.to_le_bytes());
        let id = channel_id(&H256::repeat_byte(0x11), 7);
        assert_eq!(id, H256(blake2_256(&expected)));
    }

    #[test]
    fn a_voucher_holds_for_its_own_chain_channel_amount_and_key_alone() {
        let genesis = H256::repeat_byte(1);
        let voucher = Voucher {
            genesis,
            channel: H256::repeat_byte(2),
            cumulative: 10,
        };
        let payload = voucher.signing_payload();
        let sr = sr25519::Pair::from_seed(&[3; 32]);
        let ed = ed25519::Pair::from_seed(&[3; 32]);
        let pairs = [
            (
                VoucherKey::Sr25519(sr.public()),
                VoucherSignature::Sr25519(sr.sign(&payload)),
            ),
            (
                VoucherKey::Ed25519(ed.public()),
                VoucherSignature::Ed25519(ed.sign(&payload)),
            ),
        ];
        for (key, signature) in pairs {
            let signed = SignedVoucher {
                channel: voucher.channel,
                cumulative: 10,
                signature,
            };
            assert!(signed.is_signed(genesis, &key));
            assert!(!signed.is_signed(H256::repeat_byte(9), &key));
            let other = |change: &dyn Fn(&mut SignedVoucher)| {
                let mut other = signed;
                change(&mut other);
                other.is_signed(genesis, &key)
            };
            assert!(!other(&|one| one.channel = H256::repeat_byte(9)));
            assert!(!other(&|one| one.cumulative = 11));
        }
        let [(sr_key, sr_signature), (ed_key, ed_signature)] = pairs;
        assert!(!sr_key.verify(&payload, &ed_signature));
        assert!(!ed_key.verify(&payload, &sr_signature));
        // A wallet's signature over the payload in brackets is for another purpose.
        let wrapped = [b"<Bytes>", &payload[..], b"</Bytes>"].concat();
        let wrapped = VoucherSignature::Sr25519(sr.sign(&wrapped));
        assert!(!sr_key.verify(&payload, &wrapped));
    }
}

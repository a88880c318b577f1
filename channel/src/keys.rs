//! The key that signs a channel's vouchers and requests.

use assay_primitives::{ChannelId, Voucher, VoucherKey, VoucherSignature};
use sp_core::{ed25519, sr25519, Pair, H256};

use crate::{Header, SignedHeader};
use assay_primitives::{Balance, SignedVoucher};

/// The secret half of a [`VoucherKey`].
#[derive(Clone)]
// Few in memory; a box would not make them smaller together.
#[allow(clippy::large_enum_variant)]
pub enum VoucherPair {
    Sr25519(sr25519::Pair),
    Ed25519(ed25519::Pair),
}

/// Shows the public half alone.
impl std::fmt::Debug for VoucherPair {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.public().fmt(f)
    }
}

impl VoucherPair {
    /// The sr25519 pair of a 32-byte seed.
    pub fn sr25519(seed: &[u8; 32]) -> Self {
        Self::Sr25519(sr25519::Pair::from_seed(seed))
    }

    /// The ed25519 pair of a 32-byte seed.
    pub fn ed25519(seed: &[u8; 32]) -> Self {
        Self::Ed25519(ed25519::Pair::from_seed(seed))
    }

    pub fn public(&self) -> VoucherKey {
        match self {
            Self::Sr25519(pair) => VoucherKey::Sr25519(pair.public()),
            Self::Ed25519(pair) => VoucherKey::Ed25519(pair.public()),
        }
    }

    fn sign(&self, payload: &[u8]) -> VoucherSignature {
        match self {
            Self::Sr25519(pair) => VoucherSignature::Sr25519(pair.sign(payload)),
            Self::Ed25519(pair) => VoucherSignature::Ed25519(pair.sign(payload)),
        }
    }

    /// A voucher for `cumulative` planck in all. [`Payer`](crate::Payer) decides how much that may be.
    pub fn sign_voucher(
        &self,
        genesis: H256,
        channel: ChannelId,
        cumulative: Balance,
    ) -> SignedVoucher {
        let voucher = Voucher {
            genesis,
            channel,
            cumulative,
        };
        SignedVoucher {
            channel,
            cumulative,
            signature: self.sign(&voucher.signing_payload()),
        }
    }

    pub fn sign_header(&self, header: Header) -> SignedHeader {
        let signature = self.sign(&SignedHeader::signing_payload(&header.hash()));
        SignedHeader { header, signature }
    }
}

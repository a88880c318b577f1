//! How vouchers, headers and receipts travel over HTTP: base64 of SCALE in headers, 0x-hex of SCALE in JSON,
//! planck as decimal strings.

use assay_primitives::{Balance, Receipt, SignedVoucher, TokenId};
use base64::{engine::general_purpose::STANDARD, Engine};
use codec::{Decode, DecodeAll, Encode};
use serde::{Deserialize, Serialize};
use sp_core::H256;
use sp_runtime::{traits::Verify, AccountId32, MultiSignature};

use crate::{AccountId, SignedHeader};

/// HTTP header of a request: base64 of SCALE [`SignedHeader`]s, comma separated, one per choice.
pub const REQUEST_HEADER: &str = "assay-request";
/// HTTP header with base64 of a SCALE [`SignedVoucher`].
pub const VOUCHER_HEADER: &str = "assay-voucher";
/// HTTP header of a sealed body: base64 of the encapsulated key.
pub const SEAL_HEADER: &str = "assay-seal";
/// Content type of a sealed body.
pub const SEALED_TYPE: &str = "application/assay-sealed";

/// The most choices of one request.
pub const MAX_CHOICES: usize = 16;

/// A receipt and the operator's signature over its signing payload: 0x01 and 64 bytes for sr25519, which is what
/// workers sign with.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct SignedReceipt {
    pub receipt: Receipt,
    pub signature: MultiSignature,
}

impl SignedReceipt {
    pub fn is_signed(&self, operator: &AccountId) -> bool {
        let payload = self.receipt.signing_payload();
        self.signature
            .verify(&payload[..], &AccountId32::new(*operator))
    }
}

/// Where a channel stands with its provider. All amounts are planck since the channel was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChannelStatus {
    #[serde(with = "decimal")]
    pub deposit: Balance,
    /// Claimed on chain.
    #[serde(with = "decimal")]
    pub settled: Balance,
    /// The highest voucher that the provider has.
    #[serde(with = "decimal")]
    pub accepted: Balance,
    /// The sum of the fees in the provider's last receipts.
    #[serde(with = "decimal")]
    pub spent: Balance,
}

/// The `assay` object of a payment error.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Owed {
    /// The cumulative voucher that would do, where more money is all that is missing.
    #[serde(
        default,
        with = "optional_decimal",
        skip_serializing_if = "Option::is_none"
    )]
    pub required: Option<Balance>,
    #[serde(flatten)]
    pub channel: ChannelStatus,
}

/// The `assay` object of a request's body.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestParts {
    /// What the token roots of prompt and output are salted with.
    #[serde(with = "bytes32")]
    pub secret: [u8; 32],
}

/// The `assay` object of a chunk or choice.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ChunkParts {
    /// The tokens of this chunk, or all of the choice's.
    #[serde(default)]
    pub tokens: Vec<TokenId>,
    /// Over all tokens of the choice up to and with this chunk's.
    #[serde(
        default,
        with = "optional_scale",
        skip_serializing_if = "Option::is_none"
    )]
    pub receipt: Option<SignedReceipt>,
}

/// The answer to `GET /v1/channels/{id}/receipts/{seq}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StoredReceipt {
    /// The last receipt on disk; none if the request was interrupted before the first.
    #[serde(with = "optional_scale")]
    pub receipt: Option<SignedReceipt>,
    /// Whether no further receipt follows.
    pub ended: bool,
}

/// Why a text is not what it should carry.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    #[error("{what}: it is not base64; send base64 of the SCALE bytes")]
    Base64 { what: &'static str },
    #[error("{what}: it is not 0x and hexadecimal digits of the right length")]
    Hex { what: &'static str },
    #[error("{what}: the bytes are none, or of another version of the format")]
    Scale { what: &'static str },
    #[error(
        "{what}: {count} requests at once, and the most are {MAX_CHOICES}; ask for fewer choices"
    )]
    TooMany { what: &'static str, count: usize },
}

/// The value of [`VOUCHER_HEADER`].
pub fn encode_voucher(voucher: &SignedVoucher) -> String {
    STANDARD.encode(voucher.encode())
}

/// The reverse of [`encode_voucher`].
pub fn decode_voucher(value: &str) -> Result<SignedVoucher, WireError> {
    decode_base64(VOUCHER_HEADER, value)
}

/// The value of [`REQUEST_HEADER`].
pub fn encode_headers(headers: &[SignedHeader]) -> String {
    let one = |header: &SignedHeader| STANDARD.encode(header.encode());
    headers.iter().map(one).collect::<Vec<_>>().join(",")
}

/// The reverse of [`encode_headers`]: 1 to [`MAX_CHOICES`] headers.
pub fn decode_headers(value: &str) -> Result<Vec<SignedHeader>, WireError> {
    let count = value.split(',').count();
    if count > MAX_CHOICES {
        return Err(WireError::TooMany {
            what: REQUEST_HEADER,
            count,
        });
    }
    let one = |part| decode_base64(REQUEST_HEADER, part);
    value.split(',').map(one).collect()
}

/// The value of [`SEAL_HEADER`].
pub fn encode_seal(encapsulated: &[u8; 32]) -> String {
    STANDARD.encode(encapsulated)
}

/// The reverse of [`encode_seal`].
pub fn decode_seal(value: &str) -> Result<[u8; 32], WireError> {
    decode_base64(SEAL_HEADER, value)
}

fn decode_base64<T: Decode>(what: &'static str, value: &str) -> Result<T, WireError> {
    let bytes = STANDARD
        .decode(value.trim())
        .map_err(|_| WireError::Base64 { what })?;
    T::decode_all(&mut &bytes[..]).map_err(|_| WireError::Scale { what })
}

/// What the chain keeps of a provider's TLS key: SHA-256 of its SubjectPublicKeyInfo in DER.
pub fn tls_key_hash(subject_public_key_info: &[u8]) -> H256 {
    sp_crypto_hashing::sha2_256(subject_public_key_info).into()
}

/// 0x and the SCALE bytes in hexadecimal digits.
pub fn encode_hex(value: &impl Encode) -> String {
    format!("0x{}", hex::encode(value.encode()))
}

/// The reverse of [`encode_hex`]; `what` names the value in the error.
pub fn decode_hex<T: Decode>(what: &'static str, text: &str) -> Result<T, WireError> {
    let digits = text.strip_prefix("0x").ok_or(WireError::Hex { what })?;
    let bytes = hex::decode(digits).map_err(|_| WireError::Hex { what })?;
    T::decode_all(&mut &bytes[..]).map_err(|_| WireError::Scale { what })
}

mod decimal {
    use super::Balance;
    use serde::{de::Error, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Balance, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Balance, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

mod optional_decimal {
    use super::Balance;
    use serde::{de::Error, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<Balance>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Balance>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let number = text.map(|text| text.parse());
        number.transpose().map_err(D::Error::custom)
    }
}

mod bytes32 {
    use serde::{de::Error, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::encode_hex(value))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        super::decode_hex("assay.secret", &text).map_err(D::Error::custom)
    }
}

mod optional_scale {
    use super::SignedReceipt;
    use serde::{de::Error, Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(
        value: &Option<SignedReceipt>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_str(&super::encode_hex(value)),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<SignedReceipt>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let receipt = text.map(|text| super::decode_hex("assay.receipt", &text));
        receipt.transpose().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;

//! A receipt as the chain took it: what was promised, by whom, and the signature that proves it.

use assay_primitives::{model, JobId, ListingId, ModelRoot, Receipt};
use codec::{Decode, DecodeAll, Encode};
use sp_runtime::{traits::Verify, MultiSignature, Permill};
use subxt::utils::{AccountId32, H256};

use crate::{
    chain::{Chain, Delivery},
    folder, Error,
};

/// A receipt with its signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedReceipt {
    pub receipt: Receipt,
    /// The operator key that spoke for the provider at the receipt's anchor.
    pub operator: AccountId32,
    /// A `MultiSignature` in SCALE: 0x01 and 64 bytes for sr25519, which is what workers sign with.
    pub signature: Vec<u8>,
}

impl SignedReceipt {
    /// Whether the signature is the operator's, over this receipt.
    pub fn is_signed(&self) -> bool {
        let payload = self.receipt.signing_payload();
        let operator = sp_runtime::AccountId32::new(self.operator.0);
        MultiSignature::decode_all(&mut &self.signature[..])
            .is_ok_and(|signature| signature.verify(&payload[..], &operator))
    }
}

/// The listing of the model with this root by `publisher`, for a royalty in parts per million.
pub fn listing_id(root: &ModelRoot, publisher: &AccountId32, royalty: u32) -> ListingId {
    model::listing_id(root, publisher, Permill::from_parts(royalty))
}

impl Chain {
    /// The receipt that `delivery` is about. The chain's storage has only its hash: the receipt itself is in the
    /// block of the delivery, and `None` is for a node that has that block no more. Anybody can write a receipt
    /// into a block, so what counts is the signature of the provider's operator.
    pub async fn signed_receipt(
        &self,
        id: JobId,
        provider: AccountId32,
        delivery: &Delivery,
    ) -> Result<Option<SignedReceipt>, Error> {
        let Some(extrinsics) = self.extrinsics(delivery.delivered_at).await? else {
            return Ok(None);
        };
        let no_signature = || Error::NoSignature {
            job: id,
            block: delivery.delivered_at,
        };
        let hash = delivery.receipt_hash;
        let first = in_block(&extrinsics, id, hash).next();
        // Whatever stands there, all of it is the one receipt with this hash.
        let (Receipt { anchor, .. }, _) = first.ok_or_else(no_signature)?;
        let best = self.best().await?;
        let operator = best.operator_at(provider, anchor.number).await?;
        let operator = operator.ok_or_else(no_signature)?;
        let signed = signed_by(operator, in_block(&extrinsics, id, hash));
        signed.map(Some).ok_or_else(no_signature)
    }
}

/// The first receipt that `operator` did sign.
fn signed_by(
    operator: AccountId32,
    found: impl Iterator<Item = (Receipt, MultiSignature)>,
) -> Option<SignedReceipt> {
    found
        .map(|(receipt, signature)| SignedReceipt {
            receipt,
            operator,
            signature: signature.encode(),
        })
        .find(SignedReceipt::is_signed)
}

/// Wherever the receipt with this hash for the job `id` stands in the extrinsics of a block, with the signature
/// behind it, valid or not. Bytes are searched and not calls, so that the metadata of a past block, which few
/// nodes keep, is not needed.
fn in_block(
    extrinsics: &[Vec<u8>],
    id: JobId,
    hash: H256,
) -> impl Iterator<Item = (Receipt, MultiSignature)> + '_ {
    let places = extrinsics.iter().flat_map(move |extrinsic| {
        let id = id.encode();
        (0..extrinsic.len()).filter_map(move |at| extrinsic.get(at..)?.strip_prefix(&id[..]))
    });
    places.filter_map(move |mut rest| {
        let receipt = Receipt::decode(&mut rest).ok()?;
        let is_it = folder::hash(&receipt.signing_payload()) == hash;
        let signature = is_it.then(|| MultiSignature::decode(&mut rest).ok())??;
        Some((receipt, signature))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys;
    use assay_primitives::{Anchor, Finish};

    fn signed() -> SignedReceipt {
        let receipt = Receipt {
            header: H256::repeat_byte(1),
            anchor: Anchor {
                number: 7,
                hash: H256::repeat_byte(2),
            },
            output_len: 3,
            output_root: H256::repeat_byte(3),
            finish: Finish::Eos,
            fee: 5,
        };
        let key = keys::load("//Bob").unwrap();
        let signature = key.sign(&receipt.signing_payload()).0;
        SignedReceipt {
            receipt,
            operator: keys::account(&key),
            signature: MultiSignature::Sr25519(signature.into()).encode(),
        }
    }

    #[test]
    fn a_signature_is_of_one_key_and_one_receipt() {
        assert!(signed().is_signed());
        let other_key = SignedReceipt {
            operator: AccountId32([9; 32]),
            ..signed()
        };
        assert!(!other_key.is_signed());
        let mut other_receipt = signed();
        other_receipt.receipt.fee = 6;
        assert!(!other_receipt.is_signed());
        let mut longer = signed();
        longer.signature.push(0);
        assert!(!longer.is_signed());
    }

    fn hash(signed: &SignedReceipt) -> H256 {
        folder::hash(&signed.receipt.signing_payload())
    }

    /// The delivery of job 3. Zeros before the job's number look like the beginning of it.
    fn delivery(signed: &SignedReceipt) -> Vec<u8> {
        let head = [&[0x84, 0, 0, 0][..], &3u64.encode()].concat();
        let output = vec![4u32, 9, 2].encode();
        [
            head,
            signed.receipt.encode(),
            signed.signature.clone(),
            output,
        ]
        .concat()
    }

    #[test]
    fn a_receipt_is_found_in_the_bytes_of_its_delivery_and_in_no_other() {
        let signed = signed();
        let (hash, extrinsic) = (hash(&signed), delivery(&signed));
        let found = |extrinsic: &[u8], id, hash| {
            let extrinsics = [extrinsic.to_vec()];
            signed_by(signed.operator, in_block(&extrinsics, id, hash))
        };
        assert_eq!(found(&extrinsic, 3, hash), Some(signed.clone()));
        assert_eq!(found(&extrinsic, 4, hash), None);
        assert_eq!(found(&extrinsic, 3, H256::zero()), None);
        for length in 0..extrinsic.len() - 13 {
            assert_eq!(found(&extrinsic[..length], 3, hash), None);
        }
    }

    /// Whoever sees a delivery in the pool can write the same bytes with another signature in front of it.
    #[test]
    fn a_bad_signature_before_the_delivery_changes_nothing() {
        let signed = signed();
        let hash = hash(&signed);
        let mut junk = signed.clone();
        junk.signature[7] ^= 1;
        let mut other_key = signed.clone();
        let eve = keys::load("//Eve").unwrap();
        other_key.signature = [
            vec![1],
            eve.sign(&signed.receipt.signing_payload()).0.to_vec(),
        ]
        .concat();
        let remark = [&b"remark"[..], &delivery(&junk), &delivery(&other_key)].concat();
        let real = delivery(&signed);
        for block in [
            vec![remark.clone(), real.clone()],
            vec![[&remark[..], &real].concat()],
            vec![real.clone(), remark.clone()],
        ] {
            let found = signed_by(signed.operator, in_block(&block, 3, hash));
            assert_eq!(found, Some(signed.clone()));
        }
        let lies = [remark];
        assert_eq!(in_block(&lies, 3, hash).count(), 2);
        assert_eq!(signed_by(signed.operator, in_block(&lies, 3, hash)), None);
    }
}

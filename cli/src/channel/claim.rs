//! A voucher with what is owed on it, as a provider keeps it for whoever settles.

use std::str::FromStr;

use assay_client::{
    chain::{Channel, ChannelState},
    Amount, Snapshot, H256,
};
use assay_primitives::SignedVoucher;
use codec::DecodeAll;

use crate::failure::Failure;

/// What a provider takes of a channel: `amount` planck in all, which the voucher must allow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    pub voucher: SignedVoucher,
    pub amount: u128,
}

/// A voucher as an argument: its SCALE bytes in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hex(pub SignedVoucher);

impl FromStr for Hex {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it is no signed voucher; take one from the worker's file".to_owned();
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let bytes = hex::decode(digits).map_err(|_| wrong())?;
        let voucher = SignedVoucher::decode_all(&mut &bytes[..]).map_err(|_| wrong())?;
        Ok(Self(voucher))
    }
}

/// A line of a file of vouchers: `0x…`, a space, and the planck that are owed.
impl FromStr for Claim {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || "write 0x and the voucher, a space, and the planck that are owed".to_owned();
        let (voucher, amount) = line.trim().split_once(' ').ok_or_else(wrong)?;
        Ok(Self {
            voucher: voucher.parse::<Hex>()?.0,
            amount: amount.trim().parse().map_err(|_| wrong())?,
        })
    }
}

impl Claim {
    /// What the chain would pay for this now, in planck: nothing if it was paid before or the channel
    /// is closed. An error says what is wrong with it, since one that fails makes others fail.
    pub async fn owed(
        &self,
        snapshot: &Snapshot,
        channel: &Channel,
        genesis: H256,
    ) -> Result<u128, Failure> {
        let owed = self.check(channel, genesis)?;
        if owed > 0 {
            let provider = snapshot.provider(channel.provider).await?;
            if provider.is_none_or(|provider| provider.registered_at != channel.epoch) {
                return Err(Failure::Request(format!(
                    "{} has left since channel {:?} was opened, so nothing can be settled to it; its \
                     user is refunded when it closes",
                    channel.provider, self.voucher.channel
                )));
            }
        }
        Ok(owed)
    }

    /// The same, without looking at the provider.
    fn check(&self, channel: &Channel, genesis: H256) -> Result<u128, Failure> {
        let Self { voucher, amount } = self;
        let id = voucher.channel;
        let closed = matches!(channel.state, ChannelState::Closed { .. });
        if closed || *amount <= channel.settled {
            return Ok(0);
        }
        if *amount > voucher.cumulative {
            return Err(Failure::Usage(format!(
                "the voucher of channel {id:?} allows {} and not {}; claim no more than that",
                Amount(voucher.cumulative),
                Amount(*amount)
            )));
        }
        if voucher.cumulative > channel.deposit {
            return Err(Failure::Request(format!(
                "the voucher of channel {id:?} is over {}, more than the {} that were put in; settle an \
                 earlier one",
                Amount(voucher.cumulative),
                Amount(channel.deposit)
            )));
        }
        if !voucher.is_signed(genesis, &channel.voucher_key.0) {
            return Err(Failure::Usage(format!(
                "the voucher is not signed by the key of channel {id:?} for this chain; take it from the \
                 provider's worker again"
            )));
        }
        Ok(amount.saturating_sub(channel.settled))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use assay_client::{chain::runtime::runtime_types, subxt::utils::Static, AccountId32};
    use assay_primitives::{Voucher, VoucherKey, VoucherSignature};
    use codec::Encode;

    const GENESIS: H256 = H256::repeat_byte(1);

    fn signer() -> assay_client::Keypair {
        assay_client::keys::load("//Dave").unwrap()
    }

    pub fn claim(cumulative: u128, amount: u128) -> Claim {
        let voucher = Voucher {
            genesis: GENESIS,
            channel: H256::repeat_byte(7),
            cumulative,
        };
        let signature = signer().sign(&voucher.signing_payload()).0;
        Claim {
            voucher: SignedVoucher {
                channel: voucher.channel,
                cumulative,
                signature: VoucherSignature::Sr25519(signature.into()),
            },
            amount,
        }
    }

    pub fn channel(settled: u128, state: ChannelState<u32>) -> Channel {
        Channel {
            user: AccountId32([1; 32]),
            provider: AccountId32([2; 32]),
            epoch: 1,
            listing: H256::zero(),
            royalty: runtime_types::sp_arithmetic::per_things::Permill(20_000),
            voucher_key: Static(VoucherKey::Sr25519(signer().public_key().0.into())),
            deposit: 1_000,
            settled,
            dues: runtime_types::assay_primitives::fees::Dues {
                royalty: 20,
                treasury: 3,
                burned: 2,
            },
            refunded: 0,
            disputes: 0,
            opened_at: 1,
            stood_still: 0,
            state,
            ticket: runtime_types::frame_support::traits::tokens::fungible::HoldConsideration(0),
        }
    }

    #[test]
    fn a_line_has_a_voucher_and_what_is_owed_on_it() {
        let claim = claim(600, 500);
        let hex = hex::encode(claim.voucher.encode());
        assert_eq!(format!("0x{hex} 500\n").parse(), Ok(claim));
        // What is owed is never guessed from what the voucher allows.
        for wrong in [
            "",
            "500",
            &format!("0x{hex}"),
            &format!("0x{hex} "),
            &format!("0x{hex}00 500"),
            "0xzz 1",
        ] {
            assert!(wrong.parse::<Claim>().is_err(), "{wrong}");
        }
        assert_eq!(format!("0x{hex}").parse(), Ok(Hex(claim.voucher)));
    }

    #[test]
    fn only_what_the_chain_would_pay_is_owed() {
        let open = || ChannelState::Open;
        let closing = ChannelState::Closing { finalize_at: 9 };
        let owed = |claim: Claim, channel: &Channel| claim.check(channel, GENESIS);
        assert_eq!(owed(claim(600, 500), &channel(100, open())).unwrap(), 400);
        assert_eq!(owed(claim(600, 500), &channel(500, closing)).unwrap(), 0);
        let closed = ChannelState::Closed { remove_at: 9 };
        assert_eq!(owed(claim(600, 500), &channel(100, closed)).unwrap(), 0);

        let fails = |claim: Claim, part: &str| {
            let told = owed(claim, &channel(100, open())).unwrap_err().to_string();
            assert!(told.contains(part) && !told.contains('\n'), "{told}");
        };
        fails(claim(600, 601), "allows 600 planck and not 601 planck");
        fails(
            claim(1_001, 500),
            "more than the 1000 planck that were put in",
        );
        let mut forged = claim(600, 500);
        forged.voucher.cumulative = 700;
        fails(forged, "not signed by the key");
        let elsewhere = claim(600, 500).check(&channel(100, open()), H256::zero());
        assert!(elsewhere.is_err());
    }
}

//! Whether an account can pay for a call, found out before it is sent: a call that fails costs its
//! fee all the same.

use assay_client::{
    keys, subxt::transactions::Payload, AccountId32, Amount, Chain, Error, Keypair, Snapshot,
};

use crate::failure::Failure;

/// What a call takes from an account besides its fee: as what, and planck.
pub type Takes<'a> = &'a [(&'static str, u128)];

/// What records have at most, in bytes.
const LISTING_BYTES: u128 = 541;
const PROVIDER_BYTES: u128 = 2_066;
const OFFER_BYTES: u128 = 64;
const JOB_BYTES: u128 = 793;
const CHANNEL_BYTES: u128 = 394;

/// What a new record puts on hold, in planck, as the runtime computes it: so much for any, and so much for each of its
/// bytes at most. It comes back when the record goes.
pub struct Deposits {
    base: u128,
    per_byte: u128,
}

impl Deposits {
    /// As governance has set them.
    pub async fn at(snapshot: &Snapshot) -> Result<Self, Error> {
        let parameters = snapshot.governance_parameters().await?;
        Ok(Self {
            base: parameters.deposit_base,
            per_byte: parameters.deposit_per_byte,
        })
    }

    fn of(&self, bytes: u128) -> (&'static str, u128) {
        let amount = self
            .base
            .saturating_add(self.per_byte.saturating_mul(bytes));
        ("as a deposit", amount)
    }

    pub fn listing(&self) -> (&'static str, u128) {
        self.of(LISTING_BYTES)
    }

    pub fn provider(&self) -> (&'static str, u128) {
        self.of(PROVIDER_BYTES)
    }

    pub fn offer(&self) -> (&'static str, u128) {
        self.of(OFFER_BYTES)
    }

    /// For a prompt and an answer of so many tokens.
    pub fn job(&self, prompt_len: usize, max_output_tokens: u32) -> (&'static str, u128) {
        let length_bytes = match prompt_len {
            0..=63 => 1,
            _ => 2,
        };
        let tokens = (prompt_len as u128).saturating_add(max_output_tokens.into());
        self.of(JOB_BYTES + length_bytes + tokens.saturating_mul(4))
    }

    pub fn channel(&self) -> (&'static str, u128) {
        self.of(CHANNEL_BYTES)
    }

    /// For a call of so many bytes that a referendum is about.
    pub fn preimage(&self, len: usize) -> (&'static str, u128) {
        self.of(len as u128)
    }
}

/// The pallets whose calls take money away from its account. What the others take stays there, on hold; for that it
/// may be locked by votes.
const SPENDING: [&str; 2] = ["Balances", "Referenda"];

/// What an account has, and what a call needs.
pub struct Funds {
    account: AccountId32,
    /// What the call can take of it, in planck: less than all that it has, or else it would be gone.
    usable: u128,
    /// The part that is not locked: fees are paid of it.
    unlocked: u128,
    takes: Vec<(&'static str, u128)>,
    fee: u128,
}

impl Funds {
    pub async fn look<C: Payload>(
        chain: &Chain,
        call: &C,
        key: &Keypair,
        takes: Takes<'_>,
    ) -> Result<Self, Error> {
        let account = keys::account(key);
        let best = chain.best().await?;
        let balances = best.balances(account).await?;
        let least = best.existential_deposit()?;
        let unlocked = balances.free.saturating_sub(least.max(balances.locked()));
        Ok(Self {
            account,
            usable: match SPENDING.contains(&call.pallet_name()) {
                true => unlocked,
                false => balances.free.saturating_sub(least),
            },
            unlocked,
            takes: takes.to_vec(),
            fee: chain.fee(call, key).await?,
        })
    }

    pub fn check(&self) -> Result<(), Failure> {
        match self.total() > self.usable || self.fee > self.unlocked {
            true => Err(self.failure()),
            false => Ok(()),
        }
    }

    fn total(&self) -> u128 {
        let takes = self.takes.iter();
        takes.fold(self.fee, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    /// That the account has too little.
    pub fn failure(&self) -> Failure {
        let fee = format!("{} as the transaction's fee", Amount(self.fee));
        let takes = self.takes.iter();
        let mut needs: Vec<String> = takes
            .map(|(what, amount)| format!("{} {what}", Amount(*amount)))
            .collect();
        let (has, total) = match self.total() > self.usable {
            true => (self.usable, self.total()),
            // The money is there and locked.
            false => {
                needs.clear();
                (self.unlocked, self.fee)
            }
        };
        needs.push(fee);
        Failure::Request(format!(
            "{} has {} free, and this needs {}: {}; send it ASY, and look at it with `assay balance`",
            self.account,
            Amount(has),
            Amount(total),
            needs.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI_ASY: u128 = 1_000_000_000;

    /// The runtime has the same amounts in a test of this name.
    #[test]
    fn deposits_are_those_of_the_largest_records() {
        let deposits = Deposits {
            base: 10 * MILLI_ASY,
            per_byte: MILLI_ASY / 100,
        };
        assert_eq!(deposits.listing().1, 15_410 * MILLI_ASY / 1_000);
        assert_eq!(deposits.provider().1, 30_660 * MILLI_ASY / 1_000);
        assert_eq!(deposits.offer().1, 10_640 * MILLI_ASY / 1_000);
        assert_eq!(deposits.job(7, 64).1, 20_780 * MILLI_ASY / 1_000);
        assert_eq!(deposits.channel().1, 13_940 * MILLI_ASY / 1_000);
    }

    #[test]
    fn too_little_money_is_told_with_what_is_needed_for_what() {
        let mut funds = Funds {
            account: AccountId32([7; 32]),
            usable: 5 * MILLI_ASY,
            unlocked: 5 * MILLI_ASY,
            takes: vec![("for --max-fee", 4 * MILLI_ASY)],
            fee: MILLI_ASY,
        };
        assert!(funds.check().is_ok());
        funds.usable -= 1;
        let message = funds.check().unwrap_err().to_string();
        for part in [
            funds.account.to_string().as_str(),
            "has 4.999999999 mASY free, and this needs 5 mASY",
            "4 mASY for --max-fee, 1 mASY as the transaction's fee",
            "assay balance",
        ] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains('\n'));
    }

    #[test]
    fn what_is_locked_may_go_on_hold_and_pays_no_fee() {
        let mut funds = Funds {
            account: AccountId32([7; 32]),
            usable: 5 * MILLI_ASY,
            unlocked: MILLI_ASY,
            takes: vec![("to bond", 4 * MILLI_ASY)],
            fee: MILLI_ASY,
        };
        assert!(funds.check().is_ok());
        funds.unlocked -= 1;
        let message = funds.check().unwrap_err().to_string();
        assert!(
            message.contains("has 999.999999 uASY free, and this needs 1 mASY: 1 mASY as the"),
            "{message}"
        );
    }
}

//! Whether an account can pay for a call, found out before it is sent: a call that fails costs its
//! fee all the same.

use assay_client::{
    keys, subxt::transactions::Payload, AccountId32, Amount, Chain, Error, Keypair, Snapshot,
};

use crate::failure::Failure;

/// What a call takes from an account besides its fee: as what, and planck.
pub type Takes<'a> = &'a [(&'static str, u128)];

/// Deposits, in planck, as the runtime computes them: one for each record, and one for each of its
/// bytes at most. They come back when the record goes.
const DEPOSIT_BASE: u128 = 10_000_000_000;
const DEPOSIT_PER_BYTE: u128 = 10_000_000;
const LISTING_BYTES: u128 = 541;
const PROVIDER_BYTES: u128 = 2_066;
const OFFER_BYTES: u128 = 64;
const JOB_BYTES: u128 = 793;
const CHANNEL_BYTES: u128 = 394;

fn deposit(bytes: u128) -> (&'static str, u128) {
    let amount = DEPOSIT_BASE.saturating_add(DEPOSIT_PER_BYTE.saturating_mul(bytes));
    ("as a deposit", amount)
}

pub fn listing_deposit() -> (&'static str, u128) {
    deposit(LISTING_BYTES)
}

pub fn provider_deposit() -> (&'static str, u128) {
    deposit(PROVIDER_BYTES)
}

pub fn offer_deposit() -> (&'static str, u128) {
    deposit(OFFER_BYTES)
}

/// For a prompt and an answer of so many tokens.
pub fn job_deposit(prompt_len: usize, max_output_tokens: u32) -> (&'static str, u128) {
    let length_bytes = match prompt_len {
        0..=63 => 1,
        _ => 2,
    };
    let tokens = (prompt_len as u128).saturating_add(max_output_tokens.into());
    deposit(JOB_BYTES + length_bytes + tokens.saturating_mul(4))
}

pub fn channel_deposit() -> (&'static str, u128) {
    deposit(CHANNEL_BYTES)
}

/// For a call of so many bytes that a referendum is about.
pub fn preimage_deposit(len: usize) -> (&'static str, u128) {
    deposit(len as u128)
}

/// What an account can spend, and what a call needs.
pub struct Funds {
    account: AccountId32,
    spendable: u128,
    needs: Vec<(&'static str, u128)>,
}

impl Funds {
    pub async fn look<C: Payload>(
        chain: &Chain,
        call: &C,
        key: &Keypair,
        takes: Takes<'_>,
    ) -> Result<Self, Error> {
        let account = keys::account(key);
        let mut needs = takes.to_vec();
        needs.push(("as the transaction's fee", chain.fee(call, key).await?));
        Ok(Self {
            account,
            spendable: spendable(&chain.best().await?, account).await?,
            needs,
        })
    }

    pub fn check(&self) -> Result<(), Failure> {
        match self.total() > self.spendable {
            true => Err(self.failure()),
            false => Ok(()),
        }
    }

    fn total(&self) -> u128 {
        self.needs
            .iter()
            .fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    /// That the account has too little.
    pub fn failure(&self) -> Failure {
        let each: Vec<String> = self
            .needs
            .iter()
            .map(|(what, amount)| format!("{} {what}", Amount(*amount)))
            .collect();
        Failure::Request(format!(
            "{} has {} free, and this needs {}: {}; send it ASY, and look at it with `assay balance`",
            self.account,
            Amount(self.spendable),
            Amount(self.total()),
            each.join(", ")
        ))
    }
}

/// What is free and neither frozen nor needed to keep the account.
async fn spendable(best: &Snapshot, account: AccountId32) -> Result<u128, Error> {
    let balances = best.balances(account).await?;
    let frozen = balances.frozen.saturating_sub(balances.reserved);
    let stays = best.existential_deposit()?.max(frozen);
    Ok(balances.free.saturating_sub(stays))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI_ASY: u128 = 1_000_000_000;

    /// The runtime has the same amounts in a test of this name.
    #[test]
    fn deposits_are_those_of_the_largest_records() {
        assert_eq!(listing_deposit().1, 15_410 * MILLI_ASY / 1_000);
        assert_eq!(provider_deposit().1, 30_660 * MILLI_ASY / 1_000);
        assert_eq!(offer_deposit().1, 10_640 * MILLI_ASY / 1_000);
        assert_eq!(job_deposit(7, 64).1, 20_780 * MILLI_ASY / 1_000);
        assert_eq!(channel_deposit().1, 13_940 * MILLI_ASY / 1_000);
    }

    #[test]
    fn too_little_money_is_told_with_what_is_needed_for_what() {
        let mut funds = Funds {
            account: AccountId32([7; 32]),
            spendable: 5 * MILLI_ASY,
            needs: vec![
                ("for --max-fee", 4 * MILLI_ASY),
                ("as the transaction's fee", MILLI_ASY),
            ],
        };
        assert!(funds.check().is_ok());
        funds.spendable -= 1;
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
}

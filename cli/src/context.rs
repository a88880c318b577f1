//! What every command needs: the chain, the key, and a way to say things.

use std::{
    io::{ErrorKind, IsTerminal, Write},
    time::Duration,
};

use assay_client::{
    chain::runtime::runtime_types::bounded_collections::bounded_vec::BoundedVec,
    keys,
    subxt::{constants::Address, transactions::Payload},
    AccountId32, Amount, Chain, Error, Included, Keypair, Snapshot, Wait,
};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::{
    failure::Failure,
    funds::{Funds, Takes},
};

/// The node of this machine.
const LOCAL: &str = "ws://127.0.0.1:9944";

/// How long a transaction may take into a block.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Args)]
pub struct Globals {
    /// Node to talk to [default: ws://127.0.0.1:9944].
    #[arg(long, global = true, env = "ASSAY_CHAIN")]
    chain: Option<String>,

    /// Key to sign with: a secret URI such as //Alice, or a file with one or with a polkadot-js
    /// account (its password in ASSAY_PASSWORD).
    #[arg(long, global = true, env = "ASSAY_KEY", hide_env_values = true)]
    key: Option<String>,

    /// How to print results.
    #[arg(long, global = true, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub struct Context {
    globals: Globals,
}

impl Context {
    pub fn new(globals: Globals) -> Self {
        Self { globals }
    }

    pub fn url(&self) -> &str {
        self.globals.chain.as_deref().unwrap_or(LOCAL)
    }

    pub async fn chain(&self) -> Result<Chain, Failure> {
        Ok(Chain::connect(self.url()).await?)
    }

    /// The chain where the user named a node, for what works without one.
    pub async fn chain_if_given(&self) -> Result<Option<Chain>, Failure> {
        match self.globals.chain {
            Some(_) => Ok(Some(self.chain().await?)),
            None => Ok(None),
        }
    }

    pub fn key(&self) -> Result<Keypair, Failure> {
        self.key_if_given()?.ok_or_else(|| {
            Failure::Usage("no key is given; name one with --key or in ASSAY_KEY".into())
        })
    }

    pub fn key_if_given(&self) -> Result<Option<Keypair>, Failure> {
        Ok(self.globals.key.as_deref().map(keys::load).transpose()?)
    }

    /// The account that is asked about: the one given, or else the key's.
    pub fn account(&self, given: Option<&str>) -> Result<AccountId32, Failure> {
        match given {
            Some(text) => Ok(keys::parse_account(text)?),
            None => Ok(keys::account(&self.key()?)),
        }
    }

    /// Sign and send a call, and wait for its block. `takes` is what it takes from the account
    /// besides its fee.
    pub async fn submit<C: Payload>(
        &self,
        chain: &Chain,
        call: &C,
        takes: Takes<'_>,
    ) -> Result<Included, Failure> {
        self.submit_under(&self.progress(), chain, call, takes)
            .await
    }

    /// The same, where something else has been said already.
    pub async fn submit_under<C: Payload>(
        &self,
        progress: &Progress,
        chain: &Chain,
        call: &C,
        takes: Takes<'_>,
    ) -> Result<Included, Failure> {
        Ok(self.try_submit(progress, chain, call, takes).await??)
    }

    /// The same, with what became of a transaction that the account could pay for.
    pub async fn try_submit<C: Payload>(
        &self,
        progress: &Progress,
        chain: &Chain,
        call: &C,
        takes: Takes<'_>,
    ) -> Result<Result<Included, Error>, Failure> {
        let key = self.key()?;
        let funds = Funds::look(chain, call, &key, takes).await?;
        funds.check()?;
        progress.wait("waiting for the transaction's block");
        let included = chain
            .submit(call, &key, Wait::InBlock, SUBMIT_TIMEOUT)
            .await;
        match included {
            Err(error) if error.is_funds() => Err(funds.failure()),
            included => Ok(included),
        }
    }

    pub fn is_json(&self) -> bool {
        self.globals.output == Output::Json
    }

    /// Print a result as JSON where it is a failure too, which is said besides.
    pub fn print_json(&self, json: &Value) {
        print(format_args!("{json:#}"));
    }

    /// Print a result in the form that was asked for.
    pub fn show(&self, json: Value, text: impl FnOnce() -> String) {
        if self.is_json() {
            self.print_json(&json);
        } else {
            print(text().trim_end());
        }
    }

    /// For what is said on the way to a result.
    pub fn progress(&self) -> Progress {
        if self.is_json() {
            Progress::Silent
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(100));
            Progress::Spinner(bar)
        } else {
            Progress::Lines
        }
    }
}

/// A line of the result. That nobody reads it any more, as behind `| head`, is no failure.
pub fn print(line: impl std::fmt::Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        if error.kind() != ErrorKind::BrokenPipe {
            eprintln!("assay: the result cannot be written: {error}");
        }
    }
}

/// What a spinner becomes while it is known how far something is.
const BAR: &str = "{spinner} {wide_bar} {percent:>3} %  {msg}";

/// Goes to standard error: a spinner on a terminal, plain lines elsewhere, nothing beside JSON.
pub enum Progress {
    Spinner(ProgressBar),
    Lines,
    Silent,
}

impl Progress {
    /// Something happened; it stays on the screen.
    pub fn say(&self, message: &str) {
        match self {
            Self::Spinner(bar) => bar.println(message),
            Self::Lines => eprintln!("{message}"),
            Self::Silent => {}
        }
    }

    /// What is waited for now; shown only while it lasts, and only on a terminal.
    pub fn wait(&self, message: &str) {
        if let Self::Spinner(bar) = self {
            bar.set_message(message.to_owned());
        }
    }

    /// How far something is whose end is known; shown as [`wait`](Self::wait) is.
    pub fn advance(&self, done: u64, total: u64, message: &str) {
        if let Self::Spinner(bar) = self {
            if bar.length() != Some(total) {
                bar.set_length(total);
                // A template that does not parse leaves the spinner.
                if let Ok(style) = ProgressStyle::with_template(BAR) {
                    bar.set_style(style);
                }
            }
            bar.set_position(done);
            bar.set_message(message.to_owned());
        }
    }

    /// Print a part of the result without the spinner getting into it.
    pub fn print(&self, text: &str) {
        match self {
            Self::Spinner(bar) => bar.suspend(|| print(text)),
            Self::Lines => print(text),
            Self::Silent => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Spinner(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// A decimal number times 10^`places`, exactly.
pub fn decimal(text: &str, places: usize) -> Result<u32, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = |part: &str| part.chars().all(|digit| digit.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err("write a number such as 0.7".into());
    }
    let missing = places
        .checked_sub(fraction.len())
        .ok_or(format!("at most {places} decimal places count"))?;
    let scaled = format!("{whole}{fraction}{}", "0".repeat(missing));
    scaled.parse().map_err(|_| "the number is too large".into())
}

/// An amount to move, so more than nothing.
pub fn some_amount(text: &str) -> Result<Amount, String> {
    match text.parse() {
        Ok(Amount(0)) => Err("nothing would move; give more than 0".into()),
        Ok(amount) => Ok(amount),
        Err(error) => Err(error.to_string()),
    }
}

/// The text that was given as this argument, as the chain keeps it: one that is longer than the chain's constant
/// `most` it cannot even read.
pub fn bounded(
    snapshot: &Snapshot,
    argument: &str,
    text: String,
    most: impl Address<Target = u32>,
) -> Result<BoundedVec<u8>, Failure> {
    let most = snapshot.client().constants().entry(most);
    let most = most.map_err(|error| Failure::Chain(error.to_string()))?;
    check_length(argument, &text, most)?;
    Ok(BoundedVec(text.into_bytes()))
}

fn check_length(argument: &str, text: &str, most: u32) -> Result<(), Failure> {
    match u32::try_from(text.len()) {
        Ok(length) if length <= most => Ok(()),
        _ => Err(Failure::Usage(format!(
            "{argument} has {} bytes, and the chain takes at most {most}; shorten it",
            text.len()
        ))),
    }
}

/// A number such as 0.7 in parts per million.
pub fn parts_per_million(text: &str) -> Result<u32, String> {
    decimal(text, 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_scaled_exactly() {
        assert_eq!(parts_per_million("0.7"), Ok(700_000));
        assert_eq!(parts_per_million("1"), Ok(1_000_000));
        assert_eq!(parts_per_million(".0000010"), Ok(1));
        assert_eq!(decimal("2.5", 4), Ok(25_000));
        for text in ["", ".", "-1", "1e3", "0.0000001", "5000", "NaN", "1.-2"] {
            assert!(parts_per_million(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_text_is_as_long_as_the_chain_takes_it() {
        assert!(check_length("--uri", "", 0).is_ok());
        assert!(check_length("--uri", &"ä".repeat(128), 256).is_ok());
        let failure = check_length("--uri", &"x".repeat(257), 256).unwrap_err();
        assert!(matches!(failure, Failure::Usage(_)), "{failure}");
        assert!(failure.to_string().contains("--uri has 257 bytes"));
        assert!(failure.to_string().contains("at most 256"));
    }

    #[test]
    fn nothing_is_no_amount_to_move() {
        assert_eq!(some_amount("1 planck"), Ok(Amount(1)));
        assert!(some_amount("0").unwrap_err().contains("nothing would move"));
        assert!(some_amount("-1")
            .unwrap_err()
            .contains("\"-1\" is not an amount"));
    }
}

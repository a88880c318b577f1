//! Amounts of money: written in ASY, counted in planck, never rounded.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// Units from the largest to the smallest, with the power of ten that each is of a planck.
const UNITS: [(&str, u32); 4] = [("ASY", 12), ("mASY", 9), ("uASY", 6), ("planck", 0)];

/// An amount in planck (10⁻¹² ASY). Serialised as a string of digits, because JSON readers round
/// large numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Amount(pub u128);

/// Why a text is no amount.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AmountError {
    #[error("{0:?} is not an amount; write it as 1.5, 1.5 ASY, 300 mASY, 20 uASY or 5000 planck")]
    Format(String),
    #[error("{0:?} is finer than a planck; write at most {1} decimal places in this unit")]
    TooFine(String, u32),
    #[error("{0:?} is more than the chain can count; write a smaller amount")]
    TooLarge(String),
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        let format = || AmountError::Format(text.into());
        let trimmed = text.trim();
        let end = trimmed
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let places = match unit.trim() {
            "" => 12,
            // Two code points look like this letter: the micro sign and the Greek letter.
            "µASY" | "μASY" => 6,
            unit => {
                UNITS
                    .iter()
                    .find(|(name, _)| *name == unit)
                    .ok_or_else(format)?
                    .1
            }
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(format());
        }
        let fraction = fraction.trim_end_matches('0');
        let Some(missing) = (places as usize).checked_sub(fraction.len()) else {
            return Err(AmountError::TooFine(text.into(), places));
        };
        // Appending zeros instead of multiplying keeps the whole computation in one parse.
        let digits = format!("{whole}{fraction}{}", "0".repeat(missing));
        if digits.is_empty() {
            return Ok(Self(0));
        }
        // Only digits are left, so the one way to fail is to be too large.
        digits
            .parse()
            .map(Self)
            .map_err(|_| AmountError::TooLarge(text.into()))
    }
}

impl fmt::Display for Amount {
    /// In the largest unit of which it is at least one, with every digit that counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("0 ASY");
        }
        let fits = |places: u32| {
            10u128
                .checked_pow(places)
                .is_some_and(|unit| self.0 >= unit)
        };
        let (name, places) = UNITS
            .into_iter()
            .find(|(_, places)| fits(*places))
            .unwrap_or(("planck", 0));
        let unit = 10u128.checked_pow(places).unwrap_or(1);
        let whole = self.0.checked_div(unit).unwrap_or(0);
        let rest = self.0.checked_rem(unit).unwrap_or(0);
        let text = if rest == 0 {
            format!("{whole} {name}")
        } else {
            let rest = format!("{rest:0width$}", width = places as usize);
            format!("{whole}.{} {name}", rest.trim_end_matches('0'))
        };
        f.pad(&text)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<u128, AmountError> {
        text.parse::<Amount>().map(|amount| amount.0)
    }

    #[test]
    fn every_unit_is_understood() {
        for (text, planck) in [
            ("1.5 ASY", 1_500_000_000_000),
            ("1.5", 1_500_000_000_000),
            ("1.5ASY", 1_500_000_000_000),
            (" 300 mASY ", 300_000_000_000),
            ("20 uASY", 20_000_000),
            ("20 µASY", 20_000_000),
            ("5000 planck", 5_000),
            (".5 ASY", 500_000_000_000),
            ("2. ASY", 2_000_000_000_000),
            ("0", 0),
            ("0.000000000001", 1),
            ("0.0000000000010000", 1),
            ("7.0 planck", 7),
        ] {
            assert_eq!(parse(text), Ok(planck), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "", ".", "ASY", "-1", "1,5", "1.2.3", "1e3", "1 DOT", "1 asy", "0x10", "１",
        ] {
            assert_eq!(parse(text), Err(AmountError::Format(text.into())), "{text}");
        }
    }

    #[test]
    fn less_than_a_planck_is_refused_and_not_rounded() {
        assert_eq!(
            parse("0.0000000000001"),
            Err(AmountError::TooFine("0.0000000000001".into(), 12))
        );
        assert_eq!(
            parse("0.5 planck"),
            Err(AmountError::TooFine("0.5 planck".into(), 0))
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(parse(&format!("{} planck", u128::MAX)), Ok(u128::MAX));
        for text in [
            "340282366920938463463374607431768211456 planck",
            "340282366920938463463374608",
        ] {
            assert_eq!(parse(text), Err(AmountError::TooLarge(text.into())));
        }
    }

    #[test]
    fn the_unit_follows_the_size() {
        for (planck, text) in [
            (0, "0 ASY"),
            (1, "1 planck"),
            (999_999, "999999 planck"),
            (1_000_000, "1 uASY"),
            (1_500_000_000, "1.5 mASY"),
            (1_000_000_000_001, "1.000000000001 ASY"),
            (10_000_000_000_000_000, "10000 ASY"),
        ] {
            assert_eq!(Amount(planck).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_give_the_same_amount(planck: u128) {
            prop_assert_eq!(parse(&Amount(planck).to_string()), Ok(planck));
        }

        #[test]
        fn small_amounts_too(planck in 0u128..2_000_000_000_000) {
            prop_assert_eq!(parse(&Amount(planck).to_string()), Ok(planck));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}

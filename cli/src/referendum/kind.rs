//! What a parameter is by the chain's metadata: which values it can have, and how people write them.

use assay_client::{
    subxt::{
        ext::{
            scale_type_resolver::{visitor, Primitive as PrimitiveType, TypeResolver},
            scale_value::Primitive,
        },
        Metadata,
    },
    Amount,
};
use serde_json::{json, Value as Json};

use crate::context::decimal;

/// What kind of value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Flag,
    /// Planck. What has 128 bits in the chain's parameters is money.
    Amount,
    /// A number of parts, of so many that are the whole.
    Share { whole: u32 },
    /// Any other whole number, no larger than this.
    Number { most: u64 },
}

/// A single value among a pallet's parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its names, the outermost first.
    pub path: Vec<String>,
    pub kind: Kind,
}

impl Kind {
    /// Read a value as people write it: what has a unit only with its unit, since a bare number would be taken for
    /// another one elsewhere.
    pub fn read(self, text: &str) -> Result<Primitive, String> {
        let is_word = text.ends_with(|end: char| end.is_ascii_alphabetic());
        match self {
            Self::Flag => match text.parse() {
                Ok(is) => Ok(Primitive::Bool(is)),
                Err(_) => Err(format!(
                    "{text:?} is neither true nor false; write one of them"
                )),
            },
            Self::Amount => match text.parse::<Amount>() {
                Ok(Amount(planck)) if is_word => Ok(Primitive::U128(planck)),
                _ => Err(format!(
                    "{text:?} is no amount with a unit; write it as in 20ASY, 1.5mASY or 5000planck"
                )),
            },
            Self::Share { whole } => {
                let parts = match text.strip_suffix('%') {
                    Some(percent) => decimal(percent.trim_end(), self.places()).ok(),
                    None => text.strip_suffix("parts").and_then(whole_number),
                };
                match parts {
                    Some(parts) if parts <= whole => Ok(Primitive::U128(parts.into())),
                    _ => Err(format!(
                        "{text:?} is no share from 0% to 100%, with at most {} decimal places; write it as in 20% or \
                         {}parts, which are parts of {whole}",
                        self.places(),
                        whole / 5
                    )),
                }
            }
            Self::Number { most } => match whole_number::<u64>(text) {
                Some(number) if number <= most => Ok(Primitive::U128(number.into())),
                _ => Err(format!(
                    "{text:?} is no whole number from 0 to {most}; write one, without a unit"
                )),
            },
        }
    }

    /// As people write it, with its unit.
    pub fn text(self, value: &Primitive) -> String {
        match (self, value) {
            (Self::Amount, Primitive::U128(planck)) => Amount(*planck).to_string(),
            (Self::Share { .. }, Primitive::U128(parts)) => {
                let places = self.places();
                let percent = u32::try_from(places)
                    .ok()
                    .and_then(|places| 10u128.checked_pow(places))
                    .unwrap_or(1);
                let text = format!("{}.{:0places$}", parts / percent, parts % percent);
                format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
            }
            (_, Primitive::U128(number)) => number.to_string(),
            (_, Primitive::Bool(is)) => is.to_string(),
            (_, other) => format!("{other:?}"),
        }
    }

    /// For programs: amounts in planck, shares in parts.
    pub fn json(self, value: &Primitive) -> Json {
        match (self, value) {
            (Self::Amount, Primitive::U128(planck)) => json!(Amount(*planck)),
            (_, Primitive::U128(number)) => match u64::try_from(*number) {
                Ok(number) => json!(number),
                Err(_) => json!(number.to_string()),
            },
            (_, Primitive::Bool(is)) => json!(is),
            (_, other) => json!(format!("{other:?}")),
        }
    }

    /// How many decimal places a percentage of it can have.
    fn places(self) -> usize {
        match self {
            Self::Share { whole } => {
                let digits = whole.checked_ilog10().unwrap_or(0).saturating_sub(2);
                usize::try_from(digits).unwrap_or(0)
            }
            _ => 0,
        }
    }
}

fn whole_number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.trim_end().replace('_', "").parse().ok()
}

/// The parameters of a pallet, each with its kind. Without those that are no single value.
pub fn parameters(metadata: &Metadata, pallet: &str) -> Vec<Parameter> {
    let mut found = Vec::new();
    if let Some(id) = type_of(metadata, pallet) {
        collect(metadata.types(), id, &[], &mut found);
    }
    found
}

/// The type of all of a pallet's parameters together.
pub fn type_of(metadata: &Metadata, pallet: &str) -> Option<u32> {
    let storage = metadata.pallet_by_name(pallet)?.storage()?;
    Some(storage.entry_by_name("Params")?.value_ty())
}

/// What a type is made of.
enum Shape {
    Single(Kind),
    Fields(Vec<(Option<String>, u32)>),
    Other,
}

fn collect<R: TypeResolver<TypeId = u32>>(
    types: &R,
    id: u32,
    path: &[String],
    found: &mut Vec<Parameter>,
) {
    match shape(types, id) {
        Shape::Single(kind) => found.push(Parameter {
            path: path.to_vec(),
            kind,
        }),
        Shape::Fields(fields) => {
            let is_wrapping = fields.len() == 1;
            for (name, id) in fields {
                match name {
                    Some(name) => collect(types, id, &[path, &[name]].concat(), found),
                    None if is_wrapping => collect(types, id, path, found),
                    None => {}
                }
            }
        }
        Shape::Other => {}
    }
}

fn shape<R: TypeResolver<TypeId = u32>>(types: &R, id: u32) -> Shape {
    let number = |most: u64| Shape::Single(Kind::Number { most });
    let visitor = visitor::new((), |(), _| Shape::Other)
        .visit_composite(|(), path, fields| {
            let whole = match path.last() {
                Some("Percent") => Some(100),
                Some("Permill") => Some(1_000_000),
                Some("Perbill") => Some(1_000_000_000),
                _ => None,
            };
            match whole {
                Some(whole) => Shape::Single(Kind::Share { whole }),
                None => Shape::Fields(
                    fields
                        .map(|field| (field.name.map(str::to_owned), field.id))
                        .collect(),
                ),
            }
        })
        .visit_primitive(|(), primitive| match primitive {
            PrimitiveType::Bool => Shape::Single(Kind::Flag),
            PrimitiveType::U8 => number(u8::MAX.into()),
            PrimitiveType::U16 => number(u16::MAX.into()),
            PrimitiveType::U32 => number(u32::MAX.into()),
            PrimitiveType::U64 => number(u64::MAX),
            PrimitiveType::U128 => Shape::Single(Kind::Amount),
            _ => Shape::Other,
        });
    types.resolve_type(id, visitor).unwrap_or(Shape::Other)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    const PERMILL: Kind = Kind::Share { whole: 1_000_000 };
    const BLOCKS: Kind = Kind::Number {
        most: u32::MAX as u64,
    };

    /// The metadata of the runtime that this program is built for.
    pub fn metadata() -> Metadata {
        Metadata::decode_from(include_bytes!("../../../client/metadata.scale")).unwrap()
    }

    #[test]
    fn the_metadata_says_what_each_parameter_is() {
        let metadata = metadata();
        for (pallet, name, kind) in [
            ("Jobs", "challenge_blocks", BLOCKS),
            ("Jobs", "max_draws", Kind::Number { most: 255 }),
            ("Jobs", "protocol_fee", PERMILL),
            ("Jobs", "min_missed_penalty", Kind::Amount),
            ("Governance", "fee_per_byte", Kind::Amount),
            ("Validators", "rewards.fee_share", PERMILL),
            ("Validators", "rewards.emission.max_per_era", Kind::Amount),
            (
                "Validators",
                "rewards.emission.max_era_millis",
                Kind::Number { most: u64::MAX },
            ),
        ] {
            let of_pallet = parameters(&metadata, pallet);
            let found = of_pallet.iter().find(|one| one.path.join(".") == name);
            assert_eq!(found.map(|one| one.kind), Some(kind), "{pallet}.{name}");
        }
        assert!(parameters(&metadata, "System").is_empty());
    }

    #[test]
    fn what_has_a_unit_is_read_with_it_alone() {
        for (kind, text, number) in [
            (BLOCKS, "1_000", 1_000),
            (BLOCKS, "4294967295", u32::MAX.into()),
            (Kind::Amount, "5ASY", 5_000_000_000_000),
            (Kind::Amount, "1.5 mASY", 1_500_000_000),
            (Kind::Amount, "20planck", 20),
            (PERMILL, "100%", 1_000_000),
            (PERMILL, "2.5 %", 25_000),
            (PERMILL, "25000parts", 25_000),
            (PERMILL, "1_000 parts", 1_000),
            (Kind::Share { whole: 100 }, "7%", 7),
        ] {
            assert_eq!(kind.read(text), Ok(Primitive::U128(number)), "{text}");
        }
        assert_eq!(Kind::Flag.read("true"), Ok(Primitive::Bool(true)));
    }

    #[test]
    fn what_is_of_another_kind_is_refused_with_how_to_write_it() {
        for (kind, text, part) in [
            (Kind::Amount, "20", "20ASY"),
            (Kind::Amount, "20%", "20ASY"),
            (Kind::Amount, "", "20ASY"),
            (PERMILL, "200000", "20% or 200000parts"),
            (PERMILL, "5ASY", "from 0% to 100%"),
            (PERMILL, "100.0001%", "from 0% to 100%"),
            (PERMILL, "0.00001%", "at most 4 decimal places"),
            (PERMILL, "1000001parts", "parts of 1000000"),
            (BLOCKS, "5ASY", "from 0 to 4294967295"),
            (BLOCKS, "5000000000", "from 0 to 4294967295"),
            (BLOCKS, "-1", "whole number"),
            (BLOCKS, "1.5", "whole number"),
            (BLOCKS, "2%", "without a unit"),
            (BLOCKS, "true", "whole number"),
            (Kind::Flag, "1", "true nor false"),
        ] {
            let message = kind.read(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for (kind, number, text) in [
            (Kind::Amount, 1_500_000_000, "1.5 mASY"),
            (Kind::Amount, 0, "0 ASY"),
            (PERMILL, 25_000, "2.5%"),
            (PERMILL, 1, "0.0001%"),
            (PERMILL, 500_000, "50%"),
            (PERMILL, 0, "0%"),
            (Kind::Share { whole: 100 }, 50, "50%"),
            (BLOCKS, 900, "900"),
        ] {
            let value = Primitive::U128(number);
            assert_eq!(kind.text(&value), text);
            assert_eq!(kind.read(text), Ok(value));
        }
        assert_eq!(Kind::Flag.text(&Primitive::Bool(false)), "false");
        assert_eq!(Kind::Amount.json(&Primitive::U128(7)), json!("7"));
        assert_eq!(PERMILL.json(&Primitive::U128(7)), json!(7));
    }
}

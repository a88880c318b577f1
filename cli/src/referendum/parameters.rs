//! `--set jobs.challenge_blocks=20`: a pallet's parameters as they are, with some of them changed.

use assay_client::{
    subxt::{
        dynamic::{self, Value},
        ext::scale_value::{Composite, Primitive, ValueDef},
        transactions::DynamicPayload,
    },
    Amount, Snapshot,
};

use crate::{context::decimal, failure::Failure};

/// One parameter and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pallet: String,
    path: Vec<String>,
    to: Primitive,
}

/// Read `jobs.challenge_blocks=20`. Values are whole numbers, `true` and `false`, percentages such as
/// `2.5%`, and amounts with their unit such as `5ASY`.
pub fn change(text: &str) -> Result<Change, String> {
    let form = || "write it as jobs.challenge_blocks=20".to_owned();
    let (path, value) = text.split_once('=').ok_or_else(form)?;
    let mut words = path.split('.').map(|word| word.trim().to_owned());
    let pallet = words.next().unwrap_or_default();
    let path: Vec<String> = words.collect();
    if pallet.is_empty() || path.is_empty() || path.iter().any(String::is_empty) {
        return Err(form());
    }
    let to = value_of(value.trim())?;
    Ok(Change { pallet, path, to })
}

fn value_of(text: &str) -> Result<Primitive, String> {
    if let Ok(is) = text.parse() {
        return Ok(Primitive::Bool(is));
    }
    if let Some(percent) = text.strip_suffix('%') {
        return Ok(Primitive::U128(decimal(percent.trim(), 4)?.into()));
    }
    if let Ok(number) = text.replace('_', "").parse() {
        return Ok(Primitive::U128(number));
    }
    match text.parse::<Amount>() {
        // Without a unit it would be taken for ASY, and a parameter may be of anything.
        Ok(amount) if text.ends_with(|end: char| end.is_ascii_alphabetic()) => {
            Ok(Primitive::U128(amount.0))
        }
        _ => Err(format!(
            "{text:?} is no value: write a whole number, true or false, 2.5%, or an amount such as 5ASY"
        )),
    }
}

/// The call that makes these changes, all to one pallet.
pub async fn call(
    snapshot: &Snapshot,
    changes: &[Change],
) -> Result<DynamicPayload<Vec<Value>>, Failure> {
    let asked = changes.first().map_or("", |change| change.pallet.as_str());
    if changes.iter().any(|change| change.pallet != asked) {
        return Err(Failure::Usage(
            "one referendum sets the parameters of one pallet; propose one for each".into(),
        ));
    }
    let pallets = snapshot.pallets_with_parameters();
    let pallet = pallets.iter().find(|name| name.eq_ignore_ascii_case(asked));
    let parameters = match pallet {
        Some(pallet) => snapshot.parameters_of(pallet).await?,
        None => None,
    };
    let (Some(pallet), Some(mut parameters)) = (pallet, parameters) else {
        return Err(Failure::Usage(format!(
            "{asked:?} is no pallet with parameters; there are {}",
            pallets.join(", ").to_lowercase()
        )));
    };
    for change in changes {
        set(&mut parameters, &change.path, &change.to).map_err(|problem| {
            Failure::Usage(format!("{asked}.{}: {problem}", change.path.join(".")))
        })?;
    }
    Ok(dynamic::tx(pallet, "set_parameters", vec![parameters]))
}

fn set(value: &mut Value, path: &[String], to: &Primitive) -> Result<(), String> {
    let Some((name, rest)) = path.split_first() else {
        return set_leaf(value, to);
    };
    let ValueDef::Composite(Composite::Named(fields)) = &mut value.value else {
        return Err(format!("there is nothing called {name:?} in it"));
    };
    if let Some((_, field)) = fields.iter_mut().find(|(field, _)| field == name) {
        return set(field, rest, to);
    }
    let names: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
    Err(format!(
        "there is no {name:?}; there are {}",
        names.join(", ")
    ))
}

fn set_leaf(value: &mut Value, to: &Primitive) -> Result<(), String> {
    match &mut value.value {
        // A share is a number in a wrapping.
        ValueDef::Composite(Composite::Unnamed(fields)) if fields.len() == 1 => {
            match fields.first_mut() {
                Some(field) => set_leaf(field, to),
                None => Ok(()),
            }
        }
        ValueDef::Composite(Composite::Named(fields)) => {
            let names: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
            Err(format!("it has parts; name one of {}", names.join(", ")))
        }
        ValueDef::Primitive(old) => match (&old, to) {
            (Primitive::U128(_), Primitive::U128(_)) | (Primitive::Bool(_), Primitive::Bool(_)) => {
                *old = to.clone();
                Ok(())
            }
            (Primitive::Bool(_), _) => Err("it is true or false".into()),
            _ => Err("it is a number".into()),
        },
        _ => Err("it is no single value; propose a --call".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Value {
        let share = Value::unnamed_composite([Value::u128(10)]);
        let rewards = Value::named_composite([("fee_share", share)]);
        Value::named_composite([
            ("challenge_blocks", Value::u128(5)),
            ("on", Value::bool(false)),
            ("rewards", rewards),
        ])
    }

    fn changed(text: &str) -> Result<String, String> {
        let change = change(text)?;
        let mut value = parameters();
        set(&mut value, &change.path, &change.to)?;
        Ok(value.to_string())
    }

    #[test]
    fn one_value_changes_and_the_others_stay() {
        let text = changed("jobs.challenge_blocks=20").unwrap();
        assert!(
            text.contains("challenge_blocks: 20") && text.contains("on: false"),
            "{text}"
        );
        let text = changed("jobs.rewards.fee_share = 2.5%").unwrap();
        assert!(
            text.contains("25000") && text.contains("challenge_blocks: 5"),
            "{text}"
        );
        assert!(changed("jobs.on=true").unwrap().contains("on: true"));
    }

    #[test]
    fn values_have_units_where_they_need_them() {
        for (text, planck) in [
            ("1_000", 1_000),
            ("5ASY", 5_000_000_000_000),
            ("1.5 mASY", 1_500_000_000),
            ("100%", 1_000_000),
        ] {
            assert_eq!(value_of(text), Ok(Primitive::U128(planck)), "{text}");
        }
        for text in ["", "1.5", "-1", "ASY", "five"] {
            assert!(value_of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_there_is() {
        for (text, part) in [
            ("jobs.nothing=1", "there are challenge_blocks, on, rewards"),
            ("jobs.rewards=1", "name one of fee_share"),
            ("jobs.on=1", "true or false"),
            ("jobs.challenge_blocks=true", "a number"),
            ("jobs.challenge_blocks.more=1", "nothing called"),
            ("jobs=1", "write it as"),
            ("jobs.challenge_blocks", "write it as"),
        ] {
            let message = changed(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

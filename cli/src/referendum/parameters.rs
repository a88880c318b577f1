//! `assay referendum parameters`, and `--set jobs.challenge_blocks=20`: a pallet's parameters as they are, with some of
//! them changed.

use assay_client::{
    subxt::{
        dynamic::{self, Value},
        ext::scale_value::{scale::decode_as_type, Composite, Primitive, ValueDef},
        transactions::DynamicPayload,
    },
    Snapshot,
};
use serde_json::{json, Map, Value as Json};

use super::kind::{self, Kind, Parameter};
use crate::{context::Context, failure::Failure};

/// What sets a pallet's parameters, after the pallet's name.
const SET_PARAMETERS: &str = ".set_parameters";

/// One parameter and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pallet: String,
    path: Vec<String>,
    /// As it was written: only the chain says what it is a value of.
    to: String,
}

/// A parameter that a call would change.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// As `--set` takes it.
    name: String,
    kind: Kind,
    from: Primitive,
    to: Primitive,
}

impl Difference {
    pub fn text(&self) -> String {
        let (from, to) = (self.kind.text(&self.from), self.kind.text(&self.to));
        format!("{}: {from} → {to}", self.name)
    }

    pub fn json(&self) -> Json {
        json!({
            "parameter": self.name,
            "from": self.kind.json(&self.from),
            "to": self.kind.json(&self.to),
        })
    }
}

/// Read `jobs.challenge_blocks=20`. Values are whole numbers, `true` and `false`, percentages such as
/// `2.5%`, and amounts with their unit such as `5ASY`.
pub fn change(text: &str) -> Result<Change, String> {
    let form = || "write it as jobs.challenge_blocks=20".to_owned();
    let (path, value) = text.split_once('=').ok_or_else(form)?;
    let mut words = path.split('.').map(|word| word.trim().to_owned());
    let pallet = words.next().unwrap_or_default();
    let path: Vec<String> = words.collect();
    let to = value.trim().to_owned();
    if pallet.is_empty() || path.is_empty() || path.iter().any(String::is_empty) || to.is_empty() {
        return Err(form());
    }
    Ok(Change { pallet, path, to })
}

/// Show what governance has set, of all pallets or of one.
pub async fn show(context: &Context, asked: Option<&str>) -> Result<(), Failure> {
    let snapshot = context.chain().await?.best().await?;
    let pallets = match asked {
        Some(asked) => vec![pallet_of(&snapshot, asked)?],
        None => snapshot.pallets_with_parameters(),
    };
    let (mut lines, mut json) = (Vec::new(), Map::new());
    for pallet in pallets {
        let Some(mut value) = snapshot.parameters_of(&pallet).await? else {
            continue;
        };
        for parameter in kind::parameters(snapshot.client().metadata_ref(), &pallet) {
            if let Ok(is) = find(&mut value, &parameter.path) {
                let name = name_of(&pallet, &parameter.path);
                lines.push(format!("{name} = {}", parameter.kind.text(is)));
                json.insert(name, parameter.kind.json(is));
            }
        }
    }
    context.show(Json::Object(json), || lines.join("\n"));
    Ok(())
}

/// The call that makes these changes, all to one pallet, and what it would change as things are now.
pub async fn call(
    snapshot: &Snapshot,
    changes: &[Change],
) -> Result<(DynamicPayload<Vec<Value>>, Vec<Difference>), Failure> {
    let asked = changes.first().map_or("", |change| change.pallet.as_str());
    if changes.iter().any(|change| change.pallet != asked) {
        return Err(Failure::Usage(
            "one referendum sets the parameters of one pallet; propose one for each".into(),
        ));
    }
    let pallet = pallet_of(snapshot, asked)?;
    let known = kind::parameters(snapshot.client().metadata_ref(), &pallet);
    let mut before = present(snapshot, &pallet).await?;
    let mut after = before.clone();
    for change in changes {
        set(&mut after, &known, change).map_err(|problem| {
            Failure::Usage(format!("{asked}.{}: {problem}", change.path.join(".")))
        })?;
    }
    let differences = differences(&pallet, &known, &mut before, &mut after);
    let call = dynamic::tx(pallet, "set_parameters", vec![after]);
    Ok((call, differences))
}

/// What a call of this name would change as things are now; none if it sets no parameters.
pub async fn proposed(
    snapshot: &Snapshot,
    name: &str,
    call: &[u8],
) -> Result<Option<Vec<Difference>>, Failure> {
    let metadata = snapshot.client().metadata_ref();
    let Some(pallet) = name.strip_suffix(SET_PARAMETERS) else {
        return Ok(None);
    };
    let (Some(id), Some(mut arguments)) = (kind::type_of(metadata, pallet), call.get(2..)) else {
        return Ok(None);
    };
    let Ok(after) = decode_as_type(&mut arguments, id, metadata.types()) else {
        return Ok(None);
    };
    // With bytes left over it is no call, and will do nothing.
    if !arguments.is_empty() {
        return Ok(None);
    }
    let mut after = after.remove_context();
    let mut before = present(snapshot, pallet).await?;
    let known = kind::parameters(metadata, pallet);
    Ok(Some(differences(pallet, &known, &mut before, &mut after)))
}

/// What changes, in a line for each.
pub fn describe(differences: &[Difference]) -> Vec<String> {
    match differences {
        [] => vec!["nothing would change: all is set so already".into()],
        _ => differences.iter().map(Difference::text).collect(),
    }
}

/// The pallet that somebody means.
fn pallet_of(snapshot: &Snapshot, asked: &str) -> Result<String, Failure> {
    let pallets = snapshot.pallets_with_parameters();
    let found = pallets.iter().find(|name| name.eq_ignore_ascii_case(asked));
    found.cloned().ok_or_else(|| {
        Failure::Usage(format!(
            "{asked:?} is no pallet with parameters; there are {}",
            pallets.join(", ").to_lowercase()
        ))
    })
}

async fn present(snapshot: &Snapshot, pallet: &str) -> Result<Value, Failure> {
    let value = snapshot.parameters_of(pallet).await?;
    value.ok_or_else(|| {
        Failure::Chain(format!(
            "the chain says no parameters of {pallet}; update this program"
        ))
    })
}

/// As `--set` takes it.
fn name_of(pallet: &str, path: &[String]) -> String {
    format!("{}.{}", pallet.to_lowercase(), path.join("."))
}

fn differences(
    pallet: &str,
    known: &[Parameter],
    before: &mut Value,
    after: &mut Value,
) -> Vec<Difference> {
    let both = known.iter().filter_map(|parameter| {
        let from = find(before, &parameter.path).ok()?.clone();
        let to = find(after, &parameter.path).ok()?.clone();
        Some(Difference {
            name: name_of(pallet, &parameter.path),
            kind: parameter.kind,
            from,
            to,
        })
    });
    both.filter(|both| both.from != both.to).collect()
}

fn set(parameters: &mut Value, known: &[Parameter], change: &Change) -> Result<(), String> {
    let value = find(parameters, &change.path)?;
    let parameter = known.iter().find(|one| one.path == change.path);
    let kind = parameter.map(|parameter| parameter.kind);
    *value = kind.ok_or_else(no_single_value)?.read(&change.to)?;
    Ok(())
}

fn no_single_value() -> String {
    "it is no single value; propose a --call".into()
}

/// The single value of this name.
fn find<'v>(value: &'v mut Value, path: &[String]) -> Result<&'v mut Primitive, String> {
    let Some((name, rest)) = path.split_first() else {
        return single(value);
    };
    let ValueDef::Composite(Composite::Named(fields)) = &mut value.value else {
        return Err(format!(
            "there is nothing called {name:?} in it; look at `assay referendum parameters`"
        ));
    };
    match fields.iter().position(|(field, _)| field == name) {
        Some(place) => match fields.get_mut(place) {
            Some((_, field)) => find(field, rest),
            None => Err(no_single_value()),
        },
        None => Err(format!("there is no {name:?}; there are {}", names(fields))),
    }
}

fn single(value: &mut Value) -> Result<&mut Primitive, String> {
    match &mut value.value {
        // A share is a number in a wrapping.
        ValueDef::Composite(Composite::Unnamed(fields)) if fields.len() == 1 => {
            match fields.first_mut() {
                Some(field) => single(field),
                None => Err(no_single_value()),
            }
        }
        ValueDef::Composite(Composite::Named(fields)) => {
            Err(format!("it has parts; name one of {}", names(fields)))
        }
        ValueDef::Primitive(value) => Ok(value),
        _ => Err(no_single_value()),
    }
}

fn names(fields: &[(String, Value)]) -> String {
    let names: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
    names.join(", ")
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
            ("bond", Value::u128(7)),
            ("rewards", rewards),
        ])
    }

    fn known() -> Vec<Parameter> {
        let of = |path: &str, kind| Parameter {
            path: path.split('.').map(str::to_owned).collect(),
            kind,
        };
        vec![
            of(
                "challenge_blocks",
                Kind::Number {
                    most: u32::MAX.into(),
                },
            ),
            of("on", Kind::Flag),
            of("bond", Kind::Amount),
            of("rewards.fee_share", Kind::Share { whole: 1_000_000 }),
        ]
    }

    /// What changes, as it is shown.
    fn changed(text: &str) -> Result<Vec<String>, String> {
        let change = change(text)?;
        let (mut before, mut after) = (parameters(), parameters());
        set(&mut after, &known(), &change)?;
        Ok(describe(&differences(
            "Jobs",
            &known(),
            &mut before,
            &mut after,
        )))
    }

    #[test]
    fn one_value_changes_and_is_shown_with_its_unit_before_and_after() {
        for (text, line) in [
            ("jobs.challenge_blocks=20", "jobs.challenge_blocks: 5 → 20"),
            (
                "jobs.rewards.fee_share = 2.5%",
                "jobs.rewards.fee_share: 0.001% → 2.5%",
            ),
            ("jobs.bond=20 ASY", "jobs.bond: 7 planck → 20 ASY"),
            ("jobs.on=true", "jobs.on: false → true"),
        ] {
            assert_eq!(changed(text), Ok(vec![line.to_owned()]));
        }
        let same = changed("jobs.challenge_blocks=5").unwrap();
        assert!(same[0].contains("nothing would change"), "{same:?}");
    }

    #[test]
    fn a_difference_is_for_programs_too() {
        let (mut before, mut after) = (parameters(), parameters());
        set(&mut after, &known(), &change("jobs.bond=9planck").unwrap()).unwrap();
        let found = differences("Jobs", &known(), &mut before, &mut after);
        let json = json!({ "parameter": "jobs.bond", "from": "7", "to": "9" });
        assert_eq!(
            found.iter().map(Difference::json).collect::<Vec<_>>(),
            [json]
        );
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_there_is() {
        for (text, part) in [
            (
                "jobs.nothing=1",
                "there are challenge_blocks, on, bond, rewards",
            ),
            ("jobs.rewards=1", "name one of fee_share"),
            ("jobs.on=1", "true nor false"),
            ("jobs.bond=20", "20ASY"),
            ("jobs.rewards.fee_share=20", "20%"),
            ("jobs.challenge_blocks=true", "from 0 to 4294967295"),
            ("jobs.challenge_blocks=5ASY", "from 0 to 4294967295"),
            ("jobs.challenge_blocks=5000000000", "from 0 to 4294967295"),
            ("jobs.challenge_blocks.more=1", "nothing called"),
            ("jobs=1", "write it as"),
            ("jobs.challenge_blocks", "write it as"),
            ("jobs.challenge_blocks=", "write it as"),
        ] {
            let message = changed(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

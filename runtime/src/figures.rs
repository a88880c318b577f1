//! Figures of the chain for whoever watches it: what a node shows in its `/metrics`.
//!
//! The runtime names, explains and counts them, so that a node shows them as they are meant, also
//! after an upgrade that it knows nothing about. Names follow Prometheus' conventions; money is in
//! planck here and in ASY where it is shown, and its names say `_asy`.

mod events;
mod records;
mod referenda;
#[cfg(test)]
mod tests;
mod validators;
mod walk;

use crate::Balance;
use alloc::{borrow::Cow, vec::Vec};
use codec::{Decode, Encode};
use scale_info::TypeInfo;

pub use records::Cursor;

/// A text that is a constant where it is written, and owned where it is read.
type Text = Cow<'static, str>;

/// One number, and what it says.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub struct Figure {
    pub name: Text,
    pub help: Text,
    /// Name and value of the label that tells it from others of its name, if there are others.
    pub label: Option<(Text, Text)>,
    pub value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, TypeInfo)]
pub enum Value {
    Number(u64),
    /// Planck.
    Money(Balance),
    /// Parts of a million.
    Share(u32),
}

/// Figures of one name: a table of names, help and labels reads better than a list of structs.
struct Kind {
    name: &'static str,
    help: &'static str,
}

impl Kind {
    const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help }
    }

    fn one(&self, value: Value) -> Figure {
        Figure {
            name: Text::Borrowed(self.name),
            help: Text::Borrowed(self.help),
            label: None,
            value,
        }
    }

    fn number(&self, number: u64) -> Figure {
        self.one(Value::Number(number))
    }

    fn money(&self, planck: Balance) -> Figure {
        self.one(Value::Money(planck))
    }

    /// One figure for each value of a label, also where nothing was counted: a series that appears
    /// with its first event hides that event from a rate.
    fn each<const N: usize>(
        &self,
        label: &'static str,
        values: [(&'static str, Value); N],
    ) -> impl Iterator<Item = Figure> + '_ {
        values.into_iter().map(move |(of, value)| Figure {
            label: Some((Text::Borrowed(label), Text::Borrowed(of))),
            ..self.one(value)
        })
    }

    fn numbers<const N: usize>(
        &self,
        label: &'static str,
        values: [(&'static str, u64); N],
    ) -> impl Iterator<Item = Figure> + '_ {
        self.each(
            label,
            values.map(|(of, number)| (of, Value::Number(number))),
        )
    }

    fn moneys<const N: usize>(
        &self,
        label: &'static str,
        values: [(&'static str, Balance); N],
    ) -> impl Iterator<Item = Figure> + '_ {
        self.each(label, values.map(|(of, planck)| (of, Value::Money(planck))))
    }
}

fn count(number: &mut u64) {
    *number = number.saturating_add(1);
}

fn add(sum: &mut Balance, planck: Balance) {
    *sum = sum.saturating_add(planck);
}

sp_api::decl_runtime_apis! {
    /// What a node shows of the chain. All calls only read.
    pub trait FiguresApi {
        /// What there is, a page of records at a time: figures of the same name and label on several
        /// pages add up. The next page begins at the cursor; after the last there is none.
        fn present(from: Option<Cursor>) -> (Vec<Figure>, Option<Cursor>);

        /// What the block brought: to be added to counters.
        fn brought() -> Vec<Figure>;

        /// How the validator is doing whose BABE key this is; nothing if it is nobody's.
        fn validator(babe: Vec<u8>) -> Vec<Figure>;
    }
}

pub fn present(from: Option<Cursor>) -> (Vec<Figure>, Option<Cursor>) {
    records::page(from)
}

pub fn brought() -> Vec<Figure> {
    events::brought()
}

pub fn validator(babe: &[u8]) -> Vec<Figure> {
    validators::of_key(babe)
}

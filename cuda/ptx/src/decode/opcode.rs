//! An opcode, taken apart at its points.

use super::Result;

/// A type of PTX: how many bits, and how they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type {
    /// 1 for predicates.
    pub bits: u8,
    pub signed: bool,
}

impl Type {
    fn named(name: &str) -> Result<Option<Self>> {
        let (signed, bits) = match name.as_bytes() {
            b"pred" => (false, "1"),
            [b's', ..] => (true, &name[1..]),
            [b'u' | b'b', ..] => (false, &name[1..]),
            _ => (false, ""),
        };
        if matches!(
            name,
            "f16"
                | "f16x2"
                | "bf16"
                | "bf16x2"
                | "f32"
                | "f32x2"
                | "f64"
                | "tf32"
                | "e4m3"
                | "e5m2"
                | "e4m3x2"
                | "e5m2x2"
        ) {
            return Err(format!("`{name}` is a float: exact arithmetic has none"));
        }
        Ok(match bits {
            "1" => Some(Self {
                bits: 1,
                signed: false,
            })
            .filter(|_| name == "pred"),
            "8" | "16" | "32" | "64" => bits.parse().ok().map(|bits| Self { bits, signed }),
            _ => None,
        })
    }
}

/// Calls a function that is generic over an integer with the one that a type of PTX names.
macro_rules! with_type {
    ($of:expr, $function:ident($($argument:expr),*)) => {
        match ($of.bits, $of.signed) {
            (8, false) => $function::<u8>($($argument),*),
            (8, true) => $function::<i8>($($argument),*),
            (16, false) => $function::<u16>($($argument),*),
            (16, true) => $function::<i16>($($argument),*),
            (32, false) => $function::<u32>($($argument),*),
            (32, true) => $function::<i32>($($argument),*),
            (_, false) => $function::<u64>($($argument),*),
            (_, true) => $function::<i64>($($argument),*),
        }
    };
}
pub(super) use with_type;

pub(super) struct Opcode<'a> {
    pub name: &'a str,
    /// In the order in which they stand.
    pub types: Vec<Type>,
    flags: Vec<&'a str>,
}

impl<'a> Opcode<'a> {
    pub fn read(text: &'a str) -> Result<Self> {
        let mut parts = text.split('.');
        let name = parts.next().unwrap_or_default();
        let (mut types, mut flags) = (Vec::new(), Vec::new());
        for part in parts {
            match Type::named(part)? {
                Some(of) => types.push(of),
                None => flags.push(part),
            }
        }
        Ok(Self { name, types, flags })
    }

    /// Whether a modifier is there, which is then used up.
    pub fn flag(&mut self, name: &str) -> bool {
        let found = self.flags.iter().position(|flag| *flag == name);
        found.map(|index| self.flags.remove(index)).is_some()
    }

    /// Uses up modifiers that change nothing here.
    pub fn ignore(&mut self, names: &[&str]) {
        self.flags.retain(|flag| !names.contains(flag));
    }

    /// Uses up modifiers that begin like this, and change nothing here.
    pub fn ignore_beginning(&mut self, start: &str) {
        self.flags.retain(|flag| !flag.starts_with(start));
    }

    /// The first modifier that is left.
    pub fn next_flag(&mut self) -> Option<&'a str> {
        (!self.flags.is_empty()).then(|| self.flags.remove(0))
    }

    /// One of these modifiers.
    pub fn one_of<T: Copy>(&mut self, choices: &[(&str, T)]) -> Option<T> {
        choices
            .iter()
            .find(|(name, _)| self.flag(name))
            .map(|(_, choice)| *choice)
    }

    /// The only type.
    pub fn one_type(&self) -> Result<Type> {
        match self.types[..] {
            [of] => Ok(of),
            _ => Err(format!("{} types instead of one", self.types.len())),
        }
    }

    pub fn two_types(&self) -> Result<(Type, Type)> {
        match self.types[..] {
            [first, second] => Ok((first, second)),
            _ => Err(format!("{} types instead of two", self.types.len())),
        }
    }

    /// Refuses modifiers that nobody asked for.
    pub fn finish(&self) -> Result<()> {
        match self.flags.first() {
            Some(flag) => Err(format!("the modifier `.{flag}` is not supported")),
            None => Ok(()),
        }
    }
}

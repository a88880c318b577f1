//! Values as GGUF stores them, and how they are taken off the bytes, of which nothing is believed.

use super::super::checkpoint::MAX_NAME;

/// Why bytes are not GGUF, to follow the name of their file.
pub(super) type Broken = String;

/// Types of values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Flag,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    pub fn of(number: u32) -> Option<Self> {
        const ALL: [Kind; 13] = [
            Kind::U8,
            Kind::I8,
            Kind::U16,
            Kind::I16,
            Kind::U32,
            Kind::I32,
            Kind::F32,
            Kind::Flag,
            Kind::Text,
            Kind::Array,
            Kind::U64,
            Kind::I64,
            Kind::F64,
        ];
        ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Bytes of a number; of a text or an array, those of its length.
    pub fn bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Flag => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::Text | Self::Array => 8,
        }
    }
}

/// A value, where it lies in the file.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Value<'a> {
    Integer(i128),
    Float(f64),
    Flag(bool),
    Text(&'a str),
    Array { kind: Kind, bytes: &'a [u8] },
}

/// What is left of the front.
pub(super) struct Reader<'a> {
    pub rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, count: u64) -> Result<&'a [u8], Broken> {
        let parts = usize::try_from(count)
            .ok()
            .and_then(|count| self.rest.split_at_checked(count));
        let (bytes, rest) = parts.ok_or("is truncated in its header, or has a broken one")?;
        self.rest = rest;
        Ok(bytes)
    }

    pub fn number<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let bytes = self.bytes(N as u64)?;
        Ok(bytes.as_array().copied().unwrap_or([0; N]))
    }

    pub fn u32(&mut self) -> Result<u32, Broken> {
        self.number().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Broken> {
        self.number().map(u64::from_le_bytes)
    }

    pub fn count(&mut self, what: &str, most: u64) -> Result<u64, Broken> {
        let count = self.u64()?;
        match count <= most {
            true => Ok(count),
            false => Err(format!(
                "promises {count} {what}, which is more than {most}"
            )),
        }
    }

    pub fn text(&mut self) -> Result<&'a str, Broken> {
        let length = self.u64()?;
        let bytes = self.bytes(length)?;
        core::str::from_utf8(bytes).map_err(|_| "has a text that is not UTF-8".into())
    }

    /// Errors show it.
    pub fn name(&mut self) -> Result<&'a str, Broken> {
        let name = self.text()?;
        match name.len() <= MAX_NAME {
            true => Ok(name),
            false => Err(format!("has a name of {} bytes", name.len())),
        }
    }

    pub fn kind(&mut self) -> Result<Kind, Broken> {
        let kind = self.u32()?;
        Kind::of(kind).ok_or_else(|| format!("has a value of the unknown type {kind}"))
    }

    pub fn value(&mut self, kind: Kind) -> Result<Value<'a>, Broken> {
        Ok(match kind {
            Kind::U8 => Value::Integer(self.number().map(u8::from_le_bytes)?.into()),
            Kind::I8 => Value::Integer(self.number().map(i8::from_le_bytes)?.into()),
            Kind::U16 => Value::Integer(self.number().map(u16::from_le_bytes)?.into()),
            Kind::I16 => Value::Integer(self.number().map(i16::from_le_bytes)?.into()),
            Kind::U32 => Value::Integer(self.u32()?.into()),
            Kind::I32 => Value::Integer(self.number().map(i32::from_le_bytes)?.into()),
            Kind::U64 => Value::Integer(self.u64()?.into()),
            Kind::I64 => Value::Integer(self.number().map(i64::from_le_bytes)?.into()),
            Kind::F32 => Value::Float(self.number().map(f32::from_le_bytes)?.into()),
            Kind::F64 => Value::Float(self.number().map(f64::from_le_bytes)?),
            Kind::Flag => match self.number()? {
                [0] => Value::Flag(false),
                [1] => Value::Flag(true),
                [other] => return Err(format!("has a flag of {other}")),
            },
            Kind::Text => Value::Text(self.text()?),
            Kind::Array => self.array()?,
        })
    }

    /// An array stays bytes, which are walked through here for the first time.
    fn array(&mut self) -> Result<Value<'a>, Broken> {
        let kind = self.kind()?;
        let count = self.u64()?;
        let before = self.rest;
        match kind {
            Kind::Array => return Err("has an array of arrays".into()),
            Kind::Text => {
                for _ in 0..count {
                    self.text()?;
                }
            }
            _ => {
                let bytes = count.checked_mul(kind.bytes());
                self.bytes(bytes.unwrap_or(u64::MAX))?;
            }
        }
        let length = before.len().saturating_sub(self.rest.len());
        Ok(Value::Array {
            kind,
            bytes: before.get(..length).unwrap_or_default(),
        })
    }
}

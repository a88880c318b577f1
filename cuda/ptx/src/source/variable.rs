//! Variables: how they are declared, and where their bytes lie.

use crate::filled::Filled;

/// A declaration such as `.align 16 .b8 table[16] = {1, 2}`.
#[derive(Clone, Debug)]
pub(crate) struct Declaration<'a> {
    pub name: &'a str,
    pub align: u32,
    /// 0 for an array whose length is left open.
    pub bytes: u32,
    pub initial: Vec<Initial<'a>>,
    /// Bytes of one element.
    pub element: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum Initial<'a> {
    Number(u64),
    /// The address of a variable, and an offset in it.
    Address {
        name: &'a str,
        offset: i64,
    },
}

/// Bytes of a type without floats; an error says why there is none.
pub(crate) fn bytes_of(name: &str) -> Result<u32, &'static str> {
    Ok(match name {
        ".b8" | ".u8" | ".s8" => 1,
        ".b16" | ".u16" | ".s16" => 2,
        ".b32" | ".u32" | ".s32" => 4,
        ".b64" | ".u64" | ".s64" => 8,
        ".b128" => 16,
        ".f16" | ".f16x2" | ".bf16" | ".bf16x2" | ".f32" | ".f64" | ".tf32" => {
            return Err("a float: exact arithmetic has none")
        }
        _ => return Err("a type is expected"),
    })
}

/// Where the bytes of a variable are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// In the kernel's arguments.
    Parameter(u32),
    /// In the local memory of the frame.
    Local(u32),
    Shared(u32),
    DynamicShared,
    /// In device memory: an index into the module's variables.
    Variable(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    pub home: Home,
    pub bytes: u32,
}

impl Home {
    /// What a register is filled with that holds this address.
    pub fn filled(self, offset: i64) -> Filled {
        match self {
            Self::Parameter(start) => Filled::Value(u64::from(start).wrapping_add_signed(offset)),
            Self::Shared(start) => Filled::Value(u64::from(start).wrapping_add_signed(offset)),
            Self::Local(start) => Filled::Local(u64::from(start).wrapping_add_signed(offset)),
            Self::DynamicShared => Filled::DynamicShared(offset),
            Self::Variable(index) => Filled::Variable { index, offset },
        }
    }
}

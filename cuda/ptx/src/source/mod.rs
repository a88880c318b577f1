//! A module while it is read: variables, names, operands, and functions with their code so far.

pub(crate) mod function;
pub(crate) mod names;
pub(crate) mod operand;
pub(crate) mod variable;

//! Branches, calls and ends.

use super::{Decoder, Result};
use crate::{
    instruction::{Class, Operation},
    source::{
        operand::Operand,
        variable::{Home, Variable},
    },
};

pub(super) fn decode(d: &mut Decoder<'_, '_>) -> Result<bool> {
    if matches!(d.opcode.name, "bra" | "brx" | "call" | "ret") {
        d.opcode.ignore(&["uni"]);
    }
    match d.opcode.name {
        "bra" => {
            let Operand::Name { name, .. } = *d.operand(0)? else {
                return Err("a label is expected".into());
            };
            d.expect(1)?;
            d.function.want(name, 0);
            d.emit(Class::Control, Operation::Branch { target: 0 });
        }
        "brx" => {
            if !d.opcode.flag("idx") {
                return Err("brx takes .idx".into());
            }
            let index = d.source(0, 32)?;
            let Operand::Name { name, .. } = *d.operand(1)? else {
                return Err("a list of labels is expected".into());
            };
            d.expect(2)?;
            let labels = d
                .function
                .table(name)
                .ok_or_else(|| format!("no list of labels `{name}`"))?;
            for (position, label) in labels.iter().enumerate() {
                d.function.want(label, position);
            }
            let targets = vec![0; labels.len()].into();
            d.emit(Class::Control, Operation::BranchIndex { index, targets });
        }
        "call" => call(d)?,
        "ret" => d.emit(Class::Control, Operation::Return),
        "exit" => d.emit(Class::Control, Operation::Exit),
        "trap" => d.emit(Class::Control, Operation::Trap),
        "nanosleep" | "pmevent" => d.emit(Class::Control, Operation::Nothing),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Where the bytes of an argument lie in the caller's frame, and in the callee's.
fn passed(
    d: &Decoder<'_, '_>,
    own: &[Operand<'_>],
    formal: &[Variable],
) -> Result<Box<[(u32, u32, u32)]>> {
    if own.len() != formal.len() {
        return Err(format!(
            "{} arguments or results instead of {}",
            own.len(),
            formal.len()
        ));
    }
    let pair = |(operand, formal): (&Operand<'_>, &Variable)| {
        let Operand::Name { name, .. } = operand else {
            return Err("arguments and results are variables in .param".into());
        };
        let variable = d
            .function
            .variable(name)
            .ok_or_else(|| format!("no variable `{name}`"))?;
        match (variable.home, formal.home) {
            (Home::Local(from), Home::Local(to)) if variable.bytes == formal.bytes => {
                Ok((from, to, formal.bytes))
            }
            _ => Err(format!("`{name}` does not fit what is called")),
        }
    };
    own.iter().zip(formal).map(pair).collect()
}

fn call(d: &mut Decoder<'_, '_>) -> Result<()> {
    let (results, name, arguments) = match d.operands {
        [Operand::List(results), name, Operand::List(arguments)] => {
            (&results[..], name, &arguments[..])
        }
        [Operand::List(results), name] => (&results[..], name, &[][..]),
        [name, Operand::List(arguments)] => (&[][..], name, &arguments[..]),
        [name] => (&[][..], name, &[][..]),
        _ => return Err("a function and its arguments are expected".into()),
    };
    let Operand::Name { name, .. } = name else {
        return Err("only functions with a name can be called".into());
    };
    let signature = d
        .names
        .signatures
        .get(name)
        .ok_or_else(|| format!("no function `{name}`"))?;
    let arguments = passed(d, arguments, &signature.parameters)?;
    let results = passed(d, results, &signature.results)?;
    let function = signature.index;
    d.emit(
        Class::Control,
        Operation::Call {
            function,
            arguments,
            results,
        },
    );
    Ok(())
}

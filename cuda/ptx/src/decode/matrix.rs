//! Products of matrices, and how their parts come to the lanes.

use super::{memory::shared_place, Decoder, Result};
use crate::{
    instruction::{Class, Operation, Product},
    matrix::Shape,
};

pub(super) fn decode(d: &mut Decoder<'_, '_>) -> Result<bool> {
    match d.opcode.name {
        "mma" => product(d)?,
        "ldmatrix" => {
            d.opcode.ignore(&["sync", "aligned"]);
            if !d.opcode.flag("m8n8") || !(d.opcode.flag("shared") | d.opcode.flag("shared::cta")) {
                return Err("ldmatrix loads .m8n8 from .shared".into());
            }
            let transposed = d.opcode.flag("trans");
            let count = d
                .opcode
                .one_of(&[("x1", 1), ("x2", 2), ("x4", 4)])
                .ok_or("ldmatrix takes .x1, .x2 or .x4")?;
            if d.opcode.one_type()?.bits != 16 {
                return Err("ldmatrix loads .b16".into());
            }
            let ((to, _), at) = (d.vector(0, 32, true)?, shared_place(d, 1)?);
            if to.count != count {
                return Err("the registers do not fit the opcode".into());
            }
            d.expect(2)?;
            d.emit(
                Class::MatrixLoad,
                Operation::LoadMatrix { at, transposed, to },
            );
        }
        "movmatrix" => {
            d.opcode.ignore(&["sync", "aligned"]);
            if !d.opcode.flag("m8n8") || !d.opcode.flag("trans") || d.opcode.one_type()?.bits != 16
            {
                return Err("movmatrix is .m8n8.trans.b16".into());
            }
            let (to, from) = (d.target(0, 32)?, d.source(1, 32)?);
            d.expect(2)?;
            d.emit(Class::MatrixLoad, Operation::MoveMatrix { to, from });
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn product(d: &mut Decoder<'_, '_>) -> Result<()> {
    d.opcode.ignore(&["sync", "aligned"]);
    let shapes = [
        ("m8n8k16", (8, 16)),
        ("m16n8k16", (16, 16)),
        ("m16n8k32", (16, 32)),
    ];
    let (rows, depth) = d
        .opcode
        .one_of(&shapes)
        .ok_or("no such shape of 8-bit integers")?;
    if !d.opcode.flag("row") || !d.opcode.flag("col") {
        return Err("mma takes .row.col".into());
    }
    let saturates = d.opcode.flag("satfinite");
    let &[of_d, a, b, of_c] = &d.opcode.types[..] else {
        return Err("mma has four types".into());
    };
    let sums_fit = [of_d, of_c].iter().all(|of| of.bits == 32 && of.signed);
    if !sums_fit || a.bits != 8 || b.bits != 8 {
        return Err("mma multiplies .s8 or .u8 into .s32".into());
    }
    let shape = Shape { rows, depth };
    let vector = |d: &mut Decoder<'_, '_>, index, count: u32| {
        let (vector, _) = d.vector(index, 32, true)?;
        if u32::from(vector.count) != count {
            return Err(format!(
                "operand {} has {} registers instead of {count}",
                index + 1,
                vector.count
            ));
        }
        Ok(vector)
    };
    let product = Product {
        shape,
        a_signed: a.signed,
        b_signed: b.signed,
        saturates,
        d: vector(d, 0, shape.sums())?,
        a: vector(d, 1, shape.left())?,
        b: vector(d, 2, shape.right())?,
        c: vector(d, 3, shape.sums())?,
    };
    d.expect(4)?;
    d.emit(Class::Matrix, Operation::Multiply(Box::new(product)));
    Ok(())
}

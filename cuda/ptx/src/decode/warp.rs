//! What the threads of a warp or a block do together.

use super::{Decoder, Result};
use crate::{
    instruction::{Atomic, Class, Condition, Operation, Reduction, Shuffle, Vote, ALWAYS},
    source::operand::Operand,
};

const TRUE: Condition = Condition {
    predicate: ALWAYS,
    negated: false,
};

pub(super) fn decode(d: &mut Decoder<'_, '_>) -> Result<bool> {
    match d.opcode.name {
        "bar" | "barrier" => barrier(d)?,
        "shfl" => {
            synchronous(d)?;
            let ways = [
                ("up", Shuffle::Up),
                ("down", Shuffle::Down),
                ("bfly", Shuffle::Butterfly),
                ("idx", Shuffle::Index),
            ];
            let how = d
                .opcode
                .one_of(&ways)
                .ok_or("shfl takes .up, .down, .bfly or .idx")?;
            let (to, valid) = d.pair(0)?;
            let to = match to {
                Operand::Sink => d.function.scratch(),
                _ => d.value(&to, 32, false)?,
            };
            let valid = valid
                .map(|valid| d.target_predicate_of(&valid))
                .transpose()?;
            let (a, b, c, mask) = (
                d.source(1, 32)?,
                d.source(2, 32)?,
                d.source(3, 32)?,
                d.source(4, 32)?,
            );
            d.expect(5)?;
            d.emit(
                Class::Warp,
                Operation::Shuffle {
                    how,
                    to,
                    valid,
                    a,
                    b,
                    c,
                    mask,
                },
            );
        }
        "vote" => {
            synchronous(d)?;
            let (condition, mask) = (d.condition(1)?, d.source(2, 32)?);
            d.expect(3)?;
            if d.opcode.flag("ballot") {
                let to = d.target(0, 32)?;
                d.emit(
                    Class::Warp,
                    Operation::Ballot {
                        to,
                        condition,
                        mask,
                    },
                );
            } else {
                let ways = [
                    ("all", Vote::All),
                    ("any", Vote::Any),
                    ("uni", Vote::Uniform),
                ];
                let how = d
                    .opcode
                    .one_of(&ways)
                    .ok_or("vote takes .all, .any, .uni or .ballot")?;
                let to = d.target_predicate(0)?;
                d.emit(
                    Class::Warp,
                    Operation::Vote {
                        how,
                        to,
                        condition,
                        mask,
                    },
                );
            }
        }
        "match" => {
            synchronous(d)?;
            let bits = d.opcode.one_type()?.bits;
            let (first, all) = d.pair(0)?;
            let to = match first {
                Operand::Register { index, bits: 32 } => index,
                _ => return Err("a register of 32 bits is expected".into()),
            };
            let (a, mask) = (d.source(1, bits)?, d.source(2, 32)?);
            d.expect(3)?;
            if d.opcode.flag("any") {
                d.emit(Class::Warp, Operation::MatchAny { to, a, mask });
            } else if d.opcode.flag("all") {
                let all = all.map(|all| d.target_predicate_of(&all)).transpose()?;
                d.emit(Class::Warp, Operation::MatchAll { to, all, a, mask });
            } else {
                return Err("match takes .any or .all".into());
            }
        }
        "activemask" => {
            let to = d.target(0, 32)?;
            d.expect(1)?;
            d.emit(Class::Warp, Operation::ActiveMask { to });
        }
        "redux" => {
            synchronous(d)?;
            let ways = [
                ("add", Atomic::Add),
                ("min", Atomic::Min),
                ("max", Atomic::Max),
                ("and", Atomic::And),
                ("or", Atomic::Or),
                ("xor", Atomic::Xor),
            ];
            let of = d
                .opcode
                .one_of(&ways)
                .ok_or("no such reduction of integers")?;
            let signed = d.opcode.one_type()?.signed;
            let (to, a, mask) = (d.target(0, 32)?, d.source(1, 32)?, d.source(2, 32)?);
            d.expect(3)?;
            d.emit(
                Class::Warp,
                Operation::Reduce {
                    of,
                    signed,
                    to,
                    a,
                    mask,
                },
            );
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The forms without `.sync` are of the past: they say nothing about who takes part.
fn synchronous(d: &mut Decoder<'_, '_>) -> Result<()> {
    if d.opcode.flag("sync") {
        return Ok(());
    }
    Err(format!("{} takes .sync", d.opcode.name))
}

fn barrier(d: &mut Decoder<'_, '_>) -> Result<()> {
    if d.opcode.flag("warp") {
        synchronous(d)?;
        let mask = d.source(0, 32)?;
        d.expect(1)?;
        d.emit(Class::Barrier, Operation::WarpBarrier { mask });
        return Ok(());
    }
    // All threads of a warp arrive together here in any case.
    d.opcode.ignore(&["cta", "aligned"]);
    let arrives = d.opcode.flag("arrive");
    if d.opcode.flag("red") {
        let ways = [("popc", 0), ("and", 1), ("or", 2)];
        let reduction = match d.opcode.one_of(&ways) {
            Some(0) => Reduction::Count(d.target(0, 32)?),
            Some(1) => Reduction::And(d.target_predicate(0)?),
            Some(_) => Reduction::Or(d.target_predicate(0)?),
            None => return Err("a reduction takes .popc, .and or .or".into()),
        };
        let last = d.operands.len() - 1;
        let (barrier, condition) = (d.source(1, 32)?, d.condition(last)?);
        let threads = if last == 3 {
            Some(d.source(2, 32)?)
        } else {
            None
        };
        d.expect(4)?;
        d.opcode.types.clear();
        let operation = Operation::Barrier {
            barrier,
            threads,
            waits: true,
            reduction,
            condition,
        };
        d.emit(Class::Barrier, operation);
        return Ok(());
    }
    if !arrives && !d.opcode.flag("sync") {
        return Err("a barrier takes .sync, .arrive or .red".into());
    }
    let barrier = d.source(0, 32)?;
    let threads = if d.operands.len() > 1 {
        Some(d.source(1, 32)?)
    } else {
        None
    };
    d.expect(2)?;
    if arrives && threads.is_none() {
        return Err("an arrival needs the number of threads".into());
    }
    let operation = Operation::Barrier {
        barrier,
        threads,
        waits: !arrives,
        reduction: Reduction::None,
        condition: TRUE,
    };
    d.emit(Class::Barrier, operation);
    Ok(())
}

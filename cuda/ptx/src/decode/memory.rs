//! Loads, stores, atomics, copies that run beside, and fences.

use super::{Decoder, Result};
use crate::{
    instruction::{Atomic, Class, Operation, Place, Space},
    source::{operand::Operand, variable::Home},
};

/// How caches treat a line, and for whom an access is ordered: nothing is cached here, and accesses take place in order.
const HINTS: [&str; 19] = [
    "ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "weak", "volatile", "relaxed", "acquire",
    "release", "acq_rel", "cta", "cluster", "gpu", "sys", "mmio",
];

pub(super) fn decode(d: &mut Decoder<'_, '_>) -> Result<bool> {
    match d.opcode.name {
        "ld" | "ldu" => load(d)?,
        "st" => store(d)?,
        "atom" | "red" => atomic(d)?,
        "cp" => copy(d)?,
        "membar" | "fence" => {
            let operation = if is_near(d) {
                Operation::Nothing
            } else {
                Operation::Fence
            };
            d.opcode
                .ignore(&["gl", "gpu", "sys", "sc", "acq_rel", "acquire", "release"]);
            d.emit(Class::Barrier, operation);
        }
        "prefetch" | "prefetchu" | "applypriority" | "createpolicy" => {
            d.opcode
                .ignore(&["global", "local", "L1", "L2", "fractional", "range"]);
            d.opcode.ignore_beginning("L2::");
            if d.opcode.name == "createpolicy" {
                // Whoever gives the policy to a load gives something that was written.
                let (to, from) = (d.target(0, 64)?, d.function.constant(0, 64));
                d.emit(Class::Integer, Operation::Move { to, from });
            } else {
                d.emit(Class::Integer, Operation::Nothing);
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether its scope ends before the device: then it orders nothing for other blocks.
fn is_near(d: &mut Decoder<'_, '_>) -> bool {
    d.opcode.flag("cta") || d.opcode.flag("cluster")
}

fn space(d: &mut Decoder<'_, '_>, index: usize) -> Result<Space> {
    let spaces = [
        ("global", Space::Global),
        ("const", Space::Global),
        ("shared", Space::Shared),
        ("shared::cta", Space::Shared),
        ("local", Space::Local),
        ("param", Space::Parameter),
        ("param::entry", Space::Parameter),
        ("param::func", Space::Parameter),
    ];
    let space = d.opcode.one_of(&spaces).unwrap_or(Space::Generic);
    if space != Space::Parameter {
        return Ok(space);
    }
    // Parameters of functions, and of the calls of a kernel, are in the frame.
    let Operand::Address { base, .. } = d.operand(index)? else {
        return Err("an address is expected".into());
    };
    let home = match &**base {
        Operand::Name { name, .. } => d.function.variable(name).map(|variable| variable.home),
        _ if d.function.kernel => Some(Home::Parameter(0)),
        _ => Some(Home::Local(0)),
    };
    match home {
        Some(Home::Parameter(_)) => Ok(Space::Parameter),
        Some(Home::Local(_)) => Ok(Space::Local),
        _ => Err("no such parameter".into()),
    }
}

fn place(d: &mut Decoder<'_, '_>, index: usize, space: Space) -> Result<Place> {
    let Operand::Address { base, offset } = d.operand(index)?.clone() else {
        return Err("an address is expected".into());
    };
    let short = matches!(&*base, Operand::Register { bits: 32, .. });
    if short && matches!(space, Space::Generic | Space::Global) {
        return Err("an address of 32 bits".into());
    }
    let base = match *base {
        Operand::Register {
            index,
            bits: 32 | 64,
        } => index,
        Operand::Name { .. } | Operand::Immediate(_) => d.value(&base, 64, false)?,
        _ => return Err("an address is expected".into()),
    };
    Ok(Place {
        space,
        base,
        offset,
    })
}

/// A place in shared memory.
pub(super) fn shared_place(d: &mut Decoder<'_, '_>, index: usize) -> Result<Place> {
    place(d, index, Space::Shared)
}

/// Uses up hints; whether the last operand is a cache policy.
fn hints(d: &mut Decoder<'_, '_>) -> bool {
    let policy = d.opcode.flag("L2::cache_hint") | d.opcode.flag("L1::cache_hint");
    d.opcode.ignore(&HINTS);
    d.opcode.ignore_beginning("L1::");
    d.opcode.ignore_beginning("L2::");
    policy
}

/// Elements of a vector, by the opcode; the braces must have as many.
fn elements(d: &mut Decoder<'_, '_>) -> usize {
    d.opcode.one_of(&[("v2", 2), ("v4", 4)]).unwrap_or(1)
}

fn load(d: &mut Decoder<'_, '_>) -> Result<()> {
    let policy = hints(d);
    let of = d.opcode.one_type()?;
    let count = elements(d);
    let space = space(d, 1)?;
    let at = place(d, 1, space)?;
    let (to, register_bits) = d.vector(0, of.bits, false)?;
    if usize::from(to.count) != count || of.bits < 8 {
        return Err("the registers do not fit the opcode".into());
    }
    d.expect(2 + usize::from(policy))?;
    let class = match space {
        Space::Generic | Space::Global => Class::GlobalLoad,
        Space::Shared => Class::SharedLoad,
        Space::Local => Class::Local,
        Space::Parameter => Class::Parameter,
    };
    d.emit(
        class,
        Operation::Load {
            at,
            bytes: of.bits / 8,
            signed: of.signed,
            register_bits,
            to,
        },
    );
    Ok(())
}

fn store(d: &mut Decoder<'_, '_>) -> Result<()> {
    let policy = hints(d);
    let of = d.opcode.one_type()?;
    let count = elements(d);
    let space = space(d, 0)?;
    let at = place(d, 0, space)?;
    let (from, _) = d.vector(1, of.bits, false)?;
    if usize::from(from.count) != count || of.bits < 8 {
        return Err("the registers do not fit the opcode".into());
    }
    d.expect(2 + usize::from(policy))?;
    let class = match space {
        Space::Generic | Space::Global => Class::GlobalStore,
        Space::Shared => Class::SharedStore,
        Space::Local => Class::Local,
        Space::Parameter => return Err("a kernel's arguments cannot be stored to".into()),
    };
    d.emit(
        class,
        Operation::Store {
            at,
            bytes: of.bits / 8,
            from,
        },
    );
    Ok(())
}

fn atomic(d: &mut Decoder<'_, '_>) -> Result<()> {
    let ordered = (d.opcode.flag("release") || d.opcode.flag("acq_rel")) && !is_near(d);
    let policy = hints(d);
    let operations = [
        ("add", Atomic::Add),
        ("min", Atomic::Min),
        ("max", Atomic::Max),
        ("and", Atomic::And),
        ("or", Atomic::Or),
        ("xor", Atomic::Xor),
        ("exch", Atomic::Exchange),
        ("cas", Atomic::CompareAndSwap),
        ("inc", Atomic::Increment),
        ("dec", Atomic::Decrement),
    ];
    let of = d
        .opcode
        .one_of(&operations)
        .ok_or("no such atomic operation of integers")?;
    let kind = d.opcode.one_type()?;
    if !matches!(kind.bits, 32 | 64) {
        return Err("atomics have 32 or 64 bits".into());
    }
    let returns = usize::from(d.opcode.name == "atom");
    let to = if returns == 1 {
        Some(d.target(0, kind.bits)?)
    } else {
        None
    };
    let space = space(d, returns)?;
    let at = place(d, returns, space)?;
    let b = d.source(returns + 1, kind.bits)?;
    let operands = returns + if of == Atomic::CompareAndSwap { 3 } else { 2 };
    let c = if of == Atomic::CompareAndSwap {
        d.source(returns + 2, kind.bits)?
    } else {
        b
    };
    d.expect(operands + usize::from(policy))?;
    let bytes = kind.bits / 8;
    d.emit(
        Class::Atomic,
        Operation::Atomic {
            of,
            at,
            bytes,
            signed: kind.signed,
            to,
            b,
            c,
            ordered,
        },
    );
    Ok(())
}

fn copy(d: &mut Decoder<'_, '_>) -> Result<()> {
    if !d.opcode.flag("async") {
        return Err("of cp there is cp.async".into());
    }
    if d.opcode.flag("commit_group") {
        d.expect(0)?;
        d.emit(Class::AsyncCopy, Operation::AsyncCommit);
        return Ok(());
    }
    if d.opcode.flag("wait_all") {
        d.expect(0)?;
        d.emit(Class::AsyncCopy, Operation::AsyncWait { left: None });
        return Ok(());
    }
    if d.opcode.flag("wait_group") {
        let left = Some(d.immediate(0)? as u32);
        d.expect(1)?;
        d.emit(Class::AsyncCopy, Operation::AsyncWait { left });
        return Ok(());
    }
    let past_first_cache = d.opcode.flag("cg");
    let policy = usize::from(hints(d));
    if !(d.opcode.flag("shared") | d.opcode.flag("shared::cta")) || !d.opcode.flag("global") {
        return Err("cp.async goes from .global to .shared".into());
    }
    let (to, from) = (place(d, 0, Space::Shared)?, place(d, 1, Space::Global)?);
    let bytes = d.immediate(2)?;
    if !matches!((bytes, past_first_cache), (16, _) | (4 | 8, false)) {
        return Err(format!("cp.async does not copy {bytes} bytes this way"));
    }
    let given = if d.operands.len() > 3 + policy {
        Some(d.source(3, 32)?)
    } else {
        None
    };
    d.expect(3 + policy + usize::from(given.is_some()))?;
    d.emit(
        Class::AsyncCopy,
        Operation::AsyncCopy {
            to,
            from,
            bytes: bytes as u8,
            given,
        },
    );
    Ok(())
}

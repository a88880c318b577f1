//! One instruction of a warp.

use super::{
    barrier::Arrival,
    common::Common,
    warp::{Next, Warp},
};
use crate::{
    fault::{Cause, Stop},
    instruction::{Operation, Reduction},
    lanes::in_mask,
};

impl Warp {
    /// Does what an instruction says, in the lanes whose guard holds.
    pub(super) fn step(
        &mut self,
        common: &mut Common<'_>,
        operation: &Operation,
        lanes: u32,
    ) -> Result<Next, Stop> {
        match operation {
            Operation::Nothing => {}
            Operation::Move { to, from } => {
                let from = *self.value(*from);
                self.write(*to, lanes, &from);
            }
            Operation::Unary { of, to, a } => {
                let result = of(self.value(*a));
                self.write(*to, lanes, &result);
            }
            Operation::Binary { of, to, a, b } => {
                let result = of(self.value(*a), self.value(*b));
                self.write(*to, lanes, &result);
            }
            Operation::Ternary { of, to, a, b, c } => {
                let result = of(self.value(*a), self.value(*b), self.value(*c));
                self.write(*to, lanes, &result);
            }
            Operation::Convert { how, to, a } => {
                let result = how.of(self.value(*a));
                self.write(*to, lanes, &result);
            }
            Operation::Divide { of, to, a, b } => {
                let divisors = self.value(*b);
                if let Some(lane) = in_mask(lanes).find(|lane| divisors[*lane] == 0) {
                    return Err(Cause::DivisionByZero.at(lane as u32));
                }
                let result = of(self.value(*a), divisors);
                self.write(*to, lanes, &result);
            }
            Operation::Logic3 { table, to, a, b, c } => {
                self.logic3(lanes, *table, *to, [*a, *b, *c])
            }
            Operation::InsertField {
                wide,
                to,
                a,
                b,
                position,
                length,
            } => {
                self.insert_field(lanes, *wide, *to, [*a, *b, *position, *length]);
            }
            Operation::Carry { how, to, a, b, c } => self.carry(lanes, *how, *to, [*a, *b, *c]),
            Operation::Pack {
                part_bits,
                to,
                parts,
            } => self.pack(lanes, *part_bits, *to, parts),
            Operation::Unpack {
                part_bits,
                parts,
                from,
            } => self.unpack(lanes, *part_bits, parts, *from),

            Operation::Compare {
                of,
                combined,
                to,
                inverse,
                a,
                b,
            } => {
                let compared = of(self.value(*a), self.value(*b));
                let (holds, not) = match combined {
                    None => (compared, !compared),
                    Some((logic, with)) => {
                        let with = self.holds(*with);
                        (logic.of(compared, with), logic.of(!compared, with))
                    }
                };
                self.write_predicate(*to, lanes, holds);
                if let Some(inverse) = inverse {
                    self.write_predicate(*inverse, lanes, not);
                }
            }
            Operation::Set {
                of,
                combined,
                to,
                a,
                b,
            } => {
                let compared = of(self.value(*a), self.value(*b));
                let holds = combined.map_or(compared, |(logic, with)| {
                    logic.of(compared, self.holds(with))
                });
                let result = core::array::from_fn(|lane| {
                    if holds >> lane & 1 == 1 {
                        u32::MAX.into()
                    } else {
                        0
                    }
                });
                self.write(*to, lanes, &result);
            }
            Operation::Select {
                to,
                a,
                b,
                condition,
            } => {
                let holds = self.holds(*condition);
                let (a, b) = (self.value(*a), self.value(*b));
                let result = core::array::from_fn(|lane| {
                    if holds >> lane & 1 == 1 {
                        a[lane]
                    } else {
                        b[lane]
                    }
                });
                self.write(*to, lanes, &result);
            }
            Operation::Predicate { of, to, a, b } => {
                let result = of.of(self.holds(*a), self.holds(*b));
                self.write_predicate(*to, lanes, result);
            }

            Operation::Load {
                at,
                bytes,
                signed,
                register_bits,
                to,
            } => {
                self.load(common, lanes, at, (*bytes, *signed, *register_bits), to)?;
            }
            Operation::Store { at, bytes, from } => self.store(common, lanes, at, *bytes, from)?,
            Operation::Atomic {
                of,
                at,
                bytes,
                signed,
                to,
                b,
                c,
                ordered,
            } => {
                self.atomic(
                    common,
                    lanes,
                    *of,
                    at,
                    (*bytes, *signed, *ordered),
                    *to,
                    (*b, *c),
                )?;
            }
            Operation::AsyncCopy {
                to,
                from,
                bytes,
                given,
            } => {
                self.begin_copy(common, lanes, to, from, *bytes, *given)?;
            }
            Operation::AsyncCommit => self.copies.commit(lanes),
            Operation::AsyncWait { left } => self.end_copies(common, lanes, *left),
            Operation::Fence => {
                if lanes != 0 {
                    common.memory.fence();
                }
            }

            Operation::Branch { target } => return Ok(self.branch(lanes, *target)),
            Operation::BranchIndex { index, targets } => {
                return self.branch_index(lanes, *index, targets)
            }
            Operation::Call {
                function,
                arguments,
                ..
            } => return self.call(common.setup, lanes, *function, arguments),
            Operation::Return => return Ok(self.back(common.setup, lanes)),
            Operation::Exit => return Ok(self.end(lanes)),
            Operation::Trap => {
                if lanes != 0 {
                    return Err(Cause::Trap.at(lanes.trailing_zeros()));
                }
            }

            Operation::Barrier {
                barrier,
                threads,
                waits,
                reduction,
                condition,
            } => {
                return self.come_to_barrier(
                    common,
                    lanes,
                    (*barrier, *threads, *waits),
                    *reduction,
                    self.holds(*condition),
                );
            }
            Operation::WarpBarrier { mask } => return self.warp_barrier(common, lanes, *mask),
            Operation::Shuffle {
                how,
                to,
                valid,
                a,
                b,
                c,
                mask,
            } => {
                return self.shuffle(lanes, *how, (*to, *valid), [*a, *b, *c], *mask);
            }
            Operation::Vote {
                how,
                to,
                condition,
                mask,
            } => {
                return self.vote(lanes, *how, *to, self.holds(*condition), *mask);
            }
            Operation::Ballot {
                to,
                condition,
                mask,
            } => {
                return self.ballot(lanes, *to, self.holds(*condition), *mask);
            }
            Operation::ActiveMask { to } => self.write(*to, lanes, &[lanes.into(); 32]),
            Operation::MatchAny { to, a, mask } => return self.match_any(lanes, *to, *a, *mask),
            Operation::MatchAll { to, all, a, mask } => {
                return self.match_all(lanes, *to, *all, *a, *mask)
            }
            Operation::Reduce {
                of,
                signed,
                to,
                a,
                mask,
            } => {
                return self.reduce(lanes, *of, *signed, *to, *a, *mask);
            }

            Operation::Multiply(product) => return self.multiply(lanes, product),
            Operation::LoadMatrix { at, transposed, to } => {
                return self.load_matrix(common, lanes, at, *transposed, to)
            }
            Operation::MoveMatrix { to, from } => return self.move_matrix(lanes, *to, *from),
        }
        Ok(Next::Forward)
    }

    fn come_to_barrier(
        &mut self,
        common: &mut Common<'_>,
        lanes: u32,
        (barrier, threads, waits): (u32, Option<u32>, bool),
        reduction: Reduction,
        condition: u32,
    ) -> Result<Next, Stop> {
        if lanes == 0 {
            return Ok(Next::Forward);
        }
        let lane = lanes.trailing_zeros();
        if self.live != self.all {
            return Err(Cause::EndedBeforeBarrier.at(lane));
        }
        let missing = self.live & !lanes;
        if missing != 0 {
            return Ok(Next::Blocked { missing });
        }
        let agreed = |warp: &Self, register, what| {
            warp.uniform(lanes, register)
                .ok_or(Cause::Disagreement { what }.at(lane))
        };
        let number = agreed(self, barrier, "the barrier")?;
        let threads = threads
            .map(|threads| agreed(self, threads, "a barrier's threads"))
            .transpose()?;
        let holds = condition & lanes;
        let time = common.shared.tick();
        let arrival = Arrival {
            warp: self.index,
            barrier: number,
            threads,
            waits,
            time,
            lanes,
            holds,
        };
        common
            .barriers
            .arrive(&arrival)
            .map_err(|cause| cause.at(lane))?;
        if waits {
            self.wait(number as u32, reduction);
        }
        Ok(Next::Arrived)
    }

    /// The value of a register that is the same in all these lanes.
    fn uniform(&self, lanes: u32, register: u32) -> Option<u64> {
        let values = self.value(register);
        let first = values[lanes.trailing_zeros() as usize];
        in_mask(lanes)
            .all(|lane| values[lane] == first)
            .then_some(first)
    }
}

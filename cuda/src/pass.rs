//! One pass on a device: what is uploaded, what is launched, and the graphs that launch it at once.
//!
//! What changes from step to step (positions, slabs) is in the device's memory, and what the launches
//! themselves depend on is a [`Plan`] of few numbers. A plan that comes again is captured as a graph,
//! so that a step of decoding costs one launch instead of hundreds.

mod inputs;
mod program;
mod scratch;

use std::{collections::HashMap, mem};

use assay_exact::{accelerator::AcceleratorPass, Shape};

pub use self::scratch::Scratch;
use self::{inputs::Inputs, program::Program, scratch::LOGITS};
use crate::{
    device::{Buffer, Device, DeviceError, Graph, Launch, Plain},
    slabs::Pool,
    weights::Weights,
};

/// Most rows of a pass that is worth a graph: larger ones hardly come again as they were, and launch
/// slower than they are put in line anyway.
const GRAPH_ROWS: usize = 64;
/// Graphs that are kept; they are made anew when there are more.
const GRAPHS: usize = 64;

/// All that the launches of a pass depend on, beside the model and what is in the device's memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Plan {
    rows: usize,
    /// Tiles of attention, and whether they are those of many rows.
    tiles: usize,
    many: bool,
    /// Slabs in the longest sequence's table, rounded up so that few lengths differ.
    table: usize,
    /// Rows whose logits are asked for.
    logits: usize,
}

/// The memory of passes, and their graphs.
#[derive(Debug)]
pub struct Pass {
    device: Device,
    scratch: Scratch<Buffer>,
    graphs: HashMap<Plan, Seen>,
}

/// A plan that came before.
#[derive(Debug)]
enum Seen {
    Once,
    Ready(Graph),
    /// The device made no graph of it.
    Never,
}

impl Pass {
    /// Memory for passes of up to `rows` rows.
    pub fn new(device: &Device, shape: &Shape, rows: usize) -> Result<Self, DeviceError> {
        Ok(Self {
            scratch: Scratch::new(device, shape, rows)?,
            device: device.clone(),
            graphs: HashMap::new(),
        })
    }

    /// Runs the program over the rows of `pass`, and downloads the logits.
    pub fn run(
        &mut self,
        shape: &Shape,
        weights: &Weights,
        pool: &Pool,
        pass: &AcceleratorPass,
        logits: &mut [&mut [i32]],
    ) -> Result<(), DeviceError> {
        let inputs = Inputs::of(shape, pass);
        inputs.upload(&self.device, &self.scratch)?;
        let plan = inputs.plan;
        let program = Program {
            limits: self.device.limits(),
            shape,
            weights,
            slabs: pool.address(),
            scratch: &self.scratch,
            plan,
        };
        if plan.rows <= GRAPH_ROWS && plan.logits <= LOGITS {
            if self.graphs.len() > GRAPHS {
                self.graphs.clear();
            }
            match self.graphs.get(&plan) {
                Some(Seen::Ready(graph)) => graph.run()?,
                Some(Seen::Once) => {
                    let all = program.all();
                    // Nothing has run yet, so that whatever fails is found again by running it.
                    let seen = match self.device.capture(&all) {
                        Ok(graph) => {
                            graph.run()?;
                            Seen::Ready(graph)
                        }
                        Err(_) => {
                            self.launch(&all)?;
                            Seen::Never
                        }
                    };
                    self.graphs.insert(plan, seen);
                }
                Some(Seen::Never) => self.launch(&program.all())?,
                None => {
                    self.launch(&program.all())?;
                    self.graphs.insert(plan, Seen::Once);
                }
            }
            return self.download(shape, 0..plan.logits, logits);
        }
        self.launch(&program.layers())?;
        for first in (0..plan.logits).step_by(LOGITS) {
            let rows = first..plan.logits.min(first + LOGITS);
            self.launch(&program.logits(rows.clone()))?;
            self.download(shape, rows, logits)?;
        }
        match plan.logits {
            // Whatever goes wrong is this pass's.
            0 => self.device.synchronise(),
            _ => Ok(()),
        }
    }

    fn launch(&self, launches: &[Launch]) -> Result<(), DeviceError> {
        launches
            .iter()
            .try_for_each(|launch| self.device.launch(launch))
    }

    /// The logits of some of the rows that were asked for, which lie one after the other in `logits`.
    fn download(
        &self,
        shape: &Shape,
        rows: std::ops::Range<usize>,
        logits: &mut [&mut [i32]],
    ) -> Result<(), DeviceError> {
        if rows.is_empty() {
            return self.device.synchronise();
        }
        let vocabulary = shape.vocabulary as usize;
        let all = logits
            .iter_mut()
            .flat_map(|part| part.chunks_mut(vocabulary));
        let mut asked = Rows::new(all.skip(rows.start));
        let (from, bytes) = (self.scratch.logits.address(), rows.len() * vocabulary * 4);
        // From where they arrive into their rows at once: there may be tens of megabytes of them.
        self.device.read(from, bytes, &mut |piece| asked.put(piece))
    }
}

/// Rows that are filled one after the other, by numbers that come in pieces.
struct Rows<'a, I> {
    rows: I,
    /// What is left of the row that is filled.
    row: &'a mut [i32],
}

impl<'a, I: Iterator<Item = &'a mut [i32]>> Rows<'a, I> {
    fn new(rows: I) -> Self {
        Self { rows, row: &mut [] }
    }

    fn put(&mut self, mut piece: &[u8]) {
        while piece.len() >= i32::BYTES {
            if self.row.is_empty() {
                let Some(next) = self.rows.next() else { return };
                self.row = next;
            }
            let count = self.row.len().min(piece.len() / i32::BYTES);
            let (now, later) = mem::take(&mut self.row).split_at_mut(count);
            let (found, rest) = piece.split_at(count * i32::BYTES);
            for (slot, number) in now.iter_mut().zip(found.chunks_exact(i32::BYTES)) {
                *slot = i32::get(number);
            }
            (self.row, piece) = (later, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::bytes_of;

    #[test]
    fn rows_are_filled_wherever_pieces_end() {
        let numbers: Vec<i32> = (1..=20).map(|i| i * 0x0102_0305).collect();
        for piece in 1..=21 {
            let mut all = [[0; 6]; 3];
            let mut rows = Rows::new(all.iter_mut().map(|row| &mut row[..]));
            for piece in numbers.chunks(piece) {
                rows.put(&bytes_of(piece));
            }
            // What no row is left for is dropped.
            assert_eq!(all.as_flattened(), &numbers[..18], "{piece}");
        }
    }
}

//! One pass on a device: what is uploaded, what is launched, and the graphs that launch it at once.
//!
//! What changes from step to step (positions, slabs) is in the device's memory, and what the launches
//! themselves depend on is a [`Plan`] of few numbers. A plan that comes again is captured as a graph,
//! so that a step of decoding costs one launch instead of hundreds.

mod asked;
mod inputs;
mod program;
mod scratch;

use std::collections::HashMap;

use assay_exact::{
    accelerator::{AcceleratorPass, AcceleratorRows},
    Shape,
};

pub use self::scratch::Scratch;
use self::{asked::Held, inputs::Inputs, program::Program, scratch::LOGITS};
use crate::{
    device::{Buffer, Device, DeviceError, Graph, Launch},
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
    /// Rows whose logits are needed, and how many of them choose a token.
    logits: usize,
    chosen: usize,
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

    /// Runs the program over the rows of `pass`, and downloads what is asked for.
    pub fn run(
        &mut self,
        shape: &Shape,
        weights: &Weights,
        pool: &Pool,
        pass: &AcceleratorPass,
        asked: &mut [AcceleratorRows],
    ) -> Result<(), DeviceError> {
        let mut rows = asked::rows(shape.vocabulary, asked);
        let chosen = rows.iter().filter(|row| row.chooses()).count();
        let inputs = Inputs::of(shape, pass, chosen);
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
        let held = |rows| Held {
            vocabulary: shape.vocabulary,
            device: &self.device,
            scratch: &self.scratch,
            rows,
        };
        if plan.rows <= GRAPH_ROWS && plan.logits <= LOGITS {
            let mut held = held(&mut rows);
            held.upload()?;
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
            held.download()?;
        } else {
            self.launch(&program.layers())?;
            for (first, rows) in (0..).step_by(LOGITS).zip(rows.chunks_mut(LOGITS)) {
                let all = first..first + rows.len();
                let mut held = held(rows);
                let chosen = held.upload()?;
                self.launch(&program.logits(all, chosen))?;
                held.download()?;
            }
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
}

//! What a launch asks for, checked against the kernel.

use crate::{
    fault::Cause,
    filled::{Filled, Special},
    instruction::Value,
    memory::Memory,
    module::{Kernel, Module},
};

/// A kernel, how many run it, and its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    pub kernel: &'a str,
    /// Blocks along x, y and z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y and z.
    pub block: [u32; 3],
    /// Bytes of shared memory beside what the kernel declares.
    pub dynamic_shared: u32,
    /// The bytes of each argument, little-endian.
    pub arguments: &'a [&'a [u8]],
}

/// How a launch is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// 0 runs blocks and warps in order; any other number shuffles them, and how long a warp's turn is.
    pub seed: u64,
    /// Whether races are looked for.
    pub races: bool,
    /// Instructions of warps after which a launch is taken for endless.
    pub limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            races: true,
            limit: 1 << 34,
        }
    }
}

/// The most threads of a block.
const THREADS: u32 = 1024;

/// What all blocks of a launch have in common.
pub(super) struct Setup<'a> {
    pub module: &'a Module,
    pub kernel: &'a Kernel,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub threads: u32,
    pub dynamic_shared: u32,
    /// Bytes of shared memory of a block, and where the dynamic part begins.
    pub shared: u32,
    pub parameters: Vec<u8>,
    /// What the registers of each function begin with.
    pub filled: Vec<Vec<(Value, Start)>>,
    pub races: bool,
    pub limit: u64,
}

/// What a register begins with, as far as a launch knows it.
#[derive(Clone, Copy)]
pub(super) enum Start {
    Value(u64),
    Special(Special),
    Local(u64),
}

impl<'a> Setup<'a> {
    /// What a launch asks for, checked against the kernel; the module's variables are put into memory.
    pub fn new(
        module: &'a Module,
        launch: &Launch<'_>,
        memory: &mut Memory,
        options: &Options,
    ) -> Result<Self, Cause> {
        let kernel = module.kernel(launch.kernel).ok_or(Cause::UnknownKernel)?;
        let [x, y, z] = launch.grid;
        let blocks = launch.grid.iter().fold(1u64, |product, length| {
            product.saturating_mul(u64::from(*length))
        });
        if blocks == 0
            || x > i32::MAX as u32
            || y > 65_535
            || z > 65_535
            || blocks > u64::from(u32::MAX) / 2
        {
            return Err(Cause::Grid(launch.grid));
        }
        let threads = launch.block.iter().fold(1u64, |product, length| {
            product.saturating_mul(u64::from(*length))
        });
        let most = kernel.max_threads.unwrap_or(THREADS).min(THREADS);
        if threads == 0 || threads > u64::from(most) {
            return Err(Cause::Threads { threads, most });
        }
        let dynamic_start = kernel.static_shared.next_multiple_of(16);
        let shared = u64::from(dynamic_start) + u64::from(launch.dynamic_shared);
        let most = module.shared_limit();
        if shared > u64::from(most) {
            return Err(Cause::SharedMemory {
                bytes: shared,
                most,
                target: module.target.clone(),
            });
        }
        let variables = memory.variables(module).map_err(Cause::Variables)?;
        let start = |filled: &Filled| match filled {
            Filled::Value(value) => Start::Value(*value),
            Filled::Special(special) => Start::Special(*special),
            Filled::Variable { index, offset } => {
                Start::Value(variables[*index].wrapping_add_signed(*offset))
            }
            Filled::Local(offset) => Start::Local(*offset),
            Filled::DynamicShared(offset) => {
                Start::Value(u64::from(dynamic_start).wrapping_add_signed(*offset))
            }
        };
        let filled = module.frames.iter().map(|frame| {
            frame
                .filled
                .iter()
                .map(|(register, filled)| (*register, start(filled)))
                .collect()
        });
        Ok(Self {
            module,
            kernel,
            grid: launch.grid,
            block: launch.block,
            threads: threads as u32,
            dynamic_shared: launch.dynamic_shared,
            shared: shared as u32,
            parameters: parameters(kernel, launch.arguments)?,
            filled: filled.collect(),
            races: options.races,
            limit: options.limit,
        })
    }

    /// Position of a block of this number.
    pub fn position(&self, number: u32) -> [u32; 3] {
        unflatten(number, self.grid)
    }

    /// Position of a thread of this number.
    pub fn thread(&self, number: u32) -> [u32; 3] {
        unflatten(number, self.block)
    }
}

/// The arguments as they lie in the parameter space.
fn parameters(kernel: &Kernel, arguments: &[&[u8]]) -> Result<Vec<u8>, Cause> {
    let (given, expected) = (arguments.len(), kernel.parameters.len());
    if given != expected {
        return Err(Cause::ArgumentCount { given, expected });
    }
    let mut bytes = Vec::new();
    for (index, (argument, parameter)) in arguments.iter().zip(&kernel.parameters).enumerate() {
        let (given, expected) = (argument.len(), parameter.bytes as usize);
        if given != expected {
            return Err(Cause::ArgumentSize {
                index,
                given,
                expected,
            });
        }
        bytes.resize(bytes.len().next_multiple_of(parameter.align as usize), 0);
        bytes.extend_from_slice(argument);
    }
    Ok(bytes)
}

fn unflatten(number: u32, [x, y, _]: [u32; 3]) -> [u32; 3] {
    [number % x, number / x % y, number / x / y]
}

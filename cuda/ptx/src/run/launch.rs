//! A launch: its blocks one after another, and what it ends by.

use super::{
    block::Block,
    random::Random,
    setup::{Launch, Options, Setup},
};
use crate::{
    counts::Counts,
    error::line_of,
    fault::{Cause, Ended, Fault, Place},
    memory::Memory,
    module::Module,
};

/// Runs a kernel.
///
/// # Errors
/// The first thing that the kernel does wrong, or what is wrong with the launch. Memory stays as the
/// kernel has left it by then.
pub fn launch(
    module: &Module,
    launch: &Launch<'_>,
    memory: &mut Memory,
    options: &Options,
) -> Result<Counts, Fault> {
    let refused = |cause| Fault {
        kernel: launch.kernel.into(),
        place: None,
        cause,
    };
    let setup = Setup::new(module, launch, memory, options).map_err(refused)?;
    let blocks = launch.grid.iter().product::<u32>();
    memory.begin_launch(blocks, options.races);
    let mut order: Vec<u32> = (0..blocks).collect();
    let mut random = Random(options.seed);
    random.shuffle(&mut order);
    let mut counts = Counts::default();
    for block in order {
        memory.begin_block(block);
        let mut running = Block::new(&setup, memory, &mut counts, setup.position(block));
        running
            .run(&mut random)
            .map_err(|ended| fault(&setup, block, ended))?;
    }
    Ok(counts)
}

/// What a block ended by, with positions instead of numbers.
fn fault(setup: &Setup<'_>, block: u32, ended: Ended) -> Fault {
    let cause = match ended.cause {
        Cause::SharedRace {
            address,
            other: [other, ..],
            did,
        } => Cause::SharedRace {
            address,
            other: setup.thread(other),
            did,
        },
        Cause::GlobalRace {
            address,
            other: Some([other, ..]),
            did,
        } => Cause::GlobalRace {
            address,
            other: Some(setup.position(other)),
            did,
        },
        cause => cause,
    };
    Fault {
        kernel: setup.kernel.name.clone(),
        place: Some(Place {
            block: setup.position(block),
            thread: setup.thread(ended.thread),
            line: ended.line,
            text: line_of(&setup.module.source, ended.line).into(),
        }),
        cause,
    }
}

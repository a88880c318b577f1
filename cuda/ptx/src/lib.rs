//! Runs the PTX of integer kernels on the processor, and watches them.
//!
//! What NVRTC made of a kernel is read, decoded once, and run instruction by instruction: blocks
//! one after another, the warps of a block in turns, the 32 lanes of a warp together until they
//! part. So kernels, and all that is built on them, are tested bit for bit where there is no GPU.
//!
//! ```
//! use assay_ptx::{launch, Launch, Memory, Module, Options};
//!
//! let ptx = "
//!     .version 8.0
//!     .target sm_80
//!     .address_size 64
//!     .visible .entry double(.param .u64 numbers)
//!     {
//!         .reg .b32 %r<3>;
//!         .reg .b64 %rd<4>;
//!         ld.param.u64 %rd1, [numbers];
//!         mov.u32 %r1, %tid.x;
//!         mul.wide.u32 %rd2, %r1, 4;
//!         add.s64 %rd3, %rd1, %rd2;
//!         ld.global.u32 %r2, [%rd3];
//!         shl.b32 %r2, %r2, 1;
//!         st.global.u32 [%rd3], %r2;
//!         ret;
//!     }";
//! let module = Module::parse(ptx)?;
//! let mut memory = Memory::new(1 << 20);
//! let numbers = memory.alloc(8)?;
//! memory.write(numbers, &[1, 0, 0, 0, 21, 0, 0, 0])?;
//! let argument = numbers.to_le_bytes();
//! let what = Launch { kernel: "double", grid: [1; 3], block: [2, 1, 1], dynamic_shared: 0, arguments: &[&argument] };
//! let counts = launch(&module, &what, &mut memory, &Options::default())?;
//! let mut result = [0; 8];
//! memory.read(numbers, &mut result)?;
//! assert_eq!(result, [2, 0, 0, 0, 42, 0, 0, 0]);
//! assert_eq!(counts.global_loaded, 8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it finds that a GPU would let pass
//!
//! * an access outside an allocation, misaligned, or of bytes that nobody wrote, in device and
//!   shared memory; allocations lie apart, so that an index that is off by little hits nothing;
//! * two threads of a block that touch a byte of shared memory, one of them writing, without a
//!   barrier between: of the block, named, or of the warp. Lanes of one warp count as threads;
//! * two blocks of a launch that touch a byte of device memory, one of them writing, unless they
//!   met before: an atomic behind a fence for the whole device, and a later atomic at the same
//!   address;
//! * shared memory that `cp.async` is still filling, and a missing wait for it;
//! * lanes that a `.sync` instruction names and that wait elsewhere, a value of a lane that has
//!   ended or does not take part, a barrier of a block some of whose threads have ended, and
//!   barriers that nobody can leave;
//! * a quotient by zero, a branch out of its table, a launch that does not end;
//! * an order that matters: a [`seed`](Options::seed) shuffles blocks, warps and turns.
//!
//! # What is not modelled
//!
//! * Floats: exact arithmetic has none, and a module with one is refused.
//! * Clusters, tensor memory, bulk copies, `wgmma`, `mbarrier`, textures, indirect calls, devices
//!   that call the host. A module that uses one is refused, in the line where it does.
//! * Races inside a block through device memory, bytes of local memory that nobody wrote, and
//!   caches: accesses take place one after another.
//! * Lanes that meet for a `.sync` instruction at different places, or through different calls, as
//!   the instruction set allows: here they must come to the same one.
//! * Order by flags: whoever spins on a word of shared memory is taken to race for it.
//! * Blocks run one at a time: one that waits for another does not end.
//! * Time. [`Counts`] has what there is of costs: instructions, sectors, conflicts of banks.

mod counts;
mod decode;
mod error;
mod fault;
mod filled;
mod instruction;
mod integer;
mod lanes;
mod lexer;
mod matrix;
mod memory;
mod module;
mod parse;
mod run;
mod source;
mod space;

pub use counts::Counts;
pub use error::{MemoryError, ParseError};
pub use fault::{Cause, Did, Fault, Place};
pub use instruction::Class;
pub use memory::Memory;
pub use module::{Kernel, Module, Parameter};
pub use run::{
    launch::launch,
    setup::{Launch, Options},
};

//! The judge of the conformance vectors as a module that the node's executor runs: a function for
//! each file of `vectors/`, called as the runtime's are. It takes the tables and a case without its
//! outputs, and gives the case with them, or the error's name. And the judge of a dispute's steps.

#![no_std]

extern crate alloc;

#[allow(dead_code)]
#[path = "../vectors/cases.rs"]
mod cases;
#[allow(dead_code)]
#[path = "../judge/mod.rs"]
mod judge;
mod rounds;
mod step;

use alloc::{format, string::String, vec::Vec};
use core::{
    alloc::{GlobalAlloc, Layout},
    slice,
};

use judge::{
    bytes::{read, written, Bytes},
    files, leaves, Judge, Judged,
};

// The node's host functions.
#[link(wasm_import_module = "env")]
extern "C" {
    fn ext_allocator_malloc_version_1(size: u32) -> *mut u8;
    fn ext_allocator_free_version_1(pointer: *mut u8);
    fn ext_hashing_blake2_256_version_1(message: u64) -> *mut [u8; 32];
}

/// The host's heap, as the runtime uses it. Its blocks are aligned to 8 bytes.
struct HostHeap;

unsafe impl GlobalAlloc for HostHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ext_allocator_malloc_version_1(layout.size() as u32)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, _: Layout) {
        ext_allocator_free_version_1(pointer);
    }
}

#[global_allocator]
static HEAP: HostHeap = HostHeap;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// Where bytes lie: pointer in the low half, length in the high one.
fn place(bytes: &[u8]) -> u64 {
    (bytes.len() as u64) << 32 | bytes.as_ptr() as u64
}

fn hash(message: &[u8]) -> [u8; 32] {
    // The host allocates the hash, and its caller owns it.
    unsafe {
        let hash = ext_hashing_blake2_256_version_1(place(message));
        let bytes = *hash;
        ext_allocator_free_version_1(hash.cast());
        bytes
    }
}

fn operands<T: Bytes>(pointer: *const u8, length: usize) -> T {
    let bytes = unsafe { slice::from_raw_parts(pointer, length) };
    read(bytes).expect("operands")
}

/// Leaves the result to the host, which drops the whole memory afterwards.
fn given(result: &impl Bytes) -> u64 {
    place(written(result).leak())
}

fn judged<C: Judged>(pointer: *const u8, length: usize) -> u64 {
    let ((exp2, silu), case): ((Vec<i32>, Vec<i32>), C) = operands(pointer, length);
    let judge = Judge {
        exp2: &leaves(&exp2),
        silu: &leaves(&silu),
        hash,
    };
    let result: Result<C, String> = case.judged(&judge).map_err(|error| format!("{error:?}"));
    given(&result)
}

macro_rules! export {
    ($($name:ident $case:ident;)*) => {
        $(#[no_mangle]
        pub extern "C" fn $name(pointer: *const u8, length: usize) -> u64 {
            judged::<files::$case>(pointer, length)
        })*
    };
}

export! {
    embed Embed;
    norm_quant NormQuant;
    quant Quant;
    linear Linear;
    head_norm HeadNorm;
    rope Rope;
    attention Attention;
    silu_mul SiluMul;
    candidates Candidates;
    sampling Choice;
    model Whole;
}

/// The ruling over a step.
#[no_mangle]
pub extern "C" fn step(pointer: *const u8, length: usize) -> u64 {
    given(&operands::<step::Step>(pointer, length).ruled(hash))
}

/// Runs an element's function, by its place in the list, so many times.
#[no_mangle]
pub extern "C" fn rounds(pointer: *const u8, length: usize) -> u64 {
    let (place, rounds): (u32, u32) = operands(pointer, length);
    given(&(rounds::ELEMENTS[place as usize].run)(rounds))
}

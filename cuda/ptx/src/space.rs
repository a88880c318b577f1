//! Where the spaces lie among generic addresses.
//!
//! Device memory lies above 4 GiB, so that an address that lost its upper half is outside of it.

/// Shared memory of the own block, as generic addresses.
pub(crate) const SHARED_WINDOW: u64 = 0x1_0000_0000;
/// Local memory of the own thread, as generic addresses.
pub(crate) const LOCAL_WINDOW: u64 = 0x2_0000_0000;
/// Length of either window.
pub(crate) const WINDOW_BYTES: u64 = 0x1_0000_0000;
/// The first address of device memory.
pub(crate) const GLOBAL_BASE: u64 = 0x7f_0000_0000;

//! Loads, stores and atomics.

use super::{common::Common, shared::Thread, warp::Warp};
use crate::{
    fault::{Cause, Stop},
    instruction::{Atomic, Place, Space, Value, Vector},
    integer::extended,
    lanes::{in_mask, low_bits, WARP},
    space::{GLOBAL_BASE, LOCAL_WINDOW, SHARED_WINDOW, WINDOW_BYTES},
};

/// The most bytes of an access of one lane, and room for a word behind any of them.
const WIDEST: usize = 40;

/// Addresses that the lanes of one access go to, for what it costs.
pub(super) struct Addresses {
    of: [u64; WARP],
    count: usize,
}

impl Addresses {
    pub fn new() -> Self {
        Self {
            of: [0; WARP],
            count: 0,
        }
    }

    pub fn add(&mut self, address: u64) {
        self.of[self.count] = address;
        self.count += 1;
    }

    /// Different units of so many bytes that begin somewhere among these.
    fn different(addresses: &[u64], unit: u64) -> ([u64; WARP], usize) {
        let mut units = [0; WARP];
        let units_used = &mut units[..addresses.len()];
        for (unit_of, address) in units_used.iter_mut().zip(addresses) {
            *unit_of = address / unit;
        }
        if !units_used.is_sorted() {
            units_used.sort_unstable();
        }
        let mut count = 0;
        for index in 0..addresses.len() {
            if index == 0 || units[index] != units[index - 1] {
                units[count] = units[index];
                count += 1;
            }
        }
        (units, count)
    }

    /// Sectors of 32 bytes of global memory.
    pub fn sectors(&self) -> u64 {
        Self::different(&self.of[..self.count], 32).1 as u64
    }

    /// Passes over the 32 banks of shared memory beyond the first of each part: a part is as many
    /// lanes as take 128 bytes.
    pub fn conflicts(&self, bytes: usize) -> u64 {
        let words = bytes.div_ceil(4).max(1);
        let mut conflicts = 0;
        for part in self.of[..self.count].chunks(WARP / words) {
            let (units, count) = Self::different(part, 4 * words as u64);
            let mut banks = [0u8; WARP];
            for unit in &units[..count] {
                // A unit takes neighbouring banks, so that its first speaks for all.
                banks[(*unit as usize * words) % WARP] += 1;
            }
            let most = banks.into_iter().max().unwrap_or(0);
            conflicts += u64::from(most.saturating_sub(1));
        }
        conflicts
    }
}

impl Warp {
    pub(super) fn thread(&self, lane: usize) -> Thread {
        Thread {
            warp: self.index as u8,
            lane: lane as u8,
        }
    }

    pub(super) fn address(&self, place: &Place, lane: usize) -> u64 {
        self.value(place.base)[lane].wrapping_add_signed(place.offset)
    }

    pub(super) fn load(
        &mut self,
        common: &mut Common<'_>,
        lanes: u32,
        at: &Place,
        (bytes, signed, register_bits): (u8, bool, u8),
        to: &Vector,
    ) -> Result<(), Stop> {
        let length = usize::from(bytes) * usize::from(to.count);
        let mut loaded = [[0; WIDEST]; WARP];
        let (mut global, mut shared) = (Addresses::new(), Addresses::new());
        for lane in in_mask(lanes) {
            let into = &mut loaded[lane][..length];
            let (space, address) = resolved(at.space, self.address(at, lane));
            let done = match space {
                Space::Shared => {
                    shared.add(address);
                    common.shared.load(self.thread(lane), address, into)
                }
                Space::Local => read(&self.local[lane], "local memory", address, into),
                Space::Parameter => read(
                    &common.setup.parameters,
                    "the kernel's arguments",
                    address,
                    into,
                ),
                Space::Global | Space::Generic => {
                    global.add(address);
                    common.memory.load(address, into)
                }
            };
            done.map_err(|cause| cause.at(lane as u32))?;
        }
        common.counts.global_loaded += (global.count * length) as u64;
        common.counts.global_sectors += global.sectors();
        common.counts.bank_conflicts += shared.conflicts(length);
        let width = low_bits(register_bits.into());
        for (index, &register) in to.values().iter().enumerate() {
            let start = index * usize::from(bytes);
            let values = core::array::from_fn(|lane| {
                let value = word(&loaded[lane][start..], bytes);
                if signed {
                    extended(value, 8 * bytes, true) & width
                } else {
                    value
                }
            });
            self.write(register, lanes, &values);
        }
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        common: &mut Common<'_>,
        lanes: u32,
        at: &Place,
        bytes: u8,
        from: &Vector,
    ) -> Result<(), Stop> {
        let length = usize::from(bytes) * usize::from(from.count);
        let (mut global, mut shared) = (Addresses::new(), Addresses::new());
        for lane in in_mask(lanes) {
            let mut stored = [0; WIDEST];
            for (part, &register) in stored.chunks_mut(bytes.into()).zip(from.values()) {
                part.copy_from_slice(&self.value(register)[lane].to_le_bytes()[..bytes.into()]);
            }
            let stored = &stored[..length];
            let (space, address) = resolved(at.space, self.address(at, lane));
            let done = match space {
                Space::Shared => {
                    shared.add(address);
                    common.shared.store(self.thread(lane), address, stored)
                }
                Space::Local => write(&mut self.local[lane], address, stored),
                Space::Global | Space::Generic | Space::Parameter => {
                    global.add(address);
                    common.memory.store(address, stored)
                }
            };
            done.map_err(|cause| cause.at(lane as u32))?;
        }
        common.counts.global_stored += (global.count * length) as u64;
        common.counts.global_sectors += global.sectors();
        common.counts.bank_conflicts += shared.conflicts(length);
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // An instruction's operands.
    pub(super) fn atomic(
        &mut self,
        common: &mut Common<'_>,
        lanes: u32,
        of: Atomic,
        at: &Place,
        (bytes, signed, ordered): (u8, bool, bool),
        to: Option<Value>,
        (b, c): (Value, Value),
    ) -> Result<(), Stop> {
        let (b, c) = (*self.value(b), *self.value(c));
        let mut before = [0; WARP];
        for lane in in_mask(lanes) {
            let (space, address) = resolved(at.space, self.address(at, lane));
            let next = |value| of.apply(value, b[lane], c[lane], 8 * bytes, signed);
            let done = match space {
                Space::Shared => {
                    common
                        .shared
                        .atomic(self.thread(lane), address, bytes.into(), next)
                }
                Space::Local | Space::Parameter => Err(Cause::Outside {
                    space: "what atomics reach",
                    address,
                    bytes: bytes.into(),
                }),
                Space::Global | Space::Generic => {
                    common.memory.atomic(address, bytes.into(), ordered, next)
                }
            };
            before[lane] = done.map_err(|cause| cause.at(lane as u32))?;
        }
        if let Some(to) = to {
            self.write(to, lanes, &before);
        }
        Ok(())
    }
}

impl Atomic {
    /// The value that comes to be where `a` was.
    pub(super) fn apply(self, a: u64, b: u64, c: u64, bits: u8, signed: bool) -> u64 {
        let width = low_bits(bits.into());
        let key = |value| {
            let value = extended(value, bits, signed);
            if signed {
                i128::from(value as i64)
            } else {
                i128::from(value)
            }
        };
        match self {
            Self::Add => a.wrapping_add(b) & width,
            Self::Min => {
                if key(b) < key(a) {
                    b
                } else {
                    a
                }
            }
            Self::Max => {
                if key(b) > key(a) {
                    b
                } else {
                    a
                }
            }
            Self::And => a & b,
            Self::Or => a | b,
            Self::Xor => a ^ b,
            Self::Exchange => b,
            Self::CompareAndSwap => {
                if a == b {
                    c
                } else {
                    a
                }
            }
            Self::Increment => {
                if a >= b {
                    0
                } else {
                    a + 1
                }
            }
            Self::Decrement => {
                if a == 0 || a > b {
                    b
                } else {
                    a - 1
                }
            }
        }
    }
}

/// The number that so many bytes are.
fn word(from: &[u8], bytes: u8) -> u64 {
    let word = u64::from_le_bytes(from.first_chunk().copied().unwrap_or_default());
    word & low_bits(8 * u32::from(bytes))
}

/// The space that a generic address is in, and the address there.
fn resolved(space: Space, address: u64) -> (Space, u64) {
    match space {
        Space::Generic if address >= GLOBAL_BASE => (Space::Global, address),
        Space::Generic if address.wrapping_sub(SHARED_WINDOW) < WINDOW_BYTES => {
            (Space::Shared, address - SHARED_WINDOW)
        }
        Space::Generic if address.wrapping_sub(LOCAL_WINDOW) < WINDOW_BYTES => {
            (Space::Local, address - LOCAL_WINDOW)
        }
        other => (other, address),
    }
}

fn span(
    length: usize,
    space: &'static str,
    address: u64,
    bytes: usize,
) -> Result<core::ops::Range<usize>, Cause> {
    let outside = Cause::Outside {
        space,
        address,
        bytes: bytes as u32,
    };
    if !address.is_multiple_of(bytes as u64) {
        return Err(Cause::Misaligned {
            address,
            bytes: bytes as u32,
        });
    }
    let end = address
        .checked_add(bytes as u64)
        .filter(|end| *end <= length as u64)
        .ok_or(outside)?;
    Ok(address as usize..end as usize)
}

fn read(from: &[u8], space: &'static str, address: u64, into: &mut [u8]) -> Result<(), Cause> {
    into.copy_from_slice(&from[span(from.len(), space, address, into.len())?]);
    Ok(())
}

fn write(to: &mut [u8], address: u64, from: &[u8]) -> Result<(), Cause> {
    let span = span(to.len(), "local memory", address, from.len())?;
    to[span].copy_from_slice(from);
    Ok(())
}

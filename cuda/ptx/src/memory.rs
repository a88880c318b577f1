//! Device memory, in which every byte remembers who touched it last.

mod order;

use crate::{
    error::MemoryError,
    fault::{Cause, Did},
    module::{Content, Module},
    space::GLOBAL_BASE,
};
use order::Order;
use std::collections::{BTreeMap, HashMap};

/// Between allocations, and what they are aligned to: an index that is off by little hits no other.
const RED_ZONE: u64 = 256;

/// Who wrote a byte: one of these, or the stamp of a block, of which those of the launch are the highest.
mod written {
    pub const OUTSIDE: u32 = 0;
    pub const NEVER: u32 = 1;
    /// By the host or an earlier launch.
    pub const BEFORE: u32 = 2;
    pub const FIRST_STAMP: u32 = 3;
}

/// The memory of a device: allocations in one address space, with red zones between.
///
/// It is allocated as it is used, and takes nine bytes of the host for each byte of the device.
pub struct Memory {
    capacity: u64,
    in_use: u64,
    /// Start and length of allocations, as offsets.
    allocations: BTreeMap<u64, u64>,
    data: Vec<u8>,
    writers: Vec<u32>,
    readers: Vec<u32>,
    /// Variables of modules, by the module's id.
    variables: HashMap<u64, Vec<u64>>,
    order: Order,
}

impl Memory {
    /// An empty memory of so many bytes.
    pub fn new(capacity: u64) -> Self {
        Self {
            capacity,
            in_use: 0,
            allocations: BTreeMap::new(),
            data: Vec::new(),
            writers: Vec::new(),
            readers: Vec::new(),
            variables: HashMap::new(),
            order: Order::new(written::FIRST_STAMP),
        }
    }

    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes that are allocated.
    pub fn in_use(&self) -> u64 {
        self.in_use
    }

    /// The address of so many bytes that nobody wrote yet, a multiple of 256.
    ///
    /// # Errors
    /// Where the capacity does not suffice.
    pub fn alloc(&mut self, bytes: u64) -> Result<u64, MemoryError> {
        let free = self.capacity - self.in_use;
        let bytes = bytes.max(1);
        if bytes > free {
            return Err(MemoryError::OutOfMemory {
                bytes,
                free,
                capacity: self.capacity,
            });
        }
        let taken = bytes.next_multiple_of(RED_ZONE) + RED_ZONE;
        let mut start = RED_ZONE;
        for (&other, &length) in &self.allocations {
            if start + taken <= other {
                break;
            }
            start = other + length.next_multiple_of(RED_ZONE) + RED_ZONE;
        }
        let end = (start + taken) as usize;
        if self.data.len() < end {
            self.data.resize(end, 0);
            self.writers.resize(end, written::OUTSIDE);
            self.readers.resize(end, 0);
        }
        self.allocations.insert(start, bytes);
        self.in_use += bytes;
        self.mark(start, bytes, written::NEVER);
        Ok(GLOBAL_BASE + start)
    }

    /// Gives an allocation back.
    ///
    /// # Errors
    /// Where none begins at the address.
    pub fn free(&mut self, address: u64) -> Result<(), MemoryError> {
        let start = address.wrapping_sub(GLOBAL_BASE);
        let bytes = self
            .allocations
            .remove(&start)
            .ok_or(MemoryError::NotAllocated(address))?;
        self.in_use -= bytes;
        self.mark(start, bytes, written::OUTSIDE);
        Ok(())
    }

    /// Writes bytes from the host.
    ///
    /// # Errors
    /// Where they are not inside one allocation.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let start = self.inside(address, bytes.len() as u64)?;
        self.data[start..start + bytes.len()].copy_from_slice(bytes);
        self.mark(start as u64, bytes.len() as u64, written::BEFORE);
        Ok(())
    }

    /// Fills bytes with zeros.
    ///
    /// # Errors
    /// Where they are not inside one allocation.
    pub fn zero(&mut self, address: u64, bytes: u64) -> Result<(), MemoryError> {
        let start = self.inside(address, bytes)?;
        self.data[start..start + bytes as usize].fill(0);
        self.mark(start as u64, bytes, written::BEFORE);
        Ok(())
    }

    /// Reads bytes to the host.
    ///
    /// # Errors
    /// Where they are not inside one allocation, or nobody wrote one of them.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<(), MemoryError> {
        let start = self.inside(address, into.len() as u64)?;
        let writers = &self.writers[start..start + into.len()];
        if let Some(index) = writers.iter().position(|writer| *writer == written::NEVER) {
            return Err(MemoryError::NeverWritten(address + index as u64));
        }
        into.copy_from_slice(&self.data[start..start + into.len()]);
        Ok(())
    }

    /// Copies bytes inside the device, with what is known of them.
    ///
    /// # Errors
    /// Where either side is not inside one allocation.
    pub fn copy(&mut self, from: u64, to: u64, bytes: u64) -> Result<(), MemoryError> {
        let (from, to) = (self.inside(from, bytes)?, self.inside(to, bytes)?);
        self.data.copy_within(from..from + bytes as usize, to);
        self.writers.copy_within(from..from + bytes as usize, to);
        Ok(())
    }

    /// Address and length of a variable of a module, which is put here if it was not yet.
    pub fn symbol(
        &mut self,
        module: &Module,
        name: &str,
    ) -> Result<Option<(u64, u64)>, MemoryError> {
        let Some(index) = module.globals.iter().position(|global| global.name == name) else {
            return Ok(None);
        };
        let address = self.variables(module)?[index];
        Ok(Some((address, module.globals[index].bytes.into())))
    }

    /// The addresses of a module's variables.
    pub(crate) fn variables(&mut self, module: &Module) -> Result<&[u64], MemoryError> {
        if !self.variables.contains_key(&module.id) {
            let addresses: Vec<u64> = module
                .globals
                .iter()
                .map(|global| self.alloc(global.bytes.into()))
                .collect::<Result<_, _>>()?;
            for (global, &address) in module.globals.iter().zip(&addresses) {
                let mut bytes = vec![0; global.bytes as usize];
                for (element, content) in bytes
                    .chunks_mut(global.element as usize)
                    .zip(&global.content)
                {
                    let value = match content {
                        Content::Number(number) => *number,
                        Content::Address { index, offset } => {
                            addresses[*index].wrapping_add_signed(*offset)
                        }
                    };
                    let value = value.to_le_bytes();
                    let length = element.len().min(value.len());
                    element[..length].copy_from_slice(&value[..length]);
                }
                self.write(address, &bytes)?;
            }
            self.variables.insert(module.id, addresses);
        }
        Ok(&self.variables[&module.id])
    }

    fn mark(&mut self, start: u64, bytes: u64, writer: u32) {
        self.writers[start as usize..(start + bytes) as usize].fill(writer);
    }

    fn inside(&self, address: u64, bytes: u64) -> Result<usize, MemoryError> {
        let outside = MemoryError::Outside { address, bytes };
        let start = address.checked_sub(GLOBAL_BASE).ok_or(outside.clone())?;
        let Some((first, length)) = self.allocations.range(..=start).next_back() else {
            return Err(outside);
        };
        let room = (first + length).saturating_sub(start);
        if bytes > room || start > first + length {
            return Err(outside);
        }
        Ok(start as usize)
    }
}

/// What kernels do.
impl Memory {
    /// A launch begins; with `races`, blocks must not touch each other's bytes.
    pub(crate) fn begin_launch(&mut self, blocks: u32, races: bool) {
        if !self.order.begin(blocks, races) {
            // The stamps are used up: begin anew.
            for writer in &mut self.writers {
                *writer = (*writer).min(written::BEFORE);
            }
            self.readers.fill(0);
            self.order = Order::new(written::FIRST_STAMP);
            self.order.begin(blocks, races);
        }
    }

    pub(crate) fn begin_block(&mut self, block: u32) {
        self.order.begin_block(block);
    }

    /// The bytes from an address, if they may lie in one allocation at all.
    fn span(&self, address: u64, bytes: usize) -> Result<core::ops::Range<usize>, Cause> {
        if !address.is_multiple_of(bytes as u64) {
            return Err(Cause::Misaligned {
                address,
                bytes: bytes as u32,
            });
        }
        let start = address.wrapping_sub(GLOBAL_BASE);
        let end = start
            .checked_add(bytes as u64)
            .filter(|end| *end <= self.data.len() as u64);
        match end {
            Some(end) => Ok(start as usize..end as usize),
            None => Err(outside(address, bytes)),
        }
    }

    /// Loads as many bytes as there is room; their number is a power of two and their alignment.
    pub(crate) fn load(&mut self, address: u64, into: &mut [u8]) -> Result<(), Cause> {
        let span = self.span(address, into.len())?;
        if !self.order.may_read(&self.writers[span.clone()]) {
            self.explain_load(address, span.clone())?;
        }
        into.copy_from_slice(&self.data[span.clone()]);
        if self.order.races {
            self.order.reads(&mut self.readers[span]);
        }
        Ok(())
    }

    #[cold]
    fn explain_load(&self, address: u64, span: core::ops::Range<usize>) -> Result<(), Cause> {
        for (index, &writer) in self.writers[span.clone()].iter().enumerate() {
            let at = address + index as u64;
            match writer {
                written::OUTSIDE => return Err(outside(address, span.len())),
                written::NEVER => {
                    return Err(Cause::NeverWritten {
                        space: "device memory",
                        address: at,
                    })
                }
                _ if self.order.is_before(writer) => {}
                _ => return Err(self.race(at, writer, Did::Wrote)),
            }
        }
        Ok(())
    }

    fn race(&self, address: u64, stamp: u32, did: Did) -> Cause {
        let other = (stamp != self.order.several).then(|| [stamp - self.order.first, 0, 0]);
        Cause::GlobalRace {
            address,
            other,
            did,
        }
    }

    /// Stores bytes; their number is a power of two and their alignment.
    pub(crate) fn store(&mut self, address: u64, from: &[u8]) -> Result<(), Cause> {
        let span = self.touch(address, from.len(), false)?;
        self.data[span].copy_from_slice(from);
        self.order.dirty = true;
        Ok(())
    }

    /// Checks bytes that are to be written, and marks them.
    fn touch(
        &mut self,
        address: u64,
        bytes: usize,
        atomic: bool,
    ) -> Result<core::ops::Range<usize>, Cause> {
        let span = self.span(address, bytes)?;
        let (writers, readers) = (&self.writers[span.clone()], &self.readers[span.clone()]);
        if !self.order.may_write(writers, readers) {
            self.explain_store(address, span.clone(), atomic)?;
        }
        let mark = if self.order.races {
            self.order.own
        } else {
            written::BEFORE
        };
        self.writers[span.clone()].fill(mark);
        Ok(span)
    }

    #[cold]
    fn explain_store(
        &self,
        address: u64,
        span: core::ops::Range<usize>,
        atomic: bool,
    ) -> Result<(), Cause> {
        for index in span.clone() {
            let at = address + (index - span.start) as u64;
            let (writer, reader) = (self.writers[index], self.readers[index]);
            if writer == written::OUTSIDE {
                return Err(outside(address, span.len()));
            }
            // Atomics do not race with each other.
            let both_atomic = atomic && self.order.is_atomic(address);
            if !both_atomic && !self.order.is_before(writer) {
                return Err(self.race(at, writer, Did::Wrote));
            }
            if !self.order.is_before(reader) {
                return Err(self.race(at, reader, Did::Read));
            }
        }
        Ok(())
    }

    /// Replaces a value of 4 or 8 bytes, and gives what was there.
    ///
    /// What other blocks did before their atomics at this address, and a fence, is ordered before
    /// what the block does from now on.
    pub(crate) fn atomic(
        &mut self,
        address: u64,
        bytes: usize,
        ordered: bool,
        of: impl FnOnce(u64) -> u64,
    ) -> Result<u64, Cause> {
        let span = self.span(address, bytes)?;
        if self.writers[span].contains(&written::NEVER) {
            return Err(Cause::NeverWritten {
                space: "device memory",
                address,
            });
        }
        let span = self.touch(address, bytes, true)?;
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(&self.data[span.clone()]);
        let before = u64::from_le_bytes(word);
        self.data[span].copy_from_slice(&of(before).to_le_bytes()[..bytes]);
        self.order.meet(address, ordered);
        Ok(before)
    }

    pub(crate) fn fence(&mut self) {
        self.order.dirty = false;
    }
}

fn outside(address: u64, bytes: usize) -> Cause {
    Cause::Outside {
        space: "device memory",
        address,
        bytes: bytes as u32,
    }
}

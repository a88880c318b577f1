//! `weights.bin`, written tensor after tensor in the order of the layout.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use super::Progress;
use crate::{folder::layout::Layout, Shape};

/// Bytes between two reports inside a tensor.
const REPORT: u64 = 1 << 24;

/// Writes what [`Layout`] describes, and reports how far it is.
pub(super) struct Writer<'p> {
    file: BufWriter<File>,
    layout: Layout,
    /// Tensors begun.
    begun: usize,
    written: u64,
    reported: u64,
    progress: &'p mut dyn FnMut(Progress<'_>),
}

impl<'p> Writer<'p> {
    pub fn create(
        path: &Path,
        shape: &Shape,
        progress: &'p mut dyn FnMut(Progress<'_>),
    ) -> io::Result<Self> {
        Ok(Self {
            file: BufWriter::with_capacity(1 << 20, File::create_new(path)?),
            layout: Layout::of(shape),
            begun: 0,
            written: 0,
            reported: 0,
            progress,
        })
    }

    /// Begin the next tensor: fill up to its offset with zeros.
    pub fn begin(&mut self) -> io::Result<()> {
        let offset = self
            .layout
            .tensors
            .get(self.begun)
            .map(|tensor| tensor.offset);
        let offset = offset.ok_or_else(|| io::Error::other("more tensors than the shape has"))?;
        while self.written < offset {
            self.file.write_all(&[0])?;
            self.written = self.written.saturating_add(1);
        }
        self.begun = self.begun.saturating_add(1);
        self.report();
        Ok(())
    }

    /// Append to the tensor.
    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.written = self.written.saturating_add(bytes.len() as u64);
        if self.written.saturating_sub(self.reported) >= REPORT {
            self.report();
        }
        Ok(())
    }

    fn report(&mut self) {
        self.reported = self.written;
        let tensor = self
            .begun
            .checked_sub(1)
            .and_then(|at| self.layout.tensors.get(at));
        (self.progress)(Progress {
            tensor: tensor.map_or("", |tensor| &tensor.name),
            done_bytes: self.written,
            total_bytes: self.layout.bytes,
        });
    }

    /// All is written: make sure that it is on the disk.
    pub fn finish(mut self) -> io::Result<()> {
        self.report();
        self.file.into_inner()?.sync_all()
    }
}

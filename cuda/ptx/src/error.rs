//! What is wrong with a module, or with a request to device memory.

/// Why a module cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("PTX line {line}: {problem}: {text}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: u32,
    /// The line itself.
    pub text: String,
    pub problem: String,
}

impl ParseError {
    /// The text is added where the whole source is at hand.
    pub(crate) fn new(line: u32, problem: impl Into<String>) -> Self {
        Self {
            line,
            text: String::new(),
            problem: problem.into(),
        }
    }

    pub(crate) fn in_source(mut self, source: &str) -> Self {
        self.text = line_of(source, self.line).into();
        self
    }
}

/// The line of a source with this number, without its indentation.
pub(crate) fn line_of(source: &str, line: u32) -> &str {
    let index = line.saturating_sub(1) as usize;
    source.lines().nth(index).unwrap_or_default().trim()
}

/// Why the host cannot have what it asked device memory for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    #[error("{bytes} bytes of device memory were asked for, and {free} of {capacity} are free")]
    OutOfMemory {
        bytes: u64,
        free: u64,
        capacity: u64,
    },
    #[error("no allocation begins at {0:#x}")]
    NotAllocated(u64),
    #[error("{bytes} bytes at {address:#x} are not inside one allocation")]
    Outside { address: u64, bytes: u64 },
    #[error("the byte at {0:#x} was never written")]
    NeverWritten(u64),
}

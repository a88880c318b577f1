//! Runs the PTX of integer kernels on the processor.

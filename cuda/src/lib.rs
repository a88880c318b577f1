//! Exact models on NVIDIA GPUs.

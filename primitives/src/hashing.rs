//! BLAKE2b-256: in the runtime a host function, elsewhere the same function from a library.

#[cfg(not(target_arch = "wasm32"))]
pub use sp_crypto_hashing::blake2_256;
#[cfg(target_arch = "wasm32")]
pub use sp_io::hashing::blake2_256;

//! What the calls of the SDK's pallets cost here; `make weights` writes these files. Those of this
//! chain's own pallets lie in the pallets.

pub mod frame_system;
pub mod frame_system_extensions;
pub mod pallet_balances;
pub mod pallet_sudo;
pub mod pallet_timestamp;
pub mod pallet_transaction_payment;
pub mod pallet_utility;

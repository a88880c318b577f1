//! Who makes and finalises blocks: bonds, elections, rewards, and what an offence costs.

#![cfg_attr(not(feature = "std"), no_std)]

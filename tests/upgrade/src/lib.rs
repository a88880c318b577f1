//! A runtime to upgrade to: this one's successor, with a higher version and a migration.

include!(concat!(env!("OUT_DIR"), "/next_runtime"));

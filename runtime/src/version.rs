//! Which version of the rules this is. docs/governance.md says which number rises when.

use crate::apis::RUNTIME_API_VERSIONS;
use alloc::borrow::Cow;
use sp_version::RuntimeVersion;

// The attribute, which also writes the version beside the code, reads numbers only.
macro_rules! version {
    ($spec_version:tt) => {
        /// Version of this runtime. A chain takes no code whose `spec_version` is not higher than its own.
        #[sp_version::runtime_version]
        pub const VERSION: RuntimeVersion = RuntimeVersion {
            spec_name: Cow::Borrowed("assay"),
            impl_name: Cow::Borrowed("assay-node"),
            authoring_version: 1,
            spec_version: $spec_version,
            impl_version: 1,
            apis: RUNTIME_API_VERSIONS,
            transaction_version: 1,
            system_version: 1,
        };
    };
}

#[cfg(not(feature = "next"))]
version!(1);
#[cfg(feature = "next")]
version!(2);

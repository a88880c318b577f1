//! The worker and the command know the chain through `client/metadata.scale` alone.

use std::path::Path;

use assay_runtime::Runtime;

const METADATA_VERSION: u32 = 16;
const UPDATE: &str = "ASSAY_UPDATE_METADATA";

/// Run with `ASSAY_UPDATE_METADATA=1` to write the file anew after a change of the runtime.
#[test]
fn the_committed_metadata_is_the_runtimes() {
    let path = Path::new("../client/metadata.scale");
    let metadata = sp_io::TestExternalities::default().execute_with(|| {
        Runtime::metadata_at_version(METADATA_VERSION).expect("the runtime knows this version")
    });
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(path, &*metadata).expect("the file can be written");
    }
    let committed = std::fs::read(path).unwrap_or_default();
    assert!(
        committed == *metadata,
        "client/metadata.scale is not this runtime's: run `{UPDATE}=1 cargo test -p assay-runtime \
         --test metadata` and build again"
    );
}

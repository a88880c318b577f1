//! The demo model of the tree, against the vector of the format page's §10.

use std::path::Path;

use assay_exact::{
    folder::{root::blake2_256, Folder},
    import::huggingface,
};

use crate::logits;

const TOKENS: [u32; 7] = [0, 1, 1257, 15, 304, 351, 286];

#[test]
fn the_demo_model_gives_the_logits_of_the_page() {
    let source = Path::new("../models/demo/assay-demo");
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("demo");
    let mut reports = Vec::new();
    let imported = huggingface(source, &path, |progress| {
        reports.push((progress.tensor.to_owned(), progress.done_bytes));
        assert_eq!(progress.total_bytes, 3_742_852);
    })
    .unwrap();
    assert!(reports.is_sorted_by_key(|(_, done)| *done));
    assert_eq!(
        reports.last(),
        Some(&("final_norm".to_owned(), imported.weights_bytes))
    );

    let folder = Folder::open(&path).unwrap();
    assert_eq!(folder.verify().unwrap(), imported.root);
    assert_eq!(folder.manifest().stop_tokens, [3]);
    let bytes: Vec<u8> = logits(&folder, &TOKENS)
        .unwrap()
        .iter()
        .flat_map(|logit| logit.to_le_bytes())
        .collect();
    assert_eq!(
        format!("{:?}", blake2_256(&bytes)),
        "0xcb46daa4f60da0abfc35faf1319af135f3a281e45d9b01c19760e0631fab8586"
    );
    assert_eq!(
        [imported.tables, imported.weights_root].map(|root| format!("{root:?}")),
        [
            "0xd2a1ba1fe7d7a91a14c36d6eae083ebb2e272a90aa5ce0c9f9bfe86b8cf82420",
            "0xa4223ea9a6baa6f1eb6b59a7d409d197a09dc8bb28b6455107a45cc22a748ec6"
        ]
    );
}

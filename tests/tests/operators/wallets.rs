//! Wallets of others.

use anyhow::Result;
use assay_tests::{Clients, Node};

#[test]
fn wallets_read_the_chain_and_send() -> Result<()> {
    let Some(clients) = Clients::find()? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let node = Node::development(folder.path())?;
    let checks = [
        "the_chain_says_how_to_show_money_and_addresses",
        "every_pallet_is_read",
        "a_transfer_with_default_options_arrives",
        "an_error_has_its_name",
        "what_is_on_hold_says_for_what",
    ];
    clients.check_at("node_polkadot.mjs", &node.url(), "//Eve", &checks)
}

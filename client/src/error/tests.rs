use subxt::rpcs::client::RawValue;

use super::*;

/// What a node's pool answers a transaction with.
fn answer(message: &str, data: Option<&str>) -> UserError {
    let raw = |data: &str| RawValue::from_string(format!("{data:?}")).unwrap();
    UserError {
        code: 1010,
        message: message.into(),
        data: data.map(raw),
    }
}

#[test]
fn a_pools_refusal_is_told_with_the_next_step() {
    let account = AccountId32([7; 32]);
    let invalid = |data| answer("Invalid Transaction", Some(data));
    for (said, told) in [
        (
            invalid("Inability to pay some fees (e.g. account balance too low)"),
            "assay transfer",
        ),
        (
            invalid("Transaction has a bad signature"),
            "referendum may just have replaced; try again",
        ),
        (invalid("Transaction is outdated"), "overtook it; try again"),
        (
            answer("Priority is too low: (20 vs 20)", None),
            "under way; wait for its block",
        ),
        (
            answer("Transaction is temporarily banned", None),
            "wait a minute",
        ),
    ] {
        let reason = Error::refusal(&account, &said);
        assert!(reason.contains(told), "{said}: {reason}");
        let is_about_money = told == "assay transfer";
        assert_eq!(reason.contains(&account.to_string()), is_about_money);
        let refused = ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(
            RpcError::ClientError(subxt::rpcs::Error::User(said)),
        ));
        let error = Error::not_accepted("Jobs.submit", &account, refused);
        assert_eq!(error.is_funds(), is_about_money, "{error}");
        assert!(error.to_string().contains(&reason), "{error}");
        // Only one that it had before may be in a block.
        assert_eq!(error.is_final(), told != "wait a minute", "{error}");
    }
    // What nobody foresaw is passed on, on one line.
    let said = answer("Something\n  else", Some("Custom error: 7"));
    let reason = Error::refusal(&account, &said);
    assert_eq!(reason, "Something else Custom error: 7");
}

#[test]
fn a_text_is_cut_at_a_character() {
    assert_eq!(shortened("", 0), "");
    assert_eq!(shortened("äöü", 3), "äöü");
    assert_eq!(shortened("äöü", 2), "äö…");
    assert_eq!(shortened("äöü", 0), "…");
}

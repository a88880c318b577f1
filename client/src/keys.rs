//! Keys and addresses.

use std::{env, fs, path::Path, str::FromStr};

use subxt::utils::AccountId32;
use subxt_signer::{polkadot_js_compat, sr25519::Keypair, SecretUri};

use crate::Error;

/// Where the password of a polkadot-js file is read from.
pub const PASSWORD_VARIABLE: &str = "ASSAY_PASSWORD";

/// The shortest `encoded` of a polkadot-js file whose scrypt parameters are all there.
const MIN_ENCODED_LEN: usize = 96;

/// Read a key: the name of a file that holds a secret URI or an account exported by polkadot-js,
/// or a secret URI itself (`//Alice`, `0x…`, twelve words, each with derivations behind).
///
/// The password of a polkadot-js file comes from the environment, [`PASSWORD_VARIABLE`].
pub fn load(key: &str) -> Result<Keypair, Error> {
    let path = Path::new(key);
    if path.is_file() {
        return from_file(path);
    }
    if path.is_dir() {
        let next = "name the file in it that holds the key";
        return Err(Error::file(path, "is a folder", next));
    }
    from_uri(key).map_err(|problem| {
        // What could be a secret is never repeated in a message.
        let looks_like_a_path =
            !key.contains(' ') && !key.starts_with("//") && !key.starts_with("0x");
        if looks_like_a_path {
            Error::Key {
                problem: format!("there is no key file {key:?}"),
            }
        } else {
            Error::Key {
                problem: format!("the key is not a secret URI: {problem}"),
            }
        }
    })
}

/// Whether anybody can know this key: it is derived from the published development phrase.
pub fn is_development(key: &str) -> bool {
    key.starts_with("//")
}

fn from_uri(uri: &str) -> Result<Keypair, String> {
    // The format allows both, and takes them for the phrase that everybody knows: an empty file or
    // a mistyped path would turn into a key that anybody can use.
    if uri.is_empty() {
        return Err("it is empty".into());
    }
    if uri.starts_with('/') && !is_development(uri) {
        return Err("it is a path and not a secret".into());
    }
    let uri = SecretUri::from_str(uri).map_err(|error| error.to_string())?;
    Keypair::from_uri(&uri).map_err(|error| error.to_string())
}

fn from_file(path: &Path) -> Result<Keypair, Error> {
    let content = fs::read_to_string(path).map_err(|error| {
        Error::file(
            path,
            format!("cannot be read: {error}"),
            "check the file and its permissions",
        )
    })?;
    let content = content.trim();
    if !content.starts_with('{') {
        // The secret's format takes a line break for a blank, so a second key in the file would
        // become a part of the first and name an account that nobody knows.
        if content.lines().count() > 1 {
            let problem = "has more than one line with something in it";
            return Err(Error::file(path, problem, "keep one line, the secret URI"));
        }
        return from_uri(content).map_err(|problem| {
            Error::file(
                path,
                format!("holds no secret URI: {problem}"),
                "write one line, the secret URI",
            )
        });
    }
    let next = "export the account again from polkadot-js";
    let json: serde_json::Value = serde_json::from_str(content)
        .map_err(|error| Error::file(path, format!("is not JSON: {error}"), next))?;
    // The library slices this field before it has looked at its length.
    let encoded = json
        .get("encoded")
        .and_then(|field| field.as_str())
        .unwrap_or_default();
    if encoded.len() < MIN_ENCODED_LEN {
        return Err(Error::file(path, "holds no encrypted key", next));
    }
    let password = env::var(PASSWORD_VARIABLE).map_err(|_| {
        let next = format!("put its password into the environment variable {PASSWORD_VARIABLE}");
        Error::file(path, "is encrypted", next)
    })?;
    polkadot_js_compat::decrypt_json(content, &password).map_err(|error| match error {
        polkadot_js_compat::Error::Secretbox(_) => {
            let problem = format!("does not open with the password in {PASSWORD_VARIABLE}");
            Error::file(path, problem, "correct the password")
        }
        other => Error::file(path, format!("cannot be used: {other}"), next),
    })
}

/// The account of a key.
pub fn account(key: &Keypair) -> AccountId32 {
    key.public_key().to_account_id()
}

/// Read an account: an SS58 address of this chain, whose prefix is 42, or a development key such as `//Alice`.
pub fn parse_account(text: &str) -> Result<AccountId32, Error> {
    if is_development(text) {
        return match from_uri(text) {
            Ok(key) => Ok(account(&key)),
            Err(problem) => Err(Error::Address {
                text: text.into(),
                problem,
            }),
        };
    }
    if text.is_empty() {
        return Err(Error::Address {
            text: text.into(),
            problem: "it is empty".into(),
        });
    }
    let account = AccountId32::from_str(text).map_err(|error| Error::Address {
        text: text.into(),
        problem: match error.to_string().as_str() {
            "Length is bad" => "it is too short or too long".into(),
            "Invalid checksum" => "it is mistyped, its checksum is wrong".into(),
            "Base 58 requirement is violated" => "it has characters that no address has".into(),
            other => other.to_owned(),
        },
    })?;
    // It is read whatever its prefix, and written with this chain's.
    if account.to_string() != text {
        return Err(Error::ForeignAddress {
            text: text.into(),
            here: account,
        });
    }
    Ok(account)
}

/// The account, without any key, that belongs to a pallet: `modl`, the pallet's id, zeros.
pub fn pallet_account(pallet_id: [u8; 8]) -> AccountId32 {
    let mut account = [0; 32];
    let parts = b"modl".iter().chain(&pallet_id);
    account
        .iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = *from);
    AccountId32(account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    /// `//Alice` in an export of polkadot-js, password `whoisalice`.
    const EXPORTED: &str = r#"{
        "encoded": "DumgApKCTqoCty1OZW/8WS+sgo6RdpHhCwAkA2IoDBMAgAAAAQAAAAgAAAB6IG/q24EeVf0JqWqcBd5m2tKq5BlyY84IQ8oamLn9DZe9Ouhgunr7i36J1XxUnTI801axqL/ym1gil0U8440Qvj0lFVKwGuxq38zuifgoj0B3Yru0CI6QKEvQPU5xxj4MpyxdSxP+2PnTzYao0HDH0fulaGvlAYXfqtU89xrx2/z9z7IjSwS3oDFPXRQ9kAdDebtyCVreZ9Otw9v3",
        "encoding": {"content": ["pkcs8", "sr25519"], "type": ["scrypt", "xsalsa20-poly1305"], "version": "3"},
        "address": "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
        "meta": {}
    }"#;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        file
    }

    fn load_file(content: &str) -> Result<Keypair, Error> {
        load(file(content).path().to_str().unwrap())
    }

    #[test]
    fn development_keys_have_their_known_addresses() {
        assert_eq!(account(&load("//Alice").unwrap()).to_string(), ALICE);
        assert_eq!(
            parse_account("//Alice").unwrap(),
            parse_account(ALICE).unwrap()
        );
    }

    #[test]
    fn a_file_may_hold_a_secret_uri() {
        assert_eq!(account(&load_file("//Alice\n").unwrap()).to_string(), ALICE);
    }

    // One test, because the password is in the environment of the whole process.
    #[test]
    fn an_exported_account_opens_with_its_password_only() {
        assert!(load_file(EXPORTED)
            .unwrap_err()
            .to_string()
            .contains(PASSWORD_VARIABLE));
        env::set_var(PASSWORD_VARIABLE, "wrong");
        assert!(load_file(EXPORTED)
            .unwrap_err()
            .to_string()
            .contains("does not open"));
        env::set_var(PASSWORD_VARIABLE, "whoisalice");
        assert_eq!(account(&load_file(EXPORTED).unwrap()).to_string(), ALICE);
        env::remove_var(PASSWORD_VARIABLE);
    }

    #[test]
    fn a_file_with_two_keys_is_refused() {
        for content in [
            "//Alice\n//Bob\n",
            "//Alice\r\n\r\n//Bob",
            "//Alice\n\n  extra",
        ] {
            let file = file(content);
            let path = file.path().to_str().unwrap();
            let message = load(path).unwrap_err().to_string();
            assert!(
                message.contains(path) && message.contains("more than one line"),
                "{message}"
            );
        }
        assert!(load_file("\n  //Alice  \n\n").is_ok());
    }

    #[test]
    fn a_folder_is_no_key_file() {
        let folder = tempfile::tempdir().unwrap();
        let message = load(folder.path().to_str().unwrap())
            .unwrap_err()
            .to_string();
        assert!(message.contains("is a folder"), "{message}");
    }

    #[test]
    fn broken_key_files_are_refused() {
        for content in [
            "",
            "\n",
            "/etc/key",
            "not a key",
            "{",
            "{}",
            r#"{"encoded": "AAAA"}"#,
        ] {
            assert!(load_file(content).is_err(), "{content:?}");
        }
    }

    #[test]
    fn a_wrong_secret_is_not_repeated() {
        let error = load("bottom drive obey lake curtain smoke basket hold race lonely fit fit");
        let message = error.unwrap_err().to_string();
        assert!(
            !message.contains("bottom") && !message.contains("lonely"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = load("/nowhere/operator.key").unwrap_err().to_string();
        assert!(message.contains("/nowhere/operator.key"), "{message}");
    }

    #[test]
    fn wrong_addresses_are_refused() {
        let typo = ALICE.replace("GKut", "GKuu");
        for text in ["", "0", "alice", typo.as_str(), "//"] {
            let _ = parse_account(text);
        }
        assert!(parse_account(&typo).is_err());
        assert!(parse_account("alice").is_err());
        let empty = parse_account("").unwrap_err().to_string();
        assert!(empty.contains("it is empty"), "{empty}");
    }

    #[test]
    fn an_address_of_another_network_is_told_with_its_form_here() {
        let polkadots = "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5";
        let kusamas = "HNZata7iMYWmk5RvZRTiAsSDhV8366zq2YGb3tLH5Upf74F";
        for text in [polkadots, kusamas] {
            let told = parse_account(text).unwrap_err().to_string();
            assert!(
                told.contains("another network") && told.ends_with(ALICE),
                "{told}"
            );
        }
        assert!(parse_account(ALICE).is_ok());
    }

    #[test]
    fn a_pallets_account_is_derived_as_the_runtime_does() {
        // The treasury of every Substrate chain with the id `py/trsry`.
        assert_eq!(
            pallet_account(*b"py/trsry").to_string(),
            "5EYCAe5ijiYfyeZ2JJCGq56LmPyNRAKzpG4QkoQkkQNB5e6Z"
        );
    }
}

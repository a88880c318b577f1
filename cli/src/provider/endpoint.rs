//! Where clients of channels find a provider's server.

use assay_client::{
    chain::{check_host, runtime, runtime::runtime_types::pallet_providers::types::ProviderInfo},
    Snapshot,
};

use super::BoundedVec;
use crate::failure::Failure;

/// Makes sure that clients can use this endpoint. The empty one is none.
pub fn check(endpoint: &str) -> Result<(), Failure> {
    if endpoint.is_empty() {
        return Ok(());
    }
    let refuse = |problem| {
        Failure::Usage(format!(
            "no client can use the endpoint {:?}: {problem}; write --endpoint as in https://example.org:9617",
            shortened(endpoint)
        ))
    };
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| endpoint.strip_prefix(scheme))
        .ok_or_else(|| refuse("it does not begin with https:// or http://"))?;
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"?#@\\".contains(c);
    if !rest.chars().all(is_plain) {
        return Err(refuse("it has more than a host, a port and a path"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    // The colons of an IPv6 address are inside brackets.
    if !authority.starts_with('[') && authority.matches(':').count() > 1 {
        return Err(refuse("it has more than one port"));
    }
    check_host(rest).map_err(refuse)
}

/// So much of a text as fits into a message.
fn shortened(text: &str) -> String {
    const MOST: usize = 100;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// The endpoint as the chain takes it, if it is not too long for it.
pub fn encode(snapshot: &Snapshot, endpoint: String) -> Result<BoundedVec<u8>, Failure> {
    let address = runtime::constants().providers().max_endpoint_length();
    let most = snapshot.client().constants().entry(address);
    let most = most.map_err(|error| Failure::Chain(error.to_string()))?;
    crate::context::check_length("--endpoint", &endpoint, most)?;
    Ok(BoundedVec(endpoint.into_bytes()))
}

/// What clients make of a provider's endpoint.
pub fn describe(info: &ProviderInfo<BoundedVec<u8>>) -> String {
    let endpoint = String::from_utf8_lossy(&info.endpoint.0);
    // A provider's text must not be able to write over the lines around it.
    let endpoint: String = endpoint.chars().filter(|c| !c.is_control()).collect();
    let has_key = !info.tls_key_hash.is_zero();
    let set_info = "`assay provider set-info --tls-key-hash`";
    if endpoint.is_empty() {
        "no endpoint, so no clients with channels; `assay provider set-info` announces one".into()
    } else if check(&endpoint).is_err() {
        format!(
            "endpoint {endpoint}, which no client can use; write it as in https://example.org:9617"
        )
    } else if endpoint.starts_with("https://") && !has_key {
        format!("endpoint {endpoint}, which no client uses without the hash of its TLS key; say it with {set_info}")
    } else if endpoint.starts_with("http://") && has_key {
        format!("endpoint {endpoint}, which no client uses while a TLS key is announced; take it away with {set_info}")
    } else {
        format!("endpoint {endpoint}")
    }
}

#[cfg(test)]
mod tests {
    use assay_client::H256;

    use super::*;

    #[test]
    fn an_endpoint_is_a_url_that_clients_can_use() {
        for good in [
            "",
            "https://example.org:9617",
            "https://example.org",
            "https://example.org/assay/",
            "https://192.0.2.7:9617",
            "https://[2001:db8::1]:9617",
            "http://127.0.0.1:9617",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "foo",
            "example.org:9617",
            "ws://example.org",
            "https://",
            "https://:9617",
            "https://example.org:port",
            "https://example.org:96170",
            "https://example.org:0",
            "https://2001:db8::1:9617",
            "https://exa mple.org",
            "https://example.org/?a=b",
            "https://me@example.org",
            "https://example.org\n",
        ] {
            let failure = check(bad).unwrap_err();
            assert!(matches!(failure, Failure::Usage(_)), "{bad}");
            let told = failure.to_string();
            assert!(
                told.contains("https://example.org:9617") && !told.contains('\n'),
                "{told}"
            );
        }
        assert!(check(&"x".repeat(5_000)).unwrap_err().to_string().len() < 300);
    }

    #[test]
    fn an_endpoint_is_told_with_what_clients_lack() {
        let described = |endpoint: &str, key| {
            describe(&ProviderInfo {
                endpoint: BoundedVec(endpoint.as_bytes().to_vec()),
                tls_key_hash: key,
                x25519_key: [0; 32],
            })
        };
        let (key, none) = (H256::repeat_byte(1), H256::zero());
        assert_eq!(described("https://a", key), "endpoint https://a");
        assert_eq!(described("http://a", none), "endpoint http://a");
        for (endpoint, key, part) in [
            ("", none, "no endpoint"),
            ("foo", key, "no client can use"),
            ("https://a", none, "without the hash of its TLS key"),
            ("http://a", key, "while a TLS key is announced"),
            ("https://a\n", key, "endpoint https://a"),
        ] {
            let told = described(endpoint, key);
            assert!(told.contains(part) && !told.contains('\n'), "{told}");
        }
    }
}

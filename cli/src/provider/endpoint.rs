//! Where clients of channels find a provider's server.

use assay_client::{
    chain::{runtime, runtime::runtime_types::pallet_providers::types::ProviderInfo},
    shortened, Endpoint, Snapshot,
};

use super::BoundedVec;
use crate::{context::bounded, failure::Failure};

/// Characters of an endpoint that a refusal says again at most.
const LONGEST: usize = 100;

/// Makes sure that clients can use this endpoint. The empty one is none.
pub fn check(endpoint: &str) -> Result<(), Failure> {
    if endpoint.is_empty() {
        return Ok(());
    }
    Endpoint::parse(endpoint).map(drop).map_err(|problem| {
        Failure::Usage(format!(
            "no client can use the endpoint {:?}: {problem}; write --endpoint as in https://example.org:9617",
            shortened(endpoint, LONGEST)
        ))
    })
}

/// The endpoint as the chain takes it, if it is not too long for it.
pub fn encode(snapshot: &Snapshot, endpoint: String) -> Result<BoundedVec<u8>, Failure> {
    let address = runtime::constants().providers().max_endpoint_length();
    bounded(snapshot, "--endpoint", endpoint, address)
}

/// What clients make of a provider's endpoint.
pub fn describe(info: &ProviderInfo<BoundedVec<u8>>) -> String {
    if info.endpoint.0.is_empty() {
        return "no endpoint, so no clients with channels; `assay provider set-info` announces one"
            .into();
    }
    let endpoint = String::from_utf8_lossy(&info.endpoint.0);
    // A provider's text must not be able to write over the lines around it.
    let endpoint: String = endpoint.chars().filter(|c| !c.is_control()).collect();
    let has_key = !info.tls_key_hash.is_zero();
    let set_info = "`assay provider set-info --tls-key-hash`";
    match Endpoint::parse(&info.endpoint.0).map(|endpoint| endpoint.is_https()) {
        Err(problem) => format!(
            "endpoint {endpoint}, which no client can use: {problem}; write it as in https://example.org:9617"
        ),
        Ok(true) if !has_key => format!(
            "endpoint {endpoint}, which no client uses without the hash of its TLS key; say it with {set_info}"
        ),
        Ok(false) if has_key => format!(
            "endpoint {endpoint}, which no client uses while a TLS key is announced; take it away with {set_info}"
        ),
        Ok(_) => format!("endpoint {endpoint}"),
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
            "https://münchen.example/assay",
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
            "HTTPS://example.org",
            "https:///example.org",
            "https://[2001:db8::1",
            "https://exam{ple}.org",
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
            (
                "https://a\n",
                key,
                "endpoint https://a, which no client can use",
            ),
            ("https://a:0", key, "which no client can use: its port"),
            (
                "HTTPS://a",
                key,
                "which no client can use: it does not begin",
            ),
        ] {
            let told = described(endpoint, key);
            assert!(told.contains(part) && !told.contains('\n'), "{told}");
        }
    }
}

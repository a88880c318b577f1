//! Where a provider's clients find its server, read in one way by all: what the command announces,
//! what a worker expects of its own record, and what a gateway asks.

use std::cell::Cell;

use url::{Host, ParseError, SyntaxViolation, Url};

/// The URL of a provider's server: `https://` or `http://` in small letters, a host, and a port and a
/// path where they are needed. Paths of the server's interface are put behind it, so it has no query
/// and no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Reads what is written, or stands in a record on chain; what is wrong if no client can use it.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(text.as_ref()).map_err(|_| "it is not text in UTF-8")?;
        if !["https://", "http://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
        {
            return Err("it does not begin with https:// or http://");
        }
        let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"?#@\\".contains(c);
        if !text.chars().all(is_plain) {
            return Err("it has more than a host, a port and a path");
        }
        parse(text).map(Self)
    }

    /// Whether the server speaks TLS, so that a client needs the hash of its key.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The URL as clients ask it: its host in small letters and ASCII, no port that the scheme implies.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Reads a URL that begins with a scheme and `//`; what is wrong if a client finds no host and port in it.
pub(crate) fn parse(text: &str) -> Result<Url, &'static str> {
    const PORT: &str =
        "its port is not a number from 1 to 65535, or it is an IPv6 address without brackets";
    const NAME: &str = "its host is not a name that a computer can have";
    // The parser puts these right, and another client may read them as something else.
    let put_right = Cell::new(false);
    let note = |violation| match violation {
        SyntaxViolation::Backslash
        | SyntaxViolation::C0SpaceIgnored
        | SyntaxViolation::ExpectedDoubleSlash
        | SyntaxViolation::TabOrNewlineIgnored => put_right.set(true),
        _ => {}
    };
    let url = Url::options()
        .syntax_violation_callback(Some(&note))
        .parse(text)
        .map_err(|error| match error {
            ParseError::EmptyHost => "it names no host",
            ParseError::InvalidPort => PORT,
            ParseError::InvalidIpv4Address | ParseError::InvalidIpv6Address => {
                "its host looks like an IP address and is none"
            }
            ParseError::IdnaError | ParseError::InvalidDomainCharacter => NAME,
            _ => "it is not a URL",
        })?;
    if put_right.get() {
        return Err("it has slashes or blanks where a URL has none");
    }
    match url.host() {
        None => return Err("it names no host"),
        Some(Host::Domain(name)) if !is_name(name) => return Err(NAME),
        Some(_) => {}
    }
    // A URL may end its host with a colon. Whoever wrote one meant to name a port.
    let authority = text.split(['/', '?', '#']).nth(2).unwrap_or_default();
    if url.port() == Some(0) || authority.ends_with(':') {
        return Err(PORT);
    }
    Ok(url)
}

/// Whether this can be a host's name in DNS and in a certificate. A URL's may be more, which no client can send.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    host.len() <= 253 && labels.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_as_clients_ask_it() {
        for (text, asked) in [
            ("https://example.org:9617", "https://example.org:9617/"),
            ("http://127.0.0.1:9617", "http://127.0.0.1:9617/"),
            ("https://worker", "https://worker/"),
            ("https://my_worker.example", "https://my_worker.example/"),
            ("https://Example.ORG:443/", "https://example.org/"),
            ("https://example.org.", "https://example.org./"),
            ("https://example.org:65535", "https://example.org:65535/"),
            ("http://example.org:443/a//", "http://example.org:443/a//"),
            ("https://example.org/Assay/", "https://example.org/Assay/"),
            ("https://[2001:DB8::1]:9617", "https://[2001:db8::1]:9617/"),
            ("https://[::1]", "https://[::1]/"),
            ("https://münchen.example", "https://xn--mnchen-3ya.example/"),
            (
                "https://例え.テスト/é",
                "https://xn--r8jz45g.xn--zckzah/%C3%A9",
            ),
        ] {
            let endpoint = Endpoint::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(endpoint.as_str(), asked);
            assert_eq!(endpoint.is_https(), text.starts_with("https:"), "{text}");
            // What is asked is an endpoint too, and the same.
            assert_eq!(Endpoint::parse(asked), Ok(endpoint), "{text}");
        }
    }

    #[test]
    fn what_no_client_can_use_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "does not begin"),
            ("example.org:9617", "does not begin"),
            ("HTTPS://example.org", "does not begin"),
            ("Http://example.org", "does not begin"),
            ("ws://example.org", "does not begin"),
            ("https:/example.org", "does not begin"),
            (" https://example.org", "does not begin"),
            ("https://", "names no host"),
            ("https://:9617", "names no host"),
            ("https:///example.org", "slashes or blanks"),
            ("https:////example.org", "slashes or blanks"),
            ("https://example.org:0", "from 1 to 65535"),
            ("https://example.org:00/path", "from 1 to 65535"),
            ("https://example.org:65536", "from 1 to 65535"),
            (
                "https://example.org:99999999999999999999",
                "from 1 to 65535",
            ),
            ("https://example.org:port", "from 1 to 65535"),
            ("https://example.org:-1", "from 1 to 65535"),
            ("https://example.org:９６", "from 1 to 65535"),
            ("https://example.org:", "from 1 to 65535"),
            ("https://example.org:/path", "from 1 to 65535"),
            ("https://example.org:1:2", "from 1 to 65535"),
            ("https://2001:db8::1:9617", "IPv6 address without brackets"),
            ("https://[2001:db8::1", "looks like an IP address"),
            ("https://[fe80::1%25eth0]", "looks like an IP address"),
            ("https://[example.org]", "looks like an IP address"),
            ("https://[]", "looks like an IP address"),
            ("https://192.0.2.256", "looks like an IP address"),
            ("https://a{b}", "a name that"),
            ("https://a\"b", "a name that"),
            ("https://a<b", "a name that"),
            ("https://xn--a", "a name that"),
            ("https://.", "a name that"),
            ("https://.org", "a name that"),
            ("https://example..org", "a name that"),
            ("https://-example.org", "a name that"),
            ("https://example-.org", "a name that"),
            ("https://exa mple.org", "more than a host"),
            ("https://example.org ", "more than a host"),
            ("https://example.org/a b", "more than a host"),
            ("https://exam\tple.org", "more than a host"),
            ("https://example.org\n", "more than a host"),
            ("https://example.org\u{a0}", "more than a host"),
            ("https://me@example.org", "more than a host"),
            ("https://me:word@example.org", "more than a host"),
            ("https://@example.org", "more than a host"),
            ("https://example.org?", "more than a host"),
            ("https://example.org/?a=b", "more than a host"),
            ("https://example.org#", "more than a host"),
            ("https://example.org\\path", "more than a host"),
        ] {
            let why = Endpoint::parse(text).expect_err(text);
            assert!(why.contains(reason), "{text}: {why}");
        }
        let long = |label: usize, labels: usize| {
            let name = vec!["a".repeat(label); labels].join(".");
            Endpoint::parse(format!("https://{name}")).is_ok()
        };
        assert!(long(63, 3) && !long(64, 1) && !long(63, 4));
        let why = Endpoint::parse(b"https://example.org/\xff").unwrap_err();
        assert!(why.contains("UTF-8"), "{why}");
    }
}

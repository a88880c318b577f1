//! The key that a client pins: the same at every start, the one in the certificate, the one on chain.

use std::{
    fs, io, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration,
};

use assay_channel::wire;
use assay_client::{
    chain::runtime::runtime_types::{
        bounded_collections::bounded_vec::BoundedVec, pallet_providers::types::ProviderInfo,
    },
    H256,
};
use assay_openai::listen::{serve, Bounds};
use axum::{body::Body, routing::get, Router};
use clap::Parser;
use futures::{stream, StreamExt};
use rustls::{
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{ring, verify_tls12_signature, verify_tls13_signature, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{client::TlsStream, TlsConnector};

use crate::{
    config::Config,
    tls::{Announced, Keys},
};

/// Trusts any certificate; what matters is that its key signed the handshake.
#[derive(Debug)]
struct AnyName(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        _: &CertificateDer,
        _: &[CertificateDer],
        _: &ServerName,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn connector() -> TlsConnector {
    let provider = ring::default_provider();
    let known = provider.signature_verification_algorithms;
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyName(known)))
        .with_no_client_auth();
    Arc::new(config).into()
}

fn config(extra: &[&str]) -> Config {
    let line = ["assay-worker", "--operator-key=//Bob", "--model=a"];
    Config::try_parse_from(line.iter().chain(extra)).unwrap()
}

fn keys(ledger: &Path, extra: &[&str]) -> anyhow::Result<Keys> {
    Keys::open(&config(extra).serve, ledger)
}

#[tokio::test]
async fn the_server_proves_the_key_that_is_announced() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("worker.redb");
    let first = keys(&ledger, &[]).unwrap().announced();
    let keys = keys(&ledger, &[]).unwrap();
    assert_eq!(keys.announced(), first);

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "here" }));
    let (_stop, stopped) = watch::channel(false);
    let tls = keys.tls.map(|tls| tls.acceptor);
    tokio::spawn(serve(listener, tls, router, Bounds::default(), stopped));
    let mut stream = connected(address).await.unwrap();
    let (_, session) = stream.get_ref();
    let certificate =
        ParsedCertificate::try_from(&session.peer_certificates().unwrap()[0]).unwrap();
    let key = certificate.subject_public_key_info();
    assert_eq!(wire::tls_key_hash(key.as_ref()), first.tls_key_hash);
    let request = b"GET / HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.ends_with("here"), "{answer}");
}

async fn connected(address: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("somebody").unwrap();
    connector().connect(name, stream).await
}

#[tokio::test]
async fn who_does_not_end_its_handshake_is_left_and_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(&folder.path().join("worker.redb"), &[]).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = || async {
        let later = stream::once(async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            Ok::<_, io::Error>("late")
        });
        Body::from_stream(stream::iter([Ok("early ")]).chain(later))
    };
    let router = Router::new().route("/", get(answer));
    let bounds = Bounds {
        handshake: Duration::from_secs(1),
        connections: 3,
        ..Bounds::default()
    };
    let (_stop, stopped) = watch::channel(false);
    let tls = keys.tls.map(|tls| tls.acceptor);
    tokio::spawn(serve(listener, tls, router, bounds, stopped));
    let mut good = connected(address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n";
    good.write_all(request).await.unwrap();

    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    // The type and version of a record, and no more of it.
    slow.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    assert!(connected(address).await.is_err(), "there is no place left");
    for stream in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        let end = stream.read_to_end(&mut rest);
        let guarded = tokio::time::timeout(Duration::from_secs(60), end).await;
        let _ = guarded.expect("the server holds the connection");
    }
    while connected(address).await.is_err() {}
    let mut answer = String::new();
    let _ = good.read_to_string(&mut answer).await;
    assert!(answer.contains("late"), "{answer}");
}

/// What a client speaks with the server.
async fn spoken(client: reqwest::ClientBuilder, url: &str) -> reqwest::Version {
    let client = client.danger_accept_invalid_certs(true).build().unwrap();
    let response = client.get(url).send().await.unwrap();
    let version = response.version();
    assert_eq!(response.text().await.unwrap(), "here");
    version
}

#[tokio::test]
async fn whoever_can_has_all_answers_on_one_connection() {
    let _ = ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(&folder.path().join("worker.redb"), &[]).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", get(|| async { "here" }));
    let (_stop, stopped) = watch::channel(false);
    let tls = keys.tls.map(|tls| tls.acceptor);
    tokio::spawn(serve(listener, tls, router, Bounds::default(), stopped));
    let client = reqwest::Client::builder;
    assert_eq!(spoken(client(), &url).await, reqwest::Version::HTTP_2);
    assert_eq!(
        spoken(client().http1_only(), &url).await,
        reqwest::Version::HTTP_11
    );
}

#[test]
fn kept_keys_are_their_owners_alone_and_damaged_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("worker.redb");
    keys(&ledger, &[]).unwrap();
    let names = ["worker.tls-key.pem", "worker.x25519-key"];
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names.len());
    for name in names {
        let path = folder.path().join(name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        let kept = fs::read(&path).unwrap();

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = keys(&ledger, &[]).err().unwrap().to_string();
        assert!(
            error.contains("chmod 600") && error.contains(name),
            "{error}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "nonsense").unwrap();
        let error = keys(&ledger, &[]).err().unwrap().to_string();
        assert!(
            error.contains("restore it") && error.contains(name),
            "{error}"
        );
        fs::write(&path, kept).unwrap();
    }
    assert!(keys(&ledger, &[]).is_ok());
}

#[test]
fn a_certificate_that_is_given_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("worker.redb");
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["example.org".to_owned()]).unwrap();
    let certificate = folder.path().join("cert.pem");
    fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    let key = folder.path().join("key.pem");
    fs::write(&key, pair.serialize_pem()).unwrap();
    let flags = |key: &Path| {
        let cert = format!("--tls-cert={}", certificate.display());
        [cert, format!("--tls-key={}", key.display())]
    };
    let [cert, good] = flags(&key);
    let given = keys(&ledger, &[&cert, &good]).unwrap().announced();
    use rcgen::PublicKeyData;
    let hash = wire::tls_key_hash(&pair.subject_public_key_info());
    assert_eq!(given.tls_key_hash, hash);
    // Another key than the certificate's.
    fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let error = keys(&ledger, &[&cert, &good]).err().unwrap();
    assert!(format!("{error:#}").contains("--tls-key"), "{error:#}");
    // Plain http has no key at all.
    let plain = keys(&ledger, &["--serve=127.0.0.1:1", "--serve-plain"]).unwrap();
    assert!(plain.announced().tls_key_hash.is_zero());
}

#[test]
fn a_record_that_is_not_this_servers_is_refused_with_the_command_that_sets_it_right() {
    let announced = Announced {
        tls_key_hash: H256::repeat_byte(1),
        x25519_key: [2; 32],
    };
    let info = |endpoint: &str, hash, key| ProviderInfo {
        endpoint: BoundedVec(endpoint.as_bytes().to_vec()),
        tls_key_hash: H256::repeat_byte(hash),
        x25519_key: [key; 32],
    };
    let url = "https://example.org:9617";
    assert!(announced.check(&info(url, 1, 2)).is_ok());
    let values = format!(
        "--tls-key-hash 0x{} --x25519-key 0x{}",
        "01".repeat(32),
        "02".repeat(32)
    );
    for (wrong, endpoint) in [
        (info("", 1, 2), "https://HOST:PORT"),
        (info("http://example.org:9617", 1, 2), "https://HOST:PORT"),
        // No client can use these.
        (info("https://example.org:0", 1, 2), "https://HOST:PORT"),
        (info("https://example.org\n", 1, 2), "https://HOST:PORT"),
        (info("https://me@example.org", 9, 2), "https://HOST:PORT"),
        (info(url, 9, 2), url),
        (info(url, 1, 9), url),
    ] {
        let error = announced.check(&wrong).unwrap_err().to_string();
        let command = format!("`assay provider set-info --endpoint {endpoint} {values}`");
        assert!(error.contains(&command), "{error}");
        assert!(!error.contains('\n'));
    }
    let plain = Announced {
        tls_key_hash: H256::zero(),
        ..announced
    };
    assert!(plain.check(&info("http://127.0.0.1:9617", 0, 2)).is_ok());
    assert!(plain.check(&info(url, 0, 2)).is_err());
}

//! HTTPS to providers. Their certificates are their own; what counts is that the key in it is the one
//! whose hash is on the chain.

use std::{sync::Arc, time::Duration};

use assay_channel::wire::tls_key_hash;
use assay_client::H256;
use rustls::{
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{ring, verify_tls12_signature, verify_tls13_signature, CryptoProvider},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// An HTTP client that talks to one provider. `pinned` is the SHA-256 of the key that its certificate
/// must hold (its SubjectPublicKeyInfo); without one only plain HTTP is possible.
pub fn client(pinned: Option<H256>) -> anyhow::Result<reqwest::Client> {
    // Without a pin the hash is of no key, so that no certificate will do.
    let config = config(pinned.unwrap_or_default())?;
    Ok(reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .https_only(pinned.is_some())
        .tls_backend_preconfigured(config)
        .build()?)
}

fn config(pinned: H256) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Pinned {
        key: pinned,
        provider: provider.clone(),
    });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // All answers of a provider share a connection where it can.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Takes a certificate for its key alone: names, dates and issuers say nothing about a provider that
/// the chain does not say better.
#[derive(Debug)]
struct Pinned {
    key: H256,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let key = certificate.subject_public_key_info();
        match tls_key_hash(&key) == self.key {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};
    use rustls::{pki_types::PrivateKeyDer, ServerConfig};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server with a certificate for no name that anybody uses, and the hash of its key.
    async fn server() -> (String, H256) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["worker".into()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let hash = tls_key_hash(&key.subject_public_key_info());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                let _ = stream.write_all(answer).await;
            }
        });
        (url, hash)
    }

    #[tokio::test]
    async fn a_certificate_is_taken_for_its_key_alone() {
        let (url, hash) = server().await;
        let right = client(Some(hash)).unwrap().get(&url).send().await.unwrap();
        assert_eq!(right.text().await.unwrap(), "ok");
        for wrong in [Some(H256::repeat_byte(7)), Some(H256::zero()), None] {
            assert!(client(wrong).unwrap().get(&url).send().await.is_err());
        }
        let plain = url.replace("https", "http");
        let refused = client(Some(hash)).unwrap().get(&plain).send().await;
        assert!(refused.is_err(), "plain HTTP to a pinned provider");
    }
}

//! Who the worker's server is: the key of its TLS certificate, and the key that requests are sealed to.
//! The chain has both, so they stay the same over restarts: those that nobody gave are made once and
//! kept beside the ledger.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use anyhow::{bail, Context};
use assay_channel::{seal::SealKey, wire};
use assay_client::{
    chain::runtime::runtime_types::{
        bounded_collections::bounded_vec::BoundedVec, pallet_providers::types::ProviderInfo,
    },
    Endpoint, H256,
};
use assay_openai::listen::many;
use rustls::{
    crypto::{ring, CryptoProvider},
    pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer},
    ServerConfig,
};
use serde::Serialize;
use tokio_rustls::TlsAcceptor;

use crate::config::{Given, ServeConfig};

/// TLS as the server speaks it.
pub struct Tls {
    pub acceptor: TlsAcceptor,
    /// SHA-256 of the public key, as in the certificate.
    pub key_hash: H256,
}

impl Tls {
    /// With a certificate that somebody else keeps.
    fn given(files: &Given) -> anyhow::Result<Self> {
        let Given { certificate, key } = files;
        let cannot = |what: &str, path: &Path| {
            format!("{what} {} cannot be used; give a PEM file", path.display())
        };
        let certificates = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| cannot("--tls-cert", certificate))?;
        let secret = PrivateKeyDer::from_pem_file(key).with_context(|| cannot("--tls-key", key))?;
        Self::new(certificates, secret).with_context(|| {
            format!(
                "--tls-cert {} and --tls-key {} do not make a TLS server",
                certificate.display(),
                key.display()
            )
        })
    }

    /// With a certificate that signs itself, for the key that is kept in `file`. Who knows the key's hash
    /// from the chain needs nobody else's word for it.
    fn kept(file: &Path) -> anyhow::Result<Self> {
        let pem = kept(file, || {
            Ok(rcgen::KeyPair::generate()
                .context("no TLS key can be made")?
                .serialize_pem())
        })?;
        let damaged = || {
            format!(
                "{} holds no TLS key; restore it, or remove it and announce the new key",
                file.display()
            )
        };
        let key = rcgen::KeyPair::from_pem(&pem).with_context(damaged)?;
        // Clients pin the key, so the name does not matter.
        let certificate = rcgen::CertificateParams::new(["assay-worker".to_owned()])
            .and_then(|params| params.self_signed(&key))
            .context("no certificate can be made")?;
        let secret = PrivateKeyDer::from_pem_slice(pem.as_bytes()).with_context(damaged)?;
        Self::new(vec![certificate.der().clone()], secret)
    }

    fn new(
        certificates: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> anyhow::Result<Self> {
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let signer = provider.key_provider.load_private_key(key.clone_key())?;
        let public = signer.public_key().context(
            "the key has no public half that is known here; take an ECDSA, RSA or Ed25519 key",
        )?;
        let key_hash = wire::tls_key_hash(public.as_ref());
        drop(public);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        config.alpn_protocols = vec![many::ALPN.to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: Arc::new(config).into(),
            key_hash,
        })
    }
}

/// The key that requests are sealed to, kept in `file`.
fn seal_key(file: &Path) -> anyhow::Result<SealKey> {
    let text = kept(file, || Ok(wire::encode_hex(&rand::random::<[u8; 32]>())))?;
    let damaged = || {
        format!(
            "{} holds no X25519 key; restore it, or remove it and announce the new key",
            file.display()
        )
    };
    let secret: [u8; 32] = wire::decode_hex("the key", text.trim()).with_context(damaged)?;
    SealKey::from_bytes(&secret).with_context(damaged)
}

/// The text in `file`, which is made if it is not there, for the owner's eyes alone.
fn kept(file: &Path, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<String> {
    let name = file.display();
    match fs::read_to_string(file) {
        Ok(text) => {
            let mode = fs::metadata(file)?.permissions().mode();
            if mode & 0o077 != 0 {
                bail!("{name} is a secret that others can read; say `chmod 600 {name}`");
            }
            return Ok(text);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => bail!("{name} cannot be read: {error}; check the file and its permissions"),
    }
    let text = make()?;
    // Under its name it is there whole or not at all.
    let draft = file.with_extension("new");
    let written = || -> std::io::Result<()> {
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut new = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&draft, file)?;
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()
    };
    written().with_context(|| {
        format!("{name} cannot be written; check the free space and the permissions of its folder")
    })?;
    Ok(text)
}

/// All keys of a server.
pub struct Keys {
    /// None for a server without TLS.
    pub tls: Option<Tls>,
    pub seal: SealKey,
}

impl Keys {
    /// Reads the keys, or makes them. Those that nobody gave are kept beside the ledger.
    pub fn open(config: &ServeConfig, ledger: &Path) -> anyhow::Result<Self> {
        let tls = match (config.serve_plain, config.given()) {
            (true, _) => None,
            (false, Some(given)) => Some(Tls::given(&given)?),
            (false, None) => Some(Tls::kept(&ledger.with_extension("tls-key.pem"))?),
        };
        let seal = seal_key(&ledger.with_extension("x25519-key"))?;
        Ok(Self { tls, seal })
    }

    pub fn announced(&self) -> Announced {
        Announced {
            tls_key_hash: self.tls.as_ref().map_or(H256::zero(), |tls| tls.key_hash),
            x25519_key: self.seal.public(),
        }
    }
}

/// What the chain must say for clients to find this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Announced {
    /// Zero for a server without TLS.
    #[serde(serialize_with = "hex")]
    pub tls_key_hash: H256,
    #[serde(serialize_with = "hex")]
    pub x25519_key: [u8; 32],
}

fn hex<S: serde::Serializer>(bytes: &impl codec::Encode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&wire::encode_hex(bytes))
}

impl Announced {
    /// Holds what the chain has against what this server is, and names the command that sets it right.
    pub fn check(&self, info: &ProviderInfo<BoundedVec<u8>>) -> anyhow::Result<()> {
        let endpoint = String::from_utf8_lossy(&info.endpoint.0);
        let is_https = !self.tls_key_hash.is_zero();
        let scheme = if is_https { "https://" } else { "http://" };
        let read = Endpoint::parse(&info.endpoint.0).map(|endpoint| endpoint.is_https());
        let wrong = if endpoint.is_empty() {
            "names no endpoint".to_owned()
        } else if let Err(problem) = read {
            format!("names the endpoint {endpoint:?}, which no client can use: {problem}")
        } else if read != Ok(is_https) {
            format!("names the endpoint {endpoint}, and this server speaks {scheme}")
        } else if info.tls_key_hash != self.tls_key_hash {
            "has another hash of the TLS key".to_owned()
        } else if info.x25519_key != self.x25519_key {
            "has another X25519 key".to_owned()
        } else {
            return Ok(());
        };
        let shown = match read == Ok(is_https) {
            true => endpoint.into_owned(),
            false => format!("{scheme}HOST:PORT"),
        };
        bail!(
            "the provider's record on chain {wrong}, so no client would find or trust this server; \
             say `assay provider set-info --endpoint {shown} --tls-key-hash {:?} --x25519-key {:?}` \
             with the stash's key, and start again when it is finalised",
            self.tls_key_hash,
            H256(self.x25519_key)
        )
    }
}

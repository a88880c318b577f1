//! The server, and the model that it is taken to serve.

use std::{fs, path::Path, time::Duration};

use tokenizers::Tokenizer;

use super::super::EngineError;

/// How long the server may take to accept a connection, and to say anything.
const CONNECT: Duration = Duration::from_secs(10);
const SILENCE: Duration = Duration::from_secs(120);

/// The next step where only the server can say more.
pub(super) const REPORT: &str = "see its log";

/// What every answer needs.
pub(super) struct Server {
    pub http: reqwest::Client,
    /// Of completions.
    pub url: String,
    pub key: Option<String>,
    pub model: String,
    pub tokenizer: Tokenizer,
    /// Whether the tokens of a text are those of its pieces, one after the other.
    pub maps_pieces: bool,
}

impl Server {
    /// Reads the tokenizer of the model folder at `path`, and the key.
    pub fn new(
        path: &Path,
        url: &str,
        model: &str,
        key_file: Option<&Path>,
    ) -> Result<Self, EngineError> {
        let key = key_file.map(read_key).transpose()?;
        let file = path.join("tokenizer.json");
        let tokenizer = Tokenizer::from_file(&file).map_err(|error| EngineError::Model {
            file,
            problem: format!("is not a tokenizer: {error}"),
            next: "take the file of this model anew".into(),
        })?;
        let url = format!("{}/completions", url.trim_end_matches('/'));
        let http = client(&url).map_err(|problem| EngineError::Upstream {
            url: url.rsplit('@').next().unwrap_or_default().into(),
            problem: format!("cannot be spoken to: {problem}"),
            next: "check --upstream",
        })?;
        Ok(Self {
            http,
            url,
            key,
            model: model.into(),
            maps_pieces: maps_pieces(&tokenizer),
            tokenizer,
        })
    }

    pub fn failed(&self, problem: String, next: &'static str) -> EngineError {
        EngineError::Upstream {
            url: self.url.clone(),
            problem,
            next,
        }
    }

    pub fn refused(&self, response: &reqwest::Response, problem: &str) -> EngineError {
        let status = response.status();
        let next = match status.as_u16() {
            401 | 403 => "give its key with --upstream-key-file",
            404 => "check --upstream, which ends before /completions, and --upstream-model",
            429 | 503 => "it has too much to do: give it fewer requests with --max-batch",
            _ => REPORT,
        };
        self.failed(format!("says {status}: {problem}"), next)
    }
}

fn client(url: &str) -> Result<reqwest::Client, String> {
    let parsed = reqwest::Url::parse(url).map_err(|error| error.to_string())?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("its address holds a secret, which belongs into --upstream-key-file".into());
    }
    // One that was installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        // Nobody else gets the key, nor the prompts.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    let builder = match parsed.scheme() {
        "https" => builder,
        // The system's certificates may be missing, and nobody needs them.
        "http" => builder.tls_certs_only([]),
        other => return Err(format!("{other} is neither http nor https")),
    };
    builder.build().map_err(|error| error.to_string())
}

pub(super) fn read_key(file: &Path) -> Result<String, EngineError> {
    let unusable = |problem: String| EngineError::Model {
        file: file.into(),
        problem,
        next: "name a file that holds the server's key with --upstream-key-file".into(),
    };
    let key = fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    let key = key.trim();
    match key.is_empty() || key.contains(|c: char| c.is_control()) {
        true => Err(unusable("holds no key on one line".into())),
        false => Ok(key.into()),
    }
}

fn maps_pieces(tokenizer: &Tokenizer) -> bool {
    let ids = |text| {
        let encoded = tokenizer.encode(text, false).ok()?;
        Some(encoded.get_ids().to_vec())
    };
    let pieces: Option<Vec<_>> = ["a", "b", " c", "\n"].into_iter().map(ids).collect();
    let text = pieces.and_then(|pieces| tokenizer.decode(&pieces.concat(), false).ok());
    text.as_deref() == Some("ab c\n")
}

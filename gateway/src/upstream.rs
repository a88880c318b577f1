//! A provider's server, as the gateway talks to it.

use std::{io, time::Duration};

use assay_channel::{
    seal::Binding,
    wire::{
        encode_headers, encode_voucher, ChannelStatus, Owed, StoredReceipt, REQUEST_HEADER,
        VOUCHER_HEADER,
    },
    SignedHeader,
};
use assay_client::AccountId32;
use assay_primitives::{ChannelId, SignedVoucher, Task};
use reqwest::{
    header::{HeaderMap, RETRY_AFTER},
    Client, RequestBuilder, Response, StatusCode,
};
use serde::{de::DeserializeOwned, Deserialize};
use serde_json::Value;

use crate::{choice::Offer, tls};

mod answer;
mod body;

pub use self::answer::{Answer, Chunk, Logprob};
use self::body::Seal;

/// How long a provider may take over anything but an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to accept a request: it may wait for another one to end.
const ACCEPTANCE: Duration = Duration::from_secs(60);
/// The pause that a busy provider gets that asks for none, and the least, since each try costs a request.
const BUSY: Duration = Duration::from_secs(2);
const LEAST_BUSY: Duration = Duration::from_secs(1);
/// The most bytes of a page that is not an answer.
const PAGE: usize = 1 << 20;

/// Why a provider did not do what it was asked.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Failed {
    /// It cannot be reached, or the connection broke off.
    #[error("the connection failed: {0}")]
    Lost(String),
    #[error("it is busy for {} s", .0.as_secs())]
    Busy(Duration),
    /// Something about channel, voucher or header.
    #[error("it refuses the payment ({code}): {message}")]
    Payment {
        code: String,
        message: String,
        owed: Option<Owed>,
    },
    #[error("it refuses ({status}): {message}")]
    Refused {
        status: u16,
        code: String,
        message: String,
    },
    /// It said something that no honest server says.
    #[error("its answer makes no sense: {0}")]
    Nonsense(String),
}

/// One provider.
#[derive(Clone)]
pub struct Worker {
    client: Client,
    endpoint: String,
    provider: AccountId32,
    /// What bodies are sealed to, if they are.
    seal_key: Option<[u8; 32]>,
}

impl Worker {
    /// The server of whoever made the offer. Where bodies have to be sealed, it must have a key for that.
    pub fn new(offer: &Offer, sealed: bool) -> anyhow::Result<Self> {
        if sealed && offer.x25519_key.is_none() {
            anyhow::bail!("it has published no key to seal to");
        }
        Ok(Self {
            provider: offer.provider,
            seal_key: offer.x25519_key.filter(|_| sealed),
            client: tls::client(offer.tls_key_hash)?,
            endpoint: offer.endpoint.trim_end_matches('/').to_owned(),
        })
    }

    /// Ask for an answer, or for a score of one. It is paid for as far as the voucher goes.
    pub async fn ask(
        &self,
        header: &SignedHeader,
        voucher: &SignedVoucher,
        body: &Value,
    ) -> Result<Answer, Failed> {
        let seal = self.seal_key.map(|key| Seal {
            key,
            binding: Binding {
                genesis: header.header.genesis,
                provider: self.provider.0,
                channel: voucher.channel,
            },
        });
        let path = match header.header.task {
            Task::Generate => "/v1/completions",
            Task::Score { .. } => "/v1/score",
        };
        let request = self
            .client
            .post(format!("{}{path}", self.endpoint))
            .header(REQUEST_HEADER, encode_headers(std::slice::from_ref(header)))
            .header(VOUCHER_HEADER, encode_voucher(voucher));
        let (request, expected) = body::write(request, body, seal.as_ref())?;
        let response = tokio::time::timeout(ACCEPTANCE, request.send()).await;
        let response = response.map_err(|_| silent(ACCEPTANCE))?.map_err(lost)?;
        let response = accepted(response).await?;
        Answer::new(response, expected, body.get("logprobs").is_some())
    }

    /// Hand over a voucher; what the provider makes of the channel.
    pub async fn pay(&self, voucher: &SignedVoucher) -> Result<ChannelStatus, Failed> {
        let path = format!("{}/voucher", channel_path(&voucher.channel));
        let request = self.client.post(format!("{}{path}", self.endpoint));
        page(request, voucher).await
    }

    /// The last receipt of a request.
    pub async fn receipt(
        &self,
        seq: u64,
        voucher: &SignedVoucher,
    ) -> Result<StoredReceipt, Failed> {
        let path = format!("{}/receipts/{seq}", channel_path(&voucher.channel));
        page(self.client.get(format!("{}{path}", self.endpoint)), voucher).await
    }
}

fn channel_path(channel: &ChannelId) -> String {
    format!("/v1/channels/{channel:?}")
}

async fn page<T: DeserializeOwned>(
    request: RequestBuilder,
    voucher: &SignedVoucher,
) -> Result<T, Failed> {
    let request = request
        .header(VOUCHER_HEADER, encode_voucher(voucher))
        .timeout(PATIENCE);
    let response = accepted(request.send().await.map_err(lost)?).await?;
    let bytes = whole(response).await?;
    serde_json::from_slice(&bytes).map_err(|error| Failed::Nonsense(error.to_string()))
}

async fn whole(mut response: Response) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(lost)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > PAGE {
            return Err(Failed::Nonsense("a page without end".into()));
        }
    }
    Ok(bytes)
}

fn silent(patience: Duration) -> Failed {
    Failed::Lost(format!("no answer for {} s", patience.as_secs()))
}

fn lost(error: reqwest::Error) -> Failed {
    // The address is known; what is at the bottom of it is not.
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        let io = deeper.downcast_ref::<io::Error>();
        reason = match io.map(io::Error::kind) {
            // TLS would tell the reader of a log how to program a server.
            Some(io::ErrorKind::UnexpectedEof) => "it closed before the answer had ended".into(),
            _ => deeper.to_string(),
        };
        source = deeper.source();
    }
    Failed::Lost(reason)
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorFields,
}

#[derive(Deserialize)]
struct ErrorFields {
    #[serde(default)]
    message: String,
    code: Option<String>,
    assay: Option<Value>,
}

/// The response, if it is not an error.
async fn accepted(response: Response) -> Result<Response, Failed> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let pause = retry_after(response.headers());
    let body = tokio::time::timeout(PATIENCE, whole(response)).await;
    let body = body.map_err(|_| silent(PATIENCE))??;
    Err(refusal(status, pause, &body))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.parse().ok().map(Duration::from_secs)
}

fn refusal(status: StatusCode, pause: Option<Duration>, body: &[u8]) -> Failed {
    let fields = serde_json::from_slice(body).map(|body: ErrorBody| body.error);
    let fields = fields.unwrap_or_else(|_| ErrorFields {
        message: "no reason is given".into(),
        code: None,
        assay: None,
    });
    error_of(status, pause, fields)
}

fn error_of(status: StatusCode, pause: Option<Duration>, fields: ErrorFields) -> Failed {
    let ErrorFields {
        message,
        code,
        assay,
    } = fields;
    let message = one_line(&message);
    match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Failed::Busy(pause.unwrap_or(BUSY).max(LEAST_BUSY))
        }
        StatusCode::PAYMENT_REQUIRED | StatusCode::CONFLICT | StatusCode::GONE => Failed::Payment {
            code: code.unwrap_or_default(),
            message,
            owed: assay.and_then(|owed| serde_json::from_value(owed).ok()),
        },
        other => Failed::Refused {
            status: other.as_u16(),
            code: code.unwrap_or_default(),
            message,
        },
    }
}

/// A stranger's message, bounded and on one line.
fn one_line(message: &str) -> String {
    let words: Vec<&str> = message.split_whitespace().collect();
    words.join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use assay_client::{Endpoint, H256};
    use assay_primitives::Price;
    use axum::http::Uri;
    use reqwest::Url;
    use rustls::pki_types::ServerName;

    use super::*;

    /// Where a path is asked of the server at this endpoint.
    fn asked(endpoint: &Endpoint) -> String {
        let offer = Offer {
            provider: AccountId32([1; 32]),
            epoch: 1,
            listing: H256::zero(),
            price: Price {
                input: 1,
                output: 1,
            },
            context: 30,
            score: 0,
            endpoint: endpoint.as_str().to_owned(),
            tls_key_hash: None,
            x25519_key: None,
        };
        let worker = Worker::new(&offer, false).unwrap();
        format!("{}/v1/score", worker.endpoint)
    }

    #[test]
    fn whatever_is_an_endpoint_can_be_asked() {
        let odd = (0..0x180).filter_map(char::from_u32).flat_map(|c| {
            [
                format!("http://a{c}b"),
                format!("http://a{c}"),
                format!("http://{c}a:1/"),
                format!("http://a:1{c}"),
                format!("http://a/b{c}c/"),
                format!("http://[::1{c}]"),
            ]
        });
        let mut found = 0;
        for text in odd {
            let Ok(endpoint) = Endpoint::parse(&text) else {
                continue;
            };
            found += 1;
            let asked = asked(&endpoint);
            let url = Url::parse(&asked).unwrap();
            assert_eq!(url.as_str(), asked);
            let path = url.path().strip_suffix("/v1/score");
            assert!(path.is_some_and(|path| !path.ends_with('/')), "{asked}");
            assert_eq!(url.query(), None, "{text:?}");
            // A request goes out if its URL is a URI, and over TLS if its host can be in a certificate.
            let uri: Uri = asked.parse().unwrap_or_else(|_| panic!("{text:?}"));
            assert_eq!(uri.host(), url.host_str());
            let host = uri.host().unwrap().trim_matches(['[', ']']).to_owned();
            assert!(ServerName::try_from(host).is_ok(), "{text:?}");
        }
        assert!(found > 400, "{found}");
    }
}

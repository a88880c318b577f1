//! Pages and streams of a server on loopback, as plain HTTP.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Value};

/// Longer than a server is silent on a stream that is alive.
const SILENCE: Duration = Duration::from_secs(60);

/// What a server answers.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub body: String,
}

/// What was heard of an answer that was streamed.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Heard {
    pub text: String,
    pub finish: Option<String>,
    /// Tokens of the answer, if the request asks for log-probabilities.
    pub tokens: u64,
    /// Tokens of the prompt and of the answer, told at the end.
    pub usage: Option<(u64, u64)>,
    /// The requests that a gateway bought it with, told at the end: channel and number.
    pub bought: Vec<String>,
}

pub fn get(port: u16, path: &str) -> Result<Page> {
    let mut reader = send(port, "GET", path, "")?;
    let status = read_head(&mut reader)?;
    let mut body = String::new();
    reader.read_to_string(&mut body)?;
    Ok(Page { status, body })
}

/// Asks for a completion and listens to its stream; `each` is told all that was heard so far, as often as
/// there is more. A stream that does not come to its end is an error.
pub fn listen(
    port: u16,
    mut request: Value,
    mut each: impl FnMut(&Heard) -> Result<()>,
) -> Result<Heard> {
    request["stream"] = json!(true);
    request["stream_options"] = json!({ "include_usage": true });
    let mut reader = send(port, "POST", "/v1/completions", &request.to_string())?;
    let status = read_head(&mut reader)?;
    let mut heard = Heard::default();
    if status != 200 {
        let mut body = String::new();
        reader.read_to_string(&mut body)?;
        bail!("{status}: {body}");
    }
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if let Some(data) = line.trim_end().strip_prefix("data: ") {
            if data == "[DONE]" {
                return Ok(heard);
            }
            heard.add(&serde_json::from_str(data)?)?;
            each(&heard)?;
        }
        line.clear();
    }
    bail!("the stream was cut")
}

impl Heard {
    fn add(&mut self, chunk: &Value) -> Result<()> {
        ensure!(chunk["error"].is_null(), "{}", chunk["error"]);
        for choice in chunk["choices"].as_array().context("a chunk has choices")? {
            self.text += choice["text"].as_str().unwrap_or_default();
            let tokens = choice["logprobs"]["tokens"].as_array();
            self.tokens += tokens.map_or(0, Vec::len) as u64;
            for part in choice["assay"]["parts"].as_array().into_iter().flatten() {
                let channel = part["channel"].as_str().context("a part has a channel")?;
                self.bought.push(format!("{channel}/{}", part["seq"]));
            }
            let finish = choice["finish_reason"].as_str();
            self.finish = finish.map(str::to_owned).or(self.finish.take());
        }
        let usage = &chunk["usage"];
        let tokens = |field: &str| usage[field].as_u64();
        self.usage = tokens("prompt_tokens")
            .zip(tokens("completion_tokens"))
            .or(self.usage);
        Ok(())
    }
}

/// In HTTP/1.0 a body ends with its connection, also when nobody knew its length before.
fn send(port: u16, method: &str, path: &str, body: &str) -> Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(SILENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(BufReader::new(stream))
}

/// The status, with the reader at the beginning of the body.
fn read_head(reader: &mut impl BufRead) -> Result<u16> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).context("an answer has a status")?;
    let status = status.parse()?;
    while line.trim_end() != "" {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "the answer was cut");
    }
    Ok(status)
}

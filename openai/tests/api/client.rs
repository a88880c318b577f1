//! A client that shows what travels.

use std::net::SocketAddr;

use assay_openai::sse::{Event, Parser};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub const CHAT: &str = "/v1/chat/completions";
pub const COMPLETIONS: &str = "/v1/completions";

#[derive(Clone, Copy)]
pub struct Client {
    pub address: SocketAddr,
}

/// A response that has arrived.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    headers: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The events of a stream.
    pub fn events(&self) -> Vec<Event> {
        let mut parser = Parser::new(1 << 20);
        parser.push(&self.body).unwrap();
        std::iter::from_fn(|| parser.next_event()).collect()
    }

    /// The chunks of a stream that ends as it should.
    pub fn chunks(&self) -> Vec<Value> {
        let mut events = self.events();
        assert_eq!(events.pop(), Some(Event::Data("[DONE]".into())));
        let chunk = |event| match event {
            Event::Data(data) => Some(serde_json::from_str(&data).unwrap()),
            Event::Comment(_) => None,
        };
        events.into_iter().filter_map(chunk).collect()
    }
}

impl Client {
    pub async fn get(&self, path: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\n"), b"").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.post_with(path, "", body).await
    }

    /// With these header lines.
    pub async fn post_with(&self, path: &str, headers: &str, body: &Value) -> Response {
        finish(self.begin(path, headers, body).await).await
    }

    /// Sends a request without reading the response.
    pub async fn begin(&self, path: &str, headers: &str, body: &Value) -> TcpStream {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}",
            body.len()
        );
        self.connect(&head, body.as_bytes()).await
    }

    /// Sends the first lines of a request and its body.
    pub async fn send(&self, head: &str, body: &[u8]) -> Response {
        finish(self.connect(head, body).await).await
    }

    pub async fn connect(&self, head: &str, body: &[u8]) -> TcpStream {
        let head = format!("{head}connection: close\r\n");
        self.connect_to_stay(&head, body).await
    }

    /// Whoever answers closes the connection or does not.
    pub async fn connect_to_stay(&self, head: &str, body: &[u8]) -> TcpStream {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let head = format!("{head}host: tests\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(body).await.unwrap();
        connection
    }
}

/// Reads a response to its end.
pub async fn finish(mut connection: TcpStream) -> Response {
    let mut bytes = Vec::new();
    connection.read_to_end(&mut bytes).await.unwrap();
    let head = find(&bytes, b"\r\n\r\n").expect("a response has a head");
    let headers = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    let mut response = Response {
        status,
        headers,
        body: bytes[head + 4..].to_vec(),
    };
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = unchunked(&response.body);
    }
    response
}

/// Reads on until this has arrived.
pub async fn until(connection: &mut TcpStream, text: &str) {
    let mut bytes = Vec::new();
    while find(&bytes, text.as_bytes()).is_none() {
        let mut part = [0; 4096];
        let read = connection.read(&mut part).await.unwrap();
        assert!(read > 0, "the response ended before {text:?}");
        bytes.extend_from_slice(&part[..read]);
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = find(body, b"\r\n").expect("a chunk has a length");
        let length = std::str::from_utf8(&body[..line]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[line + 2..][..length]);
        body = &body[line + 2 + length + 2..];
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

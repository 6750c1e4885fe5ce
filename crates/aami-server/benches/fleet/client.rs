//! One HTTP connection, kept open; and one that weighs nothing, for what is timed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aami_api::PROOF;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection to one address.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    async fn send(&mut self, request: http::Request<Full<Bytes>>) -> http::Response<hyper::body::Incoming> {
        self.sender.ready().await.unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        response
    }

    fn request(method: &str, path: &str, credential: &str) -> http::request::Builder {
        http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "bench")
            .header("authorization", format!("Bearer {credential}"))
    }

    async fn call(&mut self, method: &str, path: &str, credential: &str, body: String) -> Vec<u8> {
        let request = Self::request(method, path, credential)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.send(request)
            .await
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec()
    }

    pub(crate) async fn get(&mut self, credential: &str, path: &str) -> Vec<u8> {
        self.call("GET", path, credential, String::new()).await
    }

    /// A header of an answer.
    #[allow(dead_code, reason = "only `links` looks at one")]
    pub(crate) async fn header(&mut self, credential: &str, path: &str, name: &str) -> String {
        let request = Self::request("GET", path, credential)
            .body(Full::new(Bytes::new()))
            .unwrap();
        let response = self.send(request).await;
        let value = response.headers()[name].to_str().unwrap().to_owned();
        response.into_body().collect().await.unwrap();
        value
    }

    pub(crate) async fn post(&mut self, credential: &str, path: &str, body: String) -> Vec<u8> {
        self.call("POST", path, credential, body).await
    }

    pub(crate) async fn patch(&mut self, credential: &str, path: &str, body: String) -> Vec<u8> {
        self.call("PATCH", path, credential, body).await
    }

    /// How long until an answer begins, and the answer.
    pub(crate) async fn first_byte(&mut self, credential: &str, path: &str) -> (Duration, Vec<u8>) {
        let request = Self::request("GET", path, credential)
            .body(Full::new(Bytes::new()))
            .unwrap();
        let start = Instant::now();
        let response = self.send(request).await;
        let taken = start.elapsed();
        (
            taken,
            response.into_body().collect().await.unwrap().to_bytes().to_vec(),
        )
    }

    /// Reads an answer to its end and keeps none of it.
    pub(crate) async fn skim(&mut self, credential: &str, path: &str) {
        let request = Self::request("GET", path, credential)
            .body(Full::new(Bytes::new()))
            .unwrap();
        let mut body = self.send(request).await.into_body();
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
    }
}

/// A connection for registrations that were written before the clock started. The machines of a fleet bring
/// cores of their own; here they share those of the control plane, so a client does as little as it can.
pub(crate) struct Wire {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            answer: Vec::with_capacity(16 * 1024),
        }
    }

    /// A registration as it goes over the wire.
    pub(crate) fn registration(token: &str, body: &[u8], proof: &str) -> Vec<u8> {
        let head = format!(
            "POST /api/v1/bootstrap/register HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\
             {PROOF}: {proof}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) async fn exchange(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await.unwrap();
            assert!(read > 0, "the connection was closed");
            if let Some(length) = whole(&self.answer)
                && self.answer.len() >= length
            {
                break;
            }
        }
        assert!(
            self.answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&self.answer)
        );
    }
}

/// How long an answer is, once its head is there.
fn whole(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).unwrap();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    Some(head + length.parse::<usize>().unwrap())
}

//! One HTTP connection, kept open.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aami_api::PROOF;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
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

    pub(crate) async fn register(&mut self, token: &str, body: Vec<u8>, proof: &str) {
        let request = Self::request("POST", "/api/v1/bootstrap/register", token)
            .header(PROOF, proof)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.send(request).await.into_body().collect().await.unwrap();
    }
}

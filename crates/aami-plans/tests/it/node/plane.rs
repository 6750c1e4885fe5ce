//! A control plane as far as an installation asks one. What it knows lies beside the host's own memory, so that a copy of
//! the host has one that knows the same. Installations meet the real one on the rig.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use aami_api::problem::Problem;
use aami_api::register::{ExporterView, RegisterRequest};
use aami_model::code::{self, Code};
use aami_model::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The token that enrols nodes there.
pub(super) const TOKEN: &str = "aami_abcdefghijklmnop_abcdefghijklmnopqrstuvwxyz234567";
const BOOK: &str = "plane.json";

/// What it knows.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Book {
    nodes: BTreeMap<String, Known>,
    /// How many nodes it ever enrolled.
    enrolled: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Known {
    key: String,
    /// The SHA-256 of what it shows.
    credential: String,
    request: RegisterRequest,
}

/// One question.
struct Question {
    method: String,
    path: String,
    bearer: String,
    body: Vec<u8>,
}

impl Book {
    pub(super) fn read(memory: &Path) -> Self {
        std::fs::read(memory.join(BOOK))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    fn write(&self, memory: &Path) {
        std::fs::write(memory.join(BOOK), serde_json::to_vec(self).unwrap()).unwrap();
    }

    /// The nodes it has, each with the ports of its exporters.
    pub(super) fn nodes(&self) -> Vec<(String, Vec<u16>)> {
        let ports = |known: &Known| {
            let exporters = known.request.exporters.iter();
            exporters.map(|exporter| exporter.port).collect()
        };
        let nodes = self.nodes.iter();
        nodes.map(|(id, known)| (id.clone(), ports(known))).collect()
    }

    /// The node that shows this.
    fn of(&self, bearer: &str) -> Option<&String> {
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(bearer));
        let mut nodes = self.nodes.iter();
        nodes
            .find(|(_, known)| known.credential == hash)
            .map(|(id, _)| id)
    }

    fn register(&mut self, question: &Question) -> Result<Value, Code> {
        let request: RegisterRequest = serde_json::from_slice(&question.body).map_err(|_| code::INVALID)?;
        let (Some(key), Some(credential)) = (request.node_key.clone(), request.credential_hash.clone())
        else {
            return Err(code::INVALID);
        };
        let known = self.nodes.iter().find(|(_, known)| known.key == key);
        let known = known.map(|(id, _)| id.clone());
        // Who comes with its own credential tells its news; everybody else needs the token.
        let speaks_for_itself = known.is_some() && self.of(&question.bearer) == known.as_ref();
        if question.bearer != TOKEN && !speaks_for_itself {
            return Err(code::UNAUTHENTICATED);
        }
        let is_known = known.is_some();
        let id = known.unwrap_or_else(|| {
            self.enrolled += 1;
            format!("node-{}", self.enrolled)
        });
        let entry = Known {
            key,
            credential,
            request,
        };
        self.nodes.insert(id.clone(), entry);
        Ok(json!({
            "node": self.view(&id), "exporters": self.exporters(&id), "credential_confirmed": true, "known": is_known,
            "token": { "id": "abcdefghijklmnop", "name": "rack", "max_uses": 10, "used": 1, "remaining": 9 },
        }))
    }

    fn exporters(&self, id: &str) -> Vec<ExporterView> {
        let node: NodeId = id.parse().unwrap();
        let told = self.nodes[id].request.exporters.iter().cloned();
        told.map(|told| ExporterView::of(&node, &told.into_exporter()))
            .collect()
    }

    fn view(&self, id: &str) -> Value {
        let request = &self.nodes[id].request;
        let now = Timestamp::from_millis(1_795_176_000_000);
        json!({
            "id": id, "org": "default", "hostname": request.hostname, "ip_address": request.ip_address,
            "status": "online", "status_since": now, "labels": request.labels, "groups": [],
            "exporters": self.exporters(id), "created_at": now,
        })
    }

    /// Reaches each exporter of a node.
    fn verify(&self, id: &str, runs: impl Fn(u16) -> bool) -> Value {
        let request = &self.nodes[id].request;
        let probe = |(kind, port): (Value, u16)| {
            let ok = runs(port);
            let url = format!("http://{}:{port}/metrics", request.ip_address);
            let detail = if ok { "answers" } else { "connection refused" };
            json!({ "type": kind, "url": url, "ok": ok, "detail": detail })
        };
        let told = request.exporters.iter();
        let told = told.map(|told| (serde_json::to_value(told.kind).unwrap(), told.port));
        let probes: Vec<Value> = told.map(probe).collect();
        let verified = probes.iter().all(|probe| probe["ok"] == true);
        json!({ "node_id": id, "status": "online", "verified": verified, "exporters": probes })
    }

    /// What it answers.
    fn answer(
        &mut self,
        question: &Question,
        refused: Option<IpAddr>,
        runs: impl Fn(u16) -> bool,
    ) -> Result<Value, Code> {
        let path = question.path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (question.method.as_str(), parts.as_slice()) {
            (_, ["api", "v1", "bootstrap-tokens", "validate"]) if question.bearer != TOKEN => {
                Err(code::UNAUTHENTICATED)
            }
            (_, ["api", "v1", "bootstrap-tokens", "validate"])
                if refused.is_some_and(|ip| question.path.ends_with(&format!("?address={ip}"))) =>
            {
                Err(code::ADDRESS_REFUSED)
            }
            (_, ["api", "v1", "bootstrap-tokens", "validate"]) => Ok(json!({
                "valid": true, "id": "abcdefghijklmnop", "name": "rack", "remaining": 9,
                "expires_at": Timestamp::from_millis(1_895_176_000_000),
            })),
            ("POST", ["api", "v1", "bootstrap", "register"]) => self.register(question),
            ("GET", ["api", "v1", "checks", "node"]) => match self.of(&question.bearer) {
                Some(own) => Ok(json!({ "node_id": own, "set_sha256": "", "checks": [] })),
                None => Err(code::UNAUTHENTICATED),
            },
            (method, ["api", "v1", "nodes", id, rest @ ..]) => {
                if self.of(&question.bearer).is_none_or(|own| own != *id) {
                    return Err(code::UNAUTHENTICATED);
                }
                match (method, rest) {
                    ("GET", []) => Ok(self.view(id)),
                    ("POST", ["verify"]) => Ok(self.verify(id, runs)),
                    ("DELETE", []) => {
                        self.nodes.remove(*id);
                        Ok(json!({}))
                    }
                    _ => Err(code::NOT_FOUND),
                }
            }
            _ => Err(code::NOT_FOUND),
        }
    }
}

/// Answers one question out of the book in `memory`. `refused` is an address that nobody may register; `runs` says
/// whether somebody answers at a port of the node.
pub(super) fn serve(
    mut stream: TcpStream,
    memory: &Path,
    refused: Option<IpAddr>,
    runs: impl Fn(u16) -> bool,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let Some(question) = read(&stream)? else {
        return Ok(());
    };
    let mut book = Book::read(memory);
    let (status, body) = match book.answer(&question, refused, runs) {
        Ok(body) => (200, body),
        Err(code) => (code.http, serde_json::to_value(Problem::plain(code)).unwrap()),
    };
    if question.method != "GET" {
        book.write(memory);
    }
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} So\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    // Hung up with something unread, the answer would be lost with it.
    stream.shutdown(Shutdown::Write)?;
    while stream.read(&mut [0; 512])? > 0 {}
    Ok(())
}

fn read(stream: &TcpStream) -> std::io::Result<Option<Question>> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (mut bearer, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.trim_start_matches("Bearer ").clone_into(&mut bearer),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Question {
        method,
        path,
        bearer,
        body,
    }))
}

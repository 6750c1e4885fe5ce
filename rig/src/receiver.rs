//! An HTTP service that is told things, and can be made to misbehave: `rig-receiver`, a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Place, Process, wait_until};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Got {
    /// When its last byte was there, in milliseconds since 1970.
    pub at: u64,
    /// What was asked for.
    pub path: String,
    /// Its headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Value,
}

impl Got {
    /// A header; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver<'net> {
    place: Place<'net>,
    port: u16,
    program: PathBuf,
    folder: TempDir,
    process: Option<Process>,
}

impl<'net> Receiver<'net> {
    /// Starts one on port 9000 of a host, or a free port of loopback; `program` is `rig-receiver` as it was built. It
    /// answers 200.
    pub fn start(program: &Path, place: impl Into<Place<'net>>) -> Result<Self> {
        let place = place.into();
        let mut receiver = Self {
            place,
            port: place.port(9000)?,
            program: program.to_owned(),
            folder: tempfile::Builder::new().prefix("aami-rig-receiver-").tempdir()?,
            process: None,
        };
        receiver.up()?;
        Ok(receiver)
    }

    /// Where it listens, `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.place.address(), self.port)
    }

    /// Starts it again where it was taken down. What it got before is remembered.
    pub fn up(&mut self) -> Result<()> {
        let mut command = self.place.command(&self.program.to_string_lossy());
        command
            .arg(format!("{}:{}", self.place.address(), self.port))
            .arg(self.book());
        let process = Process::start("rig-receiver", command, &self.folder.path().join("log"))?;
        let process = self.process.insert(process);
        wait_until(Duration::from_secs(10), "the receiver listens", || {
            process.check()?;
            ensure!(
                listens(process.pid(), self.port)?,
                "nobody listens on port {}",
                self.port
            );
            Ok(())
        })
    }

    /// Takes it down: whoever connects is refused.
    pub fn down(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().map(drop),
            None => Ok(()),
        }
    }

    /// From now on it answers this, byte by byte.
    pub fn answer(&self, bytes: &str) -> Result<()> {
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, bytes)?;
        std::fs::rename(&draft, self.book().with_extension("manner")).context("cannot change its manner")
    }

    /// From now on it says nothing.
    pub fn hang(&self) -> Result<()> {
        self.answer("hang")
    }

    /// From now on it answers 200 again.
    pub fn answer_well(&self) -> Result<()> {
        std::fs::remove_file(self.book().with_extension("manner")).context("it answers well already")
    }

    /// What it got, in order.
    pub fn got(&self) -> Result<Vec<Got>> {
        let text = std::fs::read_to_string(self.book()).unwrap_or_default();
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(parse).collect()
    }

    fn book(&self) -> PathBuf {
        self.folder.path().join("requests")
    }
}

fn parse(line: &str) -> Result<Got> {
    let record: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let body = text(&record["body"]);
    let headers = record["headers"].as_object().into_iter().flatten();
    Ok(Got {
        at: record["at"].as_u64().context("no time")?,
        path: text(&record["path"]),
        headers: headers.map(|(name, value)| (name.clone(), text(value))).collect(),
        body: serde_json::from_str(&body).with_context(|| format!("a body that is no JSON: {body}"))?,
    })
}

/// Whether somebody listens on a port in the network of a process.
fn listens(pid: u32, port: u16) -> Result<bool> {
    const LISTEN: &str = "0A";
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp"))?;
    let wanted = format!(":{port:04X}");
    Ok(table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1).is_some_and(|local| local.ends_with(&wanted)) && fields.get(3) == Some(&LISTEN)
    }))
}

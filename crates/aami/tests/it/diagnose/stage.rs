//! A machine with a declared fleet of one node, and what a test puts in the place of an exporter.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rig::Place;
use rig::engines::Prometheus;
use serde_json::{Value, json};

use crate::plane::{Said, aami};

/// How long a Prometheus may take to have scraped what it was told of.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// A machine with a declared fleet of one node, `gpu-01` on loopback, and what watches it.
pub(super) struct Machine {
    root: tempfile::TempDir,
    pub(super) prometheus: Option<Prometheus<'static>>,
}

impl Machine {
    /// The node has exporters on these ports, each with its kind, as an installation would have noted and listed it.
    pub(super) fn with(exporters: &[(&str, u16)]) -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
            prometheus: None,
        };
        machine.done(&["init", "--no-install"]);
        machine.done(&["config", "set", "prometheus.port", "9"]);
        // Nobody listens there, and the host says so: it is alive.
        let ssh = closed_port().to_string();
        machine.done(&["nodes", "add", "gpu-01", "--ip", "127.0.0.1", "--port", &ssh]);
        if !exporters.is_empty() {
            machine.note(exporters);
        }
        machine
    }

    /// Notes exporters of the node, and has the lists written by a command that does so.
    pub(super) fn note(&self, exporters: &[(&str, u16)]) {
        let exporters: Vec<Value> = (exporters.iter())
            .map(|(kind, port)| json!({"type": kind, "port": port}))
            .collect();
        let note = json!({
            "version": 1, "config": "/etc/aami/config.yaml", "cluster": "my-gpu-cluster",
            "nodes": {"gpu-01": exporters},
        });
        fs::write(self.path("var/lib/aami/fleet.json"), note.to_string()).unwrap();
        self.done(&["nodes", "add", "gone", "--ip", "127.9.9.9"]);
        self.done(&["nodes", "remove", "gone", "--yes"]);
    }

    /// Starts a Prometheus that reads the lists and the rules, with something more in each of its jobs.
    pub(super) fn watched(mut self, more: &str) -> Self {
        let (targets, rules) = (self.path("var/lib/aami/targets"), self.path("etc/aami/rules"));
        fs::create_dir_all(&rules).unwrap();
        let job = |name: &str, file: &str| {
            format!(
                "  - job_name: {name}\n    file_sd_configs: [{{files: ['{}/{file}']}}]\n{more}",
                targets.display()
            )
        };
        let text = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\nrule_files: \
             ['{}/*.yaml']\nscrape_configs:\n{}{}",
            rules.display(),
            job("node", "nodes.json"),
            job("dcgm", "dcgm.json"),
        );
        let folder = self.path("prometheus");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("prometheus.yml"), text).unwrap();
        let prometheus = Prometheus::start_in(Place::Loopback, &folder).unwrap();
        let port = prometheus.url().rsplit_once(':').unwrap().1.to_owned();
        self.done(&["config", "set", "prometheus.port", &port]);
        self.prometheus = Some(prometheus);
        self
    }

    /// Brings the rules of the configuration into that Prometheus.
    pub(super) fn ruled(self) -> Self {
        self.done(&["alerts", "apply-preset", "gpu-production"]);
        self
    }

    pub(super) fn aami(&self, arguments: &[&str]) -> Said {
        let mut command = aami(arguments);
        command
            .arg("--root")
            .arg(self.root.path())
            .env("HOME", self.root.path());
        Said::by(&mut command)
    }

    pub(super) fn done(&self, arguments: &[&str]) {
        let said = self.aami(arguments);
        assert_eq!(said.exit, 0, "{said:?}");
    }

    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub(super) fn diagnose(&self, more: &[&str]) -> Diagnosis {
        let said = self.aami(&[&["diagnose", "gpu-01", "-o", "json", "--timeout", "2s"], more].concat());
        Diagnosis::of(&said)
    }

    /// Asks until a hop stands so.
    pub(super) fn until(&self, hop: &str, standing: &str) -> Diagnosis {
        let until = Instant::now() + SOON;
        loop {
            let told = self.diagnose(&[]);
            if told.standing(hop) == standing {
                return told;
            }
            assert!(Instant::now() < until, "{hop} never stood {standing}: {told:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// What was told.
#[derive(Debug)]
pub(super) struct Diagnosis {
    pub(super) exit: i32,
    pub(super) json: Value,
}

impl Diagnosis {
    pub(super) fn of(said: &Said) -> Self {
        let json = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
        Self {
            exit: said.exit,
            json,
        }
    }

    pub(super) fn hop(&self, name: &str) -> &Value {
        let hops = self.json["hops"].as_array().unwrap();
        let found = hops.iter().find(|link| link["hop"] == name);
        found.unwrap_or_else(|| panic!("no hop {name}: {self:?}"))
    }

    pub(super) fn standing(&self, name: &str) -> &str {
        self.hop(name)["standing"].as_str().unwrap()
    }

    /// It broke here first, with this code, and says what to type next.
    #[track_caller]
    pub(super) fn breaks_at(&self, hop: &str, code: &str) -> String {
        assert_eq!(
            (
                self.exit,
                self.json["broken"].as_str(),
                self.json["code"].as_str()
            ),
            (3, Some(hop), Some(code)),
            "{self:#?}"
        );
        assert!(
            !self.hop(hop)["evidence"].as_array().unwrap().is_empty(),
            "{self:#?}"
        );
        self.json["next"]
            .as_str()
            .unwrap_or_else(|| panic!("no next: {self:#?}"))
            .to_owned()
    }

    #[track_caller]
    pub(super) fn stands(&self, hops: &[(&str, &str)]) {
        for (hop, standing) in hops {
            assert_eq!(self.standing(hop), *standing, "{hop}: {self:#?}");
        }
    }
}

/// A port on which nobody listens.
pub(super) fn closed_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// An exporter that answers whatever a test wants, until it is dropped.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    ends: Arc<AtomicBool>,
}

impl Fake {
    pub(super) fn answering(answer: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let ends = Arc::new(AtomicBool::new(false));
        let (over, answer) = (Arc::clone(&ends), Arc::new(answer));
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || {
                    let _ = stream.read(&mut [0; 4096]);
                    answer(&mut stream);
                });
            }
        });
        Self { address, ends }
    }

    pub(super) fn saying(text: &'static str) -> Self {
        Self::answering(move |stream| {
            let _ = stream.write_all(text.as_bytes());
        })
    }

    /// A page of metrics.
    pub(super) fn page(body: &str) -> Self {
        let text = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        Self::answering(move |stream| {
            let _ = stream.write_all(text.as_bytes());
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // It waits for somebody; this is somebody.
        let _ = TcpStream::connect(self.address);
    }
}

/// A port whose queue of callers is full: whoever calls is dropped, as by a firewall.
pub(super) struct Dropping {
    pub(super) address: SocketAddr,
    _listener: rustix::fd::OwnedFd,
    _callers: Vec<TcpStream>,
}

impl Dropping {
    pub(super) fn at(ip: Ipv4Addr, port: u16) -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&listener, &SocketAddr::from((ip, port))).unwrap();
        listen(&listener, 0).unwrap();
        let address: SocketAddr = getsockname(&listener).unwrap().try_into().unwrap();
        let mut callers = Vec::new();
        // The queue is full when a caller is left without an answer.
        while let Ok(caller) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            callers.push(caller);
            assert!(callers.len() < 100, "the queue has no end");
        }
        Self {
            address,
            _listener: listener,
            _callers: callers,
        }
    }
}

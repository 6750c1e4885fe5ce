//! A real Prometheus reads what is rendered: job, path, parameters and interval arrive as meant.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aami_model::access::Orgs;
use aami_model::exporter::{Exporter, ExporterKind};
use aami_model::label::Labels;
use aami_monitor::prometheus::Configuration;
use aami_monitor::{Catalogue, Change, Listed, Selection, Shape};
use serde_json::Value;

use crate::engine::prometheus;
use crate::fleet::node;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(port: u16, path: &str) -> Option<Value> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(socket, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

/// Answers one request with the list, as the control plane does, and hands back what was asked.
fn serve_once(listener: &TcpListener, body: &[u8]) -> String {
    let (socket, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(&socket);
    let mut request = String::new();
    while reader.read_line(&mut request).unwrap() > 2 {}
    let mut socket = &socket;
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(body).unwrap();
    request
}

#[test]
fn prometheus_finds_every_exporter_as_it_was_meant() {
    // Given a node with an ordinary and an unusual exporter, and a server that hands out its list
    let mut gpu = node(1);
    gpu.ip_address = [127, 0, 0, 1].into();
    gpu.labels = Labels::from_iter([("rack", "A1")]);
    gpu.exporters = vec![
        Exporter::new(ExporterKind::NodeExporter, 9),
        Exporter {
            metrics_path: "/a%20b?module=x%2Fy".into(),
            scrape_interval: Some("2s".into()),
            ..Exporter::new(ExporterKind::Custom, 10)
        },
    ];
    let mut catalogue = Catalogue::new();
    catalogue.apply([Change::of(&gpu.id, Listed::of("prod", &gpu, &Labels::default()))]);
    let list = catalogue
        .discovery(Shape::Flat, &Selection::all(Orgs::All))
        .to_vec();
    let plane = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = plane.local_addr().unwrap();

    // when Prometheus runs with the generated configuration
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("discovery.key");
    std::fs::write(&key, "aamik_id_secret").unwrap();
    let configuration = Configuration::new("prod", format!("http://{address}"), key.to_str().unwrap(), 1);
    std::fs::write(
        folder.path().join("prometheus.yml"),
        configuration.render().unwrap(),
    )
    .unwrap();
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let _running = Running(
        Command::new(prometheus().join("prometheus"))
            .arg(format!(
                "--config.file={}/prometheus.yml",
                folder.path().display()
            ))
            .arg(format!("--storage.tsdb.path={}/data", folder.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let asked = std::thread::spawn(move || {
        // Discovery and the control plane's own metrics are asked for in either order, again and again.
        let mut discovery = String::new();
        while discovery.is_empty() {
            let request = serve_once(&plane, &list);
            if request.starts_with("GET /api/v1/sd/") {
                discovery = request;
            }
        }
        discovery
    })
    .join()
    .unwrap();

    // then it asks with the key, and knows both as meant.
    let asked = asked.to_ascii_lowercase();
    assert!(
        asked.starts_with("get /api/v1/sd/prometheus?shape=flat "),
        "{asked}"
    );
    assert!(asked.contains("authorization: bearer aamik_id_secret"), "{asked}");
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = Value::Null;
    let active = loop {
        if let Some(answer) = get(port, "/api/v1/targets?state=active") {
            let nodes: Vec<Value> = (answer["data"]["activeTargets"].as_array().into_iter().flatten())
                .filter(|target| target["scrapePool"] == "aami_nodes")
                .cloned()
                .collect();
            if nodes.len() == 2 {
                break nodes;
            }
            last = answer;
        }
        assert!(
            Instant::now() < deadline,
            "Prometheus never knew of both; last: {last}"
        );
        std::thread::sleep(Duration::from_millis(100));
    };
    let of = |job: &str| {
        active
            .iter()
            .find(|target| target["labels"]["job"] == job)
            .unwrap()
    };
    assert_eq!(of("node")["scrapeUrl"], "http://127.0.0.1:9/metrics");
    assert_eq!(of("node")["labels"]["node"], "gpu-1");
    assert_eq!(of("node")["labels"]["rack"], "A1");
    assert_eq!(of("node")["scrapeInterval"], "15s");
    assert_eq!(
        of("custom")["scrapeUrl"],
        "http://127.0.0.1:10/a%20b?module=x%2Fy"
    );
    assert_eq!(of("custom")["scrapeInterval"], "2s");
    assert_eq!(of("custom")["scrapeTimeout"], "2s");
}

//! Why a node is not monitored: each fault is set for real, and the hop it breaks is the one that is named.

mod stage;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use rig::Place;
use rig::engines::{NodeExporter, Prometheus};
use serde_json::json;

use self::stage::{Diagnosis, Dropping, Fake, Machine, SOON, closed_port};
use crate::plane::Plane;

#[test]
fn a_node_that_is_watched_is_said_to_be_and_every_hop_is_shown() {
    // Given a real exporter and a real Prometheus with the rules that are wanted,
    let exporter = NodeExporter::start(Place::Loopback).unwrap();
    let port = exporter.endpoint().rsplit_once(':').unwrap().1.parse().unwrap();
    let machine = Machine::with(&[("node_exporter", port)]).watched("").ruled();
    machine.done(&["alerts", "apply-preset", "storage"]);
    // when it is asked until there is a sample, then nothing is broken; that its name means nothing here breaks nothing.
    let told = machine.until("samples", "ok");
    assert_eq!((told.exit, told.json["broken"].as_str()), (0, None), "{told:#?}");
    told.stands(&[
        ("declared", "ok"),
        ("installed", "ok"),
        ("route", "ok"),
        ("firewall", "ok"),
        ("port", "ok"),
        ("exporter", "ok"),
        ("clock", "ok"),
        ("prometheus", "ok"),
        ("target", "ok"),
        ("labels", "ok"),
        ("rules", "ok"),
    ]);
    let seen = told.hop("exporter")["evidence"].to_string();
    assert!(seen.contains("series that rules look at"), "{seen}");
    // People see the same, and programs may have it as YAML.
    let said = machine.aami(&["diagnose", "gpu-01"]);
    assert_eq!(said.exit, 0, "{said:?}");
    for hop in ["declared", "exporter", "samples", "rules", "gpu-01 is monitored"] {
        assert!(said.out.contains(hop), "{hop}: {}", said.out);
    }
    assert!(
        machine
            .aami(&["diagnose", "gpu-01", "-o", "yaml"])
            .out
            .contains("hop: declared")
    );
    // An exporter that goes is the hop that is named, and Prometheus' part of it is its consequence.
    drop(exporter);
    let told = machine.until("port", "broken");
    let next = told.breaks_at("port", "NOBODY_LISTENS");
    assert!(next.contains("systemctl status aami-node-exporter"), "{next}");
    assert_eq!(told.standing("samples"), "skipped");
}

#[test]
fn what_is_not_declared_or_not_installed_ends_there() {
    let machine = Machine::with(&[]);
    let said = machine.aami(&["diagnose", "gpu-99", "-o", "json", "--timeout", "2s"]);
    let told = Diagnosis::of(&said);
    let next = told.breaks_at("declared", "NOT_FOUND");
    assert!(next.starts_with("aami nodes add gpu-99 --ip"), "{next}");
    told.stands(&[
        ("installed", "skipped"),
        ("port", "skipped"),
        ("target", "skipped"),
    ]);
    // A name that could do harm in a shell is no command.
    let said = machine.aami(&["diagnose", "a;reboot", "-o", "json"]);
    assert!(said.out.contains("nodes add 'a;reboot'"), "{said:?}");
    // Declared, and nothing was installed: what is not expected is not looked for.
    let told = machine.diagnose(&[]);
    let next = told.breaks_at("installed", "NODE_NOT_INSTALLED");
    assert_eq!(next, "aami nodes install gpu-01");
    told.stands(&[("route", "ok"), ("exporter", "skipped"), ("prometheus", "broken")]);
}

#[test]
fn a_name_that_means_nothing_is_said_and_breaks_nothing() {
    let fake = Fake::page("node_load1 1\n");
    let machine = Machine::with(&[]);
    machine.done(&["nodes", "add", "gpu-02.invalid", "--ip", "127.0.0.2"]);
    let said = machine.aami(&["diagnose", "gpu-02.invalid", "-o", "json", "--timeout", "2s"]);
    let told = Diagnosis::of(&said);
    told.stands(&[("name", "warning"), ("route", "ok")]);
    assert_ne!(told.json["broken"], "name");
    drop(fake);
}

#[test]
fn a_port_that_is_dropped_is_told_from_one_that_is_closed_and_from_a_host_that_is_down() {
    // Given a port that drops callers on a host that answers elsewhere,
    let dropping = Dropping::at(Ipv4Addr::LOCALHOST, 0);
    let machine = Machine::with(&[("node_exporter", dropping.address.port())]);
    let told = machine.diagnose(&[]);
    // when it is diagnosed, then a firewall is named, with the command for each of them.
    let next = told.breaks_at("firewall", "PORT_DROPPED");
    assert!(next.contains("ufw allow from 127.0.0.1 to any port"), "{next}");
    let seen = told.hop("firewall")["evidence"].to_string();
    assert!(
        seen.contains("firewall-cmd") && seen.contains("nft insert"),
        "{seen}"
    );
    told.stands(&[("route", "ok"), ("port", "skipped"), ("exporter", "skipped")]);
    // Given a host of which nothing answers, not even SSH,
    let host = Ipv4Addr::new(127, 0, 0, 77);
    let (ssh, exporter) = (Dropping::at(host, 0), Dropping::at(host, 0));
    let port = ssh.address.port().to_string();
    machine.done(&["nodes", "remove", "gpu-01", "--yes"]);
    machine.done(&["nodes", "add", "gpu-01", "--ip", "127.0.0.77", "--port", &port]);
    machine.note(&[("node_exporter", exporter.address.port())]);
    // then it is the route.
    let begun = Instant::now();
    let told = machine.diagnose(&[]);
    let next = told.breaks_at("route", "NODE_UNREACHABLE");
    assert!(next.contains("127.0.0.77"), "{next}");
    told.stands(&[("firewall", "skipped"), ("exporter", "skipped")]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn what_answers_and_is_no_exporter_is_named_whatever_it_does() {
    let endless = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let line = b"node_load1 1\n".repeat(5_000);
        while stream.write_all(&line).is_ok() {}
    };
    let mute = |stream: &mut TcpStream| {
        let _ = stream.read(&mut [0; 16]);
    };
    let drip = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"#").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    for (what, fake, codes) in [
        (
            "a web page",
            Fake::page("<html><body>Sign in</body></html>"),
            &["NOT_METRICS"][..],
        ),
        (
            "a failure",
            Fake::saying("HTTP/1.1 500 Oh\r\nContent-Length: 5\r\nConnection: close\r\n\r\npanic"),
            &["NOT_METRICS"],
        ),
        (
            "a redirect",
            Fake::saying("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
            &["NOT_METRICS"],
        ),
        (
            "another protocol",
            Fake::saying("SSH-2.0-OpenSSH_9.2p1\r\n"),
            &["NOT_METRICS"],
        ),
        (
            "garbage",
            Fake::saying("HTTP/1.1 200 OK\r\n\r\n\u{1b}[2J\0\0"),
            &["NOT_METRICS"],
        ),
        (
            "nothing on the page",
            Fake::page("# only words\n"),
            &["NOT_METRICS"],
        ),
        // Which of the two comes first is up to the machine.
        (
            "no end",
            Fake::answering(endless),
            &["NOT_METRICS", "EXPORTER_SLOW"],
        ),
        ("no word", Fake::answering(mute), &["EXPORTER_SLOW"]),
        ("a drip", Fake::answering(drip), &["EXPORTER_SLOW"]),
    ] {
        let machine = Machine::with(&[("node_exporter", fake.port())]);
        let begun = Instant::now();
        let told = machine.diagnose(&[]);
        assert_eq!(
            (told.exit, told.json["broken"].as_str()),
            (3, Some("exporter")),
            "{what}: {told:#?}"
        );
        let code = told.json["code"].as_str().unwrap();
        assert!(codes.contains(&code), "{what}: {told:#?}");
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{what}: {:?}",
            begun.elapsed()
        );
        let shown = machine.aami(&["diagnose", "gpu-01", "-o", "wide", "--timeout", "2s"]);
        assert!(!shown.out.contains('\u{1b}'), "{what}: {shown:?}");
    }
}

#[test]
fn a_gpu_exporter_without_gpus_and_a_clock_that_is_wrong_are_seen() {
    // Given a node_exporter in another time, and a dcgm-exporter that tells of no GPU,
    let node = Fake::page("node_load1 1\nnode_time_seconds 1000\n");
    let dcgm = Fake::page("go_goroutines 7\n");
    let machine = Machine::with(&[("node_exporter", node.port()), ("dcgm_exporter", dcgm.port())]);
    let told = machine.diagnose(&[]);
    // then the one is broken, as no rule can fire, and the other is said.
    let next = told.breaks_at("exporter", "SERIES_MISSING");
    assert!(next.contains("nvidia-smi"), "{next}");
    assert!(
        told.json["sentence"].as_str().unwrap().contains("DCGM_FI_"),
        "{told:#?}"
    );
    told.stands(&[("clock", "warning")]);
    assert_eq!(told.hop("clock")["code"], "CLOCK_SKEW");
}

#[test]
fn a_prometheus_that_is_gone_or_was_told_nothing_is_named() {
    // Given an exporter that answers and no Prometheus,
    let fake = Fake::page("node_load1 1\n");
    let machine = Machine::with(&[("node_exporter", fake.port())]);
    let told = machine.diagnose(&[]);
    told.breaks_at("prometheus", "PROMETHEUS_UNREACHABLE");
    told.stands(&[("exporter", "ok"), ("target", "skipped"), ("rules", "skipped")]);
    // Somebody else in its place is no Prometheus.
    let stranger = format!("http://{}", fake.address);
    let told = machine.diagnose(&["--prometheus", &stranger]);
    told.breaks_at("prometheus", "PROMETHEUS_UNREACHABLE");
    let said = machine.aami(&["diagnose", "gpu-01", "--prometheus", "file:///etc/passwd"]);
    assert_eq!(said.exit, 2, "{said:?}");
    // Given one that is told nothing of it: the list is empty,
    let machine = machine.watched("").ruled();
    fs::write(machine.path("var/lib/aami/targets/nodes.json"), "[]").unwrap();
    let told = machine.until("target", "broken");
    let next = told.breaks_at("target", "TARGET_NOT_LISTED");
    assert_eq!(next, "aami nodes install gpu-01");
    told.stands(&[("labels", "skipped"), ("samples", "skipped"), ("rules", "ok")]);
    // a list that is none says so, and harms nobody.
    fs::write(machine.path("var/lib/aami/targets/nodes.json"), "{{{").unwrap();
    machine.diagnose(&[]).breaks_at("target", "TARGET_NOT_LOADED");
}

#[test]
fn a_prometheus_that_looks_elsewhere_drops_or_renames_is_named() {
    let fake = Fake::page("node_load1 1\n");
    // Given a Prometheus that drops what it finds,
    let drops = "    relabel_configs: [{action: drop, source_labels: [node], regex: 'gpu.*'}]\n";
    let machine = Machine::with(&[("node_exporter", fake.port())])
        .watched(drops)
        .ruled();
    let told = machine.until("target", "broken");
    told.breaks_at("target", "TARGET_NOT_LOADED");
    assert!(
        told.json["sentence"].as_str().unwrap().contains("drops it"),
        "{told:#?}"
    );
    // one that takes the label away by which rules find the node,
    let drops = "    relabel_configs: [{action: labeldrop, regex: node}]\n";
    let machine = Machine::with(&[("node_exporter", fake.port())])
        .watched(drops)
        .ruled();
    let told = machine.until("labels", "broken");
    told.breaks_at("labels", "TARGET_LABELS_WRONG");
    told.stands(&[("samples", "skipped"), ("rules", "ok")]);
    // and one that looks into another folder, for a list that is there for a while.
    let machine = Machine::with(&[("node_exporter", fake.port())]);
    let elsewhere = Machine::with(&[]).watched("").ruled();
    let list = machine.path("var/lib/aami/targets/nodes.json");
    let an_hour_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
    fs::File::open(&list).unwrap().set_modified(an_hour_ago).unwrap();
    let url = elsewhere.prometheus.as_ref().unwrap().url();
    let told = machine.diagnose(&["--prometheus", &url]);
    told.breaks_at("target", "TARGET_NOT_LOADED");
    assert!(
        told.hop("target")["evidence"]
            .to_string()
            .contains("it is listed"),
        "{told:#?}"
    );
}

#[test]
fn rules_that_are_not_loaded_are_named_with_the_command_that_loads_them() {
    let fake = Fake::page("node_load1 1\nnode_time_seconds 4e9\n");
    let machine = Machine::with(&[("node_exporter", fake.port())]).watched("");
    machine.until("samples", "ok");
    let told = machine.diagnose(&[]);
    let next = told.breaks_at("rules", "ALERT_RULES_NOT_LOADED");
    assert_eq!(next, "aami alerts apply-preset gpu-production");
    let machine = machine.ruled();
    let told = machine.diagnose(&[]);
    assert_eq!((told.exit, told.standing("rules")), (0, "ok"), "{told:#?}");
}

#[test]
fn with_a_control_plane_what_it_sees_itself_is_what_counts() {
    let plane = Plane::start();
    let diagnose = |more: &[&str]| {
        let words = [&["diagnose", "gpu-01", "-o", "json", "--timeout", "2s"], more].concat();
        Diagnosis::of(&plane.aami(&words))
    };
    diagnose(&[]).breaks_at("declared", "NOT_FOUND");
    // Given a node that is declared and never enrolled,
    let added = plane.aami(&["nodes", "add", "gpu-01", "--ip", "127.0.0.1"]);
    assert_eq!(added.exit, 0, "{added:?}");
    let next = diagnose(&[]).breaks_at("installed", "NODE_NOT_INSTALLED");
    assert_eq!(next, "aami nodes install gpu-01");
    // and one with an exporter that nobody starts,
    let listed = plane.aami(&["nodes", "list", "-o", "json"]).json();
    let id = listed[0]["id"].as_str().unwrap().to_owned();
    let register = |id: &str, port: u16| {
        let body = json!({"node_id": id, "type": "node_exporter", "port": port}).to_string();
        let key = fs::read_to_string(plane.data().join("admin.key")).unwrap();
        let done = std::process::Command::new("curl")
            .args([
                "-sS",
                "--fail-with-body",
                "--max-time",
                "20",
                "-H",
                "Content-Type: application/json",
            ])
            .args([
                "-d",
                &body,
                "-H",
                &format!("Authorization: Bearer {}", key.trim()),
            ])
            .arg(format!("{}/api/v1/exporters", plane.address()))
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    register(&id, closed_port());
    let told = diagnose(&[]);
    told.breaks_at("port", "NOBODY_LISTENS");
    assert!(
        told.hop("port")["evidence"]
            .to_string()
            .contains("the control plane, asked to verify it"),
        "{told:#?}"
    );
    // Given one that answers, and a Prometheus that scrapes it,
    let exporter = NodeExporter::start(Place::Loopback).unwrap();
    let added = plane.aami(&["nodes", "add", "gpu-02", "--ip", "127.0.0.1"]);
    assert_eq!(added.exit, 0, "{added:?}");
    let listed = plane.aami(&["nodes", "list", "gpu-02", "-o", "json"]).json();
    register(
        listed[0]["id"].as_str().unwrap(),
        exporter.endpoint().rsplit_once(':').unwrap().1.parse().unwrap(),
    );
    let prometheus = Prometheus::start(
        Place::Loopback,
        &format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n  - job_name: node\n    static_configs: \
             [{{targets: ['{}'], labels: {{node: gpu-02, cluster: default}}}}]\n",
            exporter.endpoint()
        ),
    )
    .unwrap();
    let until = Instant::now() + SOON;
    loop {
        let words = [
            "diagnose",
            "gpu-02",
            "-o",
            "json",
            "--timeout",
            "5s",
            "--prometheus",
            &prometheus.url(),
        ];
        let told = Diagnosis::of(&plane.aami(&words));
        if told.standing("samples") == "ok" {
            // Which rules it should have is for the control plane to say, which knows of no Prometheus: then nobody
            // can say that alerts would come.
            told.stands(&[
                ("exporter", "ok"),
                ("target", "ok"),
                ("labels", "ok"),
                ("rules", "unknown"),
            ]);
            assert_eq!((told.exit, told.json["broken"].as_str()), (3, None), "{told:#?}");
            break;
        }
        assert!(Instant::now() < until, "{told:#?}");
        std::thread::sleep(Duration::from_millis(200));
    }
    // Whoever may not ask it to look is told what can be seen from here.
    let said = plane.aami(&[
        "keys", "create", "--name", "looks", "--role", "viewer", "-o", "json",
    ]);
    assert_eq!(said.exit, 0, "{said:?}");
    let made = said.json();
    let file = made["key_file"].as_str().unwrap_or_else(|| panic!("{made}"));
    let viewer = diagnose(&["--key-file", file, "--server", &plane.address()]);
    // That this machine is refused breaks nothing: whether it is watched is for whoever scrapes it to say.
    viewer.stands(&[("port", "unknown"), ("route", "ok")]);
    assert!(
        viewer.hop("port")["sentence"]
            .as_str()
            .unwrap()
            .contains("the control plane did not look"),
        "{viewer:#?}"
    );
    assert_ne!(viewer.json["broken"], "port");
    assert_eq!(viewer.exit, 3, "{viewer:#?}");
    // Where its Prometheus scrapes it, all is well; where that one cannot, that is what is broken.
    let scraped = |node: &str| {
        let words = ["diagnose", node, "-o", "json", "--timeout", "5s"];
        let more = ["--key-file", file, "--server", &plane.address()];
        let which = ["--prometheus", &prometheus.url()];
        Diagnosis::of(&plane.aami(&[&words[..], &more, &which].concat()))
    };
    scraped("gpu-02").stands(&[("target", "ok"), ("samples", "ok")]);
    let added = plane.aami(&["nodes", "list", "gpu-01", "-o", "json"]).json();
    assert_eq!(
        added[0]["status"], "pending",
        "whoever looks changes nothing: {added}"
    );
    // And nobody who looked was taken for a Prometheus.
    let status = plane.aami(&["status", "-o", "json"]).json();
    assert!(
        !status.to_string().contains("\"discovery_asked_seconds\":0"),
        "{status}"
    );
}

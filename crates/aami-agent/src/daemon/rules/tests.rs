//! Rules from a control plane that is played, into a folder and a Prometheus that are real.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use aami_api::client::bundle_sha256;
use aami_api::prometheus::{NodePrometheuses, RuleBundle};
use aami_inventory::{CommandError, Commands, Output};
use aami_model::rule_file::RuleFile;
use aami_plans::rules::NOTE;
use rig::Place;
use rig::engines::Prometheus;

use super::super::state::stage;
use super::*;

const ID: &str = "p0000000000000000";

/// There is no promtool: the Prometheus judges.
struct NoTools;

impl Commands for NoTools {
    fn run(&self, program: &str, _: &[&str]) -> Result<Output, CommandError> {
        Err(CommandError::NotInstalled(program.to_owned()))
    }
}

/// What the control plane says, and what it heard.
#[derive(Default)]
struct Said {
    items: Vec<NodePrometheus>,
    bundle: Option<RuleBundle>,
    /// Answers no to everything.
    refuses: bool,
    asked: Vec<String>,
    reports: Vec<LoadReport>,
}

/// A control plane.
struct Plane {
    port: u16,
    said: Arc<Mutex<Said>>,
}

impl Plane {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let plane = Self {
            port: listener.local_addr().unwrap().port(),
            said: Arc::default(),
        };
        let said = plane.said.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &mut said.lock().unwrap());
            }
        });
        plane
    }

    /// From now on this Prometheus should have these files.
    fn wants(&self, url: &str, files: Vec<RuleFile>) -> String {
        let sha256 = bundle_sha256(&files);
        let mut said = self.said.lock().unwrap();
        let loaded = said.items.first().and_then(|item| item.loaded.clone());
        said.items = vec![NodePrometheus {
            id: ID.parse().unwrap(),
            name: "main".to_owned(),
            url: url.to_owned(),
            sha256: Some(sha256.clone()),
            loaded,
        }];
        said.bundle = Some(RuleBundle {
            sha256: sha256.clone(),
            files,
        });
        sha256
    }

    fn reports(&self) -> Vec<LoadReport> {
        std::mem::take(&mut self.said.lock().unwrap().reports)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.said.lock().unwrap().asked)
    }
}

fn answer(mut stream: TcpStream, said: &mut Said) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    let _ = reader.read_line(&mut first);
    let (mut length, mut known, mut line) = (0, String::new(), String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if let Some(value) = lower.strip_prefix("if-none-match:") {
            known = value.trim().trim_matches('"').to_owned();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    said.asked.push(path.clone());
    let (status, text) = if said.refuses {
        (503, "busy".to_owned())
    } else if path.ends_with("/prometheuses/node") {
        let all = NodePrometheuses {
            node_id: "n1".parse().unwrap(),
            items: said.items.clone(),
        };
        (200, serde_json::to_string(&all).unwrap())
    } else if path.ends_with("/bundle") {
        match &said.bundle {
            Some(bundle) if bundle.sha256 == known => (304, String::new()),
            Some(bundle) => (200, serde_json::to_string(bundle).unwrap()),
            None => (404, String::new()),
        }
    } else if path.ends_with("/loaded") {
        let report: LoadReport = serde_json::from_slice(&body).unwrap();
        if report.result == LoadResult::Loaded
            && let Some(item) = said.items.first_mut()
        {
            item.loaded = Some(report.sha256.clone());
        }
        said.reports.push(report);
        (200, view())
    } else {
        (404, String::new())
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(text.as_bytes());
}

/// What a report is answered with.
fn view() -> String {
    serde_json::json!({
        "id": ID, "org": "default", "name": "main", "url": "http://mon-1:9090",
        "created_at": aami_model::Timestamp::EPOCH, "updated_at": aami_model::Timestamp::EPOCH,
        "delivered_by": "gpu-01", "state": "loaded", "wanted": "x",
    })
    .to_string()
}

fn rule(name: &str, alert: &str, expr: &str) -> RuleFile {
    RuleFile {
        name: name.to_owned(),
        text: format!("groups: [{{name: g, rules: [{{alert: {alert}, expr: '{expr}'}}]}}]\n"),
        groups: vec!["g".to_owned()],
        alerts: vec![alert.to_owned()],
    }
}

/// A node with a folder for rules, a Prometheus that reads it, and a control plane.
struct Node {
    root: tempfile::TempDir,
    prometheus: Prometheus<'static>,
    plane: Plane,
}

impl Node {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let rules = root.path().join("etc/aami/rules");
        fs::create_dir_all(&rules).unwrap();
        let configured = root.path().join("prometheus");
        fs::create_dir(&configured).unwrap();
        let text = format!("rule_files: ['{0}/*.yaml', '{0}/main/*.yaml']\n", rules.display());
        fs::write(configured.join("prometheus.yml"), text).unwrap();
        Self {
            prometheus: Prometheus::start_in(Place::Loopback, &configured).unwrap(),
            plane: Plane::start(),
            root,
        }
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("etc/aami/rules")
    }

    /// Where the control plane reaches the Prometheus: by another name than this node does.
    fn url(&self) -> String {
        self.prometheus.url().replace("127.0.0.1", "mon-1.example")
    }

    /// A daemon's life in which `turns` looks are made.
    fn life(&self, look: impl FnOnce(&mut Job<'_>)) {
        let own = tempfile::tempdir_in(self.root.path()).unwrap();
        let mut shared = stage(own.path());
        shared.root = self.root.path().to_owned();
        let client = Client::new(&Settings::new(format!("http://127.0.0.1:{}", self.plane.port))).unwrap();
        look(&mut Job::new(&shared, client.with_bearer("aamin_x"), &NoTools));
    }

    fn names(&self) -> Vec<String> {
        names(&self.folder())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    names.sort();
    names
}

#[test]
fn rules_are_brought_in_once_told_once_and_go_when_they_are_no_longer_wanted() {
    // Given rules that are wanted,
    let node = Node::start();
    let sha256 = node
        .plane
        .wants(&node.url(), vec![rule("aami-a.yaml", "A", "up == 0")]);
    node.life(|job| {
        // when the daemon looks, then they are loaded, and that is told by their hash;
        let pause = job.turn();
        assert!(pause >= OFTEN && pause <= OFTEN * 2, "{pause:?}");
        let reports = node.plane.reports();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(
            (&reports[0].sha256, reports[0].result),
            (&sha256, LoadResult::Loaded),
            "{reports:?}"
        );
        // looking again asks for nothing but the list.
        node.plane.asked();
        job.turn();
        assert_eq!(node.plane.asked(), ["/api/v1/prometheuses/node"]);
        // Other rules take their place, and files that are not wanted go.
        node.plane
            .wants(&node.url(), vec![rule("aami-b.yaml", "B", "up == 0")]);
        job.turn();
        assert_eq!(node.names(), ["aami-b.yaml"]);
        assert_eq!(node.plane.reports()[0].result, LoadResult::Loaded);
        // What a restored control plane does not know is told again.
        node.plane.said.lock().unwrap().items[0].loaded = None;
        job.turn();
        assert_eq!(node.plane.reports().len(), 1);
        // A Prometheus that is not this node's any more takes its rules with it,
        node.plane.said.lock().unwrap().items.clear();
        job.turn();
        assert_eq!(node.names(), Vec::<String>::new());
        assert!(!node.folder().join(NOTE).exists());
        // and so does an agent that is taken off the node.
        node.plane
            .wants(&node.url(), vec![rule("aami-b.yaml", "B", "up == 0")]);
        job.turn();
        assert_eq!(node.names(), ["aami-b.yaml"]);
    });
    assert_eq!(take_rules_back(node.root.path()), Vec::<String>::new());
    assert!(node.names().is_empty() && !node.folder().join(NOTE).exists());
}

#[test]
fn rules_that_cannot_be_said_now_are_no_rules_that_are_not_wanted() {
    // Given a node whose Prometheus has its rules,
    let node = Node::start();
    node.plane
        .wants(&node.url(), vec![rule("aami-a.yaml", "A", "up == 0")]);
    node.life(|job| {
        job.turn();
    });
    let before = node.names();
    assert!(before.iter().any(|name| name == "aami-a.yaml"), "{before:?}");
    node.plane.reports();
    // when the control plane cannot say which it should have,
    node.plane.said.lock().unwrap().items[0].sha256 = None;
    node.plane.asked();
    node.life(|job| {
        job.turn();
        job.turn();
    });
    // then they stay, nothing is said of them, and nothing is asked for.
    assert_eq!(node.names(), before);
    assert!(node.plane.reports().is_empty());
    let asked = node.plane.asked();
    assert!(asked.iter().all(|path| path.ends_with("/node")), "{asked:?}");
}

#[test]
fn what_prometheus_refuses_is_taken_back_and_told_and_not_tried_all_the_time() {
    let node = Node::start();
    node.plane
        .wants(&node.url(), vec![rule("aami-a.yaml", "A", "up == 0")]);
    node.life(|job| {
        job.turn();
        node.plane.reports();
        let bad = node
            .plane
            .wants(&node.url(), vec![rule("aami-a.yaml", "A", "up ===")]);
        job.turn();
        let reports = node.plane.reports();
        assert_eq!(
            (&reports[0].sha256, reports[0].result, reports[0].code.as_deref()),
            (&bad, LoadResult::Failed, Some("ALERT_RULES_NOT_LOADED")),
            "{reports:?}"
        );
        assert!(
            reports[0].sentence.as_ref().unwrap().contains("refuses"),
            "{reports:?}"
        );
        let text = fs::read_to_string(node.folder().join("aami-a.yaml")).unwrap();
        assert!(text.contains("up == 0"), "{text}");
        job.turn();
        assert_eq!(node.plane.reports().len(), 0);
    });
}

#[test]
fn a_daemon_that_died_in_the_middle_is_followed_by_one_that_goes_on() {
    // Given a daemon that died with rules in place that nobody had seen loaded,
    let node = Node::start();
    let address = place::address(&node.url()).unwrap();
    node.plane
        .wants(&node.url(), vec![rule("aami-a.yaml", "A", "up == 0")]);
    node.life(|job| {
        job.turn();
        let second = [rule("aami-a.yaml", "A", "up ==="), rule("aami-c.yaml", "C", "up")];
        let site = job.tools.site(node.folder(), ID, &address, &|_| true);
        let refused = site.apply(&second).map(drop).unwrap_err();
        assert_eq!(refused.code(), aami_model::code::ALERT_RULES_NOT_LOADED);
        let third = [rule("aami-c.yaml", "C", "up")];
        drop(site.apply(&third).unwrap());
    });
    assert_eq!(node.names(), ["aami-c.yaml"]);
    node.plane.reports();
    // when the next one looks, then what is wanted is there and nothing else.
    node.life(|job| {
        job.turn();
    });
    assert_eq!(node.names(), ["aami-a.yaml"]);
    assert_eq!(node.plane.reports()[0].result, LoadResult::Loaded);
}

#[test]
fn a_hostile_control_plane_gets_nowhere() {
    let node = Node::start();
    node.life(|job| {
        for (url, files) in [
            (node.url(), vec![rule("aami-../../../cron.d/x.yaml", "A", "up")]),
            (node.url(), vec![rule("../x.yaml", "A", "up")]),
            (
                "http://evil.example:1/x?/-/quit".to_owned(),
                vec![rule("aami-a.yaml", "A", "up")],
            ),
            (
                "file:///etc/shadow".to_owned(),
                vec![rule("aami-a.yaml", "A", "up")],
            ),
        ] {
            job.known.clear();
            node.plane.wants(&url, files);
            job.turn();
            let reports = node.plane.reports();
            assert_eq!(reports[0].result, LoadResult::Failed, "{url}: {reports:?}");
            assert_eq!(node.names(), Vec::<String>::new());
        }
        // Files that are not those their hash names are not taken.
        job.known.clear();
        node.plane
            .wants(&node.url(), vec![rule("aami-a.yaml", "A", "up")]);
        let mut said = node.plane.said.lock().unwrap();
        said.bundle.as_mut().unwrap().files[0].text.push('\n');
        drop(said);
        job.turn();
        assert_eq!((node.plane.reports().len(), node.names().len()), (0, 0));
    });
    assert!(!node.root.path().join("etc/cron.d").exists());
}

#[test]
fn a_folder_that_is_a_configurations_is_left_alone_and_one_that_is_missing_is_told() {
    let node = Node::start();
    let note = r#"{"version":1,"owner":{"kind":"configuration","file":"/etc/aami/config.yaml","cluster":"x"},"files":[]}"#;
    fs::write(node.folder().join(NOTE), note).unwrap();
    node.plane
        .wants(&node.url(), vec![rule("aami-a.yaml", "A", "up")]);
    node.life(|job| {
        job.turn();
        let reports = node.plane.reports();
        assert_eq!(
            reports[0].code.as_deref(),
            Some("ALERT_RULES_ELSEWHERE"),
            "{reports:?}"
        );
        assert_eq!(node.names(), Vec::<String>::new());
    });
    fs::remove_dir_all(node.folder()).unwrap();
    node.life(|job| {
        job.turn();
        let reports = node.plane.reports();
        assert_eq!(
            reports[0].code.as_deref(),
            Some("ALERT_RULES_NOT_PLACED"),
            "{reports:?}"
        );
        assert!(!node.folder().exists());
        // Who has no place for rules does not ask all the time.
        node.plane.asked();
        job.turn();
        assert_eq!(node.plane.asked(), Vec::<String>::new());
    });
}

#[test]
fn a_control_plane_that_does_not_answer_is_asked_ever_more_rarely_and_nothing_is_lost() {
    let node = Node::start();
    node.plane
        .wants(&node.url(), vec![rule("aami-a.yaml", "A", "up == 0")]);
    node.life(|job| {
        job.turn();
        node.plane.said.lock().unwrap().refuses = true;
        let longest = (0..12).map(|_| job.turn()).max().unwrap();
        assert!(
            longest > OFTEN * 2 && longest <= Duration::from_secs(300),
            "{longest:?}"
        );
        assert_eq!(node.names(), ["aami-a.yaml"]);
    });
}

#[test]
fn rules_that_cannot_leave_are_tried_ever_more_rarely() {
    // Given rules that are no longer wanted, and a Prometheus that reads nothing because of another's file,
    let node = Node::start();
    node.plane
        .wants(&node.url(), vec![rule("aami-a.yaml", "A", "up == 0")]);
    node.life(|job| {
        job.turn();
        let broken = node.folder().join("theirs.yaml");
        fs::write(&broken, "groups: [").unwrap();
        node.plane.said.lock().unwrap().items.clear();
        // when they were to leave and could not, then they are there,
        job.turn();
        assert!(
            node.names().contains(&"aami-a.yaml".to_owned()),
            "{:?}",
            node.names()
        );
        // and are not tried at the next look, although they could leave by now,
        fs::remove_file(&broken).unwrap();
        job.turn();
        assert_eq!(node.names(), ["aami-a.yaml"]);
        // but when it is time.
        job.staying.clear();
        job.turn();
        assert_eq!(node.names(), Vec::<String>::new());
    });
}

#[test]
fn rules_that_have_a_folder_of_their_own_by_now_leave_the_one_for_all() {
    // Given rules in the folder for all,
    let node = Node::start();
    node.plane
        .wants(&node.url(), vec![rule("aami-a.yaml", "A", "up == 0")]);
    node.life(|job| {
        job.turn();
    });
    assert_eq!(node.names(), ["aami-a.yaml"]);
    node.plane.reports();
    // when the operator makes one of the name of the Prometheus,
    let own = node.folder().join("main");
    fs::create_dir(&own).unwrap();
    node.life(|job| {
        job.turn();
    });
    // then they are there, and there alone.
    assert_eq!(names(&own), ["aami-a.yaml"]);
    assert_eq!(node.names(), Vec::<String>::new());
    assert!(!node.folder().join(NOTE).exists());
    let results: Vec<_> = (node.plane.reports().iter().map(|report| report.result)).collect();
    assert_eq!(results, [LoadResult::Loaded]);
}

//! The numbers of real runs, told to a real Prometheus, and to a collector that speaks OTLP.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aami_api::client::Trust;
use aami_install::host::{Clock, SystemClock};
use aami_install::render::Origin;
use aami_install::{
    Content, Effect, Host, HostPath, Installer, Mode, Options, Plan, Probe, Step, StepContext, StepError,
    Survey,
};
use aami_model::Timestamp;
use aami_model::run::{RunEvent, RunEventKind, RunStatus, StepOutcome, StepSummary};
use aami_plans::download::Proxies;
use aami_plans::telemetry::{Delivered, Destination, Protocol, Telemetry};
use rig::engines::Prometheus;
use rig::{Place, wait_until};
use serde_json::Value;

/// Places a file.
struct Places(&'static str);

impl Step for Places {
    fn id(&self) -> &str {
        self.0
    }
    fn title(&self) -> String {
        format!("Placing {}", self.0)
    }
    fn desired(&self, _: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let path = HostPath::new(format!("/{}", self.0)).unwrap();
        Ok(vec![Effect::file(path, Content::bytes("x"), 0o644, None)])
    }
}

/// Does something in the middle of a run, and fails if that says so.
struct Does<F>(&'static str, Vec<&'static str>, F);

impl<F: Fn() -> Result<(), StepError> + Send + Sync> Step for Does<F> {
    fn id(&self) -> &str {
        self.0
    }
    fn title(&self) -> String {
        format!("Doing {}", self.0)
    }
    fn needs(&self) -> Vec<String> {
        self.1.iter().map(|step| (*step).to_owned()).collect()
    }
    fn probe(&self, _: &Survey<'_>) -> Result<Probe, StepError> {
        Ok(Probe::Missing("it is done in every run".into()))
    }
    fn apply(&self, _: &mut StepContext<'_>) -> Result<StepOutcome, StepError> {
        (self.2)().map(|()| StepOutcome::Changed)
    }
}

fn fails() -> Result<(), StepError> {
    Err(StepError::new(
        aami_model::code::STEP_FAILED,
        "this step always fails",
    ))
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

fn to(protocol: Protocol, url: String) -> Telemetry {
    let destination = Destination {
        protocol,
        url,
        trust: Trust::System,
        credential: None,
    };
    let origin = Origin {
        cluster: "prod".into(),
        host: "gpu-01".into(),
    };
    Telemetry::start(vec![destination], &origin, &Proxies::default(), &clock()).unwrap()
}

/// Runs a plan in a folder of its own; answers with how it ended, its events, and what was told.
fn run(
    steps: Vec<Box<dyn Step>>,
    telemetry: Telemetry,
    patience: Duration,
) -> (RunStatus, Vec<RunEvent>, Delivered) {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::folder(folder.path()).unwrap();
    let plan = Plan::new("node", "A node", steps).unwrap();
    let installer = Installer::new(&host, &plan, Options::default()).unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = events.clone();
    let installer = installer.sink(move |event: &RunEvent| heard.lock().unwrap().push(event.clone()));
    let report = telemetry.attach(installer).run(Mode::Fresh).unwrap();
    let mut delivered = telemetry.finish(patience);
    let events = events.lock().unwrap().clone();
    (report.status, events, delivered.pop().unwrap())
}

/// Prometheus with nothing to scrape but itself.
fn prometheus(port: u16) -> Prometheus<'static> {
    let configuration = format!(
        "global: {{ scrape_interval: 1s }}\n\
         scrape_configs:\n  - job_name: itself\n    static_configs: [{{ targets: ['127.0.0.1:{port}'] }}]\n"
    );
    Prometheus::receiving(Place::Loopback, &configuration, port).unwrap()
}

fn free_port() -> u16 {
    Place::Loopback.port(0).unwrap()
}

fn write_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/api/v1/write")
}

/// For conditions that are waited for: what was seen, unless it holds.
fn holds(condition: bool, seen: impl std::fmt::Display) -> std::io::Result<()> {
    if condition {
        Ok(())
    } else {
        Err(std::io::Error::other(seen.to_string()))
    }
}

/// A dashboard's query as Grafana asks it when all is chosen.
fn asked(query: &str) -> String {
    query.replace("$cluster", ".*").replace("$host", ".*")
}

#[test]
fn every_query_of_the_dashboard_answers_after_a_real_run() {
    // Given a Prometheus that takes remote write, and an installation whose last step fails
    let port = free_port();
    let prometheus = prometheus(port);
    let dashboard: Value = serde_json::from_str(&aami_monitor::dashboard::installation().render()).unwrap();
    let seen_at_work: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = seen_at_work.clone();
    let url = prometheus.url();
    let during = move || {
        // In its middle, the dashboard says which step is at work and for how long.
        let query = |title: &str| {
            let dashboard = aami_monitor::dashboard::installation();
            let panel = dashboard.panels().find(|panel| panel.title == title).unwrap();
            let query = &panel.queries[0].expr;
            let answer = Place::Loopback
                .get(
                    &format!("{url}/api/v1/query"),
                    &["--get", "--data-urlencode", &format!("query={}", asked(query))],
                )
                .unwrap();
            serde_json::from_str::<Value>(&answer).unwrap()["data"]["result"].clone()
        };
        wait_until(Duration::from_secs(20), "the step at work is seen", || {
            let current = query("Current Step");
            holds(current[0]["metric"]["step"] == "verify", &current)?;
            let duration = query("Installation Duration");
            holds(duration[0]["metric"]["host"] == "gpu-01", &duration)?;
            seen.lock().unwrap().push(duration[0]["value"][1].to_string());
            Ok(())
        })
        .map_err(|error| StepError::new(aami_model::code::STEP_FAILED, format!("{error:#}")))
        .and_then(|()| fails())
    };
    let steps: Vec<Box<dyn Step>> = vec![
        Box::new(Places("hardware")),
        Box::new(Places("node_exporter")),
        Box::new(Does("verify", vec!["hardware", "node_exporter"], during)),
    ];

    // when it runs, told by remote write,
    let telemetry = to(Protocol::RemoteWrite, write_url(port));
    let (status, events, delivered) = run(steps, telemetry, Duration::from_secs(20));
    assert_eq!(status, RunStatus::Failed);
    assert!(delivered.is_complete() && delivered.kept > 0, "{delivered:?}");
    assert_eq!(seen_at_work.lock().unwrap().len(), 1, "{events:?}");

    // then each panel has what it shows.
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        let target = &panel["targets"][0];
        let query = asked(target["expr"].as_str().unwrap());
        let now = prometheus.query(&query).unwrap();
        let by_step = |wanted: &str| {
            let found = now.iter().find(|(labels, _)| labels["step"] == wanted);
            found.map(|(_, value)| *value)
        };
        match title {
            "Step Progress" => {
                assert_eq!(by_step("hardware"), Some(2.0), "{now:?}");
                assert_eq!(by_step("verify"), Some(3.0), "{now:?}");
                let names: BTreeSet<String> = now
                    .iter()
                    .flat_map(|(labels, _)| labels.as_object().unwrap().keys().cloned())
                    .collect();
                assert_eq!(
                    names.into_iter().collect::<Vec<_>>(),
                    ["cluster", "host", "plan", "step"]
                );
                // Over time, as Grafana asks it, the step went through its states.
                wait_until(Duration::from_secs(10), "both states stand in the past", || {
                    let over_time = prometheus.samples(&format!("({query})[1m:100ms]"))?;
                    let of_verify = over_time.iter().find(|(labels, _)| labels["step"] == "verify");
                    let points = of_verify.map_or(&[][..], |(_, points)| points);
                    let was = |state: f64| points.iter().any(|(_, value)| *value == state);
                    Ok(holds(was(1.0) && was(3.0), format!("{points:?}"))?)
                })
                .unwrap();
            }
            "Current Step" => {
                assert_eq!((now.len(), by_step("verify")), (1, Some(3.0)), "{now:?}");
            }
            "Installation Duration" => {
                // The run has ended: what its steps took, and no more with every minute.
                let took: u64 = events
                    .iter()
                    .filter_map(|event| match &event.kind {
                        RunEventKind::StepCompleted { duration_ms, .. }
                        | RunEventKind::StepFailed { duration_ms, .. } => Some(*duration_ms),
                        _ => None,
                    })
                    .sum();
                let wanted = Duration::from_millis(took).as_secs_f64();
                assert!(
                    now.len() == 1 && (now[0].1 - wanted).abs() < 0.01,
                    "{now:?}, not {wanted}"
                );
            }
            "Failure Count" => assert_eq!(now.iter().map(|(_, value)| *value).sum::<f64>(), 1.0, "{now:?}"),
            "Progress" => assert!(now.len() == 1 && (now[0].1 - 2.0 / 3.0).abs() < 0.01, "{now:?}"),
            other => panic!("nobody has looked at the panel {other:?}: {now:?}"),
        }
    }
}

#[test]
fn a_prometheus_that_the_run_itself_starts_is_told_from_the_beginning() {
    // Given an installation that starts Prometheus as its second step, as that of a server does
    let port = free_port();
    let started: Arc<Mutex<Option<Prometheus<'static>>>> = Arc::default();
    let shelf = started.clone();
    let starts = move || {
        *shelf.lock().unwrap() = Some(prometheus(port));
        Ok(())
    };
    let steps: Vec<Box<dyn Step>> = vec![
        Box::new(Places("folders")),
        Box::new(Does("services", vec!["folders"], starts)),
        Box::new(Does("health", vec!["services"], || Ok(()))),
    ];

    // when it has run,
    let telemetry = to(Protocol::RemoteWrite, write_url(port));
    let (status, events, delivered) = run(steps, telemetry, Duration::from_secs(30));
    assert_eq!(status, RunStatus::Completed);
    assert!(delivered.is_complete(), "{delivered:?}");

    // then what happened before Prometheus was there stands in it, at the time when it happened.
    let prometheus = started.lock().unwrap().take().unwrap();
    let told = prometheus
        .samples(r#"aami_install_step_status{step="folders"}[10m]"#)
        .unwrap();
    let of_folders: Vec<(i64, f64)> = events
        .iter()
        .filter_map(|event| match &event.kind {
            RunEventKind::RunStarted { .. } => Some((event.at.millis(), 0.0)),
            RunEventKind::StepStarted { step, .. } if step == "folders" => Some((event.at.millis(), 1.0)),
            RunEventKind::StepCompleted { step, .. } if step == "folders" => Some((event.at.millis(), 2.0)),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    for ((at, value), (told_at, told_value)) in of_folders.iter().zip(&told[0].1) {
        assert_eq!(value, told_value, "{told:?}, not {of_folders:?}");
        // Two things in one millisecond are told one after the other.
        assert!((told_at - at) <= 2, "{told:?}, not {of_folders:?}");
    }
}

#[test]
fn where_nobody_listens_the_run_is_as_it_would_be_without() {
    let steps: Vec<Box<dyn Step>> = vec![Box::new(Places("hardware"))];
    let telemetry = to(Protocol::RemoteWrite, write_url(free_port()));
    let begun = Instant::now();
    let (status, _, delivered) = run(steps, telemetry, Duration::from_millis(300));
    assert_eq!(status, RunStatus::Completed);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(delivered.left > 0 && delivered.kept == 0, "{delivered:?}");
    assert!(delivered.trouble.is_some(), "{delivered:?}");
    assert!(
        delivered.to_string().contains("were not told by remote write"),
        "{delivered}"
    );
}

fn event(seq: u64, at: Timestamp, kind: RunEventKind) -> RunEvent {
    RunEvent { seq, at, kind }
}

/// A run of one step that begins at `from`.
fn a_run(from: Timestamp) -> Vec<RunEvent> {
    let after = |seconds| from.plus(Duration::from_secs(seconds));
    let step = StepSummary {
        id: "folders".into(),
        title: "Making folders".into(),
    };
    let started = RunEventKind::RunStarted {
        plan: "stack".into(),
        steps: vec![step],
    };
    let begun = RunEventKind::StepStarted {
        step: "folders".into(),
        attempt: 1,
    };
    let done = RunEventKind::StepCompleted {
        step: "folders".into(),
        outcome: StepOutcome::Changed,
        duration_ms: 2_000,
    };
    vec![
        event(1, from, started),
        event(2, after(1), begun),
        event(3, after(3), done),
    ]
}

#[test]
fn what_is_too_old_for_prometheus_does_not_spoil_the_rest() {
    // Given a Prometheus that scrapes itself, so that it takes nothing older than an hour
    let port = free_port();
    let prometheus = prometheus(port);
    wait_until(Duration::from_secs(20), "Prometheus scrapes itself", || {
        let up = prometheus.query("up == 1")?;
        Ok(holds(!up.is_empty(), "nothing is up yet")?)
    })
    .unwrap();

    // when a run of three hours ago and one of ten minutes ago are told together,
    let now = clock().now();
    let ago = |minutes: i64| Timestamp::from_millis(now.millis() - minutes * 60_000);
    let telemetry = to(Protocol::RemoteWrite, write_url(port));
    telemetry.backfill(&a_run(ago(180)));
    telemetry.backfill(&a_run(ago(10)));
    let delivered = telemetry.finish(Duration::from_secs(20)).pop().unwrap();

    // then every sample of the second is kept, and those of the first are counted as not wanted.
    assert!(
        delivered.unwanted > 0 && delivered.kept > 0 && delivered.left == 0,
        "{delivered:?}"
    );
    let told = prometheus.samples("aami_install_step_status[1h]").unwrap();
    let values: Vec<f64> = told[0].1.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [0.0, 1.0, 2.0], "{told:?}");
    assert_eq!(told[0].1[2].0, ago(10).millis() + 3_000, "{told:?}");
}

#[test]
fn a_clock_that_is_set_back_in_the_middle_loses_nothing() {
    let port = free_port();
    let prometheus = prometheus(port);
    let now = clock().now();
    let mut events = a_run(Timestamp::from_millis(now.millis() - 20_000));
    // Given an installation in whose middle the time service sets the clock back by ten seconds
    events[2].at = Timestamp::from_millis(events[2].at.millis() - 10_000);
    let telemetry = to(Protocol::RemoteWrite, write_url(port));
    telemetry.backfill(&events);
    let delivered = telemetry.finish(Duration::from_secs(20)).pop().unwrap();
    assert!(delivered.is_complete(), "{delivered:?}");
    let told = prometheus.samples("aami_install_step_status[1h]").unwrap();
    let values: Vec<f64> = told[0].1.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, [0.0, 1.0, 2.0], "{told:?}");
}

/// What a collector was sent.
#[derive(Debug, Default)]
struct Sent {
    head: Vec<String>,
    body: Vec<u8>,
}

/// A collector that answers each request with the next of these statuses, then with 200.
fn collector(statuses: &'static [u16]) -> (u16, Arc<Mutex<Vec<Sent>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sent: Arc<Mutex<Vec<Sent>>> = Arc::default();
    let heard = sent.clone();
    std::thread::spawn(move || {
        let mut statuses = statuses.iter();
        for socket in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(socket.try_clone().unwrap());
            let mut one = Sent::default();
            for line in reader.by_ref().lines().map_while(Result::ok) {
                if line.is_empty() {
                    break;
                }
                one.head.push(line.to_ascii_lowercase());
            }
            let length = one
                .head
                .iter()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            one.body = vec![0; length];
            reader.read_exact(&mut one.body).unwrap();
            heard.lock().unwrap().push(one);
            let status = statuses.next().copied().unwrap_or(200);
            let mut socket = socket;
            let _ = write!(
                socket,
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
            );
        }
    });
    (port, sent)
}

#[test]
fn a_collector_is_told_in_json_and_asked_again_when_it_is_busy() {
    let (port, sent) = collector(&[503, 429]);
    let steps: Vec<Box<dyn Step>> = vec![
        Box::new(Places("hardware")),
        Box::new(Does("verify", vec!["hardware"], fails)),
    ];
    let telemetry = to(Protocol::Otlp, format!("http://127.0.0.1:{port}"));
    let (_, events, delivered) = run(steps, telemetry, Duration::from_secs(20));
    assert!(delivered.is_complete(), "{delivered:?}");

    let sent = sent.lock().unwrap();
    assert!(sent.len() >= 3, "{} requests", sent.len());
    for one in sent.iter() {
        assert_eq!(one.head[0], "post /v1/metrics http/1.1");
        assert!(
            one.head.contains(&"content-type: application/json".to_owned()),
            "{:?}",
            one.head
        );
    }
    // What it took in the end holds each point once, with 64-bit numbers as text.
    let taken: Value = serde_json::from_slice(&sent[2].body).unwrap();
    let metrics = taken["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
        .as_array()
        .unwrap();
    let status = metrics
        .iter()
        .find(|metric| metric["name"] == "aami_install_step_status")
        .unwrap();
    let failed = status["gauge"]["dataPoints"]
        .as_array()
        .unwrap()
        .iter()
        .any(|point| {
            let at: u64 = point["timeUnixNano"].as_str().unwrap().parse().unwrap();
            let happened = events
                .iter()
                .any(|event| u64::try_from(event.at.millis()).unwrap().abs_diff(at / 1_000_000) <= 2);
            happened && point["asDouble"] == 3.0
        });
    assert!(failed, "{status}");
}

#[test]
fn who_refuses_us_is_not_asked_again() {
    let (port, sent) = collector(&[401]);
    let telemetry = to(Protocol::Otlp, format!("http://127.0.0.1:{port}/v1/metrics"));
    let steps: Vec<Box<dyn Step>> = vec![Box::new(Places("hardware"))];
    let (status, _, delivered) = run(steps, telemetry, Duration::from_secs(20));
    assert_eq!(status, RunStatus::Completed);
    assert_eq!((delivered.kept, delivered.left), (0, 0), "{delivered:?}");
    assert!(
        delivered.unwanted > 0 && delivered.trouble.as_deref().unwrap().contains("401"),
        "{delivered:?}"
    );
    assert_eq!(sent.lock().unwrap().len(), 1);
}

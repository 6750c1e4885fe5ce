use std::path::Path as FilePath;
use std::time::Duration;

use aami_model::finding::Severity;
use proptest::prelude::*;

use super::*;
use crate::config::{HostKeyPolicy, SmtpTls, SudoMode};
use crate::environment::FileState;
use crate::setting::Source;

fn variables(name: &str) -> Option<String> {
    match name {
        "SLACK" => Some("https://hooks.slack.example/T0/verysecret".to_owned()),
        "PORT" => Some("9999".to_owned()),
        "EMPTY" => Some(String::new()),
        "EVIL" => Some("x\nssh: {user: mallory}".to_owned()),
        _ => None,
    }
}

fn files(path: &FilePath) -> FileState {
    match path.to_str().unwrap() {
        "/keys/id" | "/home/ann/.ssh/id" => FileState::Readable,
        "/keys/closed" => FileState::Forbidden,
        "/keys" => FileState::NotAFile,
        _ => FileState::Missing,
    }
}

const PRESETS: &[&str] = &["gpu-basic", "gpu-production", "infiniband"];

fn world() -> Environment<'static> {
    Environment {
        variables: &variables,
        home: Some(FilePath::new("/home/ann")),
        files: &files,
        presets: Some(PRESETS),
    }
}

fn config(text: &str) -> Config {
    match read(text.as_bytes(), &world()) {
        Ok(read) => read.config,
        Err(problems) => panic!("{problems}"),
    }
}

fn problems(text: &str) -> String {
    match read(text.as_bytes(), &world()) {
        Ok(_) => panic!("it is sound"),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn a_name_alone_is_a_configuration_and_the_rest_is_usual() {
    let config = config("cluster:\n  name: my-gpu-cluster\n");
    assert_eq!(config.cluster.name, "my-gpu-cluster");
    assert!(config.nodes.is_empty() && config.server.is_none());
    let ssh = &config.ssh;
    assert_eq!((ssh.max_parallel, ssh.port, ssh.user.as_str()), (50, 22, "root"));
    assert_eq!(
        (ssh.connect_timeout, ssh.command_timeout),
        (Duration::from_secs(10), Duration::from_secs(300))
    );
    let retry = &ssh.retry;
    assert_eq!(
        (retry.max_attempts, retry.backoff_base, retry.backoff_max),
        (3, Duration::from_secs(2), Duration::from_secs(30))
    );
    assert_eq!(
        (ssh.host_key_policy, ssh.sudo.mode),
        (HostKeyPolicy::AcceptNew, SudoMode::Auto)
    );
    let prometheus = &config.prometheus;
    assert_eq!(
        (
            prometheus.retention.as_str(),
            prometheus.port,
            prometheus.storage_path.to_str()
        ),
        ("15d", 9090, Some("/var/lib/aami/prometheus"))
    );
    assert_eq!((config.grafana.port, config.alertmanager.port), (3000, 9093));
    assert_eq!(config.notifications.email.tls, SmtpTls::StartTls);
}

#[test]
fn what_init_writes_is_sound() {
    let config = config(
        "cluster:
  name: my-gpu-cluster

nodes: []

ssh:
  max_parallel: 50
  connect_timeout: 10
  command_timeout: 300

alerts:
  presets:
    - gpu-production

notifications:
  slack:
    enabled: false
    webhook_url: \"\"

prometheus:
  retention: 15d
  storage_path: /var/lib/aami/prometheus
",
    );
    assert_eq!(config.alerts.presets, ["gpu-production"]);
    assert!(config.notifications.slack.webhook_url.is_none());
}

#[test]
fn everything_that_may_be_written_is_read() {
    let config = config(
        "
cluster: {name: prod}
server: https://aami.example:8080
nodes:
  - name: GPU-01.example.com
    ip: 10.0.0.1
    group: trainers
    ssh_user: ops
    ssh_key: ~/.ssh/id
    ssh_port: 2222
    proxy_jump: none
    labels: {rack: A1, row: 3, spare: true, note: ''}
  - {name: gpu-02, ip: '2001:DB8::2'}
ssh:
  user: ann
  key: /keys/id
  proxy_jump: ops@bastion:2222,[2001:db8::9]:22
  connect_timeout: 1m30s
  host_key_policy: strict
  sudo: {mode: always, password: '${SLACK}'}
alerts:
  presets: [gpu-basic, infiniband]
  custom:
    - name: Hot
      expr: |
        DCGM_FI_DEV_GPU_TEMP > 90
      for: 5m
      severity: critical
      annotations: {team: infra}
notifications:
  slack: {enabled: true, webhook_url: '${SLACK}', channel: '#gpu'}
  email: {enabled: true, smtp_host: mail.example.com, from: aami@example.com, to: [ops@example.com]}
  webhook: {enabled: true, url: https://hook.example/x}
prometheus:
  port: ${PORT}
  retention_size: 500GB
  remote_write:
    - url: https://mimir.example/api/v1/push
      username: tenant
      password_file: /etc/aami/mimir.password
      headers: {X-Scope-OrgID: prod}
grafana: {admin_password: '${SLACK}'}
",
    );
    assert_eq!(config.server.as_ref().unwrap().url, "https://aami.example:8080");
    let node = config.node("gpu-01.EXAMPLE.com").unwrap();
    assert_eq!(node.ssh_key.as_deref(), Some(FilePath::new("/home/ann/.ssh/id")));
    assert_eq!(node.labels.0["row"], "3");
    assert_eq!(node.labels.0["note"], "");
    let by_name = config.by_name();
    assert_eq!(by_name.node("gpu-01.EXAMPLE.com"), Some(node));
    assert_eq!(by_name.node("gpu-99"), None);
    let login = config.login(node);
    assert_eq!((login.user, login.port), ("ops", 2222));
    assert!(
        login.proxy_jump.is_some_and(|jump| jump.hops().is_empty()),
        "reached directly, whatever else says otherwise"
    );
    let other = config.login(&config.nodes[1]);
    assert_eq!((other.user, other.port), ("ann", 22));
    assert_eq!(other.address.to_string(), "2001:db8::2");
    assert_eq!(other.key, Some(FilePath::new("/keys/id")));
    assert_eq!(other.proxy_jump.unwrap().hops().len(), 2);
    assert_eq!(config.prometheus.port, 9999);
    assert_eq!(config.alerts.custom[0].severity, Severity::Critical);
    assert_eq!(
        config.alerts.custom[0].expr.trim_end(),
        "DCGM_FI_DEV_GPU_TEMP > 90"
    );
    let slack = config.notifications.slack.webhook_url.as_ref().unwrap();
    assert_eq!(
        slack.reveal().unwrap(),
        "https://hooks.slack.example/T0/verysecret"
    );
}

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    insta::assert_snapshot!(problems(
        "\
cluster:
  nam: prod
nodes:
  - name: gpu1
    ip: 10.0.0.1
    ssh_prot: 22
  - name: GPU1.
    ip: 10.0.0.300
  - name: gpu_3
    ip: ::ffff:10.0.0.1
    ssh_key: /keys/none
    labels: {__address__: x, job: y, 'a b': z}
  -
  - gpu4
  - host: gpu5
    ip: fe80::1%eth0
    ssh_port: 99999
ssh:
  max_parallel: many
  connect_timeout: 5 minutes
  host_key_policy: accept_new
  key: id_rsa
  retry: {backoff_base: 60, backoff_max: 30}
  timeout: 5
alerts:
  presets: [gpu-prodction, gpu-basic, gpu-basic]
  custom:
    - name: A
      expr: ''
    - {name: A, expr: up, for: 5 m, severity: fatal}
notifications:
  slack: {enabled: true}
  email: {enabled: true, smtp_host: 'mail example', from: ops, to: [], username: x}
  web_hook: {}
prometheus: {port: 3000, retention: 15days, remote_write: [{url: mimir, username: x}]}
grafana: {port: '${UNSET}'}
server: {url: aami.example, ca_file: /a, pin: x}
nodes: []
"
    ));
}

#[test]
fn a_variable_that_is_not_set_is_told_and_a_secret_hinders_only_who_needs_it() {
    let text = "cluster: {name: '${NOBODY}'}\n";
    assert!(
        problems(text).contains("the variable NOBODY is not set"),
        "{}",
        problems(text)
    );
    assert!(problems("cluster: {name: 'a${EMPTY}'}\n").contains("EMPTY is not set"));
    assert!(problems("cluster: {name: 'a${b'}\n").contains("not closed"));

    let text = "cluster: {name: a}\ngrafana:\n  admin_password: ${NOBODY}\n";
    let read = read(text.as_bytes(), &world()).unwrap();
    assert_eq!(read.warnings.len(), 1);
    assert_eq!(
        (read.warnings[0].line, read.warnings[0].field.as_str()),
        (3, "grafana.admin_password")
    );
    let password = read.config.grafana.admin_password.unwrap();
    let why = password.reveal().unwrap_err();
    assert_eq!(
        why.to_string(),
        "grafana.admin_password (line 3) needs the variable NOBODY, which is not set"
    );
}

#[test]
fn a_variable_is_text_and_never_yaml() {
    let config = config("cluster: {name: a}\nalerts: {custom: [{name: A, expr: '${EVIL}'}]}\n");
    assert_eq!(config.alerts.custom[0].expr, "x\nssh: {user: mallory}");
    assert_eq!(config.ssh.user, "root");
}

#[test]
fn secrets_are_never_shown() {
    let text = "\
cluster: {name: a}
ssh: {sudo: {password: hunter2-in-clear}}
grafana: {admin_password: '${SLACK}'}
notifications: {webhook: {enabled: true, url: 'https://hook.example/token-in-clear'}}
";
    let (read, settings) = explain(text.as_bytes(), &world()).unwrap();
    let shown = format!("{read:?}{settings:?}");
    for secret in ["hunter2", "verysecret", "token-in-clear"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    let wrong = "cluster: {name: a}\nnotifications: {slack: {webhook_url: 'hunter2 is no address'}}\n";
    assert!(!problems(wrong).contains("hunter2"), "{}", problems(wrong));
    // A value that came from a variable may be secret, whatever the field.
    let wrong = "cluster: {name: a}\nprometheus: {port: '${SLACK}'}\n";
    assert!(!problems(wrong).contains("verysecret"), "{}", problems(wrong));
}

#[test]
fn every_value_says_where_it_came_from() {
    let text = "\
cluster:
  name: prod
prometheus:
  port: ${PORT}
grafana:
  admin_password: ${SLACK}
nodes:
  - name: gpu1
    ip: 10.0.0.1
";
    let (_, settings) = explain(text.as_bytes(), &world()).unwrap();
    let of = |field: &str| {
        settings
            .iter()
            .find(|setting| setting.field == field)
            .map(|setting| (setting.value.as_str(), setting.source.clone()))
            .unwrap_or_else(|| panic!("{field} is not shown"))
    };
    assert_eq!(of("cluster.name"), ("prod", Source::Line(2)));
    assert_eq!(of("ssh.max_parallel"), ("50", Source::Default));
    assert_eq!(of("ssh.retry.backoff_max"), ("30", Source::Default));
    assert_eq!(of("nodes[0].ip"), ("10.0.0.1", Source::Line(9)));
    let from = |line, name: &str| Source::Variables {
        line,
        names: vec![name.to_owned()],
    };
    assert_eq!(of("prometheus.port"), ("9999", from(4, "PORT")));
    assert_eq!(of("grafana.admin_password"), ("(hidden)", from(6, "SLACK")));
}

#[test]
fn key_files_are_looked_at() {
    for (path, word) in [
        ("/keys/closed", "may not read"),
        ("/keys", "not a file"),
        ("/keys/none", "no such file"),
        ("id_rsa", "begins with"),
        ("~bob/.ssh/id", "begins with"),
    ] {
        let told = problems(&format!("cluster: {{name: a}}\nssh: {{key: {path}}}\n"));
        assert!(told.contains(word) && told.contains("line 2"), "{path}: {told}");
    }
    let homeless = Environment {
        home: None,
        ..world()
    };
    let told = read(b"cluster: {name: a}\nssh: {key: ~/id}\n", &homeless).unwrap_err();
    assert!(told.to_string().contains("no home folder"), "{told}");
}

#[test]
fn ports_of_one_machine_differ() {
    for text in [
        "cluster: {name: a}\nprometheus: {port: 3000}\n",
        "cluster: {name: a}\ngrafana: {port: 9093}\n",
        "cluster: {name: a}\ngrafana: {port: 1}\nprometheus: {port: 1}\n",
    ] {
        assert!(problems(text).contains("listens on this port as well"), "{text}");
    }
}

#[test]
fn a_section_of_the_wrong_shape_is_told() {
    for (text, word) in [
        ("cluster: prod\n", "must be a mapping, but it is a plain value"),
        (
            "cluster: {name: a}\nnodes: {a: 1}\n",
            "must be a list, but it is a mapping",
        ),
        ("cluster: {name: [a]}\n", "but it is a list"),
        ("- a\n", "must be a mapping, but it is a list"),
        ("just words\n", "must be a mapping"),
    ] {
        assert!(problems(text).contains(word), "{text}: {}", problems(text));
    }
}

#[test]
fn a_thousand_problems_are_told_and_the_rest_counted() {
    let mut text = "cluster: {name: a}\nnodes:\n".to_owned();
    for at in 0..3_000 {
        text.push_str(&format!("  - {{name: n{at}, ip: nowhere}}\n"));
    }
    let problems = read(text.as_bytes(), &world()).unwrap_err();
    assert_eq!((problems.list().len(), problems.left_out()), (1_000, 2_000));
    assert!(problems.to_string().ends_with("and 2000 more"));
}

#[test]
fn a_fleet_of_twenty_thousand_is_read() {
    let mut text = "cluster: {name: a}\nnodes:\n".to_owned();
    for at in 0..20_000_u32 {
        let [_, a, b, c] = at.to_be_bytes();
        text.push_str(&format!("  - name: gpu{at}\n    ip: 10.{a}.{b}.{c}\n"));
    }
    assert_eq!(config(&text).nodes.len(), 20_000);
}

proptest! {
    #[test]
    fn hostile_values_are_told_in_one_short_line_each(value in ".{0,300}", field in 0_usize..6) {
        let field = ["name", "ip", "group", "ssh_user", "ssh_port", "proxy_jump"][field];
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("cluster: {{name: a}}\nnodes:\n  - {field}: \"{quoted}\"\n");
        if let Err(problems) = read(text.as_bytes(), &world()) {
            for problem in problems.list() {
                let told = problem.to_string();
                prop_assert!(told.chars().count() < 600, "{}", told);
                prop_assert!(!told.chars().any(char::is_control), "{:?}", told);
            }
        }
    }
}

//! `aami config` on a file of an operator's own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::plane::{Said, aami};

const FLEET: &str = "\
# ours
cluster:
  name: prod
ssh:
  max_parallel: 80   # as the switches bear
notifications:
  slack:
    enabled: true
    webhook_url: ${TEST_SLACK}
";

/// A folder with a configuration in it.
fn place(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yaml");
    fs::write(&file, text).unwrap();
    (folder, file)
}

fn config(file: &Path, words: &[&str]) -> Said {
    Said::by(
        aami(&["config"])
            .args(words)
            .arg("--config")
            .arg(file)
            .env("TEST_SLACK", "https://hooks.slack.example/verysecret"),
    )
}

#[test]
fn every_value_is_shown_with_its_source_and_no_secret() {
    let (_folder, file) = place(FLEET);
    let shown = config(&file, &["show", "--sources"]);
    assert_eq!(shown.exit, 0, "{shown:?}");
    let line = |field: &str| {
        let found = shown
            .out
            .lines()
            .find(|line| line.split_whitespace().next() == Some(field));
        found
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("ssh.max_parallel"), "80 line 5");
    assert_eq!(line("prometheus.port"), "9090 default");
    assert_eq!(
        line("notifications.slack.webhook_url"),
        "(hidden) line 9, from TEST_SLACK"
    );
    assert!(!shown.out.contains("verysecret"));

    let json = config(&file, &["show", "ssh", "-o", "json"]).json();
    let fields: Vec<&str> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["field"].as_str().unwrap())
        .collect();
    assert!(fields.iter().all(|field| field.starts_with("ssh.")), "{fields:?}");
    assert_eq!(config(&file, &["show", "nothing"]).exit, 2);
}

#[test]
fn a_sound_file_is_said_to_be_and_a_broken_one_names_every_line() {
    let (_folder, file) = place(FLEET);
    let sound = config(&file, &["check"]);
    assert_eq!(sound.exit, 0, "{sound:?}");
    assert!(sound.out.contains("is sound: 0 nodes"), "{sound:?}");

    let without = Said::by(
        aami(&["config", "check", "--config"])
            .arg(&file)
            .env_remove("TEST_SLACK"),
    );
    assert_eq!(without.exit, 0, "{without:?}");
    assert!(
        without.err.contains("the variable TEST_SLACK is not set"),
        "{without:?}"
    );

    let (_folder, file) =
        place("cluster: {nam: x}\nssh: {max_paralel: 1}\nalerts: {presets: [gpu-prodction]}\n");
    let broken = config(&file, &["check"]);
    assert_eq!(broken.exit, 2, "{broken:?}");
    for words in [
        "line 1",
        "cluster.name",
        "line 2",
        "max_parallel",
        "line 3",
        "gpu-production",
        "FLEET_INVALID",
    ] {
        assert!(broken.err.contains(words), "{words}: {broken:?}");
    }
    let nowhere = config(Path::new("/nowhere/config.yaml"), &["check"]);
    assert_eq!(nowhere.exit, 5, "{nowhere:?}");
}

#[test]
fn a_setting_is_changed_in_place_and_the_file_is_its_owners_alone() {
    let (folder, file) = place(FLEET);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let set = config(&file, &["set", "ssh.max_parallel", "100"]);
    assert_eq!(
        (set.exit, set.out.as_str()),
        (0, "✅ Set ssh.max_parallel\n"),
        "{set:?}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), FLEET.replace("80", "100"));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| Some(name.as_os_str()) != file.file_name())
        .collect();
    // What commands lock stays; nothing else does.
    left.retain(|name| name != ".aami.lock");
    assert!(left.is_empty(), "{left:?}");

    let before = fs::read_to_string(&file).unwrap();
    for (words, exit, said) in [
        (&["set", "ssh.max_parallel", "none"][..], 2, "whole number"),
        (&["set", "ssh.max_paralel", "1"], 2, "ssh.max_parallel"),
        (&["set", "grafana.admin_password", "hunter2"], 2, "standard input"),
        (
            &["set", "ssh.port", "2222", "--dry-run"],
            0,
            "ssh.port would be set",
        ),
        (&["unset", "grafana.port"], 5, "not in the configuration"),
    ] {
        let refused = config(&file, words);
        assert_eq!(refused.exit, exit, "{words:?}: {refused:?}");
        let all = format!("{}{}", refused.out, refused.err);
        assert!(all.contains(said), "{words:?}: {refused:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), before, "{words:?}");
    }

    assert_eq!(
        config(&file, &["set", "grafana.admin_password", "${TEST_SLACK}"]).exit,
        0
    );
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .ends_with("grafana:\n  admin_password: \"${TEST_SLACK}\"\n")
    );
    assert_eq!(config(&file, &["unset", "grafana"]).exit, 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn the_schema_is_json() {
    let schema = Said::by(&mut aami(&["config", "schema"])).json();
    assert_eq!(schema["properties"]["nodes"]["allOf"][0]["type"][0], "array");
}

#[test]
fn what_names_a_control_plane_elsewhere_is_shown_over_the_file() {
    let (_folder, file) =
        place("cluster: {name: prod}\nserver:\n  url: https://conf:8080\n  key_file: /etc/aami/key\n");
    let shown = |words: &[&str], variables: &[(&str, &str)]| {
        let said = Said::by(
            aami(&["config", "show", "server", "--sources"])
                .args(words)
                .arg("--config")
                .arg(&file)
                .envs(variables.iter().copied()),
        );
        assert_eq!(said.exit, 0, "{said:?}");
        assert!(
            !said.out.contains("verysecret") && !said.err.contains("verysecret"),
            "{said:?}"
        );
        let lines = said.out.lines().skip(1);
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    // The file alone;
    assert_eq!(
        shown(&[], &[]),
        [
            "server.url https://conf:8080 line 3",
            "server.key_file /etc/aami/key line 4"
        ]
    );
    // the environment over it, with the name of the key's variable and not the key;
    let variables = [
        ("AAMI_SERVER", "https://env:8080"),
        ("AAMI_API_KEY", "aamik_verysecret"),
    ];
    assert_eq!(
        shown(&[], &variables),
        [
            "server.url https://env:8080 AAMI_SERVER, over line 3",
            "server.key_file (hidden) AAMI_API_KEY, over line 4"
        ]
    );
    // the command line over both;
    assert_eq!(
        shown(
            &["--server", "https://flag:8080", "--key-file", "/tmp/key"],
            &variables
        ),
        [
            "server.url https://flag:8080 --server, over line 3",
            "server.key_file /tmp/key --key-file, over line 4"
        ]
    );
    // and the key of the file is for the control plane of the file alone.
    assert_eq!(
        shown(&["--server", "https://flag:8080"], &[]),
        [
            "server.url https://flag:8080 --server, over line 3",
            "server.key_file /etc/aami/key line 4, not used: another control plane is named"
        ]
    );
    // Where the file names none, what does stands there all the same.
    fs::write(&file, "cluster: {name: prod}\n").unwrap();
    assert_eq!(
        shown(&["--server", "https://flag:8080"], &[]),
        ["server.url https://flag:8080 --server"]
    );
    // An address alone is the same field.
    fs::write(&file, "cluster: {name: prod}\nserver: https://conf:8080\n").unwrap();
    assert_eq!(
        shown(&["--server", "https://flag:8080"], &[]),
        ["server.url https://flag:8080 --server, over line 2"]
    );
    let told = config(
        &file,
        &[
            "show",
            "server.url",
            "--server",
            "https://flag:8080",
            "-o",
            "json",
        ],
    )
    .json();
    assert_eq!(
        told[0],
        serde_json::json!({
            "field": "server.url", "value": "https://flag:8080", "source": "flag", "flag": "--server", "over_line": 2
        })
    );
}

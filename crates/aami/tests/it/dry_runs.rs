//! Dry runs: they say what would be done, fail where it would fail, and do nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::file_fleet::Machine;
use crate::plane::{Plane, Said};

/// What lies below a folder, each file with what it holds.
fn all_below(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.display().to_string();
            if path.is_dir() {
                folders.push(path);
                found.insert(name, Vec::new());
            } else {
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Runs a command line, whose words hold no blanks.
fn aami(plane: &Plane, line: &str) -> Said {
    let words: Vec<&str> = line.split(' ').collect();
    plane.aami(&words)
}

fn well(plane: &Plane, line: &str) -> Said {
    let said = aami(plane, line);
    assert_eq!(said.exit, 0, "{line}: {said:?}");
    said
}

/// A control plane with one of everything.
fn stocked() -> Plane {
    let plane = Plane::start();
    for arch in ["amd64", "arm64"] {
        let folder = plane.data().join("dist").join(arch);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("aami-agent"), "an agent").unwrap();
    }
    let file = |name: &str, text: &str| {
        let path = plane.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let checks = file("checks.yaml", "name: disk-full\nscript: |\n  echo '{}'\n");
    file("bearer", "Bearer verysecret\n");
    file("slack", "https://hooks.slack.com/services/T0/B0/verysecret\n");
    file("taken", "something else\n");
    fs::create_dir(plane.folder.path().join("prometheus")).unwrap();
    fs::create_dir(plane.folder.path().join("pages")).unwrap();
    file("prometheus/prometheus.yml", "{}\n");
    for line in [
        "groups create racks",
        "groups create empty",
        "nodes add gpu-01 --ip 127.9.4.1 --group racks",
        "tokens create --name rack-a1 --group racks --max-uses 9",
        "keys create --name alice --role viewer",
        &format!("checks apply -f {checks}"),
        "alerts rules set --presets gpu-basic --within 0",
        "prometheuses add mon-1 --node gpu-01 --url http://127.9.4.1:9090",
        "webhooks create --name pager --url https://hooks.example.com/aami",
        "webhooks update pager --enabled false",
        "agents update racks --version 1.4.0",
        "nodes label --group racks row=3",
    ] {
        well(&plane, line);
    }
    plane
}

/// What somebody did with a key, each with its place in the order.
fn audited(plane: &Plane) -> Vec<(u64, String)> {
    let listed = well(plane, "audit list --limit 1000 -o json").json();
    let entries = listed.as_array().unwrap().iter();
    let by_a_key = |entry: &&Value| entry["actor"].as_str().unwrap().starts_with("key:");
    entries
        .filter(by_a_key)
        .map(|entry| (entry["seq"].as_u64().unwrap(), entry["action"].to_string()))
        .collect()
}

/// What was written between two things that are done for the purpose.
fn written_by(plane: &Plane, between: impl FnOnce()) -> Vec<String> {
    let marked = |name: &str| {
        well(plane, &format!("groups create {name}"));
        let made = "\"group.create\"";
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let all = audited(plane);
            // The entries come in the order of what was written, so nothing before this one is missing.
            let marks: Vec<u64> = (all.iter())
                .filter(|(_, action)| action == made)
                .map(|(seq, _)| *seq)
                .collect();
            let wanted = well(plane, "groups list -o json").json();
            if marks.len() == wanted.as_array().unwrap().len() {
                return *marks.iter().max().unwrap();
            }
            assert!(Instant::now() < deadline, "{all:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let before = marked("before");
    between();
    let after = marked("after");
    (audited(plane).into_iter())
        .filter(|(seq, _)| (before + 1..after).contains(seq))
        .map(|(_, action)| action)
        .collect()
}

#[test]
fn a_dry_run_says_what_it_would_send_and_sends_nothing() {
    // Given a control plane with one of everything,
    let plane = stocked();
    let at = plane.folder.path().to_str().unwrap().to_owned();
    let url = "https://hooks.example.com/other";
    let files = files_but_data(&plane);
    // when each command that changes something is asked what it would do,
    let asked: &[(&str, &[&str])] = &[
        (
            "groups create new --labels site=b",
            &["POST /api/v1/groups {", "\"site\":\"b\""],
        ),
        (
            "groups edit racks --description x",
            &["PATCH /api/v1/groups/racks {"],
        ),
        ("groups delete empty", &["DELETE /api/v1/groups/empty"]),
        (
            "agents update racks --version 1.5.0",
            &["PUT /api/v1/groups/racks/rollout", "1.5.0"],
        ),
        (
            "agents pause racks",
            &["be held: POST /api/v1/groups/racks/rollout/pause"],
        ),
        ("agents resume racks", &["stay as it is: POST"]),
        ("agents stop racks", &["DELETE /api/v1/groups/racks/rollout"]),
        ("checks delete disk-full", &["DELETE /api/v1/checks/disk-full"]),
        (
            "alerts rules set --presets thermal",
            &["PATCH /api/v1/alerts/rules/", "thermal"],
        ),
        (
            "alerts rules set racks --presets thermal",
            &["POST /api/v1/alerts/rules {"],
        ),
        (
            "alerts rules delete global",
            &["DELETE /api/v1/alerts/rules/global"],
        ),
        (
            "prometheuses add m --node gpu-01 --url {url}",
            &["POST /api/v1/prometheuses {"],
        ),
        (
            "prometheuses edit mon-1 --groups racks",
            &["PATCH /api/v1/prometheuses/", "racks"],
        ),
        ("prometheuses remove mon-1", &["DELETE /api/v1/prometheuses/"]),
        (
            "tokens create --name t --group racks",
            &["POST /api/v1/bootstrap-tokens {", "saved below"],
        ),
        (
            "tokens create --name t --save-to {at}/saved",
            &["saved in {at}/saved"],
        ),
        (
            "tokens edit rack-a1 --ttl 2h",
            &["PATCH /api/v1/bootstrap-tokens/"],
        ),
        ("tokens revoke rack-a1", &["DELETE /api/v1/bootstrap-tokens/"]),
        (
            "keys create --name k --role viewer",
            &["POST /api/v1/keys {", "\"viewer\""],
        ),
        (
            "keys create --name k --store sqlite:{at}/other.db",
            &["would be made in sqlite:{at}/other.db"],
        ),
        ("keys revoke alice", &["DELETE /api/v1/keys/"]),
        (
            "webhooks create --name w --url {url}",
            &["POST /api/v1/webhooks {", "{url}", "saved below"],
        ),
        (
            "webhooks create --name w --url {url} --authorization-file {at}/bearer",
            &["\"authorization\":\"***\""],
        ),
        (
            "webhooks create --name w --kind slack --url-file {at}/slack",
            &["\"url\":\"***\""],
        ),
        (
            "webhooks update pager --url-file {at}/slack --rotate-secret",
            &["PATCH", "\"***\"", "saved below"],
        ),
        ("webhooks delete pager", &["DELETE /api/v1/webhooks/"]),
        ("webhooks test pager", &["a test would be sent to pager", "/test"]),
        (
            "nodes add gpu-02 --ip 127.9.4.2 --group racks",
            &["gpu-02 would be added"],
        ),
        ("nodes token gpu-01", &["/token {", "saved below"]),
        (
            "nodes rotate gpu-01 --save-to {at}/saved",
            &["/rotate {", "refused from then on"],
        ),
        ("nodes allow-reenrol gpu-01", &["POST", "/allow-reenrol"]),
        (
            "nodes label gpu-01 rack=B2",
            &["PATCH /api/v1/nodes/", "rack=B2", "row=3"],
        ),
        ("nodes label --group racks rack=B2", &["gpu-01"]),
        (
            "nodes retire gpu-01",
            &["inactive instead of pending", "/decommission"],
        ),
        ("nodes retire --all --no-wait", &["gpu-01"]),
        (
            "config prometheus --write {at}/new",
            &["prometheus.yml would be written", "POST /api/v1/keys {"],
        ),
        ("config grafana --write {at}/grafana", &["would be written"]),
        (
            "bundle new-key {at}/bundle.key",
            &["a key would be made", "{at}/bundle.pub"],
        ),
        ("man --dir {at}/pages", &["aami-nodes-list.1 would be written"]),
    ];
    let filled = |text: &str| text.replace("{at}", &at).replace("{url}", url);
    let written = written_by(&plane, || {
        for (line, told) in asked {
            let line = format!("{} --dry-run", filled(line));
            let said = match line.starts_with("bundle") || line.starts_with("man") {
                true => Said::by(&mut crate::plane::aami(&line.split(' ').collect::<Vec<_>>())),
                false => aami(&plane, &line),
            };
            assert_eq!(said.exit, 0, "{line}: {said:?}");
            for text in *told {
                assert!(
                    said.out.contains(&filled(text)),
                    "{line} says no {text:?}: {said:?}"
                );
            }
            // then it says so, and tells no secret,
            let all = format!("{}{}", said.out, said.err);
            assert!(!all.contains("verysecret") && !all.contains("aami_"), "{said:?}");
        }
        // also in a form for programs,
        let said = well(&plane, "groups create new --dry-run -o json").json();
        assert_eq!(said["dry_run"], true, "{said}");
        assert_eq!(said["request"]["method"], "POST", "{said}");
        assert_eq!(said["request"]["body"]["name"], "new", "{said}");
    });
    // and nothing was written, neither there nor here.
    assert_eq!(written, Vec::<String>::new());
    assert_eq!(files_but_data(&plane), files);
}

/// Every file but what the control plane itself keeps.
fn files_but_data(plane: &Plane) -> BTreeMap<String, Vec<u8>> {
    let own = [plane.data(), plane.folder.path().join("log")];
    let mut all = all_below(plane.folder.path());
    all.retain(|name, _| !own.iter().any(|own| Path::new(name).starts_with(own)));
    all
}

/// The code on standard error.
fn code(said: &Said) -> Option<Value> {
    let line = said.err.lines().rev().find(|line| line.starts_with('{'))?;
    let told: Value = serde_json::from_str(line).ok()?;
    Some(told["code"].clone())
}

#[test]
fn a_dry_run_fails_where_the_command_fails_with_the_same_code() {
    let plane = stocked();
    let batches = well(&plane, "batches list -o json").json();
    let keys = well(&plane, "keys list -o json").json();
    let is_admin = |key: &&Value| key["role"] == "admin";
    let admins: Vec<&Value> = keys.as_array().unwrap().iter().filter(is_admin).collect();
    assert_eq!(admins.len(), 1, "{keys}");
    let filled = |text: &str| {
        text.replace("{at}", plane.folder.path().to_str().unwrap())
            .replace("{batch}", batches[0]["id"].as_str().unwrap())
            .replace("{admin}", admins[0]["id"].as_str().unwrap())
            .replace("{url}", "http://127.9.4.1:9090")
    };
    let failing = [
        // What is there already.
        "groups create racks",
        "prometheuses add mon-1 --node gpu-01 --url {url}",
        "webhooks create --name pager --url {url} --show-secret",
        "nodes add gpu-01 --ip 127.9.4.1",
        // What is not there.
        "groups edit nobody --description x",
        "groups delete nobody",
        "batches cancel nobody",
        "runs cancel nobody",
        "agents update nobody --version 1.4.0",
        "agents pause empty",
        "agents resume empty",
        "agents stop empty",
        "checks delete nobody",
        "alerts rules set nobody --presets thermal",
        "alerts rules delete nobody",
        "alerts test",
        "prometheuses add m --node nobody --url {url}",
        "prometheuses edit mon-1 --node nobody",
        "prometheuses edit mon-1 --groups nobody",
        "prometheuses remove nobody",
        "tokens create --name t --group nobody",
        "tokens create --name t --node nobody",
        "tokens edit nobody --ttl 1h",
        "tokens revoke nobody",
        "keys revoke nobody",
        "webhooks update nobody --enabled false",
        "webhooks delete nobody",
        "webhooks test nobody",
        "webhooks replay 4711",
        "webhooks replay --all-of nobody",
        "nodes add gpu-02 --ip 127.9.4.2 --group nobody",
        "nodes token nobody",
        "nodes rotate nobody",
        "nodes allow-reenrol nobody",
        "nodes accept gpu-01 9400",
        "nodes verify nobody",
        "nodes label nobody a=b",
        "nodes label --group nobody a=b",
        "nodes retire --selector rack=none",
        "nodes retire nobody",
        // What its state, or what it needs, does not allow.
        "groups delete racks",
        "batches cancel {batch}",
        "agents update racks --version latest",
        "keys revoke {admin}",
        "tokens edit rack-a1 --max-uses 2",
        "nodes command gpu-01 run-checks",
        "nodes command gpu-01 update-agent latest",
        "nodes command gpu-01 run-checks --timeout 1s",
        "nodes token gpu-01 --expires-in 30m",
        "nodes maintenance gpu-01",
        "nodes resume gpu-01",
        "nodes restore gpu-01",
        // What cannot be kept here.
        "tokens create --name t --save-to {at}/taken",
        "keys create --name k --role viewer --save-to {at}/no/folder/key",
        "nodes token gpu-01 --save-to {at}/taken",
        "webhooks create --name w --url {url} --save-to {at}/taken",
        "config prometheus --write {at}/prometheus",
    ];
    let written = written_by(&plane, || {
        for line in failing {
            let line = format!("{} -o json", filled(line));
            let tried = aami(&plane, &format!("{line} --dry-run"));
            let real = aami(&plane, &line);
            assert!(real.exit != 0 && code(&real).is_some(), "{line}: {real:?}");
            assert_eq!(tried.exit, real.exit, "{line}:\n{tried:?}\n{real:?}");
            assert_eq!(code(&tried), code(&real), "{line}:\n{tried:?}\n{real:?}");
        }
    });
    assert_eq!(written, Vec::<String>::new());
}

#[test]
fn a_dry_run_on_a_declared_fleet_changes_no_file() {
    // Given a declared fleet, at addresses where nobody answers,
    let machine = Machine::with_fleet();
    let aami = |line: &str| machine.aami(&line.split(' ').collect::<Vec<_>>());
    for line in [
        "nodes add gpu[01-03] --ip 192.0.2.[1-3] --labels rack=A1",
        "config set ssh.max_parallel 7",
    ] {
        let said = aami(line);
        assert_eq!(said.exit, 0, "{line}: {said:?}");
    }
    let before = all_below(&machine.path(""));
    let install = format!("--agent {} --dry-run", env!("CARGO_BIN_EXE_aami"));
    // when each command that changes it or its nodes is asked what it would do, then it says so;
    for (line, told) in [
        ("nodes add gpu04 --ip 192.0.2.4 --dry-run", "gpu04 would be added"),
        ("nodes remove gpu[01-02] --dry-run", "gpu02 would be removed"),
        ("nodes exec -l rack=A1 --dry-run -- false", "gpu03"),
        (&format!("nodes install --all {install}"), "Nothing was changed"),
        ("config set ssh.max_parallel 9 --dry-run", "would be set"),
        ("config unset ssh.max_parallel --dry-run", "would be removed"),
    ] {
        let said = aami(line);
        assert_eq!(said.exit, 0, "{line}: {said:?}");
        let all = format!("{}{}", said.out, said.err);
        assert!(all.contains(told), "{line} says no {told:?}: {said:?}");
    }
    // it fails where the command would;
    for (line, exit) in [
        ("nodes remove nobody --dry-run", 5),
        ("nodes exec -l rack=none --dry-run -- true", 5),
        (&format!("nodes install nobody {install}"), 5),
        ("config unset ssh.no_such_field --dry-run", 2),
    ] {
        let said = aami(line);
        assert_eq!(said.exit, exit, "{line}: {said:?}");
    }
    // and nothing is written.
    assert_eq!(all_below(&machine.path("")), before);
}

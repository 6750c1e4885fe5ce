//! Secrets: made once, kept, readable by one, and nowhere but in their files.

use super::house::House;

/// A password nobody chooses.
const CANARY: &str = "canary-7f3c9e-grafana";

/// Every file below `folder` that holds `needle`.
fn holding(folder: &std::path::Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            found.extend(holding(&path, needle));
        } else if meta.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            if bytes
                .windows(needle.len())
                .any(|window| window == needle.as_bytes())
            {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_secret_stands_in_its_own_file_and_nowhere_else() {
    let mut house = House::new();
    house.password = Some(CANARY);
    let planned = format!("{:?}", house.dry_run());
    assert!(!planned.contains(CANARY));
    let (report, _) = house.install();
    assert!(!format!("{report:?}").contains(CANARY));
    let root = house.real("");
    let only = |needle: &str, files: &[&str]| {
        let files: Vec<String> = files
            .iter()
            .map(|file| house.real(file).display().to_string())
            .collect();
        assert_eq!(holding(&root, needle), files, "{needle}");
        for file in &files {
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    };
    only(CANARY, &["etc/aami/secrets/grafana-admin-password"]);
    only(
        "aami_token",
        &["etc/aami/secrets/first-one-line", "etc/aami/secrets/first-token"],
    );
    only("aamik_first", &["etc/aami/secrets/discovery.key"]);
}

#[test]
fn a_password_that_was_made_is_kept() {
    let mut house = House::new();
    house.install();
    let made = house.read("etc/aami/secrets/grafana-admin-password");
    assert_eq!(made.len(), 24);
    // Also where another is given later: Grafana keeps its first.
    house.password = Some(CANARY);
    house.install();
    assert_eq!(house.read("etc/aami/secrets/grafana-admin-password"), made);
}

#[test]
fn a_key_the_control_plane_refuses_is_replaced_once() {
    let house = House::new();
    house.install();
    assert_eq!(house.read("etc/aami/secrets/discovery.key"), "aamik_first\n");
    *house.keys.lock().unwrap() = vec!["revoked".to_owned()];
    assert!(!house.status().is_healthy());
    house.install();
    assert_eq!(house.read("etc/aami/secrets/discovery.key"), "aamik_second\n");
    let (report, _) = house.install();
    assert!(!report.wrote, "{:?}", report.executed);
    assert_eq!(*house.tokens.lock().unwrap(), 1, "the first token is made once");
}

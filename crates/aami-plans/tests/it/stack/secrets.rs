//! Secrets: made once, kept, readable by one, and nowhere but in their files.

use aami_install::Mode;
use aami_plans::download::{Access, Credential};
use aami_plans::obtain::{Mirror, Source};
use aami_plans::stack::StackOptions;

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

/// A run that names a mirror beside its folder, with what it wants to see where somebody says that too.
fn from_a_mirror(options: &mut StackOptions, credential: Option<&str>) {
    let access = Access {
        credential: credential.and_then(Credential::bearer),
        ..Access::default()
    };
    // Everything is in the folder: nobody asks it.
    let url = "http://mirror.example.com".to_owned();
    options.wishes.mirror = Some(url.clone());
    options.wishes.mirror_credential = true;
    options.sources.push(Source::Mirror(Mirror { url, access }));
}

#[test]
fn what_a_mirror_wants_to_see_is_kept_for_later_runs_and_goes_with_the_mirror() {
    let house = House::new();
    let file = "etc/aami/secrets/mirror-credential";
    let before = house.picture();
    let run = |mode, credential| {
        house
            .run_with(mode, |options| from_a_mirror(options, credential))
            .0
    };
    // Given a mirror that wants to see something,
    let report = run(Mode::Fresh, Some(CANARY));
    assert!(report.failure().is_none(), "{:?}", report.failure());
    // then that stands in a file of root's alone, and nowhere else: not in the note, the receipt, or what was said.
    assert_eq!(house.read(file), format!("Bearer {CANARY}\n"));
    assert_eq!(house.mode(file), 0o600);
    assert!(!format!("{report:?}").contains(CANARY));
    let own = house.real(file).display().to_string();
    assert_eq!(holding(&house.real(""), CANARY), [own]);

    // Given a later run that does not say it again, then it stays, and nothing is written.
    let again = run(Mode::Fresh, None);
    assert!(!again.wrote, "{:?}", again.executed);
    assert!(house.status().is_healthy());
    // Lost, it is missed, and what to name again is said.
    std::fs::remove_file(house.real(file)).unwrap();
    assert!(!house.status().is_healthy());
    let report = run(Mode::Repair, None);
    let (_, why) = report.failure().expect("nobody knows it");
    assert!(why.contains("--mirror-credential-file"), "{why}");
    assert!(run(Mode::Repair, Some(CANARY)).failure().is_none());
    assert!(house.status().is_healthy());

    // A run that asks another place takes it back before anything else,
    let former = house.take_back_former().expect("the mirror is asked no more");
    assert_eq!(former.undone.len(), 1, "{former:?}");
    assert!(!house.exists(file));
    house.install();
    assert!(house.take_back_former().is_none());
    // and so does taking the server back.
    assert!(run(Mode::Fresh, Some(CANARY)).failure().is_none());
    assert!(house.exists(file));
    house.uninstall(true);
    house.picture().must_be(&before, "uninstalled");
}

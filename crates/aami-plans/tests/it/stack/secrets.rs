//! Secrets: made once, kept, readable by one, and nowhere but in their files.

use std::collections::BTreeSet;

use aami_install::doubles::at_each_moment;
use aami_install::{Mode, RunReport};
use aami_model::code;
use aami_plans::download::{Access, Credential};
use aami_plans::obtain::{Mirror, Source};
use aami_plans::stack::{Looked, NotKept, Note, StackOptions, kept_credential};

use super::house::House;
use crate::fickle::Fickle;

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
    let kept = format!("http://mirror.example.com\nBearer {CANARY}\n");
    assert_eq!(house.read(file), kept);
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

    // Once a run has noted another place it goes,
    house.install();
    let former = (house.take_back_credential()).expect("the mirror is asked no more");
    assert_eq!(former.undone.len(), 1, "{former:?}");
    assert!(!house.exists(file));
    assert!(house.take_back_credential().is_none());
    let (again, _) = house.install();
    assert!(!again.wrote, "{:?}", again.executed);
    // and with the server, too.
    assert!(run(Mode::Fresh, Some(CANARY)).failure().is_none());
    assert!(house.exists(file));
    house.uninstall(true);
    house.picture().must_be(&before, "uninstalled");
}

/// A mirror that wants to see something.
struct Guarded {
    mirror: Fickle,
    password: &'static str,
}

impl Guarded {
    fn new(house: &House, password: &'static str) -> Self {
        let mirror = Fickle::of(house.components(), false);
        Self { mirror, password }
    }

    fn credential(&self) -> Option<Credential> {
        Credential::bearer(self.password)
    }

    /// Everything it was ever shown is its own.
    #[track_caller]
    fn was_shown_its_own_alone(&self) {
        let own = BTreeSet::from([format!("Bearer {}", self.password)]);
        assert_eq!(self.mirror.shown(), own);
    }
}

/// What a run is told that takes its components from this mirror alone.
fn only_from(options: &mut StackOptions, url: &str, credential: Option<Credential>) {
    options.wishes.mirror = Some(url.to_owned());
    options.wishes.mirror_credential = credential.is_some();
    let (url, trust) = (url.to_owned(), aami_api::client::Trust::System);
    let access = Access { trust, credential };
    options.sources = vec![Source::Mirror(Mirror { url, access })];
}

/// A run that is told nothing: it goes by what earlier ones noted and kept.
fn plain(house: &House) -> Result<RunReport, NotKept> {
    let host = house.host(None);
    let wishes = Note::read(&host).expect("a server is installed").wishes;
    let credential = kept_credential(&host, &wishes)?;
    let url = wishes.mirror.expect("it has a mirror");
    let (report, missing) = house.run_with(Mode::Fresh, |options| only_from(options, &url, credential));
    assert_eq!(missing, Vec::<String>::new());
    Ok(report)
}

#[test]
fn killed_between_two_mirrors_neither_is_shown_what_the_other_wants_to_see() {
    // Given a server from a mirror that wants to see something,
    let house = House::new();
    let mirrors = [
        Guarded::new(&house, "canary-of-the-first"),
        Guarded::new(&house, "canary-of-the-second"),
    ];
    let [first, second] = &mirrors;
    let from = |mirror: &Guarded, options: &mut StackOptions| {
        only_from(options, &mirror.mirror.mirror.url, mirror.credential());
    };
    let (report, _) = house.run_with(Mode::Fresh, |options| from(first, options));
    assert!(report.failure().is_none(), "{:?}", report.failure());
    // when a run from another mirror, which wants to see something else, is killed at each moment,
    let (mut between, mut boundaries) = (0, 0);
    let (report, _) = at_each_moment(
        |watch| house.watched_with(Mode::Fresh, Some(watch), |options| from(second, options)),
        |at, act, subject| {
            boundaries += 1;
            let house = house.copy();
            let story = format!("killed at {at} {:?}", (act, subject));
            // then one that is told nothing goes on, or says that it does not know, and goes on once it is told again.
            let why = match plain(&house) {
                Ok(report) => return assert!(report.failure().is_none(), "{story}"),
                Err(why) => why.to_string(),
            };
            between += 1;
            let url = Note::read(&house.host(None)).and_then(|note| note.wishes.mirror);
            let mut those = mirrors.iter();
            let that = those.find(|that| Some(&that.mirror.mirror.url) == url.as_ref());
            let that = that.expect("one of the two is noted");
            assert!(why.contains(&that.mirror.mirror.url), "{story}: {why}");
            assert!(!why.contains("canary"), "{story}: {why}");
            let (report, _) = house.run_with(Mode::Resume, |options| from(that, options));
            assert!(report.failure().is_none(), "{story}: {:?}", report.failure());
            assert!(plain(&house).is_ok_and(|report| !report.wrote), "{story}");
        },
    );
    assert!(report.failure().is_none(), "{:?}", report.failure());
    assert!(between > 0, "none of {boundaries} was between the two");
    first.was_shown_its_own_alone();
    second.was_shown_its_own_alone();
}

#[test]
fn a_run_from_elsewhere_that_fails_first_leaves_what_the_mirror_wants_to_see() {
    let house = House::new();
    let file = "etc/aami/secrets/mirror-credential";
    let mirror = Guarded::new(&house, CANARY);
    let url = mirror.mirror.mirror.url.clone();
    let (report, _) = house.run_with(Mode::Fresh, |options| {
        only_from(options, &url, mirror.credential())
    });
    assert!(report.failure().is_none(), "{:?}", report.failure());
    // Given a run from a folder that the look at the machine keeps from beginning,
    assert!(house.take_back_former().is_none());
    let (report, _) = house.run_with(Mode::Fresh, |options| {
        options.look_first = Box::new(|| Looked {
            errors: vec![(code::DISK_FULL, "no room is left".to_owned())],
            ..Looked::default()
        });
    });
    assert!(report.failure().is_some(), "{:?}", report.steps);
    assert!(house.take_back_credential().is_none());
    // when the server is installed once more as it was, then what the mirror wants to see is still there.
    assert!(house.exists(file));
    let report = plain(&house).unwrap();
    assert!(
        report.failure().is_none() && !report.wrote,
        "{:?}",
        report.executed
    );
    mirror.was_shown_its_own_alone();
    // With a run from the folder that does begin, it goes.
    house.install();
    assert!(house.take_back_credential().is_some());
    assert!(!house.exists(file));
}

#[test]
fn what_a_mirror_wants_to_see_stays_with_the_data_and_goes_with_it() {
    let house = House::new();
    let before = house.picture();
    let file = "etc/aami/secrets/mirror-credential";
    let mirror = Guarded::new(&house, CANARY);
    let url = mirror.mirror.mirror.url.clone();
    let install = || {
        let from = |options: &mut StackOptions| only_from(options, &url, mirror.credential());
        let (report, _) = house.run_with(Mode::Fresh, from);
        assert!(report.failure().is_none(), "{:?}", report.failure());
    };
    install();
    // Given a server that was taken back without its data,
    let taken = house.uninstall(false);
    // then what its mirror wants to see is named among what stays, and is the only secret of it;
    assert!(taken.stays.contains(&format!("/{file}")), "{:?}", taken.stays);
    let secrets = std::fs::read_dir(house.real("etc/aami/secrets")).unwrap();
    assert_eq!(secrets.count(), 1);
    // and when it is installed again by what is noted, nothing has to be named.
    let report = plain(&house).unwrap();
    assert!(report.failure().is_none(), "{:?}", report.failure());
    mirror.was_shown_its_own_alone();
    // Moved elsewhere, it goes all the same,
    house.install();
    let former = (house.take_back_credential()).expect("the mirror is asked no more");
    assert_eq!(
        (former.undone.len(), former.left),
        (1, Vec::new()),
        "what the data keeps is another's no more"
    );
    assert!(!house.exists(file));
    // and with the data, at once or later.
    install();
    house.uninstall(true);
    house.picture().must_be(&before, "purged at once");
    install();
    house.uninstall(false);
    house.uninstall(true);
    house.picture().must_be(&before, "left, then purged");
}

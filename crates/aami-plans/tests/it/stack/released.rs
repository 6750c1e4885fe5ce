//! What agents are updated from, handed out under its version.

use std::collections::BTreeMap;
use std::path::Path;

use aami_install::Mode;
use aami_plans::download::sum_of;
use aami_plans::stack::Released;

use super::house::House;

/// The files of a release as the control plane serves them, with what they hold here.
const FILES: [(&str, &str); 3] = [
    ("0.1.0/SHA256SUMS", "a list\n"),
    ("0.1.0/SHA256SUMS.minisig", "a signature\n"),
    ("0.1.0/amd64/aami-agent", "an agent"),
];

/// A release in `folder`.
fn release(folder: &Path) -> BTreeMap<String, Released> {
    let file = |(name, text): (&str, &str)| {
        let path = folder.join(name.replace('/', "-"));
        std::fs::write(&path, text).unwrap();
        let sum = sum_of(&path).unwrap();
        let from = Some(path);
        (name.to_owned(), Released { from, sum })
    };
    FILES.into_iter().map(file).collect()
}

/// The same, as a run has it that names no release.
fn as_placed(released: &BTreeMap<String, Released>) -> BTreeMap<String, Released> {
    let file = |(name, file): (&String, &Released)| {
        let (from, sum) = (None, file.sum);
        (name.clone(), Released { from, sum })
    };
    released.iter().map(file).collect()
}

#[test]
fn agents_can_be_updated_to_the_release_that_a_server_was_installed_from() {
    let house = House::new();
    let before = house.picture();
    let folder = tempfile::tempdir().unwrap();
    let run = |mode, released: &BTreeMap<String, Released>| {
        house.run_with(mode, |options| options.released = released.clone())
    };
    let place = |name: &str| format!("var/lib/aami/server/dist/{name}");
    // Given a release that is named,
    let named = release(folder.path());
    // when a server is installed from it, then its list, its signature and its agents lie where nodes ask for them,
    let (report, missing) = run(Mode::Fresh, &named);
    assert!(report.failure().is_none() && missing.is_empty(), "{missing:?}");
    for (name, text) in FILES {
        assert_eq!(house.read(&place(name)), text, "{name}");
    }
    // and a run that names it no more, and could not find it, has nothing to do.
    drop(folder);
    let nameless = as_placed(&named);
    let (again, missing) = run(Mode::Fresh, &nameless);
    assert!(
        !again.wrote && missing.is_empty(),
        "{:?} {missing:?}",
        again.executed
    );
    assert!(house.status().is_healthy());

    // Given one of them was changed, then status says so,
    let list = place(FILES[0].0);
    house.write(&list, "another list\n");
    assert!(!house.status().is_healthy());
    // a repair that does not name the release says that it lacks it, and all else goes on,
    let (report, missing) = run(Mode::Repair, &nameless);
    assert!(report.failure().is_none(), "{:?}", report.failure());
    assert_eq!(missing, ["release"]);
    // and one that does mends it.
    let folder = tempfile::tempdir().unwrap();
    let (_, missing) = run(Mode::Repair, &release(folder.path()));
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(house.read(&list), FILES[0].1);
    assert!(house.status().is_healthy());

    // Taken back with the data, nothing of it is left.
    house.uninstall(true);
    house.picture().must_be(&before, "uninstalled");
}

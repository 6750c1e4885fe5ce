//! A folder placed whole from an archive: it appears at once, is mended thing by thing, and goes as it came.

use std::os::unix::fs::symlink;
use std::sync::Arc;

use aami_install::checkpoint::Act;
use aami_install::doubles::{CutOff, at_each_moment};
use aami_install::effect::{PlaceTree, Placement, UnitState};
use aami_install::{Content, Digest, Effect, Mark, Mode, Owner, Plan};
use aami_model::code;
use tar::{EntryType, Header};

use crate::house::{House, path};
use crate::mending::{Drift, mode, owner, remove, story};
use crate::plan::{Mirror, Wants};

const TREE: &str = "opt/aami/grafana-1";

/// What lies in the first archive, and in one that came later under the same version.
const FIRST: &[(&str, &str, u32)] = &[
    ("bin/grafana", "\x7fELF a grafana", 0o755),
    ("bin/server", "-> grafana", 0),
    ("conf/defaults.ini", "[paths]\n", 0o664),
    ("public/app.js", "pages", 0o600),
    ("public/old.js", "older pages", 0o644),
];
const SECOND: &[(&str, &str, u32)] = &[
    ("bin/grafana", "\x7fELF a grafana, mended", 0o755),
    ("bin/server", "-> ../bin/grafana", 0),
    ("conf/defaults.ini", "[paths]\n", 0o644),
    ("public/app.js", "pages", 0o644),
    ("public/new/app.js", "newer pages", 0o644),
];

/// An archive of these below the folder `grafana`.
fn archive(things: &[(&str, &str, u32)]) -> Vec<u8> {
    let gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gz);
    for (name, text, mode) in things {
        let mut header = Header::new_gnu();
        let name = format!("grafana/{name}");
        if let Some(target) = text.strip_prefix("-> ") {
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            // As hostile as it stands.
            header.set_link_name_literal(target).unwrap();
            header.set_path(&name).unwrap();
            header.set_cksum();
            tar.append(&header, std::io::empty()).unwrap();
        } else {
            header.set_mode(*mode);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, &name, text.as_bytes()).unwrap();
        }
    }
    tar.into_inner().unwrap().finish().unwrap()
}

const UNIT: &str =
    "[Service]\nExecStart=/opt/aami/grafana-1/bin/grafana\n[Install]\nWantedBy=multi-user.target\n";

/// A folder, a tree in it, a link to its program, and a unit that runs from there.
pub(crate) fn plan() -> Plan {
    plan_of(FIRST)
}

fn plan_of(things: &[(&str, &str, u32)]) -> Plan {
    let archive = archive(things);
    let pinned = Digest::of(&archive);
    plan_from(archive.leak(), pinned)
}

fn plan_from(archive: &'static [u8], pinned: Digest) -> Plan {
    let step = Wants::step("grafana", &[], move || {
        let root = || Some(Owner::root());
        let tree = path("/opt/aami/grafana-1");
        let origin = format!("grafana 1, sha256 {pinned}");
        let content = Content::fetched(origin, Some(pinned), Arc::new(Mirror(archive)));
        let unit = path("/etc/systemd/system/grafana.service");
        let file = Placement::new(unit.clone(), Content::bytes(UNIT), 0o644, root());
        let inputs = [
            unit,
            tree.join("bin/grafana").unwrap(),
            tree.join("conf/defaults.ini").unwrap(),
        ];
        vec![
            Effect::directory(path("/opt/aami"), 0o755, root()),
            Effect::PlaceTree(PlaceTree::new(tree, content, "grafana", root())),
            Effect::link(path("/usr/local/bin/grafana"), "/opt/aami/grafana-1/bin/grafana"),
            Effect::WriteFile(file.marked(Mark::Hash)),
            Effect::UnitState(UnitState::up("grafana.service", inputs)),
        ]
    });
    Plan::new("stack", "Stack", vec![step]).unwrap()
}

fn below(name: &str) -> String {
    format!("{TREE}/{name}")
}

#[test]
fn a_tree_is_placed_whole_once_and_goes_as_it_came() {
    let house = House::new();
    let before = house.picture();
    house.install(&plan());
    assert_eq!(house.read(&below("public/app.js")), "pages");
    let modes = [
        ("bin/grafana", 0o755),
        ("conf/defaults.ini", 0o644),
        ("public/app.js", 0o644),
        ("public", 0o755),
    ];
    for (name, mode) in modes {
        use std::os::unix::fs::PermissionsExt as _;
        let found = house.real(&below(name)).metadata().unwrap().permissions().mode();
        assert_eq!(
            found & 0o7777,
            mode,
            "{name}: archives choose no modes but whether a file is a program"
        );
    }
    assert_eq!(
        std::fs::read_link(house.real(&below("bin/server")))
            .unwrap()
            .to_str(),
        Some("grafana")
    );
    let again = house.install(&plan());
    assert!(!again.wrote && again.executed.is_empty(), "{:?}", again.executed);
    let report = house.uninstall(&plan());
    assert_eq!((report.kept, report.left), (Vec::new(), Vec::new()));
    house.picture().must_be(&before, "installed, then uninstalled");
}

#[test]
fn many_files_cost_no_more_syncs_than_few() {
    let names: Vec<String> = (0..300).map(|n| format!("public/{n}.js")).collect();
    let things: Vec<_> = names.iter().map(|name| (name.as_str(), "x", 0o644)).collect();
    let mut all = FIRST.to_vec();
    all.extend(things);
    let syncs = |plan: &Plan| {
        let (house, watch) = (House::new(), Arc::new(CutOff::never()));
        house.run(plan, Some(watch.clone())).unwrap();
        let undone = Arc::new(CutOff::never());
        house.undo(plan, Some(undone.clone())).unwrap();
        let count = |watch: &CutOff| watch.passed().iter().filter(|(act, _)| *act == Act::Sync).count();
        (count(&watch), count(&undone))
    };
    assert_eq!(syncs(&plan_of(&all)), syncs(&plan()));
}

const DRIFTS: &[(Drift, Option<&str>)] = &[
    (
        Drift {
            name: "a page deleted",
            breaks: |house| remove(house, &below("public/app.js")),
            told: &[("/opt/aami/grafana-1", "public/app.js: missing")],
        },
        None,
    ),
    (
        Drift {
            name: "a folder deleted",
            breaks: |house| std::fs::remove_dir_all(house.real(&below("public"))).unwrap(),
            told: &[("/opt/aami/grafana-1", "public: missing, and 2 more")],
        },
        None,
    ),
    (
        Drift {
            name: "all of it deleted",
            breaks: |house| std::fs::remove_dir_all(house.real(TREE)).unwrap(),
            told: &[("/opt/aami/grafana-1", "missing")],
        },
        None,
    ),
    (
        Drift {
            name: "a program of another mode",
            breaks: |house| mode(house, &below("bin/grafana"), 0o600),
            told: &[("/opt/aami/grafana-1", "bin/grafana: mode 0600")],
        },
        None,
    ),
    (
        Drift {
            name: "a folder of another mode",
            breaks: |house| mode(house, &below("public"), 0o777),
            told: &[("/opt/aami/grafana-1", "public: mode 0777")],
        },
        None,
    ),
    (
        Drift {
            name: "the tree's own folder of another mode",
            breaks: |house| mode(house, TREE, 0o777),
            told: &[("/opt/aami/grafana-1", "mode 0777")],
        },
        None,
    ),
    (
        Drift {
            name: "a file of another owner",
            breaks: |house| owner(house, &below("conf/defaults.ini")),
            told: &[("/opt/aami/grafana-1", "conf/defaults.ini: mode 0644, owner 65534")],
        },
        None,
    ),
    (
        Drift {
            name: "a link deleted",
            breaks: |house| remove(house, &below("bin/server")),
            told: &[("/opt/aami/grafana-1", "bin/server: missing")],
        },
        None,
    ),
    (
        Drift {
            name: "the list deleted",
            breaks: |house| remove(house, &below(".aami-tree")),
            told: &[("/opt/aami/grafana-1", "its list .aami-tree is missing")],
        },
        None,
    ),
    (
        Drift {
            name: "the list open to all",
            breaks: |house| mode(house, &below(".aami-tree"), 0o666),
            told: &[("/opt/aami/grafana-1", ".aami-tree: mode 0666")],
        },
        None,
    ),
    (
        Drift {
            name: "the list edited",
            breaks: |house| house.write(&below(".aami-tree"), "d ../../etc\n", 0o644),
            told: &[(
                "/opt/aami/grafana-1",
                "its list .aami-tree is missing or was changed",
            )],
        },
        Some("opt/aami/grafana-1/.aami-tree.aami-kept"),
    ),
    (
        Drift {
            name: "a configuration edited",
            breaks: |house| house.write(&below("conf/defaults.ini"), "[mine]\n", 0o644),
            told: &[("/opt/aami/grafana-1", "conf/defaults.ini: holds something else")],
        },
        Some("opt/aami/grafana-1/conf/defaults.ini.aami-kept"),
    ),
    (
        Drift {
            name: "a link pointed elsewhere",
            breaks: |house| {
                remove(house, &below("bin/server"));
                symlink("/opt/mine", house.real(&below("bin/server"))).unwrap();
            },
            told: &[("/opt/aami/grafana-1", "bin/server: is a link to /opt/mine")],
        },
        Some("opt/aami/grafana-1/bin/server.aami-kept"),
    ),
    (
        Drift {
            name: "a folder that became a link to somebody's",
            breaks: |house| {
                std::fs::remove_dir_all(house.real(&below("public"))).unwrap();
                symlink(house.real("etc"), house.real(&below("public"))).unwrap();
            },
            told: &[("/opt/aami/grafana-1", "public: is a link to")],
        },
        Some("opt/aami/grafana-1/public.aami-kept"),
    ),
];

#[test]
fn everything_a_tree_has_is_named_and_mended() {
    for (drift, kept) in DRIFTS {
        if drift.name.contains("owner") && !rustix::process::geteuid().is_root() {
            continue;
        }
        let house = House::new();
        story(drift, &house, &plan(), *kept);
    }
}

#[test]
fn uninstalling_keeps_what_was_changed_and_leaves_what_others_put_there() {
    let house = House::new();
    let before = house.picture();
    house.install(&plan());
    // Given an edit, a link in the place of a folder, and a file of somebody's,
    house.write(&below("conf/defaults.ini"), "[mine]\n", 0o644);
    house.write(&below("bin/plugin"), "theirs", 0o755);
    let theirs = house.real("usr/share");
    std::fs::create_dir_all(theirs.join("public")).unwrap();
    std::fs::rename(house.real(&below("public")), theirs.join("public/moved")).unwrap();
    symlink(theirs.join("public/moved"), house.real(&below("public"))).unwrap();
    // when the plan is taken back,
    let report = house.uninstall(&plan());
    // then the edit and the link lie beside, the file where it was, and behind the link nothing was touched.
    let mut kept: Vec<_> = report.kept.iter().map(ToString::to_string).collect();
    kept.sort();
    assert_eq!(
        kept,
        [
            format!("/{TREE}/conf/defaults.ini.aami-kept"),
            format!("/{TREE}/public.aami-kept")
        ]
    );
    assert_eq!(house.read(&below("conf/defaults.ini.aami-kept")), "[mine]\n");
    assert_eq!(house.read(&below("bin/plugin")), "theirs");
    assert_eq!(
        std::fs::read_to_string(theirs.join("public/moved/app.js")).unwrap(),
        "pages"
    );
    assert!(!house.exists(&below("bin/grafana")) && !house.exists(&below(".aami-tree")));
    std::fs::remove_dir_all(theirs).unwrap();
    std::fs::remove_dir_all(house.real("opt/aami")).unwrap();
    house
        .picture()
        .must_be(&before, "with what was kept and left removed");
}

#[test]
fn another_archive_under_the_same_name_takes_its_place_whenever_it_is_cut_off() {
    let (first, second) = (plan(), plan_of(SECOND));
    let fresh = House::new();
    let before = fresh.picture();
    fresh.install(&second);
    let wanted = fresh.picture();
    let whole = || {
        let house = House::new();
        house.install(&first);
        house
    };
    let house = whole();
    let mut boundaries = 0;
    at_each_moment(
        |watch| house.run(&second, Some(watch)).unwrap(),
        |at, act, subject| {
            boundaries += 1;
            for continues in [true, false] {
                let house = house.copy();
                let told = format!("killed at {at} {:?}, continued: {continues}", (act, subject));
                if continues {
                    house.install(&second);
                    house.picture().must_be(&wanted, &told);
                }
                let report = house.uninstall(&second);
                assert_eq!((report.kept, report.left), (Vec::new(), Vec::new()), "{told}");
                house.picture().must_be(&before, &told);
            }
        },
    );
    assert!(boundaries > 30, "only {boundaries}");
}

#[test]
fn a_repair_killed_anywhere_is_continued_or_taken_back() {
    let whole = || {
        let house = House::new();
        house.install(&plan());
        house
    };
    let (before, wanted) = (House::new().picture(), whole().picture());
    let broken = || {
        let house = whole();
        std::fs::remove_dir_all(house.real(&below("public"))).unwrap();
        remove(&house, &below(".aami-tree"));
        mode(&house, &below("bin/grafana"), 0o600);
        house
    };
    let house = broken();
    at_each_moment(
        |watch| house.run_as(&plan(), Mode::Repair, Some(watch)).unwrap(),
        |at, act, subject| {
            for continues in [true, false] {
                let house = house.copy();
                let told = format!("killed at {at} {:?}, continued: {continues}", (act, subject));
                if continues {
                    let report = house.run_as(&plan(), Mode::Repair, None).unwrap();
                    assert_eq!(report.failure(), None, "{told}");
                    house.picture().must_be(&wanted, &told);
                } else {
                    let report = house.uninstall(&plan());
                    assert_eq!((report.kept, report.left), (Vec::new(), Vec::new()), "{told}");
                    house.picture().must_be(&before, &told);
                }
            }
        },
    );
    house.picture().must_be(&wanted, "looked at while it was mended");
}

#[test]
fn of_a_hostile_or_wrong_archive_nothing_is_placed() {
    let good = archive(FIRST);
    for (archive, pinned, wanted) in [
        (
            archive(&[("a", "x", 0o644), ("b", "-> ../../etc", 0)]),
            None,
            code::EXTRACTION_REFUSED,
        ),
        (b"<html>sign in</html>".to_vec(), None, code::NOT_A_PROGRAM),
        (good[..good.len() - 9].to_vec(), None, code::NOT_A_PROGRAM),
        (good, Some(Digest::of(b"another")), code::CHECKSUM_MISMATCH),
    ] {
        let house = House::new();
        let before = house.picture();
        let pinned = pinned.unwrap_or_else(|| Digest::of(&archive));
        let plan = plan_from(archive.leak(), pinned);
        let report = house.run(&plan, None).unwrap();
        let (code, why) = report.failure().unwrap();
        assert_eq!(code, wanted, "{why}");
        assert!(!house.exists("opt/aami"), "something was begun: {why}");
        house.uninstall(&plan);
        house.picture().must_be(&before, &why);
    }
}

#[test]
fn somebody_elses_folder_is_not_taken_over() {
    let house = House::new();
    house.folder(TREE, 0o700);
    house.write(&below("mine"), "precious", 0o600);
    let before = house.picture();
    let report = house.run(&plan(), None).unwrap();
    let (_, sentence) = report.failure().unwrap();
    assert!(
        sentence.contains("/opt/aami/grafana-1 is somebody else's folder"),
        "{sentence}"
    );
    house.uninstall(&plan());
    house.picture().must_be(&before, "refused");
}

#[test]
fn without_its_receipt_a_tree_is_known_by_its_mark() {
    let house = House::new();
    house.install(&plan());
    let wanted = house.picture();
    std::fs::remove_dir_all(house.real("var/lib/aami")).unwrap();
    // A repair finds it again, and mends it,
    remove(&house, &below("public/app.js"));
    let report = house.run_as(&plan(), Mode::Repair, None).unwrap();
    assert_eq!(report.failure(), None);
    house.picture().must_be(&wanted, "repaired without a receipt");
    // and so does an uninstall.
    std::fs::remove_dir_all(house.real("var/lib/aami")).unwrap();
    let report = house.uninstall(&plan());
    assert!(!house.exists(TREE), "{report:?}");
    assert!(report.kept.is_empty(), "{report:?}");
    // The lists of trees are no originals that would have to stay.
    assert!(
        !report.left.iter().any(|why| why.contains("originals")),
        "{report:?}"
    );
}

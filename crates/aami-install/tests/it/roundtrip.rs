//! Whatever effects are put together, in whatever order, on whatever was there before: uninstalling
//! brings back what was.

use std::os::unix::fs::PermissionsExt;

use aami_install::effect::{CreateGroup, CreateUser};
use aami_install::{Content, Effect, Owner, Plan};
use proptest::prelude::*;

use crate::house::{House, path};
use crate::plan::Wants;

/// Something to bring about, on one of a few names so that they meet.
#[derive(Debug, Clone)]
enum Change {
    File(u8, String, u32),
    Link(u8, String),
    Folder(u8, u32),
    User(u8),
}

/// Something that was there before.
#[derive(Debug, Clone)]
enum There {
    File(u8, String, u32),
    Link(u8, String),
    Folder(u8, u32),
}

fn mode() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0o600, 0o640, 0o644, 0o700, 0o755, 0o1777])
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..4u8, "[ab]{0,3}", mode()).prop_map(|(n, text, mode)| Change::File(n, text, mode)),
        (0..4u8, "[ab]{1,3}").prop_map(|(n, target)| Change::Link(n, target)),
        (4..7u8, mode()).prop_map(|(n, mode)| Change::Folder(n, mode | 0o700)),
        (0..2u8).prop_map(Change::User),
    ]
}

fn there() -> impl Strategy<Value = There> {
    prop_oneof![
        (0..4u8, "[ab]{0,3}", mode()).prop_map(|(n, text, mode)| There::File(n, text, mode)),
        (0..4u8, "[ab]{1,3}").prop_map(|(n, target)| There::Link(n, target)),
        (4..7u8, mode()).prop_map(|(n, mode)| There::Folder(n, mode | 0o700)),
    ]
}

fn effects(change: &Change) -> Vec<Effect> {
    match change {
        Change::File(n, text, mode) => {
            vec![Effect::file(
                path(&format!("/opt/f{n}")),
                Content::bytes(text),
                *mode,
                Some(Owner::root()),
            )]
        }
        Change::Link(n, target) => vec![Effect::link(path(&format!("/opt/f{n}")), target)],
        Change::Folder(n, mode) => vec![Effect::directory(path(&format!("/opt/f{n}")), *mode, None)],
        Change::User(n) => vec![
            Effect::CreateGroup(CreateGroup::system(format!("u{n}"))),
            Effect::CreateUser(CreateUser::system(
                format!("u{n}"),
                format!("u{n}"),
                path("/"),
                path("/bin/false"),
            )),
        ],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn uninstalling_brings_back_what_was(
        there in prop::collection::vec(there(), 0..5),
        runs in prop::collection::vec(prop::collection::vec(change(), 1..5), 1..4),
    ) {
        let house = House::new();
        for there in there {
            match there {
                There::File(n, text, mode) => {
                    let _ = std::fs::remove_file(house.real(&format!("opt/f{n}")));
                    house.write(&format!("opt/f{n}"), &text, mode);
                }
                There::Link(n, target) => {
                    let _ = std::fs::remove_file(house.real(&format!("opt/f{n}")));
                    std::os::unix::fs::symlink(target, house.real(&format!("opt/f{n}"))).unwrap();
                }
                There::Folder(n, mode) => {
                    house.folder(&format!("opt/f{n}"), mode);
                    std::fs::set_permissions(house.real(&format!("opt/f{n}")), PermissionsExt::from_mode(mode)).unwrap();
                }
            }
        }
        let before = house.picture();
        for run in &runs {
            // One step for each change: a later one may change what an earlier one made.
            let ids = ["s0", "s1", "s2", "s3"];
            let steps = run.iter().zip(ids).map(|(change, id)| {
                let change = change.clone();
                Wants::step(id, &[], move || effects(&change))
            });
            let plan = Plan::new("random", "Random", steps.collect()).unwrap();
            house.install(&plan);
        }
        let none = Plan::new("random", "Random", Vec::new()).unwrap();
        let report = house.uninstall(&none);
        prop_assert!(report.kept.is_empty() && report.left.is_empty(), "{report:?}");
        let difference = house.picture().difference(&before);
        prop_assert!(difference.is_empty(), "{difference:#?}");
    }
}

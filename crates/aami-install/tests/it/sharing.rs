//! Two plans on one host share things; each can go without the other noticing.

use aami_install::effect::{CreateGroup, CreateUser};
use aami_install::receipt::Before;
use aami_install::{Content, Effect, Owner, Plan};

use crate::house::{House, path};
use crate::plan::Wants;

/// A plan that replaces the operator's file, makes a folder, a user, and a file of its own.
fn plan(name: &'static str, content: &'static str) -> Plan {
    let own = Some(Owner::root());
    let step = Wants::step("all", &[], move || {
        vec![
            Effect::CreateGroup(CreateGroup::system("aami")),
            Effect::CreateUser(CreateUser::system(
                "aami",
                "aami",
                path("/nonexistent"),
                path("/bin/false"),
            )),
            Effect::directory(path("/etc/aami"), 0o755, own.clone()),
            Effect::file(
                path("/etc/default/node_exporter"),
                Content::bytes(content),
                0o644,
                own.clone(),
            ),
            Effect::file(
                path(&format!("/etc/aami/{name}")),
                Content::bytes(name),
                0o644,
                own.clone(),
            ),
        ]
    });
    Plan::new(name, name, vec![step]).unwrap()
}

#[test]
fn whichever_goes_first_the_last_one_restores_the_original() {
    for (contents, first) in [(["A", "A"], 0), (["A", "A"], 1), (["A", "B"], 0), (["A", "B"], 1)] {
        let story = format!("{contents:?}, plan {first} goes first");
        let house = House::new();
        let before = house.picture();
        let plans = [plan("one", contents[0]), plan("two", contents[1])];
        house.install(&plans[0]);
        let second = house.install(&plans[1]);
        assert!(second.executed.len() <= 2, "{story}: {:?}", second.executed);
        let shared = |receipt: aami_install::receipt::Receipt| {
            receipt
                .effects
                .iter()
                .filter(|record| matches!(record.before, Before::Shared { .. }))
                .count()
        };
        assert_eq!(
            (shared(house.receipt("one")), shared(house.receipt("two"))),
            (0, 4),
            "{story}"
        );
        // When one goes, what the other names stays,
        let report = house.uninstall(&plans[first]);
        assert_eq!(report.left.len(), 4, "{story}: {:?}", report.left);
        assert_eq!(house.read("etc/default/node_exporter"), contents[1], "{story}");
        assert!(house.read("etc/passwd").contains("aami:"), "{story}");
        assert_eq!(
            house.install(&plans[1 - first]).executed.is_empty(),
            contents[0] == contents[1] || first == 0,
            "{story}"
        );
        // and when the other goes too, nothing of either is left.
        let report = house.uninstall(&plans[1 - first]);
        assert_eq!((report.left, report.kept), (vec![], vec![]), "{story}");
        house.picture().must_be(&before, &story);
    }
}

#[test]
fn an_unreadable_receipt_of_another_plan_stops_before_anything_is_changed() {
    let house = House::new();
    house.install(&plan("one", "A"));
    house.write("var/lib/aami/install/default/one/receipt.json", "{", 0o600);
    let before = house.picture();
    let error = house.run(&plan("two", "A"), None).unwrap_err();
    assert_eq!(error.code(), aami_model::code::RECEIPT_UNREADABLE);
    assert!(
        error
            .to_string()
            .contains("/var/lib/aami/install/default/one/receipt.json"),
        "{error}"
    );
    house.picture().must_be(&before, "refused");
}

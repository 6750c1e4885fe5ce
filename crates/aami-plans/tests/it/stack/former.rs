//! Servers that an earlier version installed.

use aami_install::{Content, Effect, Owner, Plan, Step, StepError, Survey};
use aami_plans::stack::NAME;

use super::house::{House, path};

/// Writes rules beside an operator's, as earlier versions did.
struct WroteRules;

impl Step for WroteRules {
    fn id(&self) -> &str {
        "configure"
    }

    fn title(&self) -> String {
        "Configuring environment".to_owned()
    }

    fn desired(&self, _: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        let rules = |name: &str| {
            let path = path(&format!("/etc/aami/rules/{name}"));
            Effect::file(path, Content::bytes("groups: []\n"), 0o644, Some(Owner::root()))
        };
        let folder = |text: &str| Effect::directory(path(text), 0o755, Some(Owner::root()));
        Ok(vec![
            folder("/etc/aami"),
            folder("/etc/aami/rules"),
            rules("aami-agents.yaml"),
            rules("aami-installation.yaml"),
        ])
    }
}

#[test]
fn rules_of_an_earlier_version_go_and_an_operators_stay() {
    // Given a server on which an earlier version wrote rules, beside an operator's own,
    let house = House::new();
    house.run_earlier(&Plan::new(NAME, "AAMI Server Installation", vec![Box::new(WroteRules)]).unwrap());
    for (name, text) in [
        ("mine.yaml", "groups: []\n"),
        ("aami-deliveries.yaml", "groups: []\n"),
    ] {
        house.write(&format!("etc/aami/rules/{name}"), text);
    }
    // when what is former is taken back and the server is installed,
    let report = house.take_back_former().unwrap();
    assert_eq!(report.undone.len(), 2, "{report:?}");
    house.install();
    // then the rules that were written are gone, and what nobody of us wrote is there.
    for (name, is_there) in [
        ("aami-agents.yaml", false),
        ("aami-installation.yaml", false),
        ("aami-deliveries.yaml", true),
        ("mine.yaml", true),
    ] {
        assert_eq!(
            house.exists(&format!("etc/aami/rules/{name}")),
            is_there,
            "{name}"
        );
    }
    // A server that has none is not touched.
    let picture = house.picture();
    assert!(house.take_back_former().is_none());
    house.picture().must_be(&picture, "nothing former");
}

#[test]
fn nobody_comes_in_between_what_goes_and_what_is_installed() {
    // Given a server with rules of an earlier version,
    let house = House::new();
    house.run_earlier(&Plan::new(NAME, "AAMI Server Installation", vec![Box::new(WroteRules)]).unwrap());
    // when it is installed, then from what goes first to what goes last nobody else gets at it.
    assert_eq!(house.install_at_one_go(), 0);
    assert!(!house.exists("etc/aami/rules/aami-agents.yaml"));
}

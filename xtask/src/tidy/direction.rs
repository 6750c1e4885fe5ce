//! Dependencies point one way, and only the store knows a database.

use super::Breach;
use crate::house::{Dependency, House, Package};

/// What only knows the nouns; these never import each other.
const SECOND_LAYER: &[&str] = &[
    "aami-api",
    "aami-config",
    "aami-store",
    "aami-inventory",
    "aami-xid",
    "aami-monitor",
    "aami-install",
];

/// What is built from all of those; these never import each other either.
const FOURTH_LAYER: &[&str] = &["aami-server", "aami-region", "aami-ssh"];

/// The agent takes these and nothing else of ours: it has to stay small.
const AGENT_TAKES: &[&str] = &[
    "aami-model",
    "aami-api",
    "aami-inventory",
    "aami-xid",
    "aami-install",
    "aami-plans",
];

/// Features of `aami-plans` the agent may ask for.
const AGENT_PLANS: &[&str] = &["node", "provision", "telemetry"];

/// Database drivers: `aami-store` alone may name them.
const DATABASES: &[&str] = &[
    "rusqlite",
    "libsqlite3-sys",
    "etcd-client",
    "postgres",
    "tokio-postgres",
    "sqlx",
    "diesel",
    "redis",
];

pub(super) fn check(house: &House) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in &house.packages {
        let manifest = format!("{}/Cargo.toml", package.folder);
        if !is_known(&package.name) {
            breaches.push(Breach::new(
                &manifest,
                format!(
                    "{} has no place in the house; give it one in xtask/src/tidy/direction.rs",
                    package.name
                ),
            ));
        }
        for dependency in &package.dependencies {
            if let Some(what) = wrong(house, package, dependency) {
                breaches.push(Breach::new(&manifest, what));
            }
        }
    }
    breaches
}

fn wrong(house: &House, package: &Package, dependency: &Dependency) -> Option<String> {
    let (from, to) = (package.name.as_str(), dependency.name.as_str());
    if DATABASES.contains(&to) && from != "aami-store" && !dependency.dev {
        return Some(format!(
            "{from} depends on {to}, but only aami-store knows a database"
        ));
    }
    if !house.packages.iter().any(|ours| ours.name == to) {
        return None;
    }
    if !may(from, to, dependency.dev) {
        return Some(format!("{from} must not depend on {to}"));
    }
    if from == "aami-agent" && to == "aami-plans" && !dependency.dev {
        let extra = dependency
            .features
            .iter()
            .find(|name| !AGENT_PLANS.contains(&name.as_str()));
        if let Some(extra) = extra {
            return Some(format!(
                "aami-agent takes the plans {AGENT_PLANS:?}, not {extra:?}"
            ));
        }
    }
    None
}

fn is_known(name: &str) -> bool {
    matches!(
        name,
        "aami-model" | "aami-plans" | "aami" | "aami-agent" | "rig" | "xtask"
    ) || SECOND_LAYER.contains(&name)
        || FOURTH_LAYER.contains(&name)
}

/// Whether the package `from` may depend on the package `to`, both ours.
fn may(from: &str, to: &str, dev: bool) -> bool {
    // A package's tests may ask for its own features, and for the rig.
    if to == "rig" || to == from {
        return dev;
    }
    match from {
        "rig" | "xtask" => to != "xtask",
        "aami" => !matches!(to, "aami-agent" | "xtask"),
        "aami-agent" => AGENT_TAKES.contains(&to),
        "aami-plans" => to == "aami-model" || SECOND_LAYER.contains(&to),
        _ if FOURTH_LAYER.contains(&from) => {
            matches!(to, "aami-model" | "aami-plans") || SECOND_LAYER.contains(&to)
        }
        _ if SECOND_LAYER.contains(&from) => to == "aami-model",
        // The nouns know nobody; what has no place yet gets nothing.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::model_house::package;
    use super::*;

    fn breaches(packages: Vec<Package>) -> Vec<String> {
        let house = House {
            packages,
            ..House::default()
        };
        check(&house).into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn arrows_that_point_down_are_kept() {
        let kept = breaches(vec![
            package("aami-model", "crates/aami-model", &["serde"]),
            package(
                "aami-store",
                "crates/aami-store",
                &["aami-model", "rusqlite", "etcd-client"],
            ),
            package("aami-api", "crates/aami-api", &["aami-model"]),
            package("aami-plans", "crates/aami-plans", &["aami-model", "aami-api"]),
            package(
                "aami-server",
                "crates/aami-server",
                &["aami-api", "aami-store", "aami-plans"],
            ),
            package("aami-agent", "crates/aami-agent", &["aami-api", "aami-plans"]),
            package(
                "aami",
                "crates/aami",
                &["aami-server", "aami-store", "aami-model"],
            ),
            package("rig", "rig", &["aami-model", "aami-server"]),
        ]);
        assert!(kept.is_empty(), "{kept:?}");
    }

    #[test]
    fn arrows_that_point_up_or_sideways_are_breaches() {
        let wrong = [
            ("aami-model", "aami-api"),
            ("aami-api", "aami-store"),
            ("aami-install", "aami-plans"),
            ("aami-plans", "aami-server"),
            ("aami-server", "aami-region"),
            ("aami-server", "aami"),
            ("aami-agent", "aami-server"),
            ("aami-agent", "aami-store"),
            ("aami-agent", "aami-monitor"),
            ("aami", "xtask"),
            ("aami-model", "rig"),
        ];
        for (from, to) in wrong {
            let found = breaches(vec![
                package(from, "crates/a", &[to]),
                package(to, "crates/b", &[]),
            ]);
            assert_eq!(
                found,
                [format!("{from} must not depend on {to}")],
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn tests_may_use_the_rig_and_features_of_their_own() {
        let mut store = package("aami-store", "crates/aami-store", &["rig", "aami-store"]);
        for dependency in &mut store.dependencies {
            dependency.dev = true;
        }
        assert!(breaches(vec![store, package("rig", "rig", &[])]).is_empty());
    }

    #[test]
    fn a_database_outside_the_store_is_a_breach() {
        let found = breaches(vec![package("aami-server", "crates/aami-server", &["rusqlite"])]);
        assert_eq!(
            found,
            ["aami-server depends on rusqlite, but only aami-store knows a database"]
        );
    }

    #[test]
    fn the_agent_does_not_take_the_stack() {
        let mut agent = package("aami-agent", "crates/aami-agent", &["aami-plans"]);
        agent.dependencies[0].features = vec!["node".to_owned(), "stack".to_owned()];
        let found = breaches(vec![agent, package("aami-plans", "crates/aami-plans", &[])]);
        assert_eq!(
            found,
            [r#"aami-agent takes the plans ["node", "provision", "telemetry"], not "stack""#]
        );
    }

    #[test]
    fn a_package_without_a_place_is_a_breach() {
        let found = breaches(vec![package("aami-extras", "crates/aami-extras", &[])]);
        assert!(found[0].starts_with("aami-extras has no place"), "{found:?}");
    }
}

//! What counts among several, and what is worst.

use std::collections::BTreeMap;

use super::*;

fn target(address: &str, labels: &[(&str, &str)]) -> LoadedTarget {
    let map = |all: &[(&str, &str)]| -> BTreeMap<String, String> {
        (all.iter())
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    LoadedTarget {
        discovered_labels: map(&[("__address__", address)]),
        labels: map(labels),
        ..LoadedTarget::default()
    }
}

#[test]
fn among_those_at_its_address_the_target_is_the_one_that_rules_find() {
    let all = [
        target(
            "10.0.0.1:9100",
            &[("job", "infra"), ("instance", "10.0.0.1:9100")],
        ),
        target("10.0.0.1:9100", &[("job", "infra"), ("node", "gpu-01")]),
        target(
            "10.0.0.1:9100",
            &[("job", "node"), ("node", "gpu-01"), ("instance", "gpu-01")],
        ),
    ];
    let found = |all| own(all, "10.0.0.1:9100", "gpu-01", "node");
    assert_eq!(found(&all[..]).unwrap().label("instance"), "gpu-01");
    assert_eq!(found(&all[..2]).unwrap().label("node"), "gpu-01");
    assert_eq!(found(&all[..1]).unwrap().label("job"), "infra");
    assert!(own(&all, "10.0.0.2:9100", "gpu-01", "node").is_none());
}

#[test]
fn what_is_broken_is_not_hidden_by_what_will_be_seen_soon() {
    let link = |standing| Link::new(Hop::Target, standing, "a sentence");
    let of = |all: &[Standing]| worst(all.iter().map(|one| link(*one))).standing;
    assert_eq!(of(&[Standing::Pending, Standing::Broken]), Standing::Broken);
    assert_eq!(of(&[Standing::Pending, Standing::Ok]), Standing::Pending);
    assert_eq!(of(&[Standing::Ok]), Standing::Ok);
}

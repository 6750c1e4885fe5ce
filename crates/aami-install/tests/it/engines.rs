//! Taking packages back takes no data along: container engines, and packages whose scripts do more than they say.

use aami_install::doubles::Repository;
use aami_install::effect::PackageSet;
use aami_install::{Effect, Plan};

use crate::house::House;
use crate::plan::Wants;
use crate::toolshed::{SHEDS, repository};

fn docker() -> Plan {
    let step = Wants::step("packages", &[], || {
        vec![Effect::PackageSet(PackageSet::new("docker.io", ["docker.io"]))]
    });
    Plan::new("fix", "fix", vec![step]).unwrap()
}

/// A host where docker.io was installed by us; what it needs comes with it.
fn installed() -> House {
    let house = SHEDS[0].house();
    let mut packages = repository().packages;
    packages.insert("docker.io".to_owned(), vec!["containerd".to_owned()]);
    packages.insert("containerd".to_owned(), Vec::new());
    let repository = Repository {
        packages,
        ..Repository::default()
    };
    repository.set(&house.memory());
    house.install(&docker());
    // As docker.io of Debian 12 has it.
    house.folder("var/lib/dpkg/info", 0o755);
    house.write(
        "var/lib/dpkg/info/docker.io.postrm",
        "purge)\n\t/usr/share/docker.io/contrib/nuke-graph-directory.sh /var/lib/docker\n;;\n",
        0o755,
    );
    house
}

#[test]
fn an_engine_that_holds_volumes_stays_with_all_it_needs() {
    // Given an engine of ours with somebody's volume,
    let house = installed();
    house.folder("var/lib/docker/volumes/models", 0o755);
    house.write("var/lib/docker/volumes/models/weights", "months of work", 0o644);
    // when it is taken back,
    let report = house.uninstall(&docker());
    // then it is still there, and what it needs, and that is said.
    let left = report.left.join("\n");
    assert!(
        left.contains("docker.io stays, because /var/lib/docker holds"),
        "{left}"
    );
    for name in ["docker.io", "containerd"] {
        assert!(house.exists(&format!("usr/bin/{name}")), "{name}: {left}");
    }
    assert_eq!(
        house.read("var/lib/docker/volumes/models/weights"),
        "months of work"
    );
}

#[test]
fn what_purging_would_take_along_is_only_removed() {
    // Given an engine of ours that holds nothing yet, whose script would erase its data when it is purged,
    let house = installed();
    // when it is taken back,
    let report = house.uninstall(&docker());
    // then its programs go and its configuration stays, and that is said; what came with it goes whole.
    let left = report.left.join("\n");
    assert!(
        left.contains("docker.io is removed and its configuration stays"),
        "{left}"
    );
    assert!(!house.exists("usr/bin/docker.io"));
    assert!(house.exists("etc/docker.io.conf"), "purged all the same");
    assert!(!house.exists("etc/containerd.conf"), "{left}");
}

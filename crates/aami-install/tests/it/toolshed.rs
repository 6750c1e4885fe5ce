//! Hosts with a package manager, a firewall and a container engine, and a plan that uses all three.

use std::collections::BTreeMap;

use aami_install::doubles::Repository;
use aami_install::effect::{ContainerProject, FirewallRule, PackageSet, Placement, UnitState};
use aami_install::{Content, Effect, HostPath, Mark, Owner, Plan};

use crate::house::{House, path};
use crate::plan::Wants;

/// What a host has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shed {
    /// `apt-get` or `dnf`.
    pub(crate) packages: &'static str,
    /// `firewalld`, `ufw`, `nft`, or none.
    pub(crate) firewall: &'static str,
}

/// Every firewall and both families of package managers.
pub(crate) const SHEDS: [Shed; 4] = [
    Shed {
        packages: "apt-get",
        firewall: "firewalld",
    },
    Shed {
        packages: "dnf",
        firewall: "ufw",
    },
    Shed {
        packages: "apt-get",
        firewall: "nft",
    },
    Shed {
        packages: "dnf",
        firewall: "none",
    },
];

/// What `/etc/nftables.conf` holds, and what of it is loaded.
const NFTABLES: &str = "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n";
const RULESET: &str = r#"{"nftables":[{"table":{"family":"inet","name":"filter"}},{"chain":{"family":"inet","hook":"input","name":"input","policy":"drop","table":"filter","type":"filter"}}]}"#;

/// The compose file of the plan.
pub(crate) const COMPOSE: &str =
    "services:\n  prometheus:\n    image: prometheus\n  grafana:\n    image: grafana\nvolumes:\n  data:\n";

impl Shed {
    pub(crate) fn house(self) -> House {
        let house = House::new();
        let dpkg: &[&str] = &["apt-get", "dpkg", "dpkg-query"];
        let rpm: &[&str] = &["dnf", "rpm"];
        for program in if self.packages == "dnf" { rpm } else { dpkg } {
            house.write(&format!("usr/bin/{program}"), "", 0o755);
        }
        repository().set(&house.memory());
        house.write("usr/bin/docker", "", 0o755);
        match self.firewall {
            "firewalld" => {
                house.write("usr/bin/firewall-cmd", "", 0o755);
                house.folder("etc/firewalld/zones", 0o755);
                house.write("etc/firewalld/zones/public.xml", "port=22/tcp\n", 0o644);
                std::fs::write(house.memory().join("firewalld"), "port=22/tcp\n").unwrap();
            }
            "ufw" => {
                house.write("usr/sbin/ufw", "", 0o755);
                house.folder("etc/ufw", 0o755);
                house.write("etc/ufw/ufw.conf", "ENABLED=yes\n", 0o644);
                house.write("etc/ufw/user.rules", "22/tcp comment 'ssh'\n", 0o640);
            }
            "nft" => {
                house.write("usr/sbin/nft", "", 0o755);
                house.write("etc/nftables.conf", NFTABLES, 0o755);
                std::fs::write(house.memory().join("nft.json"), RULESET).unwrap();
            }
            _ => {}
        }
        house
    }
}

/// `jq` with a library of its own, `smartmontools`, and `curl`, which shares a library with `jq`.
pub(crate) fn repository() -> Repository {
    let packages = [
        ("jq", vec!["libjq1", "libonig5"]),
        ("libjq1", vec!["libonig5"]),
        ("libonig5", vec![]),
        ("smartmontools", vec![]),
        ("curl", vec!["libonig5"]),
    ];
    let own = |(name, needs): (&str, Vec<&str>)| {
        (
            name.to_owned(),
            needs.into_iter().map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    Repository {
        packages: packages.into_iter().map(own).collect::<BTreeMap<_, _>>(),
        ..Repository::default()
    }
}

/// Packages, an open port for everybody and one for a network, a timer, a compose project with its files.
pub(crate) fn plan() -> Plan {
    plan_of(COMPOSE)
}

pub(crate) fn plan_of(compose: &'static str) -> Plan {
    let root = || Some(Owner::root());
    let file = || path("/opt/aami/stack/compose.yaml");
    let env = || path("/opt/aami/stack/.env");
    let steps = vec![
        Wants::step("packages", &[], || {
            vec![Effect::PackageSet(PackageSet::new(
                "prerequisites",
                ["jq", "smartmontools"],
            ))]
        }),
        Wants::step("firewall", &[], || {
            vec![
                Effect::FirewallRule(FirewallRule::tcp(9100)),
                Effect::FirewallRule(FirewallRule::tcp(9105).from("10.0.0.0/8")),
            ]
        }),
        Wants::step("timer", &[], move || {
            let (service, timer) = (
                path("/etc/systemd/system/aami-check.service"),
                path("/etc/systemd/system/aami-check.timer"),
            );
            let unit = |path: &HostPath, text: &'static str| {
                let content = Content::bytes(text);
                Effect::WriteFile(
                    Placement::new(path.clone(), content, 0o644, Some(Owner::root())).marked(Mark::Hash),
                )
            };
            vec![
                unit(&service, "[Service]\nType=oneshot\nExecStart=/usr/bin/jq\n"),
                unit(
                    &timer,
                    "[Timer]\nOnCalendar=minutely\n[Install]\nWantedBy=timers.target\n",
                ),
                Effect::UnitState(UnitState::up("aami-check.timer", [timer])),
            ]
        }),
        Wants::step("stack", &["packages"], move || {
            let project = ContainerProject::new("aami", file())
                .env_file(env())
                .owning_volumes();
            vec![
                Effect::directory(path("/opt/aami"), 0o755, root()),
                Effect::directory(path("/opt/aami/stack"), 0o750, root()),
                Effect::WriteFile(
                    Placement::new(file(), Content::bytes(compose), 0o640, root()).marked(Mark::Hash),
                ),
                Effect::WriteFile(
                    Placement::new(env(), Content::bytes("SECRET=hunter2\n"), 0o600, root())
                        .marked(Mark::Hash),
                ),
                Effect::ContainerProject(project),
            ]
        }),
    ];
    Plan::new("stack", "AAMI Stack", steps).unwrap()
}

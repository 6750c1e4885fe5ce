//! What a file fleet knows of a node: what is declared of it, what was installed on it, and what Prometheus is told.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use aami_api::discovery::TargetGroup;
use aami_config::Config;
use aami_model::code;
use aami_model::exporter::Exporter;
use aami_plans::rules::UNIT;

use super::FileFleet;
use super::targets::{self, Noted};
use crate::cli::failure::Failure;
use crate::cli::labels;
use crate::fleet::diagnose::{Asked, Hop, Link, Listed, Meaning, Subject, Watcher, look_up};
use crate::fleet::engines::Engine;
use crate::fleet::{Fleet as _, Member, monitor};

/// The longest list that is read.
const LONGEST: u64 = 256 * 1024 * 1024;

pub(super) fn subject(fleet: &FileFleet, name: &str, asked: &Asked) -> Result<Subject, Failure> {
    let settings = fleet.read()?;
    let config = settings.config();
    let name = name.to_ascii_lowercase();
    let noted = targets::noted(&fleet.place, config);
    let member = member(config, &name, noted.as_ref().ok());
    let path = fleet.place.config.display().to_string();
    let declared = declared(member.as_ref(), &name, &path, asked);
    let (installed, exporters) = installed(member.as_ref(), noted.as_ref(), config);
    let address = member.as_ref().map(|member| member.address);
    let listed = (exporters.iter())
        .map(|exporter| listed(fleet, address, exporter))
        .collect();
    let mut expected = member
        .as_ref()
        .map_or_else(BTreeMap::new, |member| member.labels.0.clone());
    expected.insert("cluster".to_owned(), config.cluster.name.clone());
    let own = Engine::here(config.prometheus.port);
    Ok(Subject {
        fleet: fleet.name(),
        declared,
        installed,
        exporters,
        labels: expected,
        listed,
        watcher: Ok(Watcher {
            prometheus: (asked.prometheus.as_deref()).map_or(own, Engine::at),
            interval: config.prometheus.scrape_interval.duration(),
            unit: (asked.prometheus.is_none() && fleet.place.is_system()).then_some(UNIT),
            finds_by: monitor::TARGETS.to_owned(),
        }),
        rules: monitor::rules(config).map_err(|failure| failure.to_string()),
        elsewhere: None,
        unasked: None,
        readdress: format!("sudoedit {path}"),
        node: name,
        member,
    })
}

/// The node as it is declared, or this machine itself, which is listed without being declared.
fn member(config: &Config, name: &str, noted: Option<&Noted>) -> Option<Member> {
    if let Some(node) = config.node(name) {
        return Some(Member::of(&config.login(node), &node.labels));
    }
    let (here, _) = noted?.here.as_ref()?;
    (here.as_str() == name).then(|| Member {
        name: name.to_owned(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: config.ssh.port,
        user: config.ssh.user.clone(),
        key: None,
        jump: None,
        labels: aami_model::label::Labels::default(),
        id: None,
    })
}

fn declared(member: Option<&Member>, name: &str, path: &str, asked: &Asked) -> Link {
    let Some(member) = member else {
        let address = match look_up(name, asked.limits.connect) {
            Meaning::Addresses(found) => found.first().map(ToString::to_string),
            Meaning::Nothing(_) | Meaning::Silence => None,
        };
        let address = address.unwrap_or_else(|| "ADDRESS".to_owned());
        return Link::broken(
            Hop::Declared,
            code::NOT_FOUND,
            format!("no node is called {name}"),
        )
        .seen("it stands nowhere in it", path)
        .next(format!("aami nodes add {} --ip {address}", aami_ssh::quote(name)));
    };
    let link = Link::ok(
        Hop::Declared,
        format!("{} is declared with {}", member.name, member.address),
    );
    let own = labels::shown(&member.labels);
    let own = if own.is_empty() {
        "no labels".to_owned()
    } else {
        own
    };
    link.seen(format!("{}, {own}", member.address), path)
}

fn installed(
    member: Option<&Member>,
    noted: Result<&Noted, &Failure>,
    config: &Config,
) -> (Link, Vec<Exporter>) {
    let Some(member) = member else {
        return (Link::skipped(Hop::Installed, "nothing is declared"), Vec::new());
    };
    let install = format!("aami nodes install {}", member.name);
    let noted = match noted {
        Ok(noted) => noted,
        Err(failure) => {
            let coded = failure.code().unwrap_or(code::FLEET_INVALID);
            let link = Link::broken(Hop::Installed, coded, failure.to_string()).next("aami diff");
            return (link, Vec::new());
        }
    };
    let path = noted.path.display().to_string();
    let here = noted
        .here
        .as_ref()
        .filter(|(name, _)| name.as_str() == member.name && config.node(&member.name).is_none());
    let exporters = (noted.nodes.get(&member.name)).or(here.map(|(_, exporters)| exporters));
    let enabled: Vec<Exporter> = (exporters.into_iter().flatten())
        .filter(|exporter| exporter.enabled && exporter.check().is_ok())
        .cloned()
        .collect();
    if enabled.is_empty() {
        let sentence = format!("nothing was installed on {} from here", member.name);
        let link = Link::broken(Hop::Installed, code::NODE_NOT_INSTALLED, sentence)
            .seen("no exporter of it is noted", path)
            .next(install);
        return (link, Vec::new());
    }
    let names: Vec<String> = (enabled.iter())
        .map(|exporter| format!("{} on port {}", exporter.kind.job(), exporter.port))
        .collect();
    let link = Link::ok(Hop::Installed, "exporters were installed").seen(names.join(", "), path);
    (link, enabled)
}

/// Whether an exporter stands in the list of its kind, as it is on the disk.
fn listed(fleet: &FileFleet, address: Option<IpAddr>, exporter: &Exporter) -> Listed {
    let path = targets::list_of(&fleet.place, exporter.kind);
    let shown = path.display().to_string();
    let Some(address) = address else {
        return Listed::Unknown("its address is not known".to_owned());
    };
    let target = SocketAddr::new(address.to_canonical(), exporter.port).to_string();
    match read(&path) {
        Ok(Some(groups)) if groups.iter().any(|group| group.targets.contains(&target)) => {
            let changed = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
            Listed::Yes(shown, changed.and_then(|at| at.elapsed().ok()))
        }
        Ok(_) => Listed::No(shown),
        Err(error) => Listed::Unknown(format!("{shown}: {error}")),
    }
}

fn read(path: &Path) -> std::io::Result<Option<Vec<TargetGroup>>> {
    use std::io::Read as _;

    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let groups = serde_json::from_reader(std::io::BufReader::new(file.take(LONGEST)))?;
    Ok(Some(groups))
}

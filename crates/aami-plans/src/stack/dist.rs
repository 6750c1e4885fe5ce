//! What the control plane hands out to nodes: agents, the exporter's archive, and a catalogue of it.

use std::fmt::Write as _;
use std::sync::Arc;

use aami_install::{Content, Host, StepError};
use aami_inventory::Arch;
use aami_model::code;

use super::fetch;
use super::session::{AGENT, Session};
use crate::components::{Archive, Build, Checksum, Component, Kind};

/// The agent for a processor: a file of this machine, else the component of that name.
pub(crate) fn agent(session: &Arc<Session>, host: &Host, arch: Arch) -> Result<Content, StepError> {
    if let Some(agent) = session.agent(arch)? {
        return Ok(agent);
    }
    let (component, build) = session.component(AGENT, arch)?;
    if component.archive != Archive::None {
        let message = format!("{AGENT} must be offered as the program itself, not in an archive");
        return Err(StepError::new(code::CATALOGUE_INVALID, message));
    }
    Ok(fetch::whole(session, host, (&component, &build), arch))
}

/// A catalogue of one component for one processor, as `components/catalogue.toml` is written, so that nodes
/// take exactly what lies beside it.
pub(crate) fn catalogue(component: &Component, build: &Build, arch: Arch) -> String {
    let text = |text: &str| toml::Value::from(text).to_string();
    let kind = match component.kind {
        Kind::Exporter => "exporter",
        Kind::Server => "server",
        Kind::Tool => "tool",
    };
    let archive = match component.archive {
        Archive::TarGz => "tar.gz",
        Archive::None => "none",
    };
    let mut out = format!(
        "format = 1\n\n[[component]]\nname = {}\nversion = {}\nkind = \"{kind}\"\nlicense = {}\nports = {:?}\n\
         archive = \"{archive}\"\n\n[component.build.{}]\nfile = {}\n",
        text(&component.name),
        text(&component.version),
        text(&component.license),
        component.ports,
        arch.name(),
        text(&build.file),
    );
    let _ = match &build.checksum {
        Checksum::Pinned(sum) => writeln!(out, "sha256 = \"{sum}\""),
        Checksum::Published(list) => writeln!(out, "checksums_url = {}", text(list)),
    };
    if let Some(url) = &build.url {
        let _ = writeln!(out, "url = {}", text(url));
    }
    let programs: Vec<String> = build
        .programs
        .iter()
        .map(|(name, path)| format!("{name} = {}", text(path)))
        .collect();
    let _ = writeln!(out, "programs = {{ {} }}", programs.join(", "));
    if let Some(tree) = &build.tree {
        let _ = writeln!(out, "tree = {}", text(tree));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::Catalogue;

    #[test]
    fn what_is_written_is_read_as_the_same_component() {
        let built_in = Catalogue::embedded().unwrap();
        for arch in Arch::ALL {
            let (component, build) = built_in.build("node_exporter", arch).unwrap();
            let text = catalogue(component, build, arch);
            let read = Catalogue::parse(&text, "written").unwrap();
            let (again, same) = read.build("node_exporter", arch).unwrap();
            assert_eq!(
                (&again.version, &again.ports),
                (&component.version, &component.ports)
            );
            assert_eq!(same, build);
        }
    }
}

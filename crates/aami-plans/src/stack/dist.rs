//! What the control plane hands out to nodes: agents, the exporter's archive, and a catalogue of it.

use std::sync::Arc;

use aami_install::{Content, Host, StepError};
use aami_inventory::Arch;
use aami_model::code;

use super::fetch;
use super::session::{AGENT, Session};
use crate::components::{Archive, Build, Catalogue, Component};

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

/// A catalogue of one component for one processor, so that nodes take exactly what lies beside it.
pub(crate) fn catalogue(component: &Component, build: &Build, arch: Arch) -> String {
    let builds = [(arch, build.clone())].into();
    let only = Component {
        builds,
        ..component.clone()
    };
    Catalogue::of([only]).text()
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! What is carried to nodes: the agent for their processor and, where they are not to fetch them, exporters.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use aami_inventory::Arch;
use aami_inventory::elf::built_for;
use aami_model::code;
use aami_plans::components::{Catalogue, Kind};
use aami_plans::node::PUSHED;

use crate::cli::failure::Failure;
use crate::cli::offline::Unpacked;
use crate::cli::trusted;

/// Where the agent lies on a node after it was carried there.
pub(super) const AGENT: &str = "/var/lib/aami/push/aami-agent";
/// What names the components of a folder.
const CATALOGUE: &str = "components.toml";

/// What is carried.
#[derive(Debug, Clone, Default)]
pub(super) struct Load {
    agents: Vec<(Arch, PathBuf)>,
    /// The folder of components, where they are carried.
    components: Option<Components>,
}

#[derive(Debug, Clone)]
struct Components {
    folder: PathBuf,
    catalogue: Catalogue,
}

/// A file to carry: where it lies here and there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) here: PathBuf,
    pub(super) there: String,
}

impl Load {
    /// Finds it: agents that are named, of the bundle, or beside this program. One that somebody else could have put
    /// there is refused: every node would run it as root.
    pub(super) fn find(
        named: &[PathBuf],
        components: Option<&Path>,
        unpacked: Option<&Unpacked>,
    ) -> Result<Self, Failure> {
        let mut agents = Vec::new();
        for path in named {
            let arch = built_for(path).ok_or_else(|| {
                let what = format!("--agent {} is no program for Linux", path.display());
                Failure::found(code::NOT_A_PROGRAM, what)
            })?;
            agents.push((arch, path.clone()));
        }
        if let Some(unpacked) = unpacked {
            agents.extend(unpacked.placed().agents());
        }
        if named.is_empty() && unpacked.is_none() {
            agents.extend(beside()?);
        }
        if agents.is_empty() {
            return Err(Failure::found(
                code::AGENT_NOT_HERE,
                "no agent lies beside this program, and none was named",
            ));
        }
        let folder = unpacked.map(|unpacked| unpacked.placed().components());
        let folder = folder.or_else(|| components.map(Path::to_owned));
        Ok(Self {
            agents,
            components: folder.map(Components::of).transpose()?,
        })
    }

    /// The agent for a processor.
    pub(super) fn agent(&self, arch: Arch) -> Option<Item> {
        let (_, path) = self.agents.iter().find(|(of, _)| *of == arch)?;
        Some(Item {
            here: path.clone(),
            there: AGENT.to_owned(),
        })
    }

    /// The exporters for a processor with what names them; nothing where nodes fetch them.
    pub(super) fn components(&self, arch: Arch) -> Vec<Item> {
        self.components
            .as_ref()
            .map_or_else(Vec::new, |all| all.items(arch))
    }

    /// The folder on a node they lie in then.
    pub(super) fn components_there(&self) -> Option<String> {
        self.components.as_ref().map(|_| format!("{PUSHED}/components"))
    }
}

impl Components {
    fn of(folder: PathBuf) -> Result<Self, Failure> {
        let path = folder.join(CATALOGUE);
        let text = fs::read_to_string(&path).map_err(|source| Failure::File {
            path: path.clone(),
            doing: "read",
            source,
        })?;
        let catalogue = Catalogue::parse(&text, &path.display().to_string())
            .map_err(|error| Failure::found(error.code(), error.to_string()))?;
        Ok(Self { folder, catalogue })
    }

    fn items(&self, arch: Arch) -> Vec<Item> {
        let there = format!("{PUSHED}/components");
        let mut items = vec![Item {
            here: self.folder.join(CATALOGUE),
            there: format!("{there}/{CATALOGUE}"),
        }];
        for component in self
            .catalogue
            .components()
            .filter(|one| one.kind == Kind::Exporter)
        {
            let Some(build) = component.builds.get(&arch) else {
                continue;
            };
            let places = [
                self.folder.join(&build.file),
                self.folder.join(arch.name()).join(&build.file),
            ];
            items.extend(places.into_iter().find(|place| place.is_file()).map(|here| Item {
                here,
                there: format!("{there}/{}", build.file),
            }));
        }
        items
    }
}

/// For people.
impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let agents: Vec<String> = (self.agents.iter())
            .map(|(arch, path)| format!("{} ({})", path.display(), arch.name()))
            .collect();
        f.write_str(&agents.join(", "))?;
        match &self.components {
            Some(components) => write!(f, "; exporters of {}", components.folder.display()),
            None => Ok(()),
        }
    }
}

/// Agents beside this program: `aami-agent`, and `ARCH/aami-agent` as a release has them.
fn beside() -> Result<Vec<(Arch, PathBuf)>, Failure> {
    let program = std::env::current_exe().map_err(Failure::Runtime)?;
    let Some(folder) = program.parent() else {
        return Ok(Vec::new());
    };
    let in_folders = Arch::ALL
        .iter()
        .map(|arch| folder.join(arch.name()).join("aami-agent"));
    let mut agents: Vec<(Arch, PathBuf)> = Vec::new();
    for place in in_folders.chain([folder.join("aami-agent")]) {
        if let Some(arch) = built_for(&place)
            && !agents.iter().any(|(known, _)| *known == arch)
        {
            trusted::check(&place)?;
            agents.push((arch, place));
        }
    }
    Ok(agents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exporters_are_carried_with_what_names_them_and_servers_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let sum = "a".repeat(64);
        let component = |name: &str, kind: &str| {
            format!(
                "[[component]]\nname = \"{name}\"\nversion = \"1.0.0\"\nkind = \"{kind}\"\nlicense = \"MIT\"\n\
                 archive = \"tar.gz\"\n[component.build.amd64]\nfile = \"{name}.tar.gz\"\nsha256 = \"{sum}\"\n\
                 programs = {{ {name} = \"{name}\" }}\n"
            )
        };
        let text = format!(
            "format = 1\n{}{}{}",
            component("node_exporter", "exporter"),
            component("dcgm_exporter", "exporter"),
            component("prometheus", "server")
        );
        fs::write(folder.path().join(CATALOGUE), text).unwrap();
        for file in ["amd64/node_exporter.tar.gz", "prometheus.tar.gz"] {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let components = Components::of(folder.path().to_owned()).unwrap();
        let there: Vec<String> = components
            .items(Arch::Amd64)
            .into_iter()
            .map(|item| item.there)
            .collect();
        assert_eq!(
            there,
            [
                "/var/lib/aami/push/components/components.toml",
                "/var/lib/aami/push/components/node_exporter.tar.gz"
            ]
        );
        assert_eq!(components.items(Arch::Arm64).len(), 1);
    }

    #[test]
    fn what_is_no_program_is_not_carried() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("aami-agent");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        let failure = Load::find(&[file], None, None).unwrap_err();
        assert_eq!(failure.code(), Some(code::NOT_A_PROGRAM));
    }

    #[test]
    fn an_agent_for_the_processor_it_was_built_for() {
        let itself = std::env::current_exe().unwrap();
        let arch = built_for(&itself).unwrap();
        let load = Load::find(std::slice::from_ref(&itself), None, None).unwrap();
        assert_eq!(load.agent(arch).unwrap().here, itself);
        let other = Arch::ALL.into_iter().find(|other| *other != arch).unwrap();
        assert_eq!(load.agent(other), None);
    }
}

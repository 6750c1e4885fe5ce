//! What other machines download from this control plane: agents that were built, and the exporters in
//! the component cache. So another node enrols without any other source.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Places;
use crate::cli::failure::Failure;
use crate::cli::secret::{make_folder, written};

const AGENT: &str = "aami-agent";

/// Copies what is there and not in the data folder yet.
pub(super) fn fill(places: &Places) -> Result<(), Failure> {
    let dist = places.data.join("dist");
    for (arch, agent) in agents(places) {
        put(&agent, &dist.join(&arch).join(AGENT))?;
        for file in exporters(&places.components, &arch) {
            if let Some(name) = file.file_name() {
                put(&file, &dist.join(&arch).join(name))?;
            }
        }
    }
    Ok(())
}

/// Whether a machine with this processor finds an agent here.
pub(super) fn offers_agent(places: &Places) -> bool {
    fs::read_dir(places.data.join("dist")).is_ok_and(|folders| {
        folders
            .flatten()
            .any(|folder| folder.path().join(AGENT).is_file())
    })
}

/// Agents by processor: `make agent` leaves them in `dist/ARCH` beside the folder of this program.
fn agents(places: &Places) -> Vec<(String, PathBuf)> {
    let Some(built) = places
        .itself
        .parent()
        .and_then(Path::parent)
        .map(|target| target.join("dist"))
    else {
        return Vec::new();
    };
    ["amd64", "arm64"]
        .into_iter()
        .map(|arch| (arch.to_owned(), built.join(arch).join(AGENT)))
        .filter(|(_, agent)| agent.is_file())
        .collect()
}

/// The exporters' archives for a processor, and the catalogue that knows their checksums.
fn exporters(components: &Path, arch: &str) -> Vec<PathBuf> {
    let Ok(files) = fs::read_dir(components) else {
        return Vec::new();
    };
    files
        .flatten()
        .map(|file| file.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name == "components.toml" || (name.starts_with("node_exporter-") && name.contains(arch))
        })
        .collect()
}

/// Copies a file whole, unless the same stands there: by length and time of change.
fn put(from: &Path, to: &Path) -> Result<(), Failure> {
    let known = |path: &Path| -> io::Result<_> {
        let metadata = fs::metadata(path)?;
        Ok((metadata.len(), metadata.modified()?))
    };
    let same = matches!((known(from), known(to)), (Ok((len, changed)), Ok((there, copied))) if len == there && copied >= changed);
    if same {
        return Ok(());
    }
    let copy = || -> io::Result<()> {
        make_folder(to.parent().unwrap_or(Path::new("/")))?;
        let draft = to.with_extension("new");
        fs::copy(from, &draft)?;
        fs::rename(&draft, to)
    };
    copy().map_err(written(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_file_replaces_the_copy_and_nothing_half_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (
            folder.path().join("agent"),
            folder.path().join("dist/amd64/agent"),
        );
        fs::write(&from, "one").unwrap();
        put(&from, &to).unwrap();
        fs::write(&from, "two!").unwrap();
        put(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "two!");
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
    }
}

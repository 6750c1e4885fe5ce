//! Where the operator's configuration lies, and what it says.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aami_config::{Config, Environment, FileState, Problems, Read};
use aami_model::code;

use crate::cli::failure::Failure;
use crate::cli::surroundings::Surroundings;

/// The longest configuration that is read: some 100,000 nodes with labels.
const LONGEST: u64 = 64 * 1024 * 1024;

/// Where things of this machine lie, and what the environment says that the configuration may name.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The folder that stands for `/`.
    pub(crate) root: PathBuf,
    /// The configuration.
    pub(crate) config: PathBuf,
    /// What the environment said.
    pub(crate) surroundings: Surroundings,
}

/// A configuration as it was read, with the bytes it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// What it says.
    pub(crate) read: Read,
    /// The file as it is, for changing it.
    pub(crate) bytes: Vec<u8>,
}

impl Settings {
    /// What it says.
    pub(crate) const fn config(&self) -> &Config {
        &self.read.config
    }
}

impl Place {
    /// Everything below `root`; the configuration at its usual place unless it is named.
    pub(crate) fn new(root: Option<&Path>, config: Option<&Path>, surroundings: &Surroundings) -> Self {
        let root = root.unwrap_or_else(|| Path::new("/")).to_owned();
        let config = match config {
            Some(named) => named.to_owned(),
            None => below(&root, aami_config::USUAL_PATH),
        };
        Self {
            root,
            config,
            surroundings: surroundings.clone(),
        }
    }

    /// Whether `/` itself is meant.
    pub(crate) fn is_system(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where an absolute path lies.
    pub(crate) fn path(&self, absolute: impl AsRef<Path>) -> PathBuf {
        below(&self.root, absolute)
    }

    /// Where an absolute path of the configuration lies, or none where no such file is.
    pub(crate) fn read(&self) -> Result<Option<Settings>, Failure> {
        let bytes = match read_bounded(&self.config) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(Failure::File {
                    path: self.config.clone(),
                    doing: "read",
                    source,
                });
            }
        };
        self.parse(bytes).map(Some)
    }

    /// What these bytes say, as the configuration of this place.
    pub(crate) fn parse(&self, bytes: Vec<u8>) -> Result<Settings, Failure> {
        let read = self
            .with_environment(|environment| aami_config::read(&bytes, environment))
            .map_err(|problems| invalid(&self.config, &problems))?;
        Ok(Settings { read, bytes })
    }

    /// What holds where nothing is written: for SSH to nodes that a control plane keeps.
    pub(crate) fn usual(&self) -> Result<Settings, Failure> {
        self.parse(b"cluster:\n  name: default\n".to_vec())
    }

    /// Calls `use_it` with the world around a configuration.
    pub(crate) fn with_environment<T>(&self, use_it: impl FnOnce(&Environment<'_>) -> T) -> T {
        let variables = |name: &str| self.surroundings.variables.get(name).cloned();
        let presets: Vec<&str> = aami_monitor::presets::all()
            .iter()
            .map(|preset| preset.id)
            .collect();
        use_it(&Environment {
            variables: &variables,
            home: self.surroundings.home.as_deref(),
            files: &state,
            presets: Some(&presets),
        })
    }
}

/// The configuration has problems, each of which is told.
pub(crate) fn invalid(path: &Path, problems: &Problems) -> Failure {
    let mut places: Vec<String> = problems.list().iter().map(ToString::to_string).collect();
    let count = places.len() + problems.left_out();
    if problems.left_out() > 0 {
        places.push(format!("and {} more", problems.left_out()));
    }
    Failure::Listed {
        code: code::FLEET_INVALID,
        sentence: match count {
            1 => format!("{} has a problem", path.display()),
            _ => format!("{} has {count} problems", path.display()),
        },
        places,
    }
}

/// `absolute` below `root`.
fn below(root: &Path, absolute: impl AsRef<Path>) -> PathBuf {
    let absolute = absolute.as_ref();
    root.join(absolute.strip_prefix("/").unwrap_or(absolute))
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    let file = fs::File::open(path)?;
    file.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is longer than {LONGEST} bytes"),
        ));
    }
    Ok(bytes)
}

/// What is known of a file that the configuration names.
fn state(path: &Path) -> FileState {
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => FileState::NotAFile,
        Ok(_) => match fs::File::open(path) {
            Ok(_) => FileState::Readable,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => FileState::Forbidden,
            Err(_) => FileState::Unknown,
        },
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => FileState::Missing,
            io::ErrorKind::PermissionDenied => FileState::Forbidden,
            _ => FileState::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_lies_below_the_root_that_is_named() {
        let place = Place::new(Some(Path::new("/srv/image")), None, &Surroundings::default());
        assert_eq!(place.config, Path::new("/srv/image/etc/aami/config.yaml"));
        assert_eq!(
            place.path("/var/lib/aami/targets"),
            Path::new("/srv/image/var/lib/aami/targets")
        );
        let place = Place::new(None, Some(Path::new("mine.yaml")), &Surroundings::default());
        assert_eq!(place.config, Path::new("mine.yaml"));
        assert!(place.is_system());
    }

    #[test]
    fn a_broken_file_names_every_problem() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        fs::write(&file, "cluster:\n  nam: x\nnodes:\n  - name: a\n    ip: 1.2.3\n").unwrap();
        let place = Place::new(None, Some(&file), &Surroundings::default());
        let failure = place.read().unwrap_err();
        assert_eq!(failure.code(), Some(code::FLEET_INVALID));
        let places = failure.places().join("\n");
        assert!(places.contains("line 2") && places.contains("line 5"), "{places}");
    }

    #[test]
    fn a_file_that_is_not_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::new(Some(folder.path()), None, &Surroundings::default());
        assert!(place.read().unwrap().is_none());
    }
}

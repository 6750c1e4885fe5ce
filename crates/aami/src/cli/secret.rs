//! Secrets are shown only to a person, once; otherwise they go to a file only their owner can read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aami_model::code;
use clap::Args;

use super::failure::Failure;
use super::screen::Screen;
use super::surroundings::Surroundings;

#[derive(Debug, Args)]
pub(crate) struct Secrecy {
    /// Show the secret itself although no person reads standard output
    #[arg(long)]
    pub(crate) show_secret: bool,
    /// Save the secret here, readable by you alone; an existing file is never overwritten
    #[arg(long, value_name = "FILE")]
    pub(crate) save_to: Option<PathBuf>,
}

impl Secrecy {
    /// Whether the secret itself is shown.
    pub(crate) const fn shown(&self, screen: &Screen) -> bool {
        self.show_secret
            || (self.save_to.is_none() && screen.on_terminal() && !screen.format().is_for_programs())
    }

    /// Where it will be saved, if it will: as asked, or in this user's state folder as `KIND/ID`. Called
    /// before the secret is made, so that none is made that cannot be kept.
    pub(crate) fn place(
        &self,
        screen: &Screen,
        surroundings: &Surroundings,
        kind: &str,
    ) -> Result<Option<Place>, Failure> {
        if self.save_to.is_none() && self.shown(screen) {
            return Ok(None);
        }
        self.kept(surroundings, kind).map(Some)
    }

    /// The same for what is no use on a screen: a file in every case.
    pub(crate) fn kept(&self, surroundings: &Surroundings, kind: &str) -> Result<Place, Failure> {
        if let Some(path) = &self.save_to {
            let file = create(path).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => is_there(path),
                _ => written(path)(error),
            })?;
            return Ok(Place::File(Reserved {
                path: path.clone(),
                file,
                used: false,
            }));
        }
        let folder = folder(surroundings, kind)?;
        make_folder(&folder).map_err(written(&folder))?;
        Ok(Place::Folder(folder))
    }

    /// Where [`Self::place`] would save it, as words for the end of a sentence; makes nothing, and fails where that
    /// would fail for a reason that can be seen.
    pub(crate) fn would_place(
        &self,
        screen: &Screen,
        surroundings: &Surroundings,
        kind: &str,
    ) -> Result<String, Failure> {
        if self.save_to.is_none() && self.shown(screen) {
            return Ok("shown".to_owned());
        }
        self.would_keep(surroundings, kind)
    }

    /// The same for [`Self::kept`].
    pub(crate) fn would_keep(&self, surroundings: &Surroundings, kind: &str) -> Result<String, Failure> {
        let Some(path) = &self.save_to else {
            return Ok(format!("saved below {}", folder(surroundings, kind)?.display()));
        };
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        match path.symlink_metadata() {
            Ok(_) => return Err(is_there(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(written(path)(error)),
        }
        rustix::fs::access(parent, rustix::fs::Access::WRITE_OK)
            .map_err(|error| written(path)(error.into()))?;
        Ok(format!("saved in {}", path.display()))
    }
}

fn is_there(path: &Path) -> Failure {
    Failure::found_with(
        code::CONFLICT,
        format!("{} exists and is not overwritten", path.display()),
        "Name another file with --save-to.",
    )
}

/// The folder of this user's for secrets of a kind.
fn folder(surroundings: &Surroundings, kind: &str) -> Result<PathBuf, Failure> {
    let state = surroundings.state.as_ref().ok_or_else(|| {
        Failure::found_with(
            code::KEY_FILE_UNREADABLE,
            "there is no home folder to save the secret in",
            "Name a file with --save-to, or show it with --show-secret.",
        )
    })?;
    Ok(state.join("aami").join(kind))
}

/// Where a secret goes.
pub(crate) enum Place {
    File(Reserved),
    Folder(PathBuf),
}

/// A file that was made for a secret; it goes again if there comes none.
pub(crate) struct Reserved {
    path: PathBuf,
    file: File,
    used: bool,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.used {
            // An empty file left behind does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Place {
    /// Saves the secret of the thing with this id; answers with the file.
    pub(crate) fn save(self, id: &str, secret: &str) -> Result<PathBuf, Failure> {
        match self {
            Self::File(mut reserved) => {
                fill(&mut reserved.file, secret).map_err(written(&reserved.path))?;
                reserved.used = true;
                Ok(reserved.path.clone())
            }
            Self::Folder(folder) => {
                let path = folder.join(id);
                save(&path, secret)?;
                Ok(path)
            }
        }
    }
}

/// Writes a secret to a new file that only its owner can read.
pub(crate) fn save(path: &Path, secret: &str) -> Result<(), Failure> {
    create(path)
        .and_then(|mut file| fill(&mut file, secret))
        .map_err(written(path))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn fill(file: &mut File, secret: &str) -> io::Result<()> {
    file.write_all(secret.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Makes a folder and what is above it, for its owner alone.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// A failure to write `path`.
pub(crate) fn written(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.to_owned();
    move |source| Failure::File {
        path,
        doing: "written",
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn kept(save_to: Option<PathBuf>, state: &Path) -> Result<Place, Failure> {
        let secrecy = Secrecy {
            show_secret: false,
            save_to,
        };
        let surroundings = Surroundings {
            state: Some(state.to_owned()),
            ..Surroundings::default()
        };
        let screen = Screen::new(super::super::screen::Format::Json);
        Ok(secrecy.place(&screen, &surroundings, "tokens")?.unwrap())
    }

    #[test]
    fn a_saved_secret_is_its_owners_alone() {
        let state = tempfile::tempdir().unwrap();
        let path = kept(None, state.path())
            .unwrap()
            .save("abc", "aami_abc_secret")
            .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "aami_abc_secret\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_left_of_a_secret_that_never_came() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        drop(kept(Some(path.clone()), folder.path()).unwrap());
        assert!(!path.exists());

        kept(Some(path.clone()), folder.path())
            .unwrap()
            .save("abc", "first")
            .unwrap();
        let failure = kept(Some(path.clone()), folder.path()).err().unwrap();
        assert_eq!(failure.code(), Some(code::CONFLICT));
        assert_eq!(fs::read_to_string(&path).unwrap(), "first\n");
    }

    #[test]
    fn a_dry_run_fails_where_the_secret_could_not_be_kept_and_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let would = |save_to: Option<PathBuf>, state: Option<&Path>| {
            let secrecy = Secrecy {
                show_secret: false,
                save_to,
            };
            let surroundings = Surroundings {
                state: state.map(Path::to_owned),
                ..Surroundings::default()
            };
            let screen = Screen::new(super::super::screen::Format::Json);
            secrecy.would_place(&screen, &surroundings, "tokens")
        };
        let file = folder.path().join("token");
        assert_eq!(
            would(Some(file.clone()), None).unwrap(),
            format!("saved in {}", file.display())
        );
        let told = would(None, Some(folder.path())).unwrap();
        assert!(told.ends_with("aami/tokens"), "{told}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made");
        // What is there already, a folder that is not, and nobody's home.
        fs::write(&file, "first").unwrap();
        let refused = would(Some(file), None).unwrap_err();
        assert_eq!(refused.code(), Some(code::CONFLICT));
        let nowhere = would(Some(folder.path().join("no/token")), None).unwrap_err();
        assert!(matches!(nowhere, Failure::File { .. }), "{nowhere}");
        let homeless = would(None, None).unwrap_err();
        assert_eq!(homeless.code(), Some(code::KEY_FILE_UNREADABLE));
    }
}

//! What reading takes from outside, as values.

use std::path::{Path, PathBuf};

/// What is known of a file that the configuration names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// A file that can be read.
    Readable,
    /// A file this user may not read.
    Forbidden,
    /// Nothing is there.
    Missing,
    /// Something that is not a file.
    NotAFile,
    /// Nobody looked.
    Unknown,
}

/// The world around a configuration. The program fills it from the process' environment and the file system, tests
/// from tables.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// The value of a variable, where it is set.
    pub variables: &'a dyn Fn(&str) -> Option<String>,
    /// The folder that `~` stands for.
    pub home: Option<&'a Path>,
    /// What is known of a file.
    pub files: &'a dyn Fn(&Path) -> FileState,
    /// The presets and packs there are; any name passes where nobody says.
    pub presets: Option<&'a [&'a str]>,
}

impl std::fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment")
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

impl Environment<'_> {
    /// Nothing is set, no file was looked at, any preset passes.
    pub fn bare() -> Environment<'static> {
        Environment {
            variables: &|_| None,
            home: None,
            files: &|_| FileState::Unknown,
            presets: None,
        }
    }

    /// The path with `~/` put in place; nothing where the home is not known.
    pub(crate) fn at_home(&self, text: &str) -> Option<PathBuf> {
        match text.strip_prefix("~/") {
            Some(rest) => Some(self.home?.join(rest)),
            None => Some(PathBuf::from(text)),
        }
    }
}

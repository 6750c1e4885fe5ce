//! Files.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Kind;
use crate::environment::FileState;
use crate::read::{Path, Reader};
use crate::tree::Node;

/// A path from the root, or from this user's home (`~/`).
pub(crate) struct FilePath {
    must_exist: bool,
}

const WHAT: &str = "a path that begins with `/` or `~/`";

impl FilePath {
    /// A path; whether anything is there is another's business.
    pub(crate) const fn any() -> Self {
        Self { must_exist: false }
    }

    /// The path of a file that is there.
    pub(crate) const fn existing() -> Self {
        Self { must_exist: true }
    }
}

impl Kind for FilePath {
    type Out = PathBuf;

    fn read(&self, node: &Node<'_>, path: &Path<'_>, reader: &mut Reader<'_>) -> Option<PathBuf> {
        let given = reader.scalar(node, path, WHAT)?;
        let fits = (given.text.starts_with('/') || given.text.starts_with("~/"))
            && given.text.len() <= 4_096
            && !given.text.chars().any(char::is_control);
        if !fits {
            reader.refuse(node, path, &given.text, WHAT);
            return None;
        }
        let Some(file) = reader.environment.at_home(&given.text) else {
            reader.refuse_because(
                node,
                path,
                &given.text,
                "there is no home folder that `~` could stand for",
                "Write the whole path.",
            );
            return None;
        };
        if self.must_exist {
            let wrong = match (reader.environment.files)(&file) {
                FileState::Readable | FileState::Unknown => None,
                FileState::Missing => Some(("there is no such file", "Correct the path, or make the file.")),
                FileState::Forbidden => Some((
                    "this user may not read this file",
                    "Run the command as its owner, or with sudo.",
                )),
                FileState::NotAFile => Some(("this is not a file", "Name the key's file itself.")),
            };
            if let Some((why, hint)) = wrong {
                reader.refuse_because(node, path, &given.text, why, hint);
                return None;
            }
        }
        reader.known(path, given.text, given.source);
        Some(file)
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1, "maxLength": 4_096})
    }

    fn words(&self) -> String {
        let what = if self.must_exist {
            "the path of a file that is there"
        } else {
            "a path"
        };
        format!("{what}, from `/` or `~/`")
    }
}

//! Why rules are not where they should be.

use std::io;
use std::path::PathBuf;

use aami_model::rule_file::NotPlaceable;
use aami_model::{Code, code};

use crate::whole_file::HoldError;

/// Why rules are not where they should be. Folder and Prometheus are as before, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Files that may not be placed.
    #[error("the rules cannot be placed: {0}")]
    Unplaceable(#[from] NotPlaceable),
    /// promtool has something against them.
    #[error("promtool refuses the rules: {0}")]
    Refused(String),
    /// promtool could not judge them.
    #[error("the rules could not be judged: {0}")]
    NotJudged(String),
    /// Prometheus did not take them over.
    #[error("{0}")]
    NotLoaded(String),
    /// Prometheus is there and answers nothing about rules yet.
    #[error("{0}")]
    Starting(String),
    /// The folder holds a declared fleet's files, and no note says whose they are.
    #[error("{file} in {} is a declared fleet's, and these are of {ours}", folder.display())]
    Unnoted {
        /// The folder.
        folder: PathBuf,
        /// The first of them.
        file: String,
        /// Who came.
        ours: String,
    },
    /// The folder is another's.
    #[error("the rules in {} are those of {owner}, and these are of {ours}", folder.display())]
    Elsewhere {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        owner: String,
        /// Who came.
        ours: String,
        /// The note that says so.
        note: PathBuf,
    },
    /// The note of the folder cannot be read as one.
    #[error("{} cannot be used: {why}", note.display())]
    Note {
        /// The note.
        note: PathBuf,
        /// Why not.
        why: String,
    },
    /// Another writer has the folder.
    #[error("another command is changing the rules in {}", .0.display())]
    Busy(PathBuf),
    /// The disk refuses.
    #[error("{} could not be {doing}", path.display())]
    File {
        /// Which file or folder.
        path: PathBuf,
        /// `read`, `written`, `made`, `removed` or `locked`.
        doing: &'static str,
        /// The system's words.
        source: io::Error,
    },
}

impl RulesError {
    /// The condition.
    pub const fn code(&self) -> Code {
        match self {
            Self::Unplaceable(_) | Self::Refused(_) => code::ALERT_RULE_INVALID,
            Self::NotLoaded(_) | Self::Starting(_) => code::ALERT_RULES_NOT_LOADED,
            Self::Elsewhere { .. } | Self::Unnoted { .. } => code::ALERT_RULES_ELSEWHERE,
            Self::Busy(_) => code::LOCKED,
            Self::NotJudged(_) | Self::Note { .. } | Self::File { .. } => code::ALERT_RULES_NOT_PLACED,
        }
    }

    /// What to do, where the code's own hint says too little.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Elsewhere { note, owner, .. } => Some(format!(
                "Change the rules where {owner} is kept. To give the folder up instead, remove {} there: then whoever \
                 comes next takes it over.",
                note.display()
            )),
            Self::Unnoted { folder, .. } => Some(format!(
                "Change the rules with the commands of the declared fleet, which note whose they are. Where there is \
                 none any more, remove what it left in {}.",
                folder.display()
            )),
            Self::Starting(_) => Some("Try again when it has started.".to_owned()),
            Self::Note { note, .. } => Some(format!(
                "It notes whose the rules beside it are. Remove {}; whoever comes next takes the folder over.",
                note.display()
            )),
            Self::Busy(_) => Some("Wait for it to end, then try again.".to_owned()),
            Self::Unplaceable(_)
            | Self::Refused(_)
            | Self::NotJudged(_)
            | Self::NotLoaded(_)
            | Self::File { .. } => None,
        }
    }

    /// A sentence with the system's words in it.
    pub fn sentence(&self) -> String {
        match self {
            Self::File { source, .. } => format!("{self}: {source}"),
            other => other.to_string(),
        }
    }

    pub(super) fn file(path: impl Into<PathBuf>, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, doing, source }
    }
}

impl From<HoldError> for RulesError {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Busy(path, _) => Self::Busy(path.parent().map_or(path.clone(), ToOwned::to_owned)),
            HoldError::File { path, source } => Self::File {
                path,
                doing: "locked",
                source,
            },
        }
    }
}

//! From a text to a [`Config`], or to every problem it has.

mod cross;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use reader::{Path, ReadSecret, Reader};

use crate::config::Config;
use crate::environment::Environment;
use crate::kind::{Kind as _, Section};
use crate::problem::{Problem, Problems};
use crate::setting::Setting;
use crate::tree;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The configuration.
    pub config: Config,
    /// What does not hinder, but somebody should know: secrets whose variables are not set.
    pub warnings: Vec<Problem>,
}

/// Reads a configuration.
///
/// In: the bytes of the file, and the world around it. Out: the configuration. Fails with every problem at once: what
/// is no YAML, unknown fields, values that cannot be, names and addresses given twice, files that are missing.
pub fn read(bytes: &[u8], environment: &Environment<'_>) -> Result<Read, Problems> {
    all(bytes, environment, false).map(|(read, _)| read)
}

/// Reads a configuration and says of every value where it came from, in the order of the schema. Secrets are hidden.
/// Fails as [`read`] does.
pub fn explain(bytes: &[u8], environment: &Environment<'_>) -> Result<(Read, Vec<Setting>), Problems> {
    all(bytes, environment, true)
}

fn all(bytes: &[u8], environment: &Environment<'_>, explain: bool) -> Result<(Read, Vec<Setting>), Problems> {
    let tree = tree::parse(bytes)?;
    let mut reader = Reader::new(environment, tree.problems, explain);
    let config = Section::<Config>::KIND.read(&tree.root, &Path::root(), &mut reader);
    cross::check(&tree.root, &mut reader);
    let (settings, warnings, problems) = reader.into_parts();
    match (problems.into_problems(), config) {
        (None, Some(config)) => Ok((Read { config, warnings }, settings)),
        (Some(problems), _) => Err(problems),
        // A kind that refuses a value says why; this is the net below it.
        (None, None) => Err(Problem {
            line: 1,
            field: String::new(),
            sentence: "the configuration cannot be read".to_owned(),
            hint: None,
        }
        .into()),
    }
}

//! From a text to a [`Config`], or to every problem it has.

mod cross;
mod reader;

pub(crate) use reader::{Path, Reader};

use crate::config::Config;
use crate::environment::Environment;
use crate::kind::Kind as _;
use crate::problem::{Problem, Problems};
use crate::section::Section;
use crate::setting::Setting;
use crate::tree;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The configuration.
    pub config: Config,
    /// Every value with its source, in the order of the schema.
    pub settings: Vec<Setting>,
    /// What does not hinder, but somebody should know: secrets whose variables are not set.
    pub warnings: Vec<Problem>,
}

/// Reads a configuration.
///
/// In: the bytes of the file, and the world around it. Out: the configuration with the source of each value. Fails
/// with every problem at once: what is no YAML, unknown fields, values that cannot be, names and addresses given
/// twice, files that are missing.
pub fn read(bytes: &[u8], environment: &Environment<'_>) -> Result<Read, Problems> {
    let tree = tree::parse(bytes)?;
    let mut reader = Reader::new(environment);
    let config = Section::<Config>::KIND.read(&tree, &Path::root(), &mut reader);
    if let Some(config) = &config {
        cross::check(config, &tree, &mut reader);
    }
    let (settings, warnings, problems) = reader.into_parts();
    match (problems.into_problems(), config) {
        (None, Some(config)) => Ok(Read {
            config,
            settings,
            warnings,
        }),
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

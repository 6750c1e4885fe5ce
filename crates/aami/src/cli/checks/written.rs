//! Checks as people write them into a file: YAML or JSON, one check a document.
//!
//! The members are those of the API. In place of `script` a `script_file` may name a file beside this one. A
//! member nobody knows is an error: a misspelt timeout must not become the usual one.

use std::path::Path;

use aami_api::check::{CreateCheck, PatchCheck};
use aami_model::check::{
    Check, CheckSignature, LONGEST_SCRIPT, RunAs, USUAL_INTERPRETER, USUAL_INTERVAL, USUAL_TIMEOUT,
};
use aami_model::label::Labels;
use serde::Deserialize;

use crate::cli::failure::Failure;

/// The longest file read: all scripts an organisation may have, written as JSON at worst.
const LONGEST: u64 = 16 * 1024 * 1024;

/// One check as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    pub(super) group: Option<String>,
    #[serde(default)]
    pub(super) selector: Labels,
    #[serde(default)]
    interval_seconds: Option<u32>,
    #[serde(default)]
    timeout_seconds: Option<u32>,
    #[serde(default)]
    interpreter: Option<String>,
    #[serde(default)]
    script: Option<String>,
    #[serde(default)]
    script_file: Option<std::path::PathBuf>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    run_as: RunAs,
    #[serde(default)]
    signature: Option<CheckSignature>,
    #[serde(default)]
    enabled: Option<bool>,
}

/// Reads a file of checks; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Vec<Written>, Failure> {
    let text = if path == Path::new("-") {
        text_of(path, &mut std::io::stdin().lock(), LONGEST)?
    } else {
        open(path, LONGEST)?
    };
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let mut all = parse(&text).map_err(|why| Failure::invalid(format!("{}: {why}", path.display())))?;
    for written in &mut all {
        match (&written.script, &written.script_file) {
            (Some(_), None) => {}
            (None, Some(file)) => {
                let longest = u64::try_from(LONGEST_SCRIPT).unwrap_or(u64::MAX);
                written.script = Some(open(&folder.join(file), longest)?);
            }
            _ => {
                return Err(Failure::invalid(format!(
                    "{}: the check {:?} needs script or script_file, one of them",
                    path.display(),
                    written.name
                )));
            }
        }
    }
    Ok(all)
}

fn open(path: &Path, longest: u64) -> Result<String, Failure> {
    let mut file = std::fs::File::open(path).map_err(|source| unreadable(path, source))?;
    text_of(path, &mut file, longest)
}

fn text_of(path: &Path, from: &mut dyn std::io::Read, longest: u64) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    from.take(longest + 1)
        .read_to_string(&mut text)
        .map_err(|source| unreadable(path, source))?;
    if text.len() as u64 > longest {
        return Err(Failure::invalid(format!(
            "{} is longer than {longest} bytes",
            path.display()
        )));
    }
    Ok(text)
}

fn unreadable(path: &Path, source: std::io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        doing: "read",
        source,
    }
}

fn parse(text: &str) -> Result<Vec<Written>, String> {
    let all: Vec<Written> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    if all.is_empty() {
        return Err("it holds no check".to_owned());
    }
    Ok(all)
}

impl Written {
    /// What makes it where it is not there.
    pub(super) fn create(&self) -> CreateCheck {
        CreateCheck {
            name: self.name.clone(),
            description: self.description.clone(),
            group: self.group.clone(),
            selector: self.selector.clone(),
            interval_seconds: self.interval_seconds,
            timeout_seconds: self.timeout_seconds,
            interpreter: self.interpreter.clone(),
            script: self.script.clone().unwrap_or_default(),
            args: self.args.clone(),
            run_as: self.run_as,
            signature: self.signature.clone(),
            enabled: self.enabled,
            org: None,
        }
    }

    /// What makes `there` like it; `None` where it is like it already. What is not written is as usual.
    pub(super) fn patch(&self, there: &Check) -> Option<PatchCheck> {
        fn other<T: PartialEq>(wanted: T, is: &T) -> Option<T> {
            (wanted != *is).then_some(wanted)
        }
        let is = &there.definition;
        let interpreter = self
            .interpreter
            .clone()
            .unwrap_or_else(|| USUAL_INTERPRETER.to_owned());
        let patch = PatchCheck {
            description: other(self.description.clone(), &there.description),
            interval_seconds: other(
                self.interval_seconds.unwrap_or(USUAL_INTERVAL),
                &is.interval_seconds,
            ),
            timeout_seconds: other(self.timeout_seconds.unwrap_or(USUAL_TIMEOUT), &is.timeout_seconds),
            interpreter: other(interpreter, &is.interpreter),
            script: other(self.script.clone().unwrap_or_default(), &is.script),
            args: other(self.args.clone(), &is.args),
            run_as: other(self.run_as, &is.run_as),
            // One that is there covers these very bytes; it does no harm where the file leaves it out.
            signature: self
                .signature
                .clone()
                .filter(|wanted| is.signature.as_ref() != Some(wanted)),
            enabled: other(self.enabled.unwrap_or(true), &there.enabled),
        };
        (patch != PatchCheck::default()).then_some(patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_checks_stand_in_one_file_and_a_misspelt_member_is_named() {
        let all = parse("name: a\nscript: |\n  exit 0\n---\nname: b\nscript: 'true'\nselector: {rack: a1}\n")
            .unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].script.as_deref(), Some("exit 0\n"));
        let error = parse("name: a\nscript: x\ntimeout: 5\n").unwrap_err();
        assert!(error.contains("timeout"), "{error}");
        assert!(parse("").is_err());
    }
}

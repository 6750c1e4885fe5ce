//! A rule set as people write it into a file: YAML or JSON, with the members of the API.
//!
//! A member nobody knows is an error: a misspelt threshold must not become the usual one. What `show -o yaml` prints
//! beside them is known and counts for nothing.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use aami_model::rules::{CustomRule, MOST_TEXT, RuleOverride};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::cli::failure::Failure;

/// A rule set as it is written. What is not written stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Written {
    pub(super) description: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) priority: Option<u16>,
    pub(super) presets: Option<Vec<String>>,
    pub(super) custom: Option<Vec<CustomRule>>,
    pub(super) overrides: Option<Vec<RuleOverride>>,
    #[serde(rename = "id")]
    _id: IgnoredAny,
    #[serde(rename = "org")]
    _org: IgnoredAny,
    #[serde(rename = "group")]
    _group: IgnoredAny,
    #[serde(rename = "scope")]
    _scope: IgnoredAny,
    #[serde(rename = "alerts")]
    _alerts: IgnoredAny,
    #[serde(rename = "created_at")]
    _created_at: IgnoredAny,
    #[serde(rename = "updated_at")]
    _updated_at: IgnoredAny,
}

/// Reads a file; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Written, Failure> {
    let longest = MOST_TEXT as u64 * 2;
    let unreadable = |source| Failure::File {
        path: path.to_owned(),
        doing: "read",
        source,
    };
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin()
            .take(longest + 1)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
    } else {
        File::open(path)
            .and_then(|file| file.take(longest + 1).read_to_string(&mut text))
            .map_err(unreadable)?;
    }
    if text.len() as u64 > longest {
        return Err(Failure::invalid(format!(
            "{} is longer than {longest} bytes",
            path.display()
        )));
    }
    parse(&text).map_err(|why| Failure::invalid(format!("{}: {why}", path.display())))
}

fn parse(text: &str) -> Result<Written, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_member_is_named_and_what_show_prints_is_taken() {
        let error = parse("presets: [thermal]\noverides: []\n").unwrap_err();
        assert!(error.contains("overides"), "{error}");
        let written = parse(
            "id: r1\nscope: h100\nalerts: [A]\nenabled: false\ncustom:\n  - {name: Mine, expr: up == 0, for: 5m}\n\
             overrides:\n  - {alert: GPUMemoryHigh, threshold: 0.9}\n",
        )
        .unwrap();
        assert_eq!((written.enabled, written.presets), (Some(false), None));
        assert_eq!(written.custom.unwrap()[0].lasting, "5m");
        assert_eq!(written.overrides.unwrap()[0].threshold, Some(0.9));
        assert!(parse("[]").is_err());
    }
}

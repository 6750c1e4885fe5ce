//! The catalogue's TOML, and the rules each member keeps.

use std::collections::BTreeMap;

use aami_inventory::Arch;
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::{Absent, Archive, Build, Catalogue, CatalogueError, Checksum, Component, Kind};

/// The one form there is.
const FORMAT: u32 = 1;
/// More than an archive may unpack to.
const LARGEST: u64 = 1 << 32;
/// A catalogue is small; a longer file is something else.
const LONGEST: usize = 1024 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    #[serde(default)]
    component: Vec<toml::Spanned<RawComponent>>,
    #[serde(default)]
    absent: Vec<RawAbsent>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawComponent {
    name: Name,
    version: Word,
    kind: Kind,
    license: Word,
    homepage: Option<HttpUrl>,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    arguments: Vec<Argument>,
    archive: Archive,
    unpacked: Option<Bytes>,
    #[serde(default)]
    build: BTreeMap<String, toml::Spanned<RawBuild>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBuild {
    url: Option<HttpUrl>,
    file: Option<FileName>,
    sha256: Option<Sum>,
    checksums_url: Option<HttpUrl>,
    programs: BTreeMap<Name, ArchivePath>,
    tree: Option<ArchivePath>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAbsent {
    name: Name,
    kind: Kind,
    // Said for the reader of the file; nothing is done with what cannot be had.
    #[serde(default, rename = "ports")]
    _ports: Vec<u16>,
    why: String,
    image: Option<Image>,
    unpacked: Option<Bytes>,
}

/// A size that a file can have.
#[derive(Clone, Copy)]
struct Bytes(u64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            bytes @ 1..LARGEST => Ok(Self(bytes)),
            _ => Err(de::Error::custom(format!(
                "unpacked is a number of bytes from 1 to {}",
                LARGEST - 1
            ))),
        }
    }
}

/// A text that keeps a rule; the rule is the error.
macro_rules! checked {
    ($name:ident, $rule:literal, $check:expr) => {
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
        struct $name(String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let check: fn(&str) -> bool = $check;
                if check(&text) {
                    Ok(Self(text))
                } else {
                    Err(de::Error::custom(format!(
                        concat!("{:?} is not ", $rule),
                        text.chars().take(80).collect::<String>()
                    )))
                }
            }
        }
    };
}

checked!(
    Name,
    "a name of a-z, 0-9, _ and -, at most 64 characters",
    |text| {
        (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    }
);
checked!(Word, "one printable word or two, at most 64 characters", |text| {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b))
});
checked!(HttpUrl, "an http:// or https:// address", |text| {
    let after = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    text.len() <= 2048
        && text.bytes().all(|b| b.is_ascii_graphic())
        && after.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains('@'))
});
checked!(FileName, "a plain file name", is_file_name);
checked!(
    Argument,
    "an argument of at most 256 printable characters",
    |text| { (1..=256).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b)) }
);
checked!(
    Image,
    "a container image with its digest (NAME@sha256:...)",
    super::is_pinned_image
);
checked!(
    ArchivePath,
    "a relative path inside an archive, without ..",
    |text| {
        (1..=512).contains(&text.len())
            && text.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !text.chars().any(|c| c.is_control() || c == '\\')
    }
);
checked!(Sum, "a SHA-256 of 64 hexadecimal digits", |text| {
    text.parse::<super::Sha256Sum>().is_ok()
});

fn is_file_name(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-+~".contains(&b))
}

pub(super) fn parse(text: &str, name: &str) -> Result<Catalogue, CatalogueError> {
    let invalid = |at: usize, message: String| CatalogueError::Invalid {
        name: name.to_owned(),
        line: line_of(text, at),
        message,
    };
    if text.len() > LONGEST {
        return Err(invalid(0, format!("longer than {LONGEST} bytes")));
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        invalid(at, error.message().trim().to_owned())
    })?;
    if file.format != FORMAT {
        return Err(invalid(
            0,
            format!(
                "format is {}, and this program reads format {FORMAT}",
                file.format
            ),
        ));
    }
    let mut catalogue = Catalogue::default();
    for raw in file.component {
        let at = raw.span().start;
        let raw = raw.into_inner();
        let component = component(raw).map_err(|(inner, message)| invalid(inner.unwrap_or(at), message))?;
        let name = component.name.clone();
        if catalogue.components.insert(name.clone(), component).is_some() {
            return Err(invalid(at, format!("component {name} stands twice")));
        }
    }
    for raw in file.absent {
        let name = raw.name.0;
        if catalogue.components.contains_key(&name) {
            return Err(invalid(0, format!("{name} is a component and absent at once")));
        }
        let absent = Absent {
            kind: raw.kind,
            why: raw.why,
            image: raw.image.map(|image| image.0),
            unpacked: raw.unpacked.map(|bytes| bytes.0),
        };
        catalogue.absent.insert(name, absent);
    }
    Ok(catalogue)
}

/// Where in the file, if it is known more closely than the component, and what is wrong there.
type Fault = (Option<usize>, String);

fn component(raw: RawComponent) -> Result<Component, Fault> {
    let name = raw.name.0;
    if raw.build.is_empty() {
        return Err((None, format!("component {name} has no build")));
    }
    let mut builds = BTreeMap::new();
    for (arch, build) in raw.build {
        let at = Some(build.span().start);
        let Some(arch) = Arch::ALL.into_iter().find(|known| known.name() == arch) else {
            return Err((
                at,
                format!("build.{arch} of {name}: known are build.amd64 and build.arm64"),
            ));
        };
        let build = self::build(build.into_inner(), raw.archive)
            .map_err(|message| (at, format!("build.{} of {name}: {message}", arch.name())))?;
        builds.insert(arch, build);
    }
    Ok(Component {
        name,
        version: raw.version.0,
        kind: raw.kind,
        license: raw.license.0,
        homepage: raw.homepage.map(|url| url.0),
        ports: raw.ports,
        arguments: raw.arguments.into_iter().map(|argument| argument.0).collect(),
        archive: raw.archive,
        unpacked: raw.unpacked.map(|bytes| bytes.0),
        builds,
    })
}

fn build(raw: RawBuild, archive: Archive) -> Result<Build, String> {
    let checksum = match (raw.sha256, raw.checksums_url) {
        (Some(sum), None) => sum
            .0
            .parse()
            .map(Checksum::Pinned)
            .map_err(|_| "sha256".to_owned())?,
        // The list is only as good as the way it came.
        (None, Some(url)) if url.0.starts_with("https://") => Checksum::Published(url.0),
        (None, Some(_)) => return Err("checksums_url must be https://".to_owned()),
        _ => return Err("needs either sha256 or checksums_url".to_owned()),
    };
    let url = raw.url.map(|url| url.0);
    let file = match (raw.file, &url) {
        (Some(file), _) => file.0,
        (None, Some(url)) => {
            let path = url.split(['?', '#']).next().unwrap_or_default();
            let last = path.rsplit('/').next().unwrap_or_default();
            if !is_file_name(last) {
                return Err("url ends in no file name; give file as well".to_owned());
            }
            last.to_owned()
        }
        (None, None) => return Err("needs url or file".to_owned()),
    };
    if raw.programs.is_empty() {
        return Err("programs is empty".to_owned());
    }
    if archive == Archive::None && raw.programs.len() != 1 {
        return Err("a bare program is one program".to_owned());
    }
    let programs: BTreeMap<String, String> = raw
        .programs
        .into_iter()
        .map(|(name, path)| (name.0, path.0))
        .collect();
    let tree = raw.tree.map(|tree| tree.0);
    if let Some(tree) = &tree {
        if archive == Archive::None {
            return Err("a bare program has no tree".to_owned());
        }
        let is_below = |path: &String| path.strip_prefix(tree).is_some_and(|rest| rest.starts_with('/'));
        if let Some(path) = programs.values().find(|path| !is_below(path)) {
            return Err(format!("{path} does not lie in the tree {tree}"));
        }
    }
    Ok(Build {
        file,
        url,
        checksum,
        programs,
        tree,
    })
}

/// The line of a byte, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = r#"format = 1

[[component]]
name = "x"
version = "1"
kind = "tool"
license = "MIT"
archive = "tar.gz"

[component.build.amd64]
url = "https://example.com/x-1.tar.gz"
sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
programs = { x = "x-1/x" }
"#;

    fn refusal(from: &str, to: &str) -> String {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from:?} stands in the example");
        let error = parse(&text, "components.toml").expect_err(to);
        assert_eq!(error.code(), aami_model::code::CATALOGUE_INVALID);
        error.to_string()
    }

    #[test]
    fn the_example_is_good() {
        assert!(parse(GOOD, "x").is_ok());
    }

    #[test]
    fn a_program_is_found_in_the_tree_that_is_placed_whole() {
        let text = GOOD.replace("\"x-1/x\" }", "\"x-1/bin/x\" }\ntree = \"x-1\"");
        let catalogue = parse(&text, "x").unwrap();
        let (_, build) = catalogue.build("x", Arch::Amd64).unwrap();
        assert_eq!(build.tree.as_deref(), Some("x-1"));
        assert_eq!(
            (build.below_tree("x"), build.below_tree("y")),
            (Some("bin/x"), None)
        );
        let text = text.replace("\"tar.gz\"", "\"none\"");
        let refused = parse(&text, "x").unwrap_err().to_string();
        assert!(refused.contains("a bare program has no tree"), "{refused}");
    }

    #[test]
    fn what_breaks_a_rule_is_named_with_its_line() {
        for (from, to, line, said) in [
            ("name = \"x\"", "name = \"../x\"", 4, "is not a name"),
            (
                "kind = \"tool\"",
                "kind = \"thing\"",
                6,
                "unknown variant `thing`",
            ),
            ("license", "licence", 7, "unknown field `licence`"),
            ("\"x-1/x\"", "\"/etc/shadow\"", 13, "without .."),
            ("\"x-1/x\"", "\"x/../../x\"", 13, "without .."),
            ("https://example.com", "file:///etc", 11, "http:// or https://"),
            (
                "https://example.com",
                "https://user:pw@example.com",
                11,
                "http:// or https://",
            ),
            ("\"0000", "\"zz00", 12, "SHA-256"),
            (
                "sha256 =",
                "checksums_url = \"http://x/y\"\n# ",
                10,
                "must be https",
            ),
            ("x-1.tar.gz", "", 10, "no file name"),
            ("build.amd64", "build.riscv", 10, "known are build.amd64"),
            ("{ x = \"x-1/x\" }", "{}", 10, "programs is empty"),
            ("programs =", "tree = \"../x\"\nprograms =", 13, "without .."),
            (
                "archive",
                "unpacked = 0\narchive",
                8,
                "unpacked is a number of bytes",
            ),
            (
                "archive",
                "unpacked = 4294967296\narchive",
                8,
                "unpacked is a number of bytes",
            ),
            ("archive", "unpacked = \"1GB\"\narchive", 8, "expected u64"),
            (
                "programs =",
                "tree = \"x-2\"\nprograms =",
                10,
                "does not lie in the tree x-2",
            ),
        ] {
            let message = refusal(from, to);
            assert!(message.contains(said), "{to:?}: {message}");
            assert!(message.contains(&format!("line {line}:")), "{to:?}: {message}");
        }
    }

    #[test]
    fn other_forms_are_refused_as_such() {
        assert!(refusal("format = 1", "format = 2").contains("format is 2"));
        assert!(refusal("format = 1", "<!DOCTYPE html>").contains("line 1"));
        assert!(refusal("format = 1", "format = 1\nmore = 2").contains("unknown field `more`"));
        let twice = format!("{GOOD}{}", GOOD.trim_start_matches("format = 1"));
        assert!(
            parse(&twice, "x")
                .unwrap_err()
                .to_string()
                .contains("x stands twice")
        );
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(?s).{0,200}", cut in 0_usize..400) {
            let _ = parse(&text, "x");
            let end = GOOD.len().min(cut);
            let _ = parse(&GOOD[..end], "x");
        }
    }
}

//! A catalogue as a file that reads the same again.

use std::fmt::Write as _;

use super::{Archive, Build, Catalogue, Checksum, Component, Kind};

impl Catalogue {
    /// Its components as `catalogue.toml` is written. What is absent is left out, and what they unpack to: the files lie
    /// beside this one and say it themselves, and programs that are older than that member refuse a catalogue with it.
    pub(crate) fn text(&self) -> String {
        let mut out = "format = 1\n".to_owned();
        for component in self.components() {
            write(component, &mut out);
        }
        out
    }
}

// Writing into a String does not fail.
fn write(component: &Component, out: &mut String) {
    let kind = match component.kind {
        Kind::Exporter => "exporter",
        Kind::Server => "server",
        Kind::Tool => "tool",
    };
    let archive = match component.archive {
        Archive::TarGz => "tar.gz",
        Archive::None => "none",
    };
    let _ = write!(
        out,
        "\n[[component]]\nname = {}\nversion = {}\nkind = \"{kind}\"\nlicense = {}\n",
        text(&component.name),
        text(&component.version),
        text(&component.license),
    );
    if let Some(homepage) = &component.homepage {
        let _ = writeln!(out, "homepage = {}", text(homepage));
    }
    let _ = writeln!(out, "ports = {:?}", component.ports);
    if !component.arguments.is_empty() {
        let arguments: Vec<String> = component.arguments.iter().map(|one| text(one)).collect();
        let _ = writeln!(out, "arguments = [{}]", arguments.join(", "));
    }
    let _ = writeln!(out, "archive = \"{archive}\"");
    for (arch, build) in &component.builds {
        let _ = write!(out, "\n[component.build.{}]\n", arch.name());
        write_build(build, out);
    }
}

fn write_build(build: &Build, out: &mut String) {
    let _ = writeln!(out, "file = {}", text(&build.file));
    let _ = match &build.checksum {
        Checksum::Pinned(sum) => writeln!(out, "sha256 = \"{sum}\""),
        Checksum::Published(list) => writeln!(out, "checksums_url = {}", text(list)),
    };
    if let Some(url) = &build.url {
        let _ = writeln!(out, "url = {}", text(url));
    }
    let programs: Vec<String> = build
        .programs
        .iter()
        .map(|(name, path)| format!("{name} = {}", text(path)))
        .collect();
    let _ = writeln!(out, "programs = {{ {} }}", programs.join(", "));
    if let Some(tree) = &build.tree {
        let _ = writeln!(out, "tree = {}", text(tree));
    }
}

fn text(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        let site = r#"format = 1
[[component]]
name = "x"
version = "1 \"beta\""
kind = "exporter"
license = "MIT"
homepage = "https://example.com/x"
ports = [9100, 9101]
arguments = ["--listen=:{port}", "--quote=\"'\\"]
archive = "tar.gz"
[component.build.amd64]
file = "x-1.tar.gz"
checksums_url = "https://example.com/sums"
programs = { x = "x-1/bin/x", y-z = "x-1/y z" }
tree = "x-1"
[component.build.arm64]
url = "https://example.com/x.bin"
sha256 = "abababababababababababababababababababababababababababababababab"
programs = { x = "x-1/x" }
"#;
        let untold = |component: &Component| Component {
            unpacked: None,
            ..component.clone()
        };
        for catalogue in [
            Catalogue::parse(site, "a site's").unwrap(),
            Catalogue::of(Catalogue::embedded().unwrap().components().map(untold)),
        ] {
            let again = Catalogue::parse(&catalogue.text(), "written").unwrap();
            assert_eq!(again, catalogue);
        }
    }
}

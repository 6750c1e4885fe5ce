//! Which Linux this is, by os-release(5), and whether it is one that AAMI is run on.
//!
//! A name decides nothing: what counts are the facts that programs meet (kernel, systemd, libc). It
//! says which package carries a program, and whether anybody has tried before.

use serde::Serialize;

use crate::host::Host;
use crate::system::os_release_value;

/// How a distribution installs packages, and so what its packages are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// dpkg and apt: Debian, Ubuntu.
    Debian,
    /// rpm and dnf: Red Hat, Rocky, Alma, CentOS, Amazon Linux.
    RedHat,
    /// rpm and zypper: SUSE.
    Suse,
    /// Anything else.
    #[default]
    Other,
}

/// One distribution in one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// `ID`, e.g. `ubuntu`; `linux` where there is none, as os-release(5) says.
    pub id: String,
    /// `ID_LIKE`, the closest relative first.
    pub like: Vec<String>,
    /// `VERSION_ID`, e.g. `22.04`; empty on rolling distributions.
    pub version: String,
    /// `PRETTY_NAME`, for people.
    pub name: String,
    /// How it installs packages.
    pub family: Family,
}

/// Whether AAMI is run on a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// On the list.
    Supported,
    /// Older than the oldest version on the list, which is given.
    TooOld(&'static str),
    /// Nobody has tried.
    Unknown,
}

/// The oldest version of each distribution on the list. Later ones count as on the list: what a newer
/// version takes away is seen by the facts.
const OLDEST: [(&str, &str); 8] = [
    ("ubuntu", "20.04"),
    ("debian", "11"),
    ("centos", "8"),
    ("rocky", "8"),
    ("rhel", "8"),
    ("almalinux", "8"),
    ("ol", "8"),
    ("amzn", "2023"),
];

/// Reads which Linux this is.
pub fn distribution(host: &Host<'_>) -> Distribution {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .into_iter()
        .find_map(|path| host.read(path));
    parse(&text.unwrap_or_default())
}

/// Reads an os-release(5) text.
pub fn parse(text: &str) -> Distribution {
    let value = |name| os_release_value(text, name);
    let id = value("ID").unwrap_or_else(|| "linux".to_owned());
    let like: Vec<String> = value("ID_LIKE")
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let family = std::iter::once(&id)
        .chain(&like)
        .find_map(|name| family(name))
        .unwrap_or_default();
    Distribution {
        version: value("VERSION_ID").unwrap_or_default(),
        name: value("PRETTY_NAME").unwrap_or_else(|| "Linux".to_owned()),
        id,
        like,
        family,
    }
}

fn family(name: &str) -> Option<Family> {
    match name {
        "debian" | "ubuntu" => Some(Family::Debian),
        "rhel" | "centos" | "rocky" | "almalinux" | "fedora" | "amzn" | "ol" => Some(Family::RedHat),
        "suse" | "opensuse" | "sles" => Some(Family::Suse),
        _ => None,
    }
}

impl Distribution {
    /// Whether AAMI is run on it.
    pub fn standing(&self) -> Standing {
        let Some((_, oldest)) = OLDEST.iter().find(|(id, _)| *id == self.id) else {
            return Standing::Unknown;
        };
        match (numbers(&self.version), numbers(oldest)) {
            (Some(version), Some(least)) if version >= least => Standing::Supported,
            // A testing release of a rolling branch says no version.
            (None, _) => Standing::Unknown,
            _ => Standing::TooOld(oldest),
        }
    }
}

/// `22.04` as numbers that compare.
fn numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files as each distribution ships them, and what is told apart by them.
    #[test]
    fn each_distribution_on_the_list_is_told_apart_by_its_own_file() {
        let all = include_str!("../tests/fixtures/os_release.txt");
        let mut seen = 0;
        for block in all.split("## ").skip(1) {
            let (head, text) = block.split_once('\n').unwrap();
            let mut words = head.split_whitespace();
            let mut next = || words.next().unwrap();
            let (id, version, expected_family, expected) = (next(), next(), next(), next());
            let found = parse(text);
            assert_eq!(
                (found.id.as_str(), found.version.as_str()),
                (id, version),
                "{head}"
            );
            assert_eq!(format!("{:?}", found.family), expected_family, "{head}");
            let standing = match found.standing() {
                Standing::Supported => "supported",
                Standing::TooOld(_) => "old",
                Standing::Unknown => "unknown",
            };
            assert_eq!(standing, expected, "{head}");
            assert!(found.name.len() > 4, "{head}: {:?}", found.name);
            seen += 1;
        }
        assert!(seen >= 20, "{seen}");
    }

    #[test]
    fn what_is_not_on_the_list_is_unknown_and_not_refused() {
        assert_eq!(parse("").standing(), Standing::Unknown);
        let rolling = parse("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux forky/sid\"\n");
        assert_eq!(
            (rolling.standing(), rolling.family),
            (Standing::Unknown, Family::Debian)
        );
        let mint = parse("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"22\"\n");
        assert_eq!(
            (mint.standing(), mint.family),
            (Standing::Unknown, Family::Debian)
        );
    }

    #[test]
    fn versions_compare_as_numbers() {
        let of = |version: &str| parse(&format!("ID=ubuntu\nVERSION_ID=\"{version}\"")).standing();
        assert_eq!(of("18.04"), Standing::TooOld("20.04"));
        assert_eq!(of("20.04"), Standing::Supported);
        assert_eq!(of("100.04"), Standing::Supported);
    }
}

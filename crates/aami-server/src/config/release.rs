//! Which agents install scripts bring, where they are downloaded from, and what they must be.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aami_model::machine::is_sha256;

/// No version is longer.
const LONGEST_VERSION: usize = 64;
/// The architectures an agent may be there for.
pub(crate) const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// What is configured about releases of the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Releases {
    /// The web server that carries them; this control plane where absent.
    pub base_url: Option<String>,
    /// Where the guides are; this control plane's own pages where absent.
    pub docs_base_url: Option<String>,
    /// The version of those who name none, as it was written; this program's own where absent.
    pub default_version: Option<String>,
    /// SHA-256 by version (without a leading `v`) and architecture.
    pub checksums: BTreeMap<(String, String), String>,
}

impl Releases {
    /// Reads the settings; the first that cannot be used is named with its rule.
    pub(super) fn read<'a>(
        text: impl Fn(&str) -> &'a str,
        allows_plain: bool,
    ) -> Result<Self, (&'static str, String)> {
        let given = |name: &str| Some(text(name).trim_end_matches('/')).filter(|text| !text.is_empty());
        let base_url = given("release_base_url");
        if let Some(url) = base_url {
            let what = "it is https://HOST/PATH; http:// only on this machine, or with plain_http";
            address(url, allows_plain).ok_or_else(|| ("release_base_url", what.to_owned()))?;
        }
        let docs_base_url = given("docs_base_url");
        if let Some(url) = docs_base_url {
            // People open it: it is no download.
            address(url, true).ok_or_else(|| ("docs_base_url", "it is https://HOST/PATH".to_owned()))?;
        }
        let default_version = given("default_daemon_version");
        if default_version.is_some_and(|version| folder(version).is_none()) {
            return Err((
                "default_daemon_version",
                "it is a version such as 1.0.0 or v1.0.0".to_owned(),
            ));
        }
        let mut checksums = BTreeMap::new();
        let entries = text("release_checksums").split([',', '\n']).map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let (key, sum) = checksum(entry).ok_or_else(|| {
                let shown: String = entry.chars().take(80).collect();
                (
                    "release_checksums",
                    format!("{shown:?} is not VERSION/ARCH=SHA256"),
                )
            })?;
            checksums.insert(key, sum);
        }
        Ok(Self {
            base_url: base_url.map(str::to_owned),
            docs_base_url: docs_base_url.map(str::to_owned),
            default_version: default_version.map(str::to_owned),
            checksums,
        })
    }
}

/// The folder of a version: the version without a leading `v`. `None` for what is no version: it stands in URLs,
/// paths and scripts.
pub(crate) fn folder(version: &str) -> Option<&str> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let fits = version.len() <= LONGEST_VERSION
        && version.starts_with(|c: char| c.is_ascii_digit())
        && version
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".+~-".contains(&b));
    fits.then_some(version)
}

fn checksum(entry: &str) -> Option<((String, String), String)> {
    let (what, sum) = entry.split_once('=')?;
    let (version, arch) = what.trim().split_once('/')?;
    // The documents' name of an architecture says the system as well.
    let arch = arch.strip_prefix("linux-").unwrap_or(arch);
    let sum = sum.trim();
    let sum = sum.strip_prefix("sha256:").unwrap_or(sum).to_ascii_lowercase();
    let fits = ARCHITECTURES.contains(&arch) && is_sha256(&sum);
    fits.then_some(((folder(version)?.to_owned(), arch.to_owned()), sum))
}

/// An address that may stand in a script: https, or plain where that is allowed or stays on this machine.
fn address(url: &str, allows_plain: bool) -> Option<()> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host().filter(|host| !host.is_empty())?;
    let is_here = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    let scheme = match uri.scheme_str()? {
        "https" => true,
        "http" => allows_plain || is_here,
        _ => false,
    };
    let has_user = uri.authority()?.as_str().contains('@');
    (scheme && !has_user && uri.query().is_none() && url.len() <= 500).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &'static str) -> Result<Releases, (&'static str, String)> {
        Releases::read(|asked| if asked == name { value } else { "" }, false)
    }

    #[test]
    fn the_documents_spelling_of_versions_and_checksums_is_understood() {
        let sum = "ab".repeat(32);
        let text: &'static str =
            Box::leak(format!("v1.0.0/linux-amd64=sha256:{sum}, 1.1.0/arm64={sum}").into());
        let releases = read("release_checksums", text).unwrap();
        let key = |version: &str, arch: &str| (version.to_owned(), arch.to_owned());
        assert_eq!(releases.checksums.get(&key("1.0.0", "amd64")), Some(&sum));
        assert_eq!(releases.checksums.get(&key("1.1.0", "arm64")), Some(&sum));
        let releases = read("release_base_url", "https://releases.example.com/aami/").unwrap();
        assert_eq!(
            releases.base_url.as_deref(),
            Some("https://releases.example.com/aami")
        );
    }

    #[test]
    fn what_may_not_stand_in_a_script_is_refused() {
        for (name, value) in [
            ("release_base_url", "http://releases.example.com"),
            ("release_base_url", "ftp://releases.example.com"),
            ("release_base_url", "https://user:secret@releases.example.com"),
            ("release_base_url", "https://releases.example.com/?x=1"),
            ("release_base_url", "releases"),
            ("docs_base_url", "javascript:alert(1)"),
            ("default_daemon_version", "latest"),
            ("default_daemon_version", "../1.0.0"),
            ("default_daemon_version", "1.0.0; rm -rf /"),
            ("release_checksums", "1.0.0/amd64=abc"),
            ("release_checksums", "1.0.0/riscv64=00"),
            ("release_checksums", "1.0.0"),
        ] {
            assert_eq!(read(name, value).map_err(|(name, _)| name), Err(name), "{value}");
        }
        assert!(read("release_base_url", "http://127.0.0.1:8000/aami").is_ok());
    }

    #[test]
    fn a_version_is_a_name_and_no_path() {
        assert_eq!(folder("v1.0.0"), Some("1.0.0"));
        assert_eq!(folder("0.1.0-rc.1+5"), Some("0.1.0-rc.1+5"));
        for text in ["", "v", "..", "1/2", "latest", "1 0", "1'0"] {
            assert_eq!(folder(text), None, "{text:?}");
        }
    }
}

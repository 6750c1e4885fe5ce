//! Where rules may go on this node, and whom they may be told: never what a control plane says alone.

use std::path::{Path, PathBuf};

use aami_model::{Code, code};
use aami_plans::rules::on_this_machine;

/// The only folder below which rules are written.
const RULES: &str = "etc/aami/rules";
/// No name of a folder is longer.
const LONGEST: usize = 64;
/// More folders are not looked at.
const MOST: usize = 64;

/// Why rules go nowhere.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) sentence: String,
}

/// The folders for rules.
pub(super) struct Places {
    base: PathBuf,
}

impl Places {
    pub(super) fn below(root: &Path) -> Self {
        Self {
            base: root.join(RULES),
        }
    }

    /// Whether the operator of this node made a place for rules.
    pub(super) fn is_there(&self) -> bool {
        is_folder(&self.base)
    }

    /// The folder for a Prometheus: one of its name below, where there is one, else the folder itself.
    pub(super) fn of(&self, name: &str) -> Result<PathBuf, Refused> {
        if is_plain(name) && is_folder(&self.base.join(name)) {
            return Ok(self.base.join(name));
        }
        if self.is_there() {
            return Ok(self.base.clone());
        }
        Err(Refused {
            code: code::ALERT_RULES_NOT_PLACED,
            sentence: "there is no folder /etc/aami/rules on this node. Make it, name /etc/aami/rules/*.yaml among the \
                       rule_files of its Prometheus, and restart aami-agent, which may write only what is there when it \
                       starts."
                .to_owned(),
        })
    }

    /// Every folder rules may be in.
    pub(super) fn all(&self) -> Vec<PathBuf> {
        let mut all = vec![self.base.clone()];
        let entries = std::fs::read_dir(&self.base).into_iter().flatten().flatten();
        let below = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_plain))
            .map(|entry| entry.path())
            .filter(|path| is_folder(path));
        all.extend(below.take(MOST));
        all
    }
}

/// A folder, and no link that leads to one elsewhere.
fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

/// A name that is one folder below, and not one above.
fn is_plain(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= LONGEST && !name.starts_with('.') && name.chars().all(fits)
}

/// Where a Prometheus answers on this node. A control plane names it as it is reached from there: its port and path
/// count, its host does not.
pub(super) fn address(url: &str) -> Result<String, Refused> {
    let here = || -> Option<String> {
        let rest = url.strip_prefix("http://")?;
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) => (host, format!("/{path}")),
            None => (rest, String::new()),
        };
        if host.contains('@') {
            return None;
        }
        let loopback = if host.starts_with("[::1]") {
            "[::1]"
        } else {
            "127.0.0.1"
        };
        let port = match host.rsplit_once(':') {
            // What is in brackets is the address itself.
            Some((_, port)) if !port.contains(']') => port.parse::<u16>().ok()?,
            _ => 80,
        };
        on_this_machine(&format!("http://{loopback}:{port}{path}"))
    };
    here().ok_or_else(|| Refused {
        code: code::ALERT_RULES_NOT_LOADED,
        sentence: format!(
            "{:?} names no Prometheus that can be asked on this node: it is http://HOST:PORT, with a plain path at most",
            url.chars().take(100).collect::<String>()
        ),
    })
}

/// Two Prometheuses and one folder.
pub(super) fn taken(name: &str, folder: &Path) -> Refused {
    let own = if is_plain(name) { name } else { "NAME" };
    Refused {
        code: code::ALERT_RULES_ELSEWHERE,
        sentence: format!(
            "the rules in {} are those of another Prometheus on this node. Make a folder /etc/aami/rules/{own} for this \
             one, and name its files among its rule_files.",
            folder.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rules_go_below_one_folder_whatever_a_prometheus_is_called() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::below(root.path());
        assert!(places.of("main").is_err() && !places.is_there());
        let base = root.path().join(RULES);
        fs::create_dir_all(base.join("shard-b")).unwrap();
        let outside = root.path().join("outside");
        fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, base.join("linked")).unwrap();
        assert_eq!(places.of("shard-b").unwrap(), base.join("shard-b"));
        for name in [
            "main",
            "",
            "..",
            "../../outside",
            "linked",
            "a/b",
            ".hidden",
            "a\0b",
        ] {
            assert_eq!(places.of(name).unwrap(), base, "{name:?}");
        }
        assert_eq!(places.all(), [base.clone(), base.join("shard-b")]);
        // A link in place of the folder itself is no place.
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/aami")).unwrap();
        std::os::unix::fs::symlink(&outside, root.path().join(RULES)).unwrap();
        assert!(!Places::below(root.path()).is_there());
    }

    #[test]
    fn only_this_machine_is_asked() {
        for (url, asked) in [
            ("http://127.0.0.1:9090", "http://127.0.0.1:9090"),
            ("http://mon-1.example:9091/", "http://127.0.0.1:9091"),
            ("http://[2001:db8::1]:9090/prom", "http://127.0.0.1:9090/prom"),
            ("http://[::1]:9090", "http://[::1]:9090"),
            ("http://mon-1", "http://127.0.0.1:80"),
            ("http://169.254.169.254:9090", "http://127.0.0.1:9090"),
        ] {
            assert_eq!(address(url).unwrap(), asked, "{url}");
        }
        for url in [
            "",
            "https://mon-1:9090",
            "file:///etc/passwd",
            "http://a@b:9090",
            "http://mon-1:99999",
            "http://mon-1:0",
            "http://mon-1:9090/a?x=/-/quit",
            "http://mon-1:9090/../-/quit",
        ] {
            assert!(address(url).is_err(), "{url}");
        }
    }
}

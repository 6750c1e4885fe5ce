//! rpm with dnf or yum in front: Fedora, RHEL 8 and later and its kin, Amazon Linux 2023.

use std::collections::BTreeMap;
use std::time::Duration;

use aami_model::{Code, code};

use super::super::EffectError;
use super::super::tool::{change, is_well, look, refused, said};
use super::{Forecast, Packages, State};
use crate::host::{Command, Host, Output};

pub(super) struct Rpm {
    /// `dnf` or `yum`.
    pub(super) front: &'static str,
}

/// What dnf and rpm say, and the condition it stands for; the first that fits.
const WORDS: [(&str, Code); 20] = [
    ("exit_on_lock", code::PACKAGES_LOCKED),
    ("is already running", code::PACKAGES_LOCKED),
    ("Waiting for process with pid", code::PACKAGES_LOCKED),
    ("can't create transaction lock", code::PACKAGES_LOCKED),
    ("more space needed on", code::DISK_FULL),
    ("No space left on device", code::DISK_FULL),
    ("Read-only file system", code::READ_ONLY),
    // A repository that cannot be reached is left out, and then the package is unknown.
    ("Failed to download metadata", code::PACKAGES_UNREACHABLE),
    ("Cannot download", code::PACKAGES_UNREACHABLE),
    ("Curl error", code::PACKAGES_UNREACHABLE),
    ("Could not resolve host", code::PACKAGES_UNREACHABLE),
    ("Unable to find a match", code::PACKAGE_UNKNOWN),
    ("No match for argument", code::PACKAGE_UNKNOWN),
    ("There are no enabled repositories", code::PACKAGE_UNKNOWN),
    ("GPG check FAILED", code::PACKAGES_UNTRUSTED),
    ("is not signed", code::PACKAGES_UNTRUSTED),
    ("conflicting requests", code::PACKAGES_CONFLICT),
    ("superuser privileges", code::NOT_ROOT),
    ("rpmdb open failed", code::PACKAGES_BROKEN),
    ("scriptlet failed", code::PACKAGES_BROKEN),
];

fn failure(what: String, output: &Output) -> EffectError {
    let said = said(output);
    match WORDS.iter().find(|(word, _)| said.contains(word)) {
        Some((word, code)) => refused(*code, what, output, &[word]),
        None => refused(code::PACKAGES_FAILED, what, output, &["Error: ", "error: "]),
    }
}

impl Rpm {
    /// Weak dependencies are left out; somebody else's lock is answered at once, for us to wait.
    fn argv<'a>(&self, options: &[&'a str], names: &'a [String]) -> Vec<&'a str> {
        let mut argv = vec![
            self.front,
            "--setopt=install_weak_deps=False",
            "--setopt=exit_on_lock=True",
        ];
        argv.extend(options);
        argv.extend(names.iter().map(String::as_str));
        argv
    }

    fn run(&self, host: &Host, argv: &[&str], deadline: Duration, what: String) -> Result<(), EffectError> {
        let command = Command::change(argv.iter().copied()).within(deadline);
        let output = change(host, &command)?;
        if is_well(&output) {
            Ok(())
        } else {
            Err(failure(what, &output))
        }
    }
}

/// The names in the table dnf prints before it asks, below any of `sections`. A name too long for its
/// column stands on a line of its own; what follows is indented further.
fn table(text: &str, sections: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if !line.starts_with(' ') {
            let line = line.trim_end();
            inside = sections.iter().any(|section| line.eq_ignore_ascii_case(section));
        } else if inside
            && line.as_bytes().get(1).is_some_and(|byte| *byte != b' ')
            && let Some(name) = line.split_whitespace().next()
        {
            names.push(name.to_owned());
        }
    }
    names
}

impl Packages for Rpm {
    fn states(&self, host: &Host, names: &[String]) -> Result<BTreeMap<String, State>, EffectError> {
        let mut states = BTreeMap::new();
        for name in names {
            // What provides it counts: curl-minimal is curl.
            let output = look(host, ["rpm", "--query", "--whatprovides", name])?;
            let missing = output.text().contains("no package provides");
            if !is_well(&output) && !missing {
                return Err(failure("the packages that are installed".into(), &output));
            }
            let state = if missing { State::Absent } else { State::Installed };
            states.insert(name.clone(), state);
        }
        Ok(states)
    }

    fn forecast(&self, host: &Host, names: &[String], offline: bool) -> Result<Forecast, EffectError> {
        let mut options = vec!["--assumeno"];
        options.extend(offline.then_some("--cacheonly"));
        options.push("install");
        // Answered with no, dnf ends with 1 also where everything is well.
        let output = look(host, self.argv(&options, names))?;
        let text = output.text();
        if text.contains("Nothing to do") {
            return Ok(Forecast::default());
        }
        if !text.contains("Transaction Summary") {
            return Err(failure(format!("the packages {}", names.join(" ")), &output));
        }
        let goes = table(
            &text,
            &[
                "Removing:",
                "Removing dependent packages:",
                "Removing unused dependencies:",
            ],
        );
        if let Some(gone) = goes.first() {
            return Err(EffectError::Refused {
                code: code::PACKAGES_CONFLICT,
                what: format!("the packages {}", names.join(" ")),
                complaint: format!("{gone} would be removed for them"),
            });
        }
        let mut added = table(
            &text,
            &[
                "Installing:",
                "Installing dependencies:",
                "Installing weak dependencies:",
            ],
        );
        added.sort();
        Ok(Forecast {
            added,
            upgraded: table(&text, &["Upgrading:", "Downgrading:"]),
        })
    }

    fn refresh(&self, host: &Host, deadline: Duration) -> Result<(), EffectError> {
        let what = "the lists of the package repositories".to_owned();
        self.run(host, &self.argv(&["--refresh", "makecache"], &[]), deadline, what)
    }

    /// rpm has no half-configured packages; an interrupted transaction is repeated.
    fn finish(&self, _: &Host, _: Duration) -> Result<(), EffectError> {
        Ok(())
    }

    fn install(&self, host: &Host, names: &[String], deadline: Duration) -> Result<(), EffectError> {
        let what = format!("installing {}", names.join(" "));
        self.run(
            host,
            &self.argv(&["--assumeyes", "install"], names),
            deadline,
            what,
        )
    }

    fn needed_by(&self, host: &Host, names: &[String]) -> Result<Option<String>, EffectError> {
        let mut argv = vec!["rpm", "--erase", "--test"];
        argv.extend(names.iter().map(String::as_str));
        let output = look(host, argv)?;
        if is_well(&output) {
            return Ok(None);
        }
        // `jq is needed by (installed) other-1.0-1.noarch`
        let said = said(&output);
        match said
            .lines()
            .find_map(|line| line.split_once("needed by (installed) "))
        {
            Some((_, who)) => Ok(Some(who.trim().to_owned())),
            None => Err(failure(format!("removing {}", names.join(" ")), &output)),
        }
    }

    fn remove(
        &self,
        host: &Host,
        names: &[String],
        _keep: &[String],
        deadline: Duration,
    ) -> Result<Vec<String>, EffectError> {
        let mut argv = vec!["rpm", "--erase"];
        argv.extend(names.iter().map(String::as_str));
        self.run(host, &argv, deadline, format!("removing {}", names.join(" ")))?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_read() {
        // As dnf 4.14 prints it where it is no terminal.
        let text = "Dependencies resolved.\n================\n Package      Arch   Version   Repository   Size\n================\n\
                    Installing:\n jq           x86_64 1.6-15.el9 appstream   187 k\nInstalling dependencies:\n \
                    a-package-with-a-name-longer-than-its-column\n              x86_64 6.9-1     baseos   217 k\n oniguruma    x86_64 6.9-1 baseos 217 k\n\
                    Upgrading:\n libfoo       x86_64 2-1 baseos 2 k\n\nTransaction Summary\n================\nInstall  3 Packages\n";
        assert_eq!(
            table(text, &["Installing:", "Installing dependencies:"]),
            ["jq", "a-package-with-a-name-longer-than-its-column", "oniguruma"]
        );
        assert_eq!(table(text, &["Upgrading:"]), ["libfoo"]);
    }
}

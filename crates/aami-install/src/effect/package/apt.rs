//! dpkg and apt, as Debian 11 and Ubuntu 20.04 and later have them.

use std::collections::BTreeMap;
use std::time::Duration;

use aami_model::{Code, code};

use super::super::EffectError;
use super::super::tool::{change, is_well, look, refused, said};
use super::{Forecast, Packages, State, harm};
use crate::host::{Command, Ended, Host, Output};

pub(super) struct Apt;

/// Never asks, never brings what is only recommended, keeps configuration somebody edited, never
/// removes anything for the sake of an installation (`apt-get(8)`, `dpkg(1)`).
const QUIETLY: [&str; 9] = [
    "-q",
    "-y",
    "--no-install-recommends",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    "Dpkg::Use-Pty=0",
];

/// What apt says, and the condition it stands for; the first that fits.
const WORDS: [(&str, Code); 24] = [
    ("Could not get lock", code::PACKAGES_LOCKED),
    ("Unable to acquire the dpkg frontend lock", code::PACKAGES_LOCKED),
    ("Unable to lock directory", code::PACKAGES_LOCKED),
    ("dpkg frontend lock was locked", code::PACKAGES_LOCKED),
    ("is another process using it?", code::PACKAGES_LOCKED),
    ("enough free space", code::DISK_FULL),
    ("No space left on device", code::DISK_FULL),
    ("Read-only file system", code::READ_ONLY),
    ("dpkg was interrupted", code::PACKAGES_BROKEN),
    ("--fix-broken install", code::PACKAGES_BROKEN),
    ("Unable to locate package", code::PACKAGE_UNKNOWN),
    ("has no installation candidate", code::PACKAGE_UNKNOWN),
    ("Couldn't find any package", code::PACKAGE_UNKNOWN),
    ("NO_PUBKEY", code::PACKAGES_UNTRUSTED),
    ("unauthenticated packages", code::PACKAGES_UNTRUSTED),
    ("cannot be authenticated", code::PACKAGES_UNTRUSTED),
    ("is not signed", code::PACKAGES_UNTRUSTED),
    ("Hash Sum mismatch", code::CHECKSUM_MISMATCH),
    ("Failed to fetch", code::PACKAGES_UNREACHABLE),
    ("Unable to fetch some archives", code::PACKAGES_UNREACHABLE),
    ("Packages need to be removed", code::PACKAGES_CONFLICT),
    ("unmet dependencies", code::PACKAGES_CONFLICT),
    ("are you root?", code::NOT_ROOT),
    (
        "Sub-process /usr/bin/dpkg returned an error",
        code::PACKAGES_BROKEN,
    ),
];

fn failure(what: String, output: &Output) -> EffectError {
    let said = said(output);
    let found = WORDS.iter().find(|(word, _)| said.contains(word));
    match found {
        // The line before says which package it was, and why.
        Some((_, code)) if *code == code::PACKAGES_BROKEN => refused(
            *code,
            what,
            output,
            &["dpkg: error", "dpkg was interrupted", "--fix-broken"],
        ),
        Some((word, code)) => refused(*code, what, output, &[word]),
        None => refused(code::PACKAGES_FAILED, what, output, &["E: "]),
    }
}

fn apt<'a>(verb: &[&'a str], names: &'a [String]) -> Vec<&'a str> {
    let mut argv = vec!["apt-get"];
    argv.extend(QUIETLY);
    argv.extend(verb);
    argv.push("--");
    argv.extend(names.iter().map(String::as_str));
    argv
}

fn run(host: &Host, argv: &[&str], deadline: Duration, what: String) -> Result<Output, EffectError> {
    let command = Command::change(argv.iter().copied())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("APT_LISTCHANGES_FRONTEND", "none")
        .env("NEEDRESTART_SUSPEND", "1")
        .within(deadline);
    let output = change(host, &command)?;
    if is_well(&output) {
        Ok(output)
    } else {
        Err(failure(what, &output))
    }
}

/// The names after `verb` in a simulation: `Inst jq (1.6-2.1 Debian:12 [amd64])`, with `[1.5]` before
/// the brackets where another version is there.
fn simulated(text: &str, verb: &str) -> Vec<(String, bool)> {
    let one = |line: &str| {
        let rest = line.strip_prefix(verb)?.strip_prefix(' ')?;
        let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        Some((name.to_owned(), rest.starts_with('[')))
    };
    text.lines().filter_map(one).collect()
}

impl Packages for Apt {
    fn states(&self, host: &Host, names: &[String]) -> Result<BTreeMap<String, State>, EffectError> {
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut argv = vec![
            "dpkg-query",
            "--show",
            "--showformat=${Package}\\t${Architecture}\\t${db:Status-Status}\\n",
            "--",
        ];
        argv.extend(names.iter().map(String::as_str));
        let output = look(host, argv)?;
        // 1: some are not known at all.
        if !matches!(output.ended, Ended::Status(0 | 1)) {
            return Err(failure("the packages that are installed".into(), &output));
        }
        Ok(states(&output.text()))
    }

    fn forecast(&self, host: &Host, names: &[String], _offline: bool) -> Result<Forecast, EffectError> {
        let output = look(host, apt(&["--no-remove", "--simulate", "install"], names))?;
        if !is_well(&output) {
            return Err(failure(format!("the packages {}", names.join(" ")), &output));
        }
        let all = simulated(&output.text(), "Inst");
        let (upgraded, added): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, there)| *there);
        let names = |all: Vec<(String, bool)>| all.into_iter().map(|(name, _)| name).collect();
        Ok(Forecast {
            added: names(added),
            upgraded: names(upgraded),
        })
    }

    fn refresh(&self, host: &Host, deadline: Duration) -> Result<(), EffectError> {
        let what = "the lists of the package repositories".to_owned();
        // Without the option a repository that cannot be reached is only a warning.
        let argv = ["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update"];
        let output = run(host, &argv, deadline, what.clone())?;
        let said = said(&output);
        if said.contains("Failed to fetch") || said.contains("Some index files failed to download") {
            // apt before 2.1 does not know the option.
            return Err(failure(what, &output));
        }
        Ok(())
    }

    fn finish(&self, host: &Host, deadline: Duration) -> Result<(), EffectError> {
        let what = "the packages an earlier run left half installed".to_owned();
        let argv = ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"];
        run(host, &argv, deadline, what).map(drop)
    }

    fn install(&self, host: &Host, names: &[String], deadline: Duration) -> Result<(), EffectError> {
        let what = format!("installing {}", names.join(" "));
        run(host, &apt(&["--no-remove", "install"], names), deadline, what).map(drop)
    }

    fn needed_by(&self, host: &Host, names: &[String]) -> Result<Option<String>, EffectError> {
        let output = look(host, apt(&["--simulate", "remove"], names))?;
        if !is_well(&output) {
            return Err(failure(format!("removing {}", names.join(" ")), &output));
        }
        let goes = simulated(&output.text(), "Remv")
            .into_iter()
            .map(|(name, _)| name);
        // Something else may be pulled in to take its place: that is a change nobody asked for.
        let comes = simulated(&output.text(), "Inst")
            .into_iter()
            .map(|(name, _)| name);
        let mut others = goes.filter(|name| !names.contains(name)).chain(comes);
        Ok(others.next())
    }

    fn remove(
        &self,
        host: &Host,
        names: &[String],
        keep: &[String],
        deadline: Duration,
    ) -> Result<Vec<String>, EffectError> {
        let what = format!("removing {}", names.join(" "));
        // One removal of all, so that no order between them matters; then the configuration.
        run(host, &apt(&["remove"], names), deadline, what.clone())?;
        let (mut purged, mut harmful) = (Vec::new(), Vec::new());
        for name in names.iter().filter(|name| !keep.contains(name)) {
            let into = if harm::purges_cleanly(host, name)? {
                &mut purged
            } else {
                &mut harmful
            };
            into.push(name.clone());
        }
        if !purged.is_empty() {
            run(host, &apt(&["purge"], &purged), deadline, what)?;
        }
        Ok(harmful)
    }
}

fn states(text: &str) -> BTreeMap<String, State> {
    let mut states = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.split('\t');
        let (Some(name), Some(architecture), Some(status)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let state = match status {
            "installed" | "triggers-pending" | "triggers-awaited" => State::Installed,
            "config-files" => State::Configuration,
            "not-installed" | "" => State::Absent,
            _ => State::Broken,
        };
        for name in [name.to_owned(), format!("{name}:{architecture}")] {
            // The same package may be there for several architectures; installed for one is installed.
            let known = states.entry(name).or_insert(state);
            if state == State::Installed {
                *known = state;
            }
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stderr: &str) -> Output {
        Output {
            ended: Ended::Status(100),
            stdout: Vec::new(),
            stderr: stderr.as_bytes().to_vec(),
        }
    }

    #[test]
    fn what_apt_complains_about_has_a_name() {
        // As apt 2.6 of Debian 12 words it.
        let cases = [
            (
                "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)\n\
                 E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?",
                code::PACKAGES_LOCKED,
                "held by process 812",
            ),
            (
                "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ",
                code::PACKAGES_BROKEN,
                "dpkg --configure -a",
            ),
            (
                "E: Unable to locate package nothing",
                code::PACKAGE_UNKNOWN,
                "nothing",
            ),
            (
                "Err:1 http://deb.example/debian bookworm InRelease\n  Temporary failure resolving 'deb.example'\n\
                 E: Failed to fetch http://deb.example/debian/dists/bookworm/InRelease  Temporary failure resolving 'deb.example'",
                code::PACKAGES_UNREACHABLE,
                "Temporary failure resolving",
            ),
            (
                "E: You don't have enough free space in /var/cache/apt/archives/.",
                code::DISK_FULL,
                "/var/cache/apt/archives",
            ),
            (
                "dpkg: error processing package jq (--configure):\n installed jq package post-installation script subprocess returned error exit status 1\n\
                 E: Sub-process /usr/bin/dpkg returned an error code (1)",
                code::PACKAGES_BROKEN,
                "processing package jq",
            ),
            (
                "E: Packages need to be removed but remove is disabled.",
                code::PACKAGES_CONFLICT,
                "remove is disabled",
            ),
            ("E: The wind turned", code::PACKAGES_FAILED, "The wind turned"),
        ];
        for (text, code, telling) in cases {
            let error = failure("installing jq".into(), &output(text));
            assert_eq!(error.code(), code, "{text}");
            assert!(error.to_string().contains(telling), "{error}");
        }
    }

    #[test]
    fn a_simulation_is_read() {
        let text = "NOTE: This is only a simulation!\nInst libonig5 (6.9.8-1 Debian:12.5/stable [amd64])\n\
                    Inst libc6 [2.36-9] (2.36-9+deb12u4 Debian:12.5/stable [amd64]) []\nConf libonig5 (6.9.8-1)\n";
        assert_eq!(
            simulated(text, "Inst"),
            [("libonig5".to_owned(), false), ("libc6".to_owned(), true)]
        );
        let text = "Remv jq [1.6-2.1]\nRemv libjq1 [1.6-2.1]\n";
        assert_eq!(simulated(text, "Remv").len(), 2);
    }

    #[test]
    fn installed_for_one_architecture_is_installed() {
        let states = states("libc6\tamd64\tinstalled\nlibc6\ti386\tconfig-files\nx\tall\thalf-configured\n");
        assert_eq!(states["libc6"], State::Installed);
        assert_eq!(states["libc6:i386"], State::Configuration);
        assert_eq!(states["x"], State::Broken);
    }
}

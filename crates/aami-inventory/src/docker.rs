//! The container engine: Docker and its Compose, by what the programs themselves say.

use serde::Serialize;

use crate::command::CommandError;
use crate::error::one_line;
use crate::host::Host;

/// What is known of Docker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Engine {
    /// Version of the client, e.g. `24.0.5`; `None` where it is not installed.
    pub client: Option<String>,
    /// Version of the daemon, where it answers.
    pub daemon: Option<String>,
    /// Why the daemon does not answer, in its client's words.
    pub silence: Option<String>,
    /// Whether it is the right to ask that lacks, and not the daemon.
    pub denied: bool,
    /// Whether what is called `docker` is Podman's stand-in (the package podman-docker), which is another engine.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_podman: bool,
    /// Version of Compose, as plugin or program.
    pub compose: Option<String>,
}

/// Asks Docker.
pub fn docker(host: &Host<'_>) -> Engine {
    let mut found = Engine::default();
    if host.program("docker").is_none() {
        return found;
    }
    // The stand-in answers `docker version` as Docker does, and only here by its own name.
    let named = host.commands.run("docker", &["--version"]);
    if named.is_ok_and(|output| output.stdout.to_ascii_lowercase().contains("podman")) {
        found.is_podman = true;
        return found;
    }
    let version = |what: &str| {
        let format = format!("{{{{.{what}.Version}}}}");
        host.commands.run("docker", &["version", "--format", &format])
    };
    match version("Client") {
        Ok(output) => found.client = version_in(&output.stdout),
        // A program that is there and does not answer is there.
        Err(error) => found.silence = Some(error.to_string()),
    }
    match version("Server") {
        Ok(output) => {
            found.daemon = version_in(&output.stdout).filter(|_| output.status == Some(0));
            if found.daemon.is_none() {
                let said = one_line(&output.stderr);
                found.denied = said.to_ascii_lowercase().contains("permission denied");
                found.silence = Some(said);
            }
        }
        Err(error @ CommandError::TimedOut { .. }) => found.silence = Some(error.to_string()),
        Err(_) => {}
    }
    let plugin = host.commands.run("docker", &["compose", "version", "--short"]);
    found.compose = plugin
        .ok()
        .filter(|output| output.status == Some(0))
        .and_then(|output| version_in(&output.stdout));
    if found.compose.is_none() && host.program("docker-compose").is_some() {
        let program = host.commands.run("docker-compose", &["version", "--short"]);
        found.compose = program.ok().and_then(|output| version_in(&output.stdout));
    }
    found
}

/// The first word that begins like a version, without a leading `v`.
pub fn version_in(text: &str) -> Option<String> {
    text.split_whitespace()
        .map(|word| word.trim_start_matches('v').trim_end_matches([',', ';']))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
        .map(one_line)
}

/// Whether `version` is at least `least`, number by number; what follows a number (`-rc1`, `+dfsg`) does
/// not count.
pub fn is_at_least(version: &str, least: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        text.split('.')
            .map_while(|part| {
                let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
                digits.parse().ok()
            })
            .collect()
    };
    let (mut have, want) = (numbers(version), numbers(least));
    have.resize(have.len().max(want.len()), 0);
    have >= want
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_and_compared() {
        assert_eq!(version_in("v2.20.2\n").as_deref(), Some("2.20.2"));
        assert_eq!(version_in("curl 7.81.0 (x86_64)").as_deref(), Some("7.81.0"));
        assert_eq!(
            version_in("docker-compose version 1.29.2, build 5becea4").as_deref(),
            Some("1.29.2")
        );
        assert_eq!(version_in("<no value>"), None);
        assert!(is_at_least("24.0.5", "20.10") && is_at_least("20.10.24+dfsg1", "20.10"));
        assert!(is_at_least("2.0", "2.0.0") && is_at_least("2", "2.0"));
        assert!(!is_at_least("19.03.15", "20.10") && !is_at_least("1.29.2", "2.0") && !is_at_least("", "1"));
    }
}

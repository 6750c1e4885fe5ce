//! The real way: the machine's resolver, and one HTTP request a host.

use std::io::Read as _;
use std::net::ToSocketAddrs as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use aami_api::client::{ClientError, http_date, tls_config};
use aami_api::health::Health;
use aami_model::Timestamp;

use super::{Expect, Fault, Lookup, Road, Seen, Target};

/// How long a name may take.
const NAME: Duration = Duration::from_secs(5);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(4);
/// How long the whole request may take.
const ANSWER: Duration = Duration::from_secs(8);
/// As much of an answer as tells what it is.
const ENOUGH: u64 = 16 * 1024;

/// The machine's own resolver and network.
pub struct RealRoad<'a> {
    /// What this machine's clock says.
    pub clock: &'a (dyn Fn() -> Timestamp + Sync),
}

impl Road for RealRoad<'_> {
    fn look_up(&self, name: &str) -> Lookup {
        let (sender, receiver) = mpsc::sync_channel(1);
        let asked = name.to_owned();
        // The system's resolver knows no deadline; the thread ends with its answer.
        std::thread::spawn(move || {
            let found = (asked.as_str(), 443_u16)
                .to_socket_addrs()
                .map(|found| found.map(|address| address.ip()).collect::<Vec<_>>())
                .map_err(|error| error.to_string());
            let _ = sender.send(found);
        });
        match receiver.recv_timeout(NAME) {
            Ok(Ok(found)) if !found.is_empty() => Lookup::Found(found),
            // getaddrinfo(3): EAI_AGAIN in the words of glibc and of musl; everything else is an answer.
            Ok(Err(why)) if why.contains("Temporary failure") || why.contains("Try again") => Lookup::Silent,
            Ok(_) => Lookup::Unknown,
            Err(_) => Lookup::Silent,
        }
    }

    fn ask(&self, target: &Target) -> Seen {
        // The name first, by itself: the transport does not tell "no such name" from "nobody answers".
        if let Some(name) = target.first_name() {
            let fault = match self.look_up(&name) {
                Lookup::Found(_) => None,
                Lookup::Unknown => Some(Fault::Name),
                Lookup::Silent => Some(Fault::NameServer),
            };
            if let Some(fault) = fault {
                let by_proxy = target.proxy.is_some();
                let shown = if by_proxy { Fault::ProxyAway } else { fault };
                return Seen::failed(shown, format!("{name}: {}", fault.words()));
            }
        }
        let agent = match agent(target) {
            Ok(agent) => agent,
            Err(seen) => return seen,
        };
        let started = Instant::now();
        let response = match agent.get(&target.url).call() {
            Ok(response) => response,
            Err(error) => {
                let (fault, detail) = Fault::of(&error, target.proxy.is_some());
                return Seen {
                    took: started.elapsed(),
                    ..Seen::failed(fault, detail)
                };
            }
        };
        let took = started.elapsed();
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let mut seen = Seen {
            status: Some(response.status().as_u16()),
            date: header("date").and_then(|text| http_date(&text)),
            at: Some((self.clock)()),
            took,
            ..Seen::default()
        };
        let mut body = Vec::new();
        let _ = response
            .into_body()
            .into_reader()
            .take(ENOUGH)
            .read_to_end(&mut body);
        if let Some((fault, detail)) = judge(target, seen.status.unwrap_or(0), &body) {
            seen.fault = Some(fault);
            seen.detail = detail;
        }
        seen
    }
}

fn agent(target: &Target) -> Result<ureq::Agent, Seen> {
    let proxy = match target.proxy.as_deref().map(ureq::Proxy::new) {
        None => None,
        Some(Ok(proxy)) => Some(proxy),
        // What was given may hold a password, so it is not repeated.
        Some(Err(_)) => return Err(Seen::failed(Fault::ProxySetting, "it is not a proxy's address")),
    };
    let tls = tls_config(&target.trust).map_err(|error| {
        let fault = match error {
            ClientError::Ca => Fault::CaFile,
            _ => Fault::Tls,
        };
        Seen::failed(fault, error.to_string())
    })?;
    let agent = ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(proxy)
        .user_agent(concat!("aami/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(ANSWER))
        .timeout_connect(Some(CONNECT))
        .timeout_resolve(Some(NAME))
        .build()
        .new_agent();
    Ok(agent)
}

/// What is wrong with an answer, if something is.
fn judge(target: &Target, status: u16, body: &[u8]) -> Option<(Fault, String)> {
    let says = format!("it answers with status {status}");
    let text = String::from_utf8_lossy(body);
    let begin = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .to_ascii_lowercase();
    let is_page = ["<!doctype html", "<html", "<head", "<body"]
        .iter()
        .any(|tag| begin.starts_with(tag));
    // 407 is what a proxy says to a request in clear; one for a tunnel fails before.
    if status == 407 {
        return Some((Fault::ProxyPassword, says));
    }
    match target.expect {
        Expect::ControlPlane => {
            let health: Option<Health> = serde_json::from_slice(body).ok();
            match health {
                Some(health) if health.service == "aami" && status < 500 => None,
                Some(health) if health.service == "aami" => {
                    let detail = health.detail.unwrap_or_else(|| health.status.clone());
                    Some((Fault::Unwell, detail.chars().take(200).collect()))
                }
                _ if is_page && target.proxy.is_some() && status >= 400 => Some((Fault::ProxyRefused, says)),
                // A web server that has no such page is a wrong address, not a portal.
                _ if is_page && status < 500 && status != 404 => Some((Fault::Portal, says)),
                _ if status >= 500 => Some((Fault::Unwell, says)),
                _ => Some((Fault::NotAami, says)),
            }
        }
        Expect::File if is_page && status < 400 => Some((Fault::Portal, says)),
        _ if status >= 500 => Some((Fault::Unwell, says)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_what_must_answer() {
        let target = |expect| Target {
            key: "server".into(),
            url: "http://control/".into(),
            trust: aami_api::client::Trust::System,
            proxy: None,
            expect,
            required: true,
        };
        let of =
            |expect, status, body: &str| judge(&target(expect), status, body.as_bytes()).map(|found| found.0);
        let health = r#"{"status":"ok","service":"aami","version":"0.1.0"}"#;
        assert_eq!(of(Expect::ControlPlane, 200, health), None);
        assert_eq!(of(Expect::ControlPlane, 503, health), Some(Fault::Unwell));
        assert_eq!(
            of(Expect::ControlPlane, 200, "\n<!DOCTYPE HTML><html>"),
            Some(Fault::Portal)
        );
        assert_eq!(of(Expect::ControlPlane, 200, "{}"), Some(Fault::NotAami));
        assert_eq!(of(Expect::ControlPlane, 404, "<html>"), Some(Fault::NotAami));
        assert_eq!(of(Expect::ControlPlane, 407, ""), Some(Fault::ProxyPassword));
        assert_eq!(of(Expect::ControlPlane, 502, "bad gateway"), Some(Fault::Unwell));
        assert_eq!(of(Expect::File, 200, "<html>"), Some(Fault::Portal));
        assert_eq!(of(Expect::File, 404, "<html>"), None, "the mirror is there");
        assert_eq!(of(Expect::Anything, 401, "{}"), None);
        assert_eq!(of(Expect::Anything, 500, ""), Some(Fault::Unwell));
    }
}

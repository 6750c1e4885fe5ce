//! Ports in the host's firewall: opened where one is at work, for whoever scrapes, and closed again when the
//! exporter goes.

use aami_install::effect::FirewallRule;
use aami_install::effect::firewall::{self, Firewall};
use aami_install::{Effect, Host, StepError};
use aami_model::code;
use serde::{Deserialize, Serialize};

use super::plane::resolved;
use super::session::Session;
use super::{Form, Purpose};

/// One open port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Door {
    /// Which.
    pub(crate) port: u16,
    /// Addresses and networks it is open for alone. None in notes of before, where it was opened for everybody; no
    /// door is made like that any more.
    pub(crate) sources: Vec<String>,
}

impl Door {
    /// The rules that open it.
    pub(crate) fn effects(&self) -> Vec<Effect> {
        let rule = || FirewallRule::tcp(self.port);
        if self.sources.is_empty() {
            return vec![Effect::FirewallRule(rule())];
        }
        let sources = self.sources.iter();
        sources
            .map(|source| Effect::FirewallRule(rule().from(source)))
            .collect()
    }

    /// For people.
    pub(crate) fn said(&self) -> String {
        let from = if self.sources.is_empty() {
            "anybody".to_owned()
        } else {
            self.sources.join(", ")
        };
        format!("Firewall: port {} is open for {from}", self.port)
    }
}

/// The firewall that is at work on this host, where its ports are this run's business.
pub(crate) fn at_work(session: &Session, host: &Host) -> Result<Option<Firewall>, StepError> {
    let options = &session.options;
    let is_ours = options.form == Form::Host && !options.skip_firewall;
    if !is_ours || matches!(options.purpose, Purpose::Look(_) | Purpose::Update(_)) {
        return Ok(None);
    }
    let found = session
        .firewall
        .get(|| firewall::active(host).map_err(StepError::from))?;
    Ok(*found)
}

/// What has to be opened for an exporter on `port`; nothing where there is no firewall, or where nobody comes
/// from outside. `before` is what an earlier run opened for it.
pub(crate) fn needed(
    session: &Session,
    host: &Host,
    port: u16,
    before: Option<&Door>,
) -> Result<Option<Door>, StepError> {
    if at_work(session, host)?.is_none() || session.bind_address()?.is_loopback() {
        return Ok(None);
    }
    let given = &session.options.scrape_from;
    // Whom an earlier run let in may still come.
    let earlier = || {
        before
            .map(|door| door.sources.clone())
            .filter(|all| !all.is_empty())
    };
    let mut sources = match session.server() {
        _ if !given.is_empty() => given.clone(),
        Some(server) => match control_plane(server) {
            Ok(sources) => sources,
            Err(error) => earlier().ok_or(error)?,
        },
        // Nobody knows who scrapes a node on its own unless it is said; open for everybody is no answer.
        None => match earlier() {
            Some(sources) => sources,
            None => return Ok(None),
        },
    };
    sources.sort();
    sources.dedup();
    Ok(Some(Door { port, sources }))
}

/// Where the control plane is. That nobody knows is an error: a door for no address in particular is open for all.
fn control_plane(server: &str) -> Result<Vec<String>, StepError> {
    let unknown = |why: String| {
        StepError::new(
            code::SCRAPERS_UNKNOWN,
            format!("the firewall cannot be opened for the control plane at {server} alone: {why}"),
        )
    };
    let found =
        resolved(server)?.map_err(|error| unknown(format!("its name is not known here ({error})")))?;
    if found.is_empty() {
        return Err(unknown("its name has no address".to_owned()));
    }
    Ok(found.iter().map(|address| address.ip().to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_one_rule_a_source_or_one_for_everybody() {
        let key = |door: &Door| -> Vec<String> {
            let effects = door.effects();
            effects.iter().map(|effect| effect.key().to_string()).collect()
        };
        let mut door = Door {
            port: 9100,
            sources: Vec::new(),
        };
        assert_eq!(key(&door), ["firewall tcp 9100 from anybody"]);
        door.sources = vec!["10.0.0.1".to_owned(), "fd00::/8".to_owned()];
        assert_eq!(
            key(&door),
            [
                "firewall tcp 9100 from 10.0.0.1",
                "firewall tcp 9100 from fd00::/8"
            ]
        );
    }

    #[test]
    fn a_control_plane_by_address_is_known_and_one_by_an_unknown_name_opens_nothing() {
        assert_eq!(control_plane("https://127.0.0.9:8080").unwrap(), ["127.0.0.9"]);
        // A door without an address would be open for everybody.
        let error = control_plane("https://no-such-name.invalid:8080").unwrap_err();
        assert_eq!(error.code(), code::SCRAPERS_UNKNOWN);
        assert!(
            error.code().hint.contains("--scrape-from"),
            "{}",
            error.code().hint
        );
    }
}

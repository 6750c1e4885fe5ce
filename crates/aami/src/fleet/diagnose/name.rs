//! What a name means, as this machine looks names up. Prometheus scrapes addresses: a name that means nothing breaks
//! nothing, and one that means another address may tell where the node went.

use std::collections::BTreeSet;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::mpsc::channel;
use std::time::Duration;

/// More addresses than this no node has.
const MOST: usize = 16;

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// These addresses.
    Addresses(BTreeSet<IpAddr>),
    /// Nothing: the system's words.
    Nothing(String),
    /// Nobody said anything in time.
    Silence,
}

/// Looks a name up.
pub(crate) fn look_up(name: &str, within: Duration) -> Meaning {
    let (told, hears) = channel();
    let name = name.to_owned();
    // The system's resolver knows no deadline: the thread ends with it, or with this process.
    std::thread::spawn(move || {
        let found = (name.as_str(), 0).to_socket_addrs();
        let _ = told.send(found.map(|all| all.map(|one| one.ip().to_canonical()).take(MOST).collect()));
    });
    match hears.recv_timeout(within) {
        Ok(Ok(addresses)) => Meaning::Addresses(addresses),
        Ok(Err(error)) => Meaning::Nothing(error.to_string()),
        Err(_) => Meaning::Silence,
    }
}

/// Addresses as people read them.
pub(crate) fn shown(addresses: &BTreeSet<IpAddr>) -> String {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn a_name_means_addresses_or_nothing() {
        let Meaning::Addresses(found) = look_up("localhost", SOON) else {
            panic!("localhost is an address");
        };
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
        // RFC 6761: no such name is ever given to anybody.
        assert!(!matches!(look_up("gpu-01.invalid", SOON), Meaning::Addresses(_)));
    }
}

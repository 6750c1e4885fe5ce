//! Ports nobody holds. A port that somebody else holds is never freed: another one is taken and said.

use std::net::{IpAddr, TcpListener};

use crate::cli::screen::Screen;

/// Which ports to try, best first: the one of last time, the usual one, one that looks like it, any.
pub(super) fn candidates(remembered: Option<u16>, usual: u16) -> Vec<u16> {
    let mut ports = Vec::new();
    for port in remembered
        .into_iter()
        .chain([usual])
        .chain(usual.checked_add(10_000))
        .chain([0])
    {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

/// The first candidate that can be listened on at `ip`, as a port number of its own.
pub(super) fn free(ip: IpAddr, remembered: Option<u16>, usual: u16) -> std::io::Result<u16> {
    let mut last = None;
    for port in candidates(remembered, usual) {
        match TcpListener::bind((ip, port)).and_then(|listener| listener.local_addr()) {
            Ok(address) => return Ok(address.port()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into()))
}

/// Says so when a port is not the usual one because that one is taken.
pub(super) fn say(screen: &mut Screen, what: &str, usual: u16, chosen: u16, ip: IpAddr) {
    if chosen != usual && TcpListener::bind((ip, usual)).is_err() {
        screen.note(&format!(
            "aami: port {usual} is held by another program, so {what} is on port {chosen}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn the_port_of_last_time_comes_first_and_none_twice() {
        assert_eq!(candidates(Some(18_080), 8_080), [18_080, 8_080, 0]);
        assert_eq!(candidates(None, 60_000), [60_000, 0]);
    }

    #[test]
    fn a_port_a_stranger_holds_is_left_to_them() {
        let stranger = TcpListener::bind((HERE, 0)).unwrap();
        let taken = stranger.local_addr().unwrap().port();
        let chosen = free(HERE, None, taken).unwrap();
        assert_ne!(chosen, taken);
        assert!(stranger.local_addr().is_ok());
    }
}

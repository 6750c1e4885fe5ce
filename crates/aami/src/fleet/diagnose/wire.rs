//! Whether somebody answers at an address: refused, dropped and unreachable are three different things.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// What came of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Somebody listens.
    Open(Duration),
    /// The host is there and says that nobody listens, or a firewall says it in its name.
    Refused,
    /// Nothing came back.
    Silent(Duration),
    /// Somebody on the way, or this machine, says that there is none.
    NoRoute(String),
    /// This machine would not even try.
    Forbidden(String),
}

impl Wire {
    /// Whether the host itself answered, be it to refuse.
    pub(crate) const fn answers(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Refused)
    }

    /// What was measured, in a few words.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Open(took) => format!("connected in {} ms", took.as_millis()),
            Self::Refused => "connection refused".to_owned(),
            Self::Silent(after) => format!("no answer within {} s", after.as_secs_f32()),
            Self::NoRoute(why) => format!("no route: {why}"),
            Self::Forbidden(why) => format!("this machine does not let it out: {why}"),
        }
    }
}

/// Tries one connection and closes it.
pub(crate) fn connect(to: SocketAddr, within: Duration) -> Wire {
    let begun = Instant::now();
    match TcpStream::connect_timeout(&to, within) {
        Ok(_) => Wire::Open(begun.elapsed()),
        Err(error) => failed(&error, begun.elapsed()),
    }
}

fn failed(error: &io::Error, after: Duration) -> Wire {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Wire::Refused,
        // Somebody was there who hung up at once.
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Wire::Refused,
        io::ErrorKind::PermissionDenied => Wire::Forbidden(error.to_string()),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Wire::Silent(after),
        _ => Wire::NoRoute(error.to_string()),
    }
}

/// The address this machine would be seen with. Nothing is sent.
pub(crate) fn seen_as(to: IpAddr) -> Option<IpAddr> {
    let any: SocketAddr = match to {
        IpAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn somebody_who_listens_is_told_from_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(matches!(connect(address, SOON), Wire::Open(_)));
        drop(listener);
        assert_eq!(connect(address, SOON), Wire::Refused);
    }

    #[test]
    fn each_failure_has_its_meaning() {
        let told = |kind: io::ErrorKind| failed(&kind.into(), SOON);
        assert!(matches!(told(io::ErrorKind::TimedOut), Wire::Silent(_)));
        assert!(matches!(told(io::ErrorKind::HostUnreachable), Wire::NoRoute(_)));
        assert!(matches!(
            told(io::ErrorKind::NetworkUnreachable),
            Wire::NoRoute(_)
        ));
        assert!(matches!(
            told(io::ErrorKind::PermissionDenied),
            Wire::Forbidden(_)
        ));
        assert!(told(io::ErrorKind::ConnectionReset).answers());
        assert_eq!(
            seen_as("127.0.0.1".parse().unwrap()),
            Some("127.0.0.1".parse().unwrap())
        );
    }
}

//! The hosts on the way to a node: `[user@]host[:port][,...]`, as OpenSSH's ProxyJump is written.

use std::fmt;
use std::str::FromStr;

/// One host on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Who to log in as; `ssh.user` where nothing is given.
    pub user: Option<String>,
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port; 22 where nothing is given.
    pub port: Option<u16>,
}

/// The hosts to go through, the first from here first; empty (`none`) for a direct connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProxyJump(Vec<Hop>);

/// At most this many hosts on the way.
const MOST_HOPS: usize = 8;

impl ProxyJump {
    /// The hosts, the first from here first.
    pub fn hops(&self) -> &[Hop] {
        &self.0
    }
}

/// Why a text names no way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a way is `[user@]host[:port]`, up to eight of them with commas between, or `none`")]
pub struct NotAJump;

impl FromStr for Hop {
    type Err = NotAJump;

    fn from_str(text: &str) -> Result<Self, NotAJump> {
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or(NotAJump)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| NotAJump)?;
                match after {
                    "" => (host, None),
                    after => (host, Some(after.strip_prefix(':').ok_or(NotAJump)?)),
                }
            }
            // More than one colon without brackets is an IPv6 address without a port.
            None if rest.matches(':').count() > 1 => {
                rest.parse::<std::net::Ipv6Addr>().map_err(|_| NotAJump)?;
                (rest, None)
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port {
            None => None,
            Some(text) => Some(text.parse::<u16>().ok().filter(|p| *p > 0).ok_or(NotAJump)?),
        };
        let host_fits = !host.is_empty()
            && host.len() <= 253
            && !host.starts_with('-')
            && host
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_:".contains(&b));
        if !host_fits || user.is_some_and(|user| !crate::text::is_user(user)) {
            return Err(NotAJump);
        }
        Ok(Self {
            user: user.map(str::to_owned),
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match (self.host.contains(':'), self.port) {
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (_, None) => f.write_str(&self.host),
        }
    }
}

impl FromStr for ProxyJump {
    type Err = NotAJump;

    fn from_str(text: &str) -> Result<Self, NotAJump> {
        if text == "none" {
            return Ok(Self::default());
        }
        let hops: Vec<Hop> = text
            .split(',')
            .take(MOST_HOPS + 1)
            .map(|hop| hop.trim().parse())
            .collect::<Result<_, _>>()?;
        if hops.len() > MOST_HOPS {
            return Err(NotAJump);
        }
        Ok(Self(hops))
    }
}

impl fmt::Display for ProxyJump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (at, hop) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            write!(f, "{hop}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_read_as_openssh_reads_them() {
        for text in [
            "bastion",
            "ops@bastion:2222",
            "a,b@c,[2001:db8::1]:22",
            "2001:db8::1",
            "none",
        ] {
            let jump: ProxyJump = text.parse().unwrap();
            assert_eq!(jump.to_string(), text);
        }
        assert!("none".parse::<ProxyJump>().unwrap().hops().is_empty());
        let hop: Hop = "corp\\ann@[2001:db8::1]:2222".parse().unwrap();
        assert_eq!(
            (hop.user.as_deref(), hop.host.as_str(), hop.port),
            (Some("corp\\ann"), "2001:db8::1", Some(2222))
        );
    }

    #[test]
    fn hostile_ways_are_refused() {
        for text in [
            "",
            ",",
            "a,,b",
            "-oProxyCommand=x",
            "a b",
            "a:0",
            "a:99999",
            "a:",
            "@a",
            "-x@a",
            "[::1",
            "[a]:22",
            "a\nb",
            "a,b,c,d,e,f,g,h,i",
        ] {
            assert_eq!(text.parse::<ProxyJump>(), Err(NotAJump), "{text:?}");
        }
    }
}

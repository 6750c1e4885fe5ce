//! How this control plane is reached: its address, its pin, and the one line that enrols a node.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// Where the control plane is, and how a stranger can know it.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    /// `https://host:port`, without a path.
    pub(crate) public_url: String,
    /// `sha256//...` of its key, where it has a CA of its own.
    pub(crate) pin: Option<String>,
    /// That CA, PEM.
    pub(crate) ca: Option<String>,
}

impl Reach {
    /// What to paste on a node, with curl. The token goes in a header, so that it reaches no log.
    pub(crate) fn one_line(&self, token: &str) -> String {
        let pin = self
            .pin
            .as_ref()
            .map_or_else(String::new, |pin| format!("k --pinnedpubkey '{pin}'"));
        format!(
            "curl -fsSL{pin} -H 'Authorization: Bearer {token}' {}/bootstrap.sh | sudo sh",
            self.public_url
        )
    }

    /// The same with wget, which knows no pins: only where the system trusts the certificate. Said with `-q`, it would
    /// keep to itself why nothing came.
    pub(crate) fn one_line_wget(&self, token: &str) -> Option<String> {
        if self.pin.is_some() {
            return None;
        }
        Some(format!(
            "wget -nv -O- --header='Authorization: Bearer {token}' {}/bootstrap.sh | sudo sh",
            self.public_url
        ))
    }
}

/// The address others reach this machine at: the source address of its default route. No packet is
/// sent: connecting a UDP socket only asks the kernel for the route (`connect(2)`).
pub(crate) fn outward_address() -> Option<IpAddr> {
    let ask = |bind: &str, towards: &str| {
        let socket = UdpSocket::bind(bind).ok()?;
        socket.connect(towards).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    // Addresses set aside for documentation (RFC 5737, RFC 3849): nobody is there.
    ask("0.0.0.0:0", "192.0.2.1:9")
        .or_else(|| ask("[::]:0", "[2001:db8::1]:9"))
        .filter(|ip| !ip.is_unspecified())
}

/// `https://` and where `listen` can be reached from elsewhere.
pub(crate) fn url_of(listen: SocketAddr) -> String {
    let ip = if listen.ip().is_unspecified() {
        outward_address().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))
    } else {
        listen.ip()
    };
    format!("https://{}", SocketAddr::new(ip, listen.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_line_pins_the_key_of_an_own_ca_and_only_that() {
        let own = Reach {
            public_url: "https://h:1".into(),
            pin: Some("sha256//x=".into()),
            ca: None,
        };
        assert_eq!(
            own.one_line("aami_a_b"),
            "curl -fsSLk --pinnedpubkey 'sha256//x=' -H 'Authorization: Bearer aami_a_b' https://h:1/bootstrap.sh | sudo sh"
        );
        assert_eq!(own.one_line_wget("aami_a_b"), None);
        let public = Reach { pin: None, ..own };
        assert_eq!(
            public.one_line("aami_a_b"),
            "curl -fsSL -H 'Authorization: Bearer aami_a_b' https://h:1/bootstrap.sh | sudo sh"
        );
    }
}

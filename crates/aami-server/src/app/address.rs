//! Which addresses may be registered, from where.

use std::net::{IpAddr, UdpSocket};

use aami_model::address::{AddressKind, kind_of};
use aami_model::code;

use super::Refusal;

/// The rules, as configured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AddressPolicy {
    /// Accept loopback and this machine's own addresses from anybody.
    pub(crate) allow_local: bool,
    /// Accept link-local addresses.
    pub(crate) allow_link_local: bool,
}

impl AddressPolicy {
    /// Judges `address`, named by a registrant that connects from `peer`.
    pub(crate) fn judge(self, address: IpAddr, peer: IpAddr) -> Result<(), Refusal> {
        let refused = |why: &str| {
            Err(Refusal::new(
                code::ADDRESS_REFUSED,
                format!("{address} may not be registered: {why}"),
            ))
        };
        match kind_of(address) {
            AddressKind::Unspecified => refused("it names no host"),
            AddressKind::Multicast => refused("it is a multicast or broadcast address"),
            AddressKind::LinkLocal if self.allow_link_local => Ok(()),
            AddressKind::LinkLocal => refused("it is link-local"),
            AddressKind::Loopback if self.allow_local || is_local(peer) => Ok(()),
            AddressKind::Loopback => refused("it is a loopback address, and you are not on this machine"),
            AddressKind::Routable if self.allow_local || !is_own(address) || is_local(peer) => Ok(()),
            AddressKind::Routable => refused("it is the control plane's own"),
        }
    }
}

/// Whether a peer is this machine itself.
pub(crate) fn is_local(peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback() || is_own(peer)
}

/// Whether an address is one of this machine's. The kernel lets a socket be bound to exactly those
/// (unless `ip_nonlocal_bind` is set, when nothing can tell).
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address.to_canonical(), 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(address: &str, peer: &str) -> bool {
        AddressPolicy::default()
            .judge(address.parse().unwrap(), peer.parse().unwrap())
            .is_ok()
    }

    #[test]
    fn what_leads_elsewhere_than_it_says_is_refused() {
        for address in [
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "0.0.0.0",
            "::ffff:169.254.169.254",
        ] {
            assert!(!judge(address, "127.0.0.1"), "{address}");
        }
    }

    /// An address of this machine that is not loopback, where it has one.
    fn outward() -> Option<IpAddr> {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        let own = socket.local_addr().ok()?.ip();
        (!own.is_loopback()).then_some(own)
    }

    #[test]
    fn the_control_planes_own_address_is_for_this_machine_only() {
        let Some(own) = outward() else {
            assert!(std::env::var_os("CI").is_none(), "this machine has only loopback");
            return;
        };
        let [near, far] = ["127.0.0.1", "192.0.2.7"].map(|peer| peer.parse::<IpAddr>().unwrap());
        let policy = AddressPolicy::default();
        // Named from elsewhere, what is scraped there would be this machine,
        let refusal = policy.judge(own, far).unwrap_err();
        assert_eq!(refusal.code, code::ADDRESS_REFUSED);
        assert!(
            refusal.detail.contains("the control plane's own"),
            "{}",
            refusal.detail
        );
        // named here it is right, and another machine's is nobody's but its own.
        for (address, peer) in [(own, near), (own, own), (far, far), (far, near)] {
            policy.judge(address, peer).unwrap();
        }
        let open = AddressPolicy {
            allow_local: true,
            ..policy
        };
        open.judge(own, far).unwrap();
    }

    #[test]
    fn loopback_is_for_this_machine_only() {
        assert!(judge("127.0.0.1", "127.0.0.1"));
        assert!(!judge("127.0.0.1", "192.0.2.7"));
        assert!(judge("192.0.2.7", "192.0.2.7"));
        let open = AddressPolicy {
            allow_local: true,
            ..AddressPolicy::default()
        };
        assert!(
            open.judge("127.0.0.1".parse().unwrap(), "192.0.2.7".parse().unwrap())
                .is_ok()
        );
    }
}

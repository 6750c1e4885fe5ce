//! The address this machine is reached at, seen from where the server is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::error::InventoryError;

/// The source address of the route to `server`. Connecting a UDP socket makes the kernel choose
/// route and source; no packet is sent.
pub fn source_address(server: SocketAddr) -> Result<IpAddr, InventoryError> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let choose = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(server)?;
        Ok(socket.local_addr()?.ip().to_canonical())
    };
    choose().map_err(|source| InventoryError::NoRoute { server, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_loopback_begins_at_loopback() {
        let server: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(source_address(server).unwrap(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}

//! The interface that packets to somebody leave by, from the kernel's own tables (proc(5)): by the same one theirs
//! come in, on all but exotic hosts.

use super::super::EffectError;
use super::network::contains;
use crate::host::Host;
use crate::path::HostPath;

/// No table is longer.
const LONGEST: u64 = 4 << 20;
/// `RTF_UP` and `RTF_REJECT` of `linux/route.h`.
const UP: u32 = 0x1;
const REJECT: u32 = 0x200;

/// One way out.
#[derive(Debug, PartialEq, Eq)]
struct Route {
    interface: String,
    network: String,
    prefix: u32,
    metric: u32,
}

/// The interface towards an address or network; towards anybody where there is none. `None` where no route goes
/// there.
pub(super) fn towards(host: &Host, source: Option<&str>) -> Result<Option<String>, EffectError> {
    let table = |path: &str| -> Result<String, EffectError> {
        let bytes = host.root.read(&HostPath::root().below(path), LONGEST)?;
        Ok(bytes.map_or_else(String::new, |bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let mut routes = Vec::new();
    let is_six = source.is_some_and(|source| source.contains(':'));
    if !is_six {
        routes = read(&table("proc/net/route")?, four);
    }
    if is_six || source.is_none() && routes.is_empty() {
        routes = read(&table("proc/net/ipv6_route")?, six);
    }
    let target = source.unwrap_or(if routes.iter().any(|route| route.network.contains(':')) {
        "::/0"
    } else {
        "0.0.0.0/0"
    });
    let found = routes
        .into_iter()
        .filter(|route| contains(&route.network, target))
        .min_by_key(|route| (u32::MAX - route.prefix, route.metric));
    Ok(found.map(|route| route.interface))
}

fn read(table: &str, line: impl Fn(&[&str]) -> Option<Route>) -> Vec<Route> {
    let fields = |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
    table
        .lines()
        .filter_map(|text| {
            let fields = fields(text);
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            line(&fields)
        })
        .collect()
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

/// `eth0 0000A8C0 00000000 0001 0 0 100 00FFFFFF ...`: addresses are in the order of the host's bytes.
fn four(fields: &[&str]) -> Option<Route> {
    let [interface, network, _, flags, _, _, metric, mask, ..] = fields else {
        return None;
    };
    let flags = hex(flags)?;
    if flags & UP == 0 || flags & REJECT != 0 {
        return None;
    }
    let address = |text: &str| hex(text).map(|number| std::net::Ipv4Addr::from(number.to_ne_bytes()));
    let prefix = u32::from(address(mask)?).leading_ones();
    Some(Route {
        interface: (*interface).to_owned(),
        network: format!("{}/{prefix}", address(network)?),
        prefix,
        metric: metric.parse().ok()?,
    })
}

/// `fd00...0000 40 000...000 00 000...000 00000100 00000001 00000000 00000001 eth0`: network and prefix, source and
/// its prefix, the next hop, metric, two counters, flags.
fn six(fields: &[&str]) -> Option<Route> {
    let [network, prefix, _, _, _, metric, _, _, flags, interface] = fields else {
        return None;
    };
    let flags = hex(flags)?;
    if flags & UP == 0 || flags & REJECT != 0 || *interface == "lo" {
        return None;
    }
    let address = std::net::Ipv6Addr::from(u128::from_str_radix(network, 16).ok()?);
    let prefix = hex(prefix)?;
    Some(Route {
        interface: (*interface).to_owned(),
        network: format!("{address}/{prefix}"),
        prefix,
        metric: hex(metric)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUR: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
        wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
        ib0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n\
        *\t00000A0A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
    const SIX: &str = "\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
        fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n\
        fd000000000000000000000000000000 08 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 00000100 00000001 00000000 00000001      ib0\n\
        00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
        00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n";

    fn host(folder: &std::path::Path, four: &str, six: &str) -> Host {
        std::fs::create_dir_all(folder.join("proc/net")).unwrap();
        std::fs::write(folder.join("proc/net/route"), four).unwrap();
        std::fs::write(folder.join("proc/net/ipv6_route"), six).unwrap();
        Host::folder(folder).unwrap()
    }

    #[test]
    fn the_narrowest_route_decides_and_the_default_one_for_anybody() {
        let folder = tempfile::tempdir().unwrap();
        let host = host(folder.path(), FOUR, SIX);
        for (source, interface) in [
            (Some("10.1.2.3"), "ib0"),
            (Some("10.0.0.0/8"), "ib0"),
            (Some("192.0.2.7"), "eth0"),
            (Some("fd12::1"), "ib0"),
            (Some("2001:db8::1"), "eth0"),
            (None, "eth0"),
        ] {
            assert_eq!(
                towards(&host, source).unwrap().as_deref(),
                Some(interface),
                "{source:?}"
            );
        }
    }

    #[test]
    fn where_no_route_goes_there_is_no_interface() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            towards(&Host::folder(folder.path()).unwrap(), None).unwrap(),
            None
        );
        let host = host(folder.path(), "nonsense\n", SIX);
        assert_eq!(towards(&host, Some("10.0.0.1")).unwrap(), None);
        // A host that has IPv6 alone.
        assert_eq!(towards(&host, None).unwrap().as_deref(), Some("eth0"));
    }
}

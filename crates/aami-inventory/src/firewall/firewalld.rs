//! What firewalld lets in, by what `firewall-cmd(1)` tells of its zones.

use super::covers;
use crate::host::Host;

/// No table of routes, and no service of firewalld's, is longer.
const LONGEST: u64 = 1 << 20;
/// Where services are described: a site's own first (firewalld.service(5)).
const SERVICES: [&str; 2] = ["/etc/firewalld/services", "/usr/lib/firewalld/services"];

/// What is let in: all of it, or what the zones say that decide on those who come from outside.
#[derive(Debug, Default)]
pub(super) struct Doors {
    zones: Vec<Zone>,
}

/// A zone, as `--list-all` tells it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Zone {
    /// Whether its target is to accept.
    accepts: bool,
    /// `9100/tcp 9200-9300/tcp`.
    ports: Vec<String>,
    services: Vec<String>,
    rich: Vec<String>,
}

/// Asks for the zone of the interface that the default route leaves by, which is the default zone where it is bound to
/// none, and for those that addresses are bound to.
pub(super) fn doors(host: &Host<'_>, ask: &dyn Fn(&[&str]) -> Option<String>) -> Doors {
    let bound = ask(&["--get-active-zones"]).unwrap_or_default();
    let uplink = host
        .read_up_to("/proc/net/route", LONGEST)
        .and_then(|table| uplink(&table));
    let (by_interface, by_address) = names(&bound, uplink.as_deref());
    let by_interface = by_interface.or_else(|| ask(&["--get-default-zone"]));
    let names = by_interface.into_iter().chain(by_address);
    let zones = names
        .filter_map(|name| ask(&[&format!("--zone={}", name.trim()), "--list-all"]))
        .map(|text| Zone::read(&text));
    Doors {
        zones: zones.collect(),
    }
}

/// The zone that `uplink` is bound to, and those that addresses are, of what `--get-active-zones` tells.
fn names(bound: &str, uplink: Option<&str>) -> (Option<String>, Vec<String>) {
    let (mut by_interface, mut by_address, mut zone) = (None, Vec::new(), "");
    for line in bound.lines() {
        if !line.starts_with([' ', '\t']) {
            // Newer ones say `public (default)`.
            zone = line.split_whitespace().next().unwrap_or_default();
            continue;
        }
        match line.trim().split_once(':') {
            Some(("interfaces", all)) if all.split_whitespace().any(|one| Some(one) == uplink) => {
                by_interface = Some(zone.to_owned());
            }
            Some(("sources", all)) if !all.trim().is_empty() => by_address.push(zone.to_owned()),
            _ => {}
        }
    }
    by_address.retain(|zone| by_interface.as_ref() != Some(zone));
    (by_interface, by_address)
}

/// The interface of the default route that is preferred, in the kernel's table (proc(5)).
fn uplink(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, "00000000", _, _, _, _, metric, "00000000", ..] = fields.as_slice() else {
            return None;
        };
        Some((metric.parse::<u32>().ok()?, (*interface).to_owned()))
    });
    routes.min().map(|(_, interface)| interface)
}

impl Zone {
    fn read(text: &str) -> Self {
        let mut zone = Self::default();
        for line in text.lines().map(str::trim) {
            let words = |all: &str| all.split_whitespace().map(str::to_owned).collect();
            if line.starts_with("rule ") {
                zone.rich.push(line.to_owned());
                continue;
            }
            match line.split_once(':') {
                Some(("target", target)) => zone.accepts = target.trim() == "ACCEPT",
                Some(("ports", all)) => zone.ports = words(all),
                Some(("services", all)) => zone.services = words(all),
                _ => {}
            }
        }
        zone
    }
}

impl Doors {
    /// Whether TCP to this port comes in, for anybody or for somebody.
    pub(super) fn opens(&self, host: &Host<'_>, port: u16) -> bool {
        self.zones.iter().any(|zone| {
            let by_rule = |rule: &String| {
                is_accepting(rule)
                    && (value(rule, " port port=").is_some_and(|range| covers(range, '-', port))
                        && value(rule, "protocol=") == Some("tcp")
                        || value(rule, " service name=").is_some_and(|name| serves(host, name, port))
                        || is_of_everything(rule))
            };
            zone.accepts
                || zone.ports.iter().any(|one| is_in(one, port))
                || zone.services.iter().any(|name| serves(host, name, port))
                || zone.rich.iter().any(by_rule)
        })
    }
}

/// `9100/tcp`, `9200-9300/tcp`.
fn is_in(range: &str, port: u16) -> bool {
    range
        .strip_suffix("/tcp")
        .is_some_and(|range| covers(range, '-', port))
}

fn is_accepting(rule: &str) -> bool {
    words(rule).any(|word| word == "accept")
}

/// The words of a rule without what stands in quotes.
fn words(rule: &str) -> impl Iterator<Item = &str> {
    rule.split('"').step_by(2).flat_map(str::split_whitespace)
}

/// Whether a rule says of nothing in particular that it is accepted: all of somebody's then (firewalld.richlanguage(5)).
fn is_of_everything(rule: &str) -> bool {
    let elements = [
        "port",
        "service",
        "protocol",
        "icmp-",
        "masquerade",
        "forward-port",
        "source-port",
        "tcp-mss-",
        "destination",
    ];
    let is_element = |word: &str| elements.iter().any(|element| word.starts_with(element));
    !words(rule).any(is_element)
}

/// What stands in quotes behind a name of a rule or an element.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(name)?;
    rest.strip_prefix('"')?.split('"').next()
}

/// Whether a service has this port: `<port protocol="tcp" port="9100"/>` in its file.
fn serves(host: &Host<'_>, service: &str, port: u16) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !service.bytes().all(is_name) || service.starts_with('.') {
        return false;
    }
    let file = SERVICES
        .iter()
        .find_map(|folder| host.read_up_to(&format!("{folder}/{service}.xml"), LONGEST));
    let text = file.unwrap_or_default();
    text.split("<port").skip(1).any(|element| {
        let element = element.split('>').next().unwrap_or_default();
        let has = |range: &str| covers(range, '-', port);
        value(element, " protocol=") == Some("tcp") && value(element, " port=").is_some_and(has)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As firewalld 1.3 tells it.
    const PUBLIC: &str = "public (active)\n  target: default\n  icmp-block-inversion: no\n  interfaces: eth0\n  \
        sources: \n  services: dhcpv6-client prometheus ssh\n  ports: 22/tcp 8000-8100/tcp 9400/udp\n  protocols: \n  \
        forward: yes\n  masquerade: no\n  forward-ports: \n  source-ports: 3000/tcp\n  icmp-blocks: \n  rich rules: \n\
        \trule family=\"ipv4\" source address=\"10.0.0.1\" port port=\"9100\" protocol=\"tcp\" accept\n\
        \trule family=\"ipv4\" source address=\"10.0.0.1\" port port=\"9200\" protocol=\"tcp\" reject\n\
        \trule service name=\"ours\" accept\n\
        \trule source-port port=\"9700\" protocol=\"tcp\" accept\n";

    fn host_with_services() -> crate::made_up::Root {
        let root = crate::made_up::Root::new();
        root.write(
            "/usr/lib/firewalld/services/prometheus.xml",
            "<service>\n  <short>prometheus</short>\n  <port protocol=\"tcp\" port=\"9090\"/>\n</service>",
        );
        root.write(
            "/etc/firewalld/services/ours.xml",
            "<service><port port=\"9500-9510\" protocol=\"tcp\"/><port protocol=\"udp\" port=\"9600\"/></service>",
        );
        root
    }

    #[test]
    fn a_zone_opens_by_ports_services_rules_and_its_target() {
        let root = host_with_services();
        let doors = |text: &str| Doors {
            zones: vec![Zone::read(text)],
        };
        let public = doors(PUBLIC);
        for port in [22, 8050, 9090, 9100, 9505] {
            assert!(public.opens(&root.host(), port), "{port}");
        }
        for port in [3000, 8180, 9200, 9400, 9600, 9700] {
            assert!(!public.opens(&root.host(), port), "{port}");
        }
        let ruled = |rule: &str| doors(&format!("public\n  target: default\n\trule {rule}\n"));
        assert!(ruled("family=\"ipv4\" source address=\"10.0.0.1\" accept").opens(&root.host(), 9700));
        for shut in [
            "source address=\"10.0.0.1\" drop",
            "source address=\"10.0.0.1\" log prefix=\"no accept here\" drop",
            "destination address=\"224.0.0.0/4\" accept",
        ] {
            assert!(!ruled(shut).opens(&root.host(), 9700), "{shut}");
        }
        assert!(doors("trusted\n  target: ACCEPT\n").opens(&root.host(), 1));
        assert!(!doors("").opens(&root.host(), 22));
    }

    #[test]
    fn the_zone_of_the_way_out_decides_and_those_of_addresses() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            ib0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n";
        assert_eq!(uplink(table).as_deref(), Some("eth0"));
        assert_eq!(uplink("ib0\t0000000A\t0\t1\t0\t0\t0\t000000FF\n"), None);

        let bound = "docker\n  interfaces: docker0\npublic (default)\n  interfaces: eth0 eth1\n  sources: 10.0.0.0/8\n\
            trusted\n  sources: 10.9.0.0/16\n";
        let of = |uplink| names(bound, uplink);
        assert_eq!(of(Some("eth0")), (Some("public".into()), vec!["trusted".into()]));
        // What is bound to nothing is the default zone's, which is asked for.
        assert_eq!(of(Some("eth9")).0, None);
        assert_eq!(names("", None), (None, Vec::new()));
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_parser(text in "(?s).{0,200}", port: u16) {
            let root = crate::made_up::Root::new();
            let doors = Doors { zones: vec![Zone::read(&text)] };
            let _ = (doors.opens(&root.host(), port), names(&text, Some(&text)), uplink(&text));
        }
    }
}

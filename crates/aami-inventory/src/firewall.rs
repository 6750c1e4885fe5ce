//! A firewall that is at work, and which ports it lets in.

mod firewalld;

use serde::Serialize;

use crate::command::Output;
use crate::host::Host;

/// A firewall at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Firewall {
    /// `firewalld`, `ufw`, `nftables` or `iptables`.
    pub kind: &'static str,
    /// Of the ports asked about, those it keeps closed for everybody.
    pub closed: Vec<u16>,
}

/// The firewall that is at work, and which of `ports` (TCP) it keeps closed. One that is open for some addresses is open
/// for somebody: whether for the right one is not told from here. `None` where none is at work, or the reader may not see
/// it.
pub fn firewall(host: &Host<'_>, ports: &[u16]) -> Option<Firewall> {
    let run = |program: &str, arguments: &[&str]| -> Option<Output> {
        host.program(program)?;
        let output = host.commands.run(program, arguments).ok()?;
        (output.status == Some(0)).then_some(output)
    };
    let of = |kind, is_open: &dyn Fn(u16) -> bool| {
        let closed = ports.iter().copied().filter(|port| !is_open(*port)).collect();
        Some(Firewall { kind, closed })
    };
    if run("firewall-cmd", &["--state"]).is_some_and(|output| output.stdout.contains("running")) {
        let ask = |arguments: &[&str]| run("firewall-cmd", arguments).map(|output| output.stdout);
        let doors = firewalld::doors(host, &ask);
        return of("firewalld", &|port| doors.opens(host, port));
    }
    if let Some(output) = run("ufw", &["status"])
        && output.stdout.contains("Status: active")
    {
        return of("ufw", &|port| ufw_opens(&output.stdout, port));
    }
    if let Some(output) = run("nft", &["list", "ruleset"])
        && nft_refuses(&output.stdout)
    {
        return of("nftables", &|port| nft_opens(&output.stdout, port));
    }
    if let Some(output) = run("iptables", &["-S", "INPUT"])
        && iptables_refuses(&output.stdout)
    {
        return of("iptables", &|port| iptables_opens(&output.stdout, port));
    }
    None
}

/// Rows `9100/tcp   ALLOW   Anywhere`, or `9100`, or `9200:9300/tcp` (ufw(8)).
fn ufw_opens(status: &str, port: u16) -> bool {
    status.lines().any(|row| {
        let mut words = row.split_whitespace();
        let Some(to) = words.next() else { return false };
        let is_allowed = words.any(|word| word == "ALLOW" || word == "LIMIT");
        let (range, protocol) = to.split_once('/').unwrap_or((to, "tcp"));
        is_allowed && protocol == "tcp" && (to == "Anywhere" || covers(range, ':', port))
    })
}

/// Whether a base chain on the input hook drops what no rule takes.
fn nft_refuses(ruleset: &str) -> bool {
    ruleset
        .lines()
        .any(|line| line.contains("hook input") && line.contains("policy drop"))
}

/// Whether a rule takes TCP to this port: `tcp dport 9100 accept`, `tcp dport { 22, 9100-9200 } accept`.
fn nft_opens(ruleset: &str, port: u16) -> bool {
    ruleset.lines().any(|line| {
        let Some((_, rest)) = line.split_once("tcp dport ") else {
            return false;
        };
        let Some((ports, _)) = rest.split_once("accept") else {
            return false;
        };
        ports
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}'))
            .any(|range| covers(range, '-', port))
    })
}

fn iptables_refuses(rules: &str) -> bool {
    rules.lines().any(|line| {
        matches!(
            line.trim(),
            "-P INPUT DROP" | "-A INPUT -j DROP" | "-A INPUT -j REJECT"
        )
    }) || rules.contains("-A INPUT -j REJECT --reject-with")
}

/// `-A INPUT -p tcp -m tcp --dport 9100 -j ACCEPT` (iptables-save(8)).
fn iptables_opens(rules: &str, port: u16) -> bool {
    rules
        .lines()
        .filter(|line| line.ends_with("-j ACCEPT"))
        .any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.windows(2).any(|pair| {
                matches!(pair[0], "--dport" | "--dports")
                    && pair[1].split(',').any(|range| covers(range, ':', port))
            })
        })
}

fn covers(range: &str, between: char, port: u16) -> bool {
    match range.split_once(between) {
        Some((first, last)) => match (first.parse::<u16>(), last.parse::<u16>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&port),
            _ => false,
        },
        None => range.parse() == Ok(port),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_firewall_says_open_in_its_own_way() {
        let ufw = "Status: active\n\nTo                         Action      From\n--                         ------      ----\n\
            22/tcp                     ALLOW       Anywhere\n9000:9200/tcp              ALLOW       10.0.0.0/8\n\
            8080                       DENY        Anywhere\n";
        assert!(ufw_opens(ufw, 22) && ufw_opens(ufw, 9100));
        assert!(!ufw_opens(ufw, 8080) && !ufw_opens(ufw, 3000));

        let nft = "table inet filter {\n chain input {\n  type filter hook input priority filter; policy drop;\n  \
            tcp dport { 22, 9100-9105 } accept\n  tcp dport 3000 drop\n }\n}\n";
        assert!(nft_refuses(nft) && nft_opens(nft, 9101) && !nft_opens(nft, 3000));
        assert!(!nft_refuses("type filter hook forward priority 0; policy drop;"));

        let iptables = "-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 9100 -j ACCEPT\n";
        assert!(
            iptables_refuses(iptables) && iptables_opens(iptables, 9100) && !iptables_opens(iptables, 22)
        );
        assert!(!iptables_refuses("-P INPUT ACCEPT\n"));
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_parser(text in "(?s).{0,200}", port: u16) {
            let _ = (ufw_opens(&text, port), nft_opens(&text, port));
            let _ = (iptables_opens(&text, port), iptables_refuses(&text), nft_refuses(&text));
        }
    }
}

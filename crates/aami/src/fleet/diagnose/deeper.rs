//! A look at the node itself, by SSH: which units run, who holds the exporters' ports, whether they answer there, and which
//! firewalls are active. One script that only reads; what it prints is hostile until it is parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aami_model::code;
use aami_model::exporter::Exporter;
use aami_ssh::{Command, SshError};

use super::reach::{opening, unit};
use super::{Hop, Link, Standing, wire};
use crate::fleet::Member;
use crate::fleet::ways::Ways;

/// How long all of it may take.
const WITHIN: Duration = Duration::from_secs(60);
/// How long the script may run.
const SCRIPT: Duration = Duration::from_secs(20);
/// How much of what it prints is kept.
const ENOUGH: usize = 64 * 1024;

/// What the node said.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// Units, and how each stands: `active`, `failed`, `not-found`.
    units: BTreeMap<String, String>,
    /// Who listens, by port.
    listeners: BTreeMap<u16, Vec<String>>,
    /// What is answered on the node itself, by port; 0 where nobody is.
    local: BTreeMap<u16, u16>,
    /// Firewalls that are active.
    firewalls: BTreeSet<String>,
    /// Whether the script came to its end.
    is_whole: bool,
}

/// Looks. An SSH that does not work is no fault of the node's exporters: then the hop is unknown.
/// `dropped` are the ports that are not answered from outside.
pub(super) fn look(ways: &Ways, member: &Member, exporters: &[Exporter], dropped: &BTreeSet<u16>) -> Link {
    let read = format!("a script over SSH on {}", member.name);
    match ask(ways, exporters) {
        Ok(text) => judge(&parse(&text), member, exporters, dropped, &read),
        Err((code, why)) => Link::new(Hop::Node, Standing::Unknown, why)
            .coded(code)
            .next(format!("aami nodes test {}", member.name)),
    }
}

fn ask(ways: &Ways, exporters: &[Exporter]) -> Result<String, (aami_model::Code, String)> {
    let Some(host) = ways.hosts.first() else {
        return Err((code::SSH_LOCAL, "there is no way to it by SSH".to_owned()));
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| (code::SSH_LOCAL, error.to_string()))?;
    let command = Command::script(script(exporters)).timeout(SCRIPT);
    let work = async {
        let connection = ways.client.connect(host).await?;
        // Without root it says less, and all the same something.
        let output = match connection.output(&ways.as_root(command.clone()), ENOUGH).await {
            Err(SshError::Sudo { .. }) => connection.output(&command, ENOUGH).await?,
            other => other?,
        };
        connection.close().await;
        Ok::<_, SshError>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let answer = runtime.block_on(async { tokio::time::timeout(WITHIN, work).await });
    runtime.shutdown_background();
    match answer {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err((error.code(), error.to_string())),
        Err(_) => Err((
            code::SSH_TIMEOUT,
            format!("the look at it by SSH was not over within {} s", WITHIN.as_secs()),
        )),
    }
}

/// Reads and changes nothing. Every line it prints begins with what it is about.
fn script(exporters: &[Exporter]) -> String {
    let mut text = String::from("PATH=$PATH:/usr/sbin:/sbin\n");
    for exporter in exporters {
        let port = exporter.port;
        if let Some(unit) = unit(exporter.kind) {
            text.push_str(&format!(
                "echo unit {unit} $(systemctl show -p LoadState --value {unit} 2>/dev/null) $(systemctl is-active {unit} \
                 2>/dev/null)\n"
            ));
        }
        let url = aami_ssh::quote(&format!("http://127.0.0.1:{port}{}", exporter.metrics_path));
        text.push_str(&format!(
            "ss -Hltnp 2>/dev/null | awk '$4 ~ /:{port}$/ {{print \"listen {port} \" $4 \" \" $6}}'\n\
             command -v curl >/dev/null && echo local {port} $(curl -s -o /dev/null -m 3 -w '%{{http_code}}' {url} 2>/dev/null)\n"
        ));
    }
    text.push_str(
        "ufw status 2>/dev/null | grep -q '^Status: active' && echo firewall ufw\n\
         [ \"$(firewall-cmd --state 2>/dev/null)\" = running ] && echo firewall firewalld\n\
         nft list ruleset 2>/dev/null | grep -q 'hook input' && echo firewall nftables\n\
         echo end\n",
    );
    text
}

fn parse(text: &str) -> Said {
    let mut said = Said::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let shown = |word: &str| -> String { word.chars().filter(|c| !c.is_control()).take(120).collect() };
        match words.as_slice() {
            ["unit", unit, states @ ..] => {
                let state = match states {
                    ["not-found", ..] | [] => "not installed",
                    ["masked", ..] => "masked",
                    [.., state] => state,
                };
                said.units.insert(shown(unit), shown(state));
            }
            ["listen", port, rest @ ..] => {
                if let Ok(port) = port.parse() {
                    said.listeners
                        .entry(port)
                        .or_default()
                        .push(shown(&rest.join(" ")));
                }
            }
            ["local", port, status, ..] => {
                if let (Ok(port), Ok(status)) = (port.parse(), status.parse()) {
                    said.local.insert(port, status);
                }
            }
            ["firewall", name] => {
                said.firewalls.insert(shown(name));
            }
            ["end"] => said.is_whole = true,
            _ => {}
        }
    }
    said
}

fn judge(said: &Said, member: &Member, exporters: &[Exporter], dropped: &BTreeSet<u16>, read: &str) -> Link {
    let node = &member.name;
    if !said.is_whole {
        return Link::new(
            Hop::Node,
            Standing::Unknown,
            "what it said is not what the script prints",
        )
        .coded(code::NODE_ANSWER_STRANGE)
        .next(format!("aami nodes exec {node} -- uname -a"));
    }
    let stopped = exporters.iter().find_map(|exporter| {
        let unit = unit(exporter.kind)?;
        let state = said.units.get(unit).filter(|state| *state != "active")?;
        // One that was there before AAMI runs under a name of its own.
        let is_held = said.listeners.contains_key(&exporter.port)
            || said.local.get(&exporter.port).is_some_and(|status| *status != 0);
        (!is_held).then_some((unit, state))
    });
    let unheard = exporters.iter().find(|exporter| {
        !said.listeners.contains_key(&exporter.port) && said.local.get(&exporter.port) == Some(&0)
    });
    let only_here = exporters.iter().find(|exporter| {
        said.listeners.get(&exporter.port).is_some_and(|all| {
            all.iter()
                .all(|one| one.starts_with("127.") || one.starts_with("[::1]"))
        })
    });
    let exec = |command: &str| format!("aami nodes exec {node} --sudo -- {command}");
    let mut link = if let Some((unit, state)) = stopped {
        let next = match state.as_str() {
            "not installed" => format!("aami nodes install {node}"),
            "failed" => exec(&format!("journalctl -n 50 -u {unit}")),
            _ => exec(&format!("systemctl start {unit}")),
        };
        Link::broken(
            Hop::Node,
            code::NOBODY_LISTENS,
            format!("{unit} is {state} there"),
        )
        .next(next)
    } else if let Some(exporter) = unheard {
        let sentence = format!("nobody listens on port {} there", exporter.port);
        Link::broken(Hop::Node, code::NOBODY_LISTENS, sentence).next(format!("aami nodes install {node}"))
    } else if let Some(exporter) = only_here {
        let sentence = format!("port {} is open for the node itself alone", exporter.port);
        Link::broken(Hop::Node, code::NOBODY_LISTENS, sentence)
            .next(exec(&format!("ss -ltnp 'sport = :{}'", exporter.port)))
    } else {
        Link::ok(Hop::Node, "its exporters run and listen there")
    };
    let from = wire::seen_as(member.address).filter(|_| !link.is_broken() && !dropped.is_empty());
    if let Some(ip) = from {
        let ways = opening(&ip.to_string(), dropped, member.address);
        if let Some((_, command)) = ways.into_iter().find(|(tool, _)| said.firewalls.contains(*tool)) {
            link = link.next(exec(&command));
        }
    }
    for (unit, state) in &said.units {
        link = link.seen(format!("{unit} is {state}"), read);
    }
    for (port, all) in &said.listeners {
        for one in all {
            link = link.seen(format!("port {port} is held: {one}"), read);
        }
    }
    for (port, status) in &said.local {
        let told = match status {
            0 => format!("nobody answers on port {port} there"),
            status => format!("port {port} answers there with HTTP {status}"),
        };
        link = link.seen(told, read);
    }
    let firewalls: Vec<&str> = said.firewalls.iter().map(String::as_str).collect();
    let told = if firewalls.is_empty() {
        "no firewall is seen to be active".to_owned()
    } else {
        format!("active: {}", firewalls.join(", "))
    };
    link.seen(told, read)
}

#[cfg(test)]
mod tests {
    use aami_model::exporter::ExporterKind;
    use aami_model::label::Labels;

    use super::*;

    fn member() -> Member {
        Member {
            name: "gpu-01".into(),
            address: "127.0.0.1".parse().unwrap(),
            port: 22,
            user: "root".into(),
            key: None,
            jump: None,
            labels: Labels::default(),
            id: None,
        }
    }

    fn told(text: &str) -> Link {
        let exporters = [Exporter::new(ExporterKind::NodeExporter, 9100)];
        judge(&parse(text), &member(), &exporters, &BTreeSet::new(), "ssh")
    }

    #[test]
    fn what_the_node_says_names_the_next_command() {
        let stopped = "unit aami-node-exporter.service loaded inactive\nlocal 9100 0\nend\n";
        let link = told(stopped);
        assert!(link.is_broken() && link.next.unwrap().contains("systemctl start aami-node-exporter"));
        let link = told(&stopped.replace("loaded inactive", "loaded failed"));
        assert!(link.next.unwrap().contains("journalctl"));
        let link = told(&stopped.replace("loaded inactive", "not-found inactive"));
        assert_eq!(link.next.unwrap(), "aami nodes install gpu-01");
        let sound = "unit aami-node-exporter.service loaded active\nlisten 9100 0.0.0.0:9100 \
                     users:((\"node_exporter\",pid=7,fd=3))\nlocal 9100 200\nend\n";
        assert_eq!(told(sound).standing, Standing::Ok);
        let link = told(&sound.replace("0.0.0.0:9100", "127.0.0.1:9100"));
        assert!(link.sentence.contains("itself alone"), "{}", link.sentence);
        // Which firewall is to be opened is said where a port is dropped, and only there.
        let walled = format!("firewall ufw\n{sound}");
        assert_eq!(told(&walled).next, None);
        let exporters = [Exporter::new(ExporterKind::NodeExporter, 9100)];
        let link = judge(
            &parse(&walled),
            &member(),
            &exporters,
            &BTreeSet::from([9100]),
            "ssh",
        );
        assert!(
            link.next
                .unwrap()
                .contains("-- ufw allow from 127.0.0.1 to any port 9100")
        );
    }

    #[test]
    fn what_is_no_answer_is_unknown_and_moves_no_cursor() {
        for text in ["", "Welcome!\nunit\nlocal x y\n", "listen 70000 x\nfirewall\n"] {
            assert_eq!(told(text).standing, Standing::Unknown, "{text:?}");
        }
        let link = told("listen 9100 0.0.0.0:9100 \u{1b}[2J\nlocal 9100 200\nend\n");
        assert!(link.evidence.iter().all(|one| !one.measured.contains('\u{1b}')));
    }

    #[test]
    fn the_script_is_one_that_sh_understands() {
        let text = script(&[
            Exporter::new(ExporterKind::NodeExporter, 9100),
            Exporter::new(ExporterKind::Custom, 9),
        ]);
        let checked = std::process::Command::new("sh")
            .args(["-n", "-c", &text])
            .status();
        assert!(checked.unwrap().success(), "{text}");
    }
}

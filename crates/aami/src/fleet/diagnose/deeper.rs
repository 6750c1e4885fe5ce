//! A look at the node itself, by SSH: which units run, who holds the exporters' ports, whether they answer there, and which
//! firewalls are active. One script that only reads; what it prints is hostile until it is parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aami_model::code;
use aami_model::exporter::Exporter;
use aami_ssh::{Command, SshError};

use super::reach::{self, Closed, opening, unit};
use super::{Hop, Link, Standing};
use crate::cli::ask;
use crate::cli::failure::Failure;
use crate::cli::signals::Signals;
use crate::fleet::Member;
use crate::fleet::ways::Ways;

/// How long the node has to hear that what was cut off there has to end.
const TELLING: Duration = Duration::from_secs(5);
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

/// Looks. An SSH that does not work is no fault of the node's exporters: then the hop is unknown. Out: the hop, and those
/// of the refused ports on which somebody listens there. Fails where it was told to stop.
pub(super) fn look(
    ways: &Ways,
    member: &Member,
    exporters: &[Exporter],
    closed: &Closed,
) -> Result<(Link, BTreeSet<u16>), Failure> {
    let read = format!("a script over SSH on {}", member.name);
    Ok(match ask(ways, exporters)? {
        Ok(text) => {
            let said = parse(&text);
            let rejected = rejected(&said, &closed.refused);
            (judge(&said, member, exporters, closed, &read), rejected)
        }
        Err((code, why)) => {
            let link = Link::new(Hop::Node, Standing::Unknown, why)
                .coded(code)
                .next(format!("aami nodes test {}", member.name));
            (link, BTreeSet::new())
        }
    })
}

type Answer = Result<String, (aami_model::Code, String)>;

/// Every step of it has a deadline of its own; how long somebody takes to type a password counts for none.
fn ask(ways: &Ways, exporters: &[Exporter]) -> Result<Answer, Failure> {
    let Some(host) = ways.hosts.first() else {
        return Ok(Err((code::SSH_LOCAL, "there is no way to it by SSH".to_owned())));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
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
    let answer = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let answer = tokio::select! {
            answer = work => Ok(answer),
            () = signals.stop() => {
                // Whoever is asked for a password is asked no more, and sees again what is typed.
                ask::give_up();
                Err(Failure::found(code::INTERRUPTED, "the look at the node was told to stop"))
            }
        };
        // Whatever ends the script there is a task of this runtime.
        let settling = ways.client.settle(TELLING);
        tokio::select! {
            _ = settling => {}
            () = signals.stop() => ask::give_up(),
        }
        answer
    });
    runtime.shutdown_background();
    Ok(answer?.map_err(|error| (error.code(), error.to_string())))
}

/// Those of these ports on which somebody listens for others as well.
fn rejected(said: &Said, refused: &BTreeSet<u16>) -> BTreeSet<u16> {
    let is_open = |port: &u16| {
        let all = said.listeners.get(port).filter(|_| said.is_whole);
        all.is_some_and(|all| all.iter().any(|one| !is_for_itself(one)))
    };
    refused.iter().copied().filter(is_open).collect()
}

/// Whether a listener hears nobody but its own machine.
fn is_for_itself(listener: &str) -> bool {
    ["127.", "[::1]", "[::ffff:127."]
        .iter()
        .any(|loopback| listener.starts_with(loopback))
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

fn judge(said: &Said, member: &Member, exporters: &[Exporter], closed: &Closed, read: &str) -> Link {
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
        let all = said.listeners.get(&exporter.port);
        all.is_some_and(|all| all.iter().all(|one| is_for_itself(one)))
    });
    let exec = |command: &str| reach::exec(node, command);
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
    let ports = &closed.dropped | &rejected(said, &closed.refused);
    if !link.is_broken() && !ports.is_empty() {
        let ways = opening(&closed.from, &ports, member.address);
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
        judge(&parse(text), &member(), &exporters, &Closed::default(), "ssh")
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
        let ports = BTreeSet::from([9100]);
        let dropped = Closed {
            dropped: ports.clone(),
            refused: BTreeSet::new(),
            from: "10.0.0.5".to_owned(),
        };
        let refused = Closed {
            dropped: BTreeSet::new(),
            refused: ports.clone(),
            from: "10.0.0.5".to_owned(),
        };
        for closed in [dropped, refused] {
            let link = judge(&parse(&walled), &member(), &exporters, &closed, "ssh");
            // For whoever scrapes it, which is not whoever looks.
            let next = link.next.unwrap();
            assert!(
                next.contains("-- ufw allow from 10.0.0.5 to any port 9100"),
                "{next}"
            );
        }
        // Who is refused where somebody listens was refused by a firewall; where nobody else is heard, by nobody.
        assert_eq!(rejected(&parse(sound), &ports), ports);
        let alone = sound.replace("0.0.0.0:9100", "127.0.0.1:9100");
        assert_eq!(rejected(&parse(&alone), &ports), BTreeSet::new());
        assert_eq!(rejected(&parse(stopped), &ports), BTreeSet::new());
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

//! firewalld and ufw themselves, at work on a node: a door is opened for who scrapes and for nobody else, and what is
//! left in the end is what the site had.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::{Host, Net, Node, Place, Root, wait_until};

use crate::node_parts::not_well;
use crate::site::{Site, Typing as _};

/// Port of node_exporter.
const PORT: u16 = 9100;
/// What an uninstall says where nobody answers for rules that may be in force.
const IN_FORCE: &str = "in the rules that firewalld left in force";

/// A firewall as its site runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Firewall {
    Firewalld,
    Ufw,
}

impl Firewall {
    /// Has it at work, letting SSH in and nothing else.
    pub(crate) fn begins(self, node: &Node) -> Result<()> {
        let script = match self {
            Self::Firewalld => "systemctl enable --quiet --now firewalld && firewall-cmd --state",
            Self::Ufw => "ufw allow 22/tcp && ufw --force enable",
        };
        node.sh(script)?.ok().map(drop).with_context(|| {
            let said =
                node.sh("journalctl --no-pager -u firewalld -u ufw | tail -n 40; cat /var/log/firewalld");
            said.map(|said| said.said()).unwrap_or_default()
        })
    }

    /// Everything it says of itself, for now and for the next boot, and what of it the kernel has.
    pub(crate) fn says(self, node: &Node) -> Result<String> {
        let script = match self {
            Self::Firewalld => {
                "firewall-cmd --list-all-zones && firewall-cmd --permanent --list-all-zones && nft list ruleset"
            }
            Self::Ufw => "ufw status verbose && ufw show added && iptables -S && ip6tables -S",
        };
        node.sh(script)?.ok()
    }

    /// Reads its rules anew, as the next boot does.
    fn reloads(self, node: &Node) -> Result<()> {
        let script = match self {
            Self::Firewalld => "firewall-cmd --reload",
            Self::Ufw => "ufw reload",
        };
        node.sh(script)?.ok().map(drop)
    }

    /// Somebody takes our rule out of what is in force: the words that name that.
    fn loses_the_rule(self, node: &Node, control: &str) -> Result<&'static str> {
        let (script, named) = match self {
            Self::Firewalld => (
                format!(
                    "firewall-cmd --zone=public --remove-rich-rule='rule family=\"ipv4\" source address=\"{control}\" \
                     port port=\"{PORT}\" protocol=\"tcp\" accept'"
                ),
                "closed by firewalld until it is reloaded",
            ),
            Self::Ufw => (
                format!("ufw --force delete allow proto tcp from {control} to any port {PORT}"),
                "closed by ufw",
            ),
        };
        node.sh(&script)?.ok()?;
        Ok(named)
    }

    /// Goes for a while, as for the work on a network.
    fn pauses(self, node: &Node) -> Result<()> {
        let script = match self {
            Self::Firewalld => "systemctl stop firewalld",
            Self::Ufw => "ufw disable",
        };
        node.sh(script)?.ok().map(drop)
    }

    fn goes_on(self, node: &Node) -> Result<()> {
        let script = match self {
            Self::Firewalld => "systemctl start firewalld",
            Self::Ufw => "ufw --force enable",
        };
        node.sh(script)?.ok().map(drop)
    }

    /// Is switched off for good.
    pub(crate) fn ends(self, node: &Node) -> Result<()> {
        let script = match self {
            Self::Firewalld => "systemctl disable --quiet --now firewalld",
            Self::Ufw => "ufw disable",
        };
        node.sh(script)?.ok().map(drop)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Firewalld => "firewalld",
            Self::Ufw => "ufw",
        }
    }

    /// Files that it keeps by its design, which the uninstall names.
    const fn keeps(self) -> &'static [&'static str] {
        match self {
            Self::Firewalld => &[
                "/etc/firewalld/zones/public.xml",
                "/etc/firewalld/zones/public.xml.old",
            ],
            Self::Ufw => &[],
        }
    }
}

/// Whether somebody comes to a port of a node from a host.
pub(crate) fn comes_in(from: &Host, node: &Node, port: u16) -> bool {
    let url = format!("http://{}:{port}/", node.address());
    Place::On(from).get(&url, &["--connect-timeout", "2"]).is_ok()
}

/// Has something answer on a port of a node that nobody listens on.
pub(crate) fn answers_on(node: &Node, port: u16) -> Result<()> {
    node.sh(&format!(
        "mkdir -p /run/web && echo well > /run/web/index.html && \
         systemd-run --quiet --unit=web busybox httpd -f -p {port} -h /run/web"
    ))?
    .ok()?;
    wait_until(Duration::from_secs(10), "it answers on the node", || {
        node.sh(&format!("curl -sf http://127.0.0.1:{port}/"))?.ok()
    })
    .map(drop)
}

pub(crate) fn answers_no_more(node: &Node) -> Result<()> {
    node.sh("systemctl stop web && rm -r /run/web")?.ok().map(drop)
}

fn is_monitored_through(firewall: Firewall) -> Result<()> {
    // Given a node whose firewall lets in SSH alone, a control plane, and a stranger beside it,
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let stranger = net.host("stranger")?;
    let node = Node::boot(&net, Root::Furnished, "gpu-01")?;
    firewall.begins(&node)?;
    let (before, rules) = (node.picture()?, firewall.says(&node)?);
    let control = site.host().address().to_string();
    let token = site.token(&["--name", "rack"])?;

    // when it is bootstrapped, then the control plane has seen its metrics,
    let said = node.types_well(&token.one_line)?.all();
    for line in [
        format!("Firewall: {} is active", firewall.name()),
        format!("port {PORT} is open for {control}"),
    ] {
        ensure!(said.contains(&line), "no word of {line:?}:\n{said}");
    }
    ensure!(site.node("gpu-01")?["status"] == "online");
    // and still comes in once the rules are read anew, as nobody else does.
    firewall.reloads(&node)?;
    ensure!(
        comes_in(site.host(), &node, PORT),
        "the control plane is shut out:\n{}",
        firewall.says(&node)?
    );
    ensure!(
        !comes_in(&stranger, &node, PORT),
        "a stranger comes in:\n{}",
        firewall.says(&node)?
    );
    ensure!(not_well(&node)?.is_empty(), "{:?}", not_well(&node)?);

    // Once more changes nothing,
    let (installed, open) = (node.picture()?, firewall.says(&node)?);
    node.types_well("aami-agent bootstrap")?;
    ensure!(firewall.says(&node)? == open, "{}", firewall.says(&node)?);
    let mut changes = installed.changes_in(&node.picture()?);
    let own = ["/aami_checks.prom:", "/checks/checks.json:", "/agent/spool/"];
    changes.retain(|change| !own.iter().any(|own| change.contains(own)));
    ensure!(changes.is_empty(), "a second run changed {changes:#?}");
    // and what is taken away is named alone, and mended alone.
    let named = firewall.loses_the_rule(&node, &control)?;
    let bad = not_well(&node)?;
    // What does not come in shows on the way as well.
    let (door, way): (Vec<_>, Vec<_>) = bad.iter().partition(|bad| !bad.starts_with("verify: "));
    ensure!(
        door.len() == 1 && door[0].contains(named) && way.len() == 1,
        "{bad:#?}"
    );
    ensure!(!comes_in(site.host(), &node, PORT), "it is open without a rule");
    node.types_well("aami-agent bootstrap --repair")?;
    ensure!(firewall.says(&node)? == open, "{}", firewall.says(&node)?);
    ensure!(comes_in(site.host(), &node, PORT) && !comes_in(&stranger, &node, PORT));

    // Taken back, the firewall is what it was, for now and for the next boot: nobody comes in to whatever answers there.
    let said = node.types_well("aami-agent uninstall")?.all();
    ensure!(firewall.says(&node)? == rules, "{}", firewall.says(&node)?);
    is_left(&node, &before, firewall, &said)?;
    answers_on(&node, PORT)?;
    ensure!(!comes_in(site.host(), &node, PORT), "it is still open");
    answers_no_more(&node)?;

    // The same where the firewall does not run in that moment: its next start does not bring our rule back.
    comes_back(&site, &node)?;
    firewall.pauses(&node)?;
    let said = node.types_well("aami-agent uninstall")?.all();
    ensure!(!said.contains(IN_FORCE), "{said}");
    firewall.goes_on(&node)?;
    ensure!(
        firewall.says(&node)? == rules,
        "{said}\n{}",
        firewall.says(&node)?
    );
    is_left(&node, &before, firewall, &said)?;

    // Where it was killed its rules are in force without it, which is told.
    if firewall != Firewall::Firewalld {
        return Ok(());
    }
    comes_back(&site, &node)?;
    node.sh("systemctl kill --signal=KILL firewalld")?.ok()?;
    wait_until(Duration::from_secs(20), "firewalld is gone", || {
        let state = node.sh("systemctl is-active firewalld")?.stdout;
        ensure!(state.trim() == "failed", "{state}");
        Ok(())
    })?;
    let said = node.types_well("aami-agent uninstall")?.all();
    ensure!(said.contains(IN_FORCE), "{said}");
    // What it was killed with outlives its start, and ends as is said.
    firewall.goes_on(&node)?;
    firewall.reloads(&node)?;
    let rules = firewall.says(&node)?;
    ensure!(!rules.contains(&PORT.to_string()), "{said}\n{rules}");
    is_left(&node, &before, firewall, &said)
}

/// Has the node enrol once more.
fn comes_back(site: &Site, node: &Node) -> Result<()> {
    let restored = site.aami(&["nodes", "restore", "gpu-01"])?;
    ensure!(restored.code == 0, "{restored:?}");
    let token = site.token(&["--name", "again", "--node", "gpu-01"])?;
    node.types_well(&token.one_line).map(drop)
}

/// Fails when there is more on the node than before but what the firewall keeps by itself, each told in `said`.
fn is_left(node: &Node, before: &rig::Picture, firewall: Firewall, said: &str) -> Result<()> {
    let mut changes = before.changes_in(&node.picture()?);
    changes.retain(|change| {
        let is_kept = |path: &&str| change.starts_with(&format!("appeared: {path} (f"));
        !change.starts_with("appeared: /run/aami (d") && !firewall.keeps().iter().any(is_kept)
    });
    ensure!(changes.is_empty(), "left: {changes:#?}\n{said}");
    for path in firewall.keeps() {
        let name = path.rsplit('/').next().unwrap_or(path);
        ensure!(said.contains(name), "{path} is left without a word:\n{said}");
    }
    Ok(())
}

#[test]
fn a_node_is_monitored_through_firewalld_which_is_what_it_was_afterwards() -> Result<()> {
    is_monitored_through(Firewall::Firewalld)
}

#[test]
fn a_node_is_monitored_through_ufw_which_is_what_it_was_afterwards() -> Result<()> {
    is_monitored_through(Firewall::Ufw)
}

#[test]
fn a_site_that_changes_its_zone_and_its_firewall_keeps_no_rule_of_ours() -> Result<()> {
    // Given a node behind firewalld, and what ufw would have for it,
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Root::Furnished, "gpu-01")?;
    let both = [Firewall::Ufw, Firewall::Firewalld];
    let at_work = |one: Firewall| -> Result<()> {
        for firewall in both {
            firewall.ends(&node)?;
        }
        one.begins(&node)
    };
    let is_open = |moment: &str| {
        let open = comes_in(site.host(), &node, PORT);
        ensure!(open, "{moment}: the control plane is shut out");
        ensure!(not_well(&node)?.is_empty(), "{moment}: {:?}", not_well(&node)?);
        Ok(())
    };
    let mut rules = Vec::new();
    for firewall in both {
        at_work(firewall)?;
        rules.push(firewall.says(&node)?);
    }
    node.types_well(&site.token(&["--name", "rack"])?.one_line)?;
    is_open("bootstrapped")?;

    // when its interface moves to another zone, and when the site takes another firewall, each with a repair,
    let moves = |zone: &str| {
        node.sh(&format!("firewall-cmd --zone={zone} --change-interface=host0"))?
            .ok()
            .map(drop)
    };
    moves("internal")?;
    ensure!(!comes_in(site.host(), &node, PORT), "the zone lets everybody in");
    node.types_well("aami-agent bootstrap --repair")?;
    is_open("in another zone")?;
    at_work(Firewall::Ufw)?;
    ensure!(!comes_in(site.host(), &node, PORT), "ufw lets everybody in");
    node.types_well("aami-agent bootstrap --repair")?;
    is_open("behind ufw")?;

    // then nothing of ours is left in either of them, nor in either zone.
    let said = node.types_well("aami-agent uninstall")?.all();
    for (firewall, before) in both.into_iter().zip(&rules) {
        at_work(firewall)?;
        let now = firewall.says(&node)?;
        ensure!(now == *before, "{firewall:?}:\n{now}\n{said}");
    }
    Ok(())
}

//! nftables with a ruleset of the site's own. A packet comes in only if every chain that looks at it
//! lets it, so our rule goes to the front of each chain that turns something away.
//!
//! For the next boot the same rules are added at the end of `/etc/nftables.conf`, between two lines of
//! ours, where that file makes those chains; otherwise nobody can tell what makes them, and the rule
//! is in force until the ruleset is loaded again.

use super::super::EffectError;
use super::super::Scene;
use super::super::tool::{is_well, look};
use super::ruleset::{Chain, input_chains};
use super::{Family, FirewallRule, Found, act, ask, failure};
use crate::host::{Command, Host};
use crate::path::HostPath;
use crate::root::{Attributes, Entry};
use crate::undo::Undone;

/// A configuration larger than this is not touched.
const LIMIT: u64 = 4 << 20;

fn configuration() -> HostPath {
    HostPath::root().below("etc/nftables.conf")
}

fn chains(host: &Host) -> Result<Vec<Chain>, EffectError> {
    let argv = ["nft", "--json", "list", "ruleset"];
    let output = ask(host, &argv)?;
    input_chains(&output.text()).ok_or_else(|| failure("what `nft --json list ruleset` says", &output))
}

pub(super) fn is_closed(host: &Host) -> Result<bool, EffectError> {
    Ok(chains(host)?.iter().any(|chain| chain.closes))
}

impl FirewallRule {
    /// The comment a rule of ours carries in the ruleset.
    fn label(&self) -> String {
        let source = self.source.as_deref().unwrap_or("any");
        format!("{}, tcp {} from {source}", self.comment, self.port)
    }

    fn is_for(&self, chain: &Chain) -> bool {
        chain.closes
            && match self.family() {
                None => true,
                Some(Family::V4) => chain.family != "ip6",
                Some(Family::V6) => chain.family != "ip",
            }
    }

    fn statement(&self, chain: &Chain) -> String {
        let source = match (&self.source, self.family()) {
            (Some(source), Some(Family::V6)) => format!("ip6 saddr {source} "),
            (Some(source), _) => format!("ip saddr {source} "),
            (None, _) => String::new(),
        };
        format!(
            "insert rule {} {} {} {source}tcp dport {} accept comment \"{}\"\n",
            chain.family,
            chain.table,
            chain.name,
            self.port,
            self.label()
        )
    }

    /// What stands in the configuration, with a line of ours before and after.
    fn block(&self, statements: &str) -> String {
        format!(
            "\n# {}: begin\n{statements}# {}: end\n",
            self.label(),
            self.label()
        )
    }

    /// Where our block stands in `text`.
    fn span(&self, text: &str) -> Option<std::ops::Range<usize>> {
        let (begin, end) = (
            format!("\n# {}: begin\n", self.label()),
            format!("# {}: end\n", self.label()),
        );
        let from = text.find(&begin)?;
        let to = from + text[from..].find(&end)? + end.len();
        Some(from..to)
    }
}

/// The chains our rule must stand in and does not, and all it must stand in.
fn wanted(host: &Host, rule: &FirewallRule) -> Result<(Vec<Chain>, Vec<Chain>), EffectError> {
    let all: Vec<Chain> = chains(host)?
        .into_iter()
        .filter(|chain| rule.is_for(chain))
        .collect();
    let label = rule.label();
    let has = |chain: &Chain| chain.commented.iter().any(|(_, comment)| *comment == label);
    let missing = all.iter().filter(|chain| !has(chain)).cloned().collect();
    Ok((missing, all))
}

/// Whether `text` makes each of `chains`, so that a rule after it finds them.
fn makes(text: &str, chains: &[Chain]) -> bool {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let all = words(&text.replace('{', " { "));
    let has = |wanted: &[&str]| all.windows(wanted.len()).any(|window| window == wanted);
    !chains.is_empty()
        && chains.iter().all(|chain| {
            has(&["table", &chain.family, &chain.table, "{"]) && has(&["chain", &chain.name, "{"])
        })
}

fn text(scene: Scene<'_>) -> Result<Option<String>, EffectError> {
    let bytes = scene.host.root.read(&configuration(), LIMIT)?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

pub(super) fn found(scene: Scene<'_>, rule: &FirewallRule) -> Result<Found, EffectError> {
    let (missing, all) = wanted(scene.host, rule)?;
    let permanent = match text(scene)? {
        Some(text) if makes(&text, &all) => rule.span(&text).is_some(),
        _ => true,
    };
    Ok(Found {
        runtime: missing.is_empty(),
        permanent,
    })
}

pub(super) fn is_ours(host: &Host, rule: &FirewallRule) -> Result<bool, EffectError> {
    let label = rule.label();
    let all = chains(host)?;
    Ok(all
        .iter()
        .flat_map(|chain| &chain.commented)
        .any(|(_, comment)| *comment == label))
}

fn script(host: &Host, text: &str) -> Result<(), EffectError> {
    act(host, &Command::change(["nft", "--file", "-"]).stdin(text)).map(drop)
}

pub(super) fn open(scene: Scene<'_>, rule: &FirewallRule, found: Found) -> Result<(), EffectError> {
    let _alone = scene.host.root.alone();
    let (missing, all) = wanted(scene.host, rule)?;
    if !found.permanent
        && let Some(text) = text(scene)?
    {
        let statements: String = all.iter().map(|chain| rule.statement(chain)).collect();
        let new = format!("{text}{}", rule.block(&statements));
        // One line that cannot be loaded would leave the host without any rule after the next boot.
        let checked = look_at(scene.host, &new)?;
        if checked {
            replace(scene, &new)?;
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let statements: String = missing.iter().map(|chain| rule.statement(chain)).collect();
    script(scene.host, &statements)
}

/// Whether nft would load `text`.
fn look_at(host: &Host, text: &str) -> Result<bool, EffectError> {
    let Some(commands) = host.commands.as_deref() else {
        return Ok(false);
    };
    let command = Command::look(["nft", "--check", "--file", "-"]).stdin(text);
    Ok(is_well(&commands.run(&command)?))
}

fn replace(scene: Scene<'_>, text: &str) -> Result<(), EffectError> {
    let (root, path) = (&scene.host.root, configuration());
    let Entry::File(meta) = root.entry(&path)? else {
        return Ok(());
    };
    let attributes = Attributes {
        mode: meta.mode,
        owner: Some((meta.uid, meta.gid)),
    };
    root.replace(&path, &mut text.as_bytes(), attributes, true)?;
    super::super::directory::sync_parent(scene, &path)
}

pub(super) fn close(scene: Scene<'_>, rule: &FirewallRule) -> Result<Undone, EffectError> {
    let _alone = scene.host.root.alone();
    scene.host.root.remove_leftover(&configuration())?;
    if let Some(text) = text(scene)?
        && let Some(span) = rule.span(&text)
    {
        let mut without = text;
        without.replace_range(span, "");
        replace(scene, &without)?;
    }
    // That nft is gone, or that nothing is loaded, is no reason to stop: then nothing is open either.
    let output = look(scene.host, ["nft", "--json", "list", "ruleset"])?;
    let chains = if is_well(&output) {
        input_chains(&output.text()).unwrap_or_default()
    } else {
        return Err(failure("what is open in nftables", &output));
    };
    let label = rule.label();
    let mut statements = String::new();
    for chain in &chains {
        for (handle, _) in chain.commented.iter().filter(|(_, comment)| *comment == label) {
            statements.push_str(&format!(
                "delete rule {} {} {} handle {handle}\n",
                chain.family, chain.table, chain.name
            ));
        }
    }
    if !statements.is_empty() {
        script(scene.host, &statements)?;
    }
    Ok(Undone::Gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Chain {
        Chain {
            family: "inet".into(),
            table: "filter".into(),
            name: "input".into(),
            closes: true,
            commented: Vec::new(),
        }
    }

    #[test]
    fn what_was_added_to_the_configuration_is_found_to_the_byte() {
        let mut rule = FirewallRule::tcp(9100).from("10.0.0.0/8");
        rule.comment = "AAMI plan=node cluster=default".into();
        for original in ["", "table inet filter {\n}\n", "# no line end"] {
            let statement = rule.statement(&chain());
            let mut text = format!("{original}{}", rule.block(&statement));
            let span = rule.span(&text).unwrap();
            text.replace_range(span, "");
            assert_eq!(text, original);
        }
        assert_eq!(
            rule.statement(&chain()),
            "insert rule inet filter input ip saddr 10.0.0.0/8 tcp dport 9100 accept comment \
             \"AAMI plan=node cluster=default, tcp 9100 from 10.0.0.0/8\"\n"
        );
    }

    #[test]
    fn a_configuration_that_makes_other_chains_is_not_ours_to_add_to() {
        let makes = |text| super::makes(text, &[chain()]);
        assert!(makes(
            "flush ruleset\ntable inet filter {\n\tchain input {\n\t}\n}\n"
        ));
        assert!(makes("table inet filter{chain input{}}"));
        assert!(!makes("table ip filter { chain input { } }"));
        assert!(!makes("include \"/etc/nftables.d/*.nft\"\n"));
    }
}

//! Effects that only real tools can show: apt with a repository, dpkg cut off half way, nftables with a ruleset.
//!
//! The installer runs inside the node. [`within`] is what runs there: this very test program, copied into the node
//! and told by a variable what to do, so that nothing has to be shipped for it.

use std::time::Duration;

use aami_install::effect::{FirewallRule, PackageSet};
use aami_install::{Effect, Host, Installer, Mode, Options, Plan, Step, StepError, Survey, UninstallReport};
use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Process, Release, cache, wait_until};
use serde_json::{Value, json};

/// What the installer inside the node is told.
const ORDER: &str = "AAMI_RIG_ORDER";
/// Where this program lies in the node.
const PROGRAM: &str = "/root/effects";
/// How long the slowest of these installations may take.
const LIMIT: Duration = Duration::from_secs(100);

/// What package managers write down about themselves: logs, lists, caches, and copies of their own tables. Whatever
/// installs a package leaves these.
pub(crate) const OF_APT: &[&str] = &[
    "/etc/ld.so.cache",
    "/var/backups",
    "/var/cache/apt",
    "/var/cache/debconf",
    "/var/cache/ldconfig",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/log",
    "/run/aami",
];

struct Wants(Vec<Effect>);

impl Step for Wants {
    fn id(&self) -> &str {
        "wants"
    }
    fn title(&self) -> String {
        "Making it so".into()
    }
    fn desired(&self, _: &Survey<'_>) -> Result<Vec<Effect>, StepError> {
        Ok(self.0.clone())
    }
}

fn plan(order: &Value) -> Result<Plan> {
    let texts = |name: &str| -> Vec<String> {
        let all = order[name].as_array().into_iter().flatten();
        all.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let mut effects = Vec::new();
    if !texts("packages").is_empty() {
        let patience = Duration::from_secs(order["patience"].as_u64().unwrap_or(60));
        effects.push(Effect::PackageSet(
            PackageSet::new("tools", texts("packages")).patient(patience),
        ));
    }
    for port in order["ports"].as_array().into_iter().flatten() {
        let port = u16::try_from(port.as_u64().unwrap_or(0))?;
        effects.push(Effect::FirewallRule(FirewallRule::tcp(port)));
        effects.push(Effect::FirewallRule(
            FirewallRule::tcp(port + 1).from("10.77.0.0/16"),
        ));
    }
    Ok(Plan::new("effects", "Effects", vec![Box::new(Wants(effects))])?)
}

#[test]
#[ignore = "runs inside a node, where the stories below start it"]
fn within() -> Result<()> {
    let order: Value = serde_json::from_str(&std::env::var(ORDER).context("started by hand")?)?;
    let host = Host::system()?;
    let plan = plan(&order)?;
    let installer = Installer::new(&host, &plan, Options::default())?;
    let outcome = if order["do"] == "uninstall" {
        let UninstallReport { left, failed, .. } = installer.uninstall(None)?;
        let failed: Vec<String> = failed.into_iter().map(|failure| failure.message).collect();
        json!({"left": left, "failed": failed})
    } else if order["do"] == "look" {
        let because = installer
            .dry_run()?
            .steps
            .into_iter()
            .flat_map(|step| step.effects);
        json!({"because": because.map(|effect| effect.because).collect::<Vec<_>>()})
    } else {
        let report = installer.run(Mode::Fresh)?;
        let (code, message) = report
            .failure()
            .map_or((String::new(), String::new()), |(code, message)| {
                (code.symbol.to_owned(), message)
            });
        json!({"code": code, "message": message, "wrote": report.wrote, "effects": report.executed.len()})
    };
    println!("\nOUTCOME {outcome}");
    Ok(())
}

/// The command line that runs the installer inside a node.
fn line(order: &Value) -> String {
    format!("{ORDER}='{order}' {PROGRAM} --exact effects::within --ignored --nocapture")
}

fn outcome(said: &str) -> Result<Value> {
    let told = said.lines().find_map(|line| line.strip_prefix("OUTCOME "));
    Ok(serde_json::from_str(
        told.with_context(|| format!("no outcome in {said}"))?,
    )?)
}

fn told(node: &Node, order: &Value) -> Result<Value> {
    let ended = node.sh_within(LIMIT, &line(order), b"")?;
    outcome(&ended.said())
}

/// A node with this program in it.
fn boot(net: &Net, release: Release) -> Result<Node> {
    let node = Node::boot(net, release, "node1")?;
    node.write(PROGRAM, &std::fs::read(std::env::current_exe()?)?, 0o755)?;
    Ok(node)
}

/// Fails when something but the package manager's own memory is not as before.
fn is_as_before(node: &Node, before: &rig::Picture, story: &str) -> Result<()> {
    let mut changes = before.changes_in(&node.picture()?);
    let of_apt = |change: &String| {
        let path = change.split_once(": ").map_or("", |(_, rest)| rest);
        OF_APT.iter().any(|folder| path.starts_with(folder))
    };
    changes.retain(|change| !of_apt(change));
    ensure!(changes.is_empty(), "{story}: {changes:#?}");
    Ok(())
}

/// A repository of packages without content worth speaking of: an application and its library, something else that
/// needs the library, one whose installation waits for a file, one that cannot be configured.
const REPOSITORY: &str = r##"
set -e
mkdir -p /srv/repository && cd /srv/repository
make() { # name, dependencies, script after unpacking
    mkdir -p "$1/DEBIAN" "$1/usr/share/$1" "$1/etc"
    echo "$1" > "$1/usr/share/$1/content"; echo "# $1" > "$1/etc/$1.conf"
    echo "/etc/$1.conf" > "$1/DEBIAN/conffiles"
    printf 'Package: %s\nVersion: 1.0\nArchitecture: all\nMaintainer: Rig <rig@localhost>\nDescription: test\n' "$1" > "$1/DEBIAN/control"
    [ -z "$2" ] || echo "Depends: $2" >> "$1/DEBIAN/control"
    printf '#!/bin/sh\n%s\n' "$3" > "$1/DEBIAN/postinst"; chmod 755 "$1/DEBIAN/postinst"
    dpkg-deb --root-owner-group --build "$1" "$1.deb" > /dev/null; rm -r "$1"
}
make rig-library '' 'exit 0'
make rig-application rig-library 'exit 0'
make rig-other rig-library 'exit 0'
make rig-waits '' 'while ! [ -e /root/go ]; do sleep 0.1; done'
make rig-broken '' 'exit 1'
for deb in *.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
done > Packages
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/repository ./' > /etc/apt/sources.list.d/rig.list
"##;

fn node_with_repository(net: &Net, release: Release) -> Result<Node> {
    let node = boot(net, release)?;
    node.sh(REPOSITORY)?.ok()?;
    Ok(node)
}

#[test]
fn packages_come_with_what_they_need_and_go_as_far_as_they_may() -> Result<()> {
    for release in [Release::Bookworm, Release::Trixie] {
        let net = Net::new()?;
        let node = node_with_repository(&net, release)?;
        let before = node.picture()?;
        let install = json!({"do": "install", "packages": ["rig-application"]});
        // The lists were never fetched: the installer does it, and foresees what comes.
        let done = told(&node, &install)?;
        ensure!(done["code"] == "" && done["effects"] == 1, "{release:?}: {done}");
        node.sh("test -e /usr/share/rig-application/content && test -e /usr/share/rig-library/content")?
            .ok()?;
        let again = told(&node, &install)?;
        ensure!(again["wrote"] == false, "{release:?}: {again}");
        let gone = told(&node, &json!({"do": "uninstall"}))?;
        ensure!(gone == json!({"left": [], "failed": []}), "{release:?}: {gone}");
        is_as_before(&node, &before, "installed, then uninstalled")?;
        ensure!(
            node.sh("dpkg-query -W 'rig-*'")?
                .said()
                .contains("no packages found"),
            "something is still known of them"
        );

        // What somebody else's package needs by then stays, and all else goes.
        told(&node, &install)?;
        node.sh("apt-get -qq install rig-other")?.ok()?;
        let gone = told(&node, &json!({"do": "uninstall"}))?;
        let left = gone["left"].to_string();
        ensure!(left.contains("rig-library is needed by rig-other"), "{gone}");
        let known = node
            .sh("dpkg-query -W -f '${Package} ${Status}\\n' 'rig-*'")?
            .stdout;
        ensure!(
            known == "rig-library install ok installed\nrig-other install ok installed\n",
            "{known}"
        );
    }
    Ok(())
}

#[test]
fn each_way_apt_refuses_has_its_own_word() -> Result<()> {
    let net = Net::new()?;
    let node = node_with_repository(&net, Release::Bookworm)?;
    let run = |packages: &[&str], patience: u64| {
        told(
            &node,
            &json!({"do": "install", "packages": packages, "patience": patience}),
        )
    };
    let refused = |done: &Value, code: &str, telling: &str| {
        let message = done["message"].as_str().unwrap_or_default();
        ensure!(
            done["code"] == code && message.contains(telling),
            "{code}: {done}"
        );
        Ok(())
    };
    refused(&run(&["rig-nothing"], 1)?, "PACKAGE_UNKNOWN", "rig-nothing")?;

    // Somebody else installs, and holds the lock as long as their package takes.
    let folder = tempfile::tempdir()?;
    let mut holder = Process::start(
        "apt-get",
        node.background("apt-get -qq install rig-waits"),
        &folder.path().join("log"),
    )?;
    wait_until(LIMIT, "the other installation holds the lock", || {
        holder.check()?;
        let waiting = node.sh("pgrep -f '[r]ig-waits.postinst'")?;
        ensure!(waiting.code == 0, "{waiting:?}");
        Ok(())
    })?;
    refused(&run(&["rig-application"], 3)?, "PACKAGES_LOCKED", "process")?;
    // Waited for long enough, it is let go.
    let waits = line(&json!({"do": "install", "packages": ["rig-application"], "patience": 60}));
    let mut patient = Process::start(
        "installer",
        node.background(&waits),
        &folder.path().join("installer"),
    )?;
    wait_until(LIMIT, "the installer says what it waits for", || {
        let log = node.sh("cat /var/lib/aami/install/default/effects/log")?.stdout;
        // The log opens with the first effect; before that the run is under way all the same.
        let at_work = node.sh("cat /run/aami/install.lock")?.stdout;
        ensure!(
            at_work.contains("effects") || log.contains("waiting"),
            "{at_work}{log}"
        );
        Ok(())
    })?;
    node.sh("touch /root/go")?.ok()?;
    patient.wait(LIMIT)?;
    holder.wait(LIMIT)?;
    let done = outcome(&patient.log())?;
    ensure!(done["code"] == "", "{done}");

    // A package whose script fails leaves dpkg half done; then everything else is refused as well.
    refused(&run(&["rig-broken"], 1)?, "PACKAGES_BROKEN", "rig-broken")?;
    told(&node, &json!({"do": "uninstall"}))?;

    // A repository nobody answers for.
    node.sh("echo 'deb [trusted=yes] http://10.77.0.254:9/ ./' > /etc/apt/sources.list.d/rig.list; rm -rf /var/lib/apt/lists/*")?
        .ok()?;
    refused(&run(&["rig-other"], 1)?, "PACKAGES_UNREACHABLE", "10.77.0.254")
}

#[test]
fn killed_in_the_middle_of_dpkg_the_same_command_goes_on() -> Result<()> {
    let net = Net::new()?;
    let node = node_with_repository(&net, Release::Bookworm)?;
    let before = node.picture()?;
    let order = json!({"do": "install", "packages": ["rig-waits", "rig-application"]});
    let folder = tempfile::tempdir()?;
    let installer = Process::start(
        "installer",
        node.background(&line(&order)),
        &folder.path().join("log"),
    )?;
    wait_until(LIMIT, "dpkg runs the script of rig-waits", || {
        let waiting = node.sh("pgrep -f '[r]ig-waits.postinst'")?;
        ensure!(waiting.code == 0, "{waiting:?} {}", installer.log());
        Ok(())
    })?;
    node.sh("kill -9 $(pgrep -x effects) $(pgrep -x apt-get) $(pgrep -x dpkg) $(pgrep -f '[r]ig-waits.postinst') || true")?
        .ok()?;
    let half = node
        .sh("dpkg-query -W -f '${db:Status-Status}' rig-waits")?
        .stdout;
    ensure!(half == "half-configured", "{half}");
    // The same command finishes it, and uninstalling still knows what came.
    node.sh("touch /root/go")?.ok()?;
    let done = told(&node, &order)?;
    ensure!(done["code"] == "", "{done}");
    let gone = told(&node, &json!({"do": "uninstall"}))?;
    ensure!(gone == json!({"left": [], "failed": []}), "{gone}");
    node.sh("rm /root/go")?.ok()?;
    is_as_before(&node, &before, "killed, continued, uninstalled")
}

/// A ruleset that lets in what was asked for, and pings.
const RULESET: &str = "#!/usr/sbin/nft -f\nflush ruleset\n\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tct state established,related accept\n\t\ticmp type echo-request accept\n\t}\n}";

#[test]
fn a_port_is_opened_in_nftables_now_and_for_the_next_boot_and_closed_again() -> Result<()> {
    let net = Net::new()?;
    let node = boot(&net, Release::Bookworm)?;
    let packages = [
        "nftables",
        "libnftables1",
        "libnftnl11",
        "libjansson4",
        "libxtables12",
        "libedit2",
        "libbsd0",
        "libmd0",
        "libmnl0",
    ];
    let unpacked = cache::packages(Some(Release::Bookworm), &packages)?;
    let packed = std::process::Command::new("tar")
        .args([
            "--create",
            "--exclude=./usr/share",
            "--exclude=./etc",
            "--directory",
        ])
        .arg(&unpacked)
        .args(["./usr", "./lib", "."])
        .output()?;
    node.write("/root/nft.tar", &packed.stdout, 0o600)?;
    node.sh(
        "tar -x -C / --keep-directory-symlink --no-overwrite-dir -f /root/nft.tar; ldconfig; nft --version",
    )?
    .ok()?;
    node.write("/etc/nftables.conf", RULESET.as_bytes(), 0o755)?;
    node.sh("nft -f /etc/nftables.conf")?.ok()?;
    let rules = || node.sh("nft list ruleset").map(|ended| ended.stdout);
    let (before, picture) = (rules()?, node.picture()?);

    let order = json!({"do": "install", "ports": [9100]});
    let looked = told(&node, &json!({"do": "look", "ports": [9100]}))?;
    ensure!(looked["because"][0] == "closed by nft", "{looked}");
    let done = told(&node, &order)?;
    ensure!(done["code"] == "" && done["effects"] == 2, "{done}");
    let open = rules()?;
    ensure!(
        open.contains("tcp dport 9100 accept")
            && open.contains("ip saddr 10.77.0.0/16 tcp dport 9101 accept"),
        "{open}"
    );
    ensure!(told(&node, &order)?["wrote"] == false, "the second run wrote");
    // The next boot loads the file, and comes to the same rules.
    node.sh("nft -f /etc/nftables.conf")?.ok()?;
    let loaded = rules()?;
    ensure!(
        loaded.contains("dport 9100 accept") && loaded.contains("dport 9101 accept"),
        "{loaded}"
    );
    // Somebody flushes the rules: that is told, and mended.
    node.sh("nft flush chain inet filter input")?.ok()?;
    let looked = told(&node, &json!({"do": "look", "ports": [9100]}))?;
    ensure!(
        looked["because"][0] == "closed by nft until it is reloaded",
        "{looked}"
    );
    told(&node, &order)?;
    node.sh("nft -f /etc/nftables.conf")?.ok()?;

    let gone = told(&node, &json!({"do": "uninstall"}))?;
    ensure!(gone == json!({"left": [], "failed": []}), "{gone}");
    ensure!(rules()? == before, "{}", rules()?);
    is_as_before(&node, &picture, "opened, then closed")
}

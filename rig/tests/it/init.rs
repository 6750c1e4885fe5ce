//! `aami init` on a machine with a real systemd: Debian's Prometheus and Alertmanager, a stand-in for Grafana, a real
//! node_exporter, and no control plane at all.

mod attacked;
pub(crate) mod stage;
mod told;

use anyhow::{Context as _, Result, ensure};
use rig::{Mirror, Net, wait_until};
use std::time::Duration;

use crate::interrupted::seed;
use crate::offline::questions;
use crate::server_install::interrupted::cut;
use crate::server_install::stage::load;
use crate::site::{Typing as _, is_as_before, is_full};
use crate::workshop::{MIRROR_AT_HOME, Workshop, brings_home};
use stage::{INIT, Operator};

#[test]
fn a_machine_comes_to_watch_a_fleet_changes_what_is_asked_and_is_as_before_in_the_end() -> Result<()> {
    let net = Net::new()?;
    let operator = Operator::boot(&net)?;
    let node = operator.node();
    let before = node.picture()?;

    // A look changes nothing.
    node.types_well(&format!("{INIT} --dry-run"))?;
    is_as_before(node, &before, "a look")?;

    // Given nothing, when the one command is typed, then the configuration is its owner's alone and everything runs.
    let said = node.types_well(INIT)?;
    ensure!(
        said.stdout.contains("Created /etc/aami/config.yaml"),
        "{}",
        said.all()
    );
    let mode = node.sh("stat -c '%a %U' /etc/aami/config.yaml")?.ok()?;
    ensure!(mode.trim() == "600 root", "{mode}");
    operator.all_well()?;

    // Typed again, without saying where anything comes from, it writes nothing, starts nothing, wakes nobody.
    let (picture, pids, read) = (node.picture()?, operator.pids()?, operator.read_at()?);
    node.types_well("/root/aami init")?;
    let changes = operator.changes_since(&picture)?;
    ensure!(changes.is_empty(), "a second run changed {changes:#?}");
    ensure!(operator.pids()? == pids, "something was started again");
    ensure!(operator.read_at()? == read, "Prometheus was told to read again");

    // When the configuration says something else, exactly that is done.
    node.types_well("/root/aami config set prometheus.retention 40d")?;
    node.types_well("/root/aami init")?;
    let anew = operator.begun_anew(&pids)?;
    ensure!(anew == ["aami-prometheus"], "{anew:?}");
    let command = node
        .sh("tr '\\0' ' ' < /proc/$(systemctl show -P MainPID aami-prometheus)/cmdline")?
        .ok()?;
    ensure!(command.contains("--storage.tsdb.retention.time=40d"), "{command}");
    // Rules of one's own arrive without anything being started again.
    let pids = operator.pids()?;
    node.write(
        "/root/edit",
        b"s/^  custom: \\[\\]$/  custom:\\n    - {name: Ours, expr: 'vector(1) == 2', for: 0s, severity: info}/",
        0o644,
    )?;
    node.sh("sed -i -f /root/edit /etc/aami/config.yaml && rm /root/edit")?
        .ok()?;
    node.types_well("/root/aami init")?;
    ensure!(operator.pids()? == pids, "something was started for a rule");
    let rules = operator.stage.prometheus("/api/v1/rules")?.to_string();
    ensure!(rules.contains("\"Ours\""), "the rule was not loaded");
    operator.all_well()?;

    // Taken back, data and configuration stay; and it is all there again.
    node.types_well("/root/aami server uninstall --dry-run")?;
    operator.all_well()?;
    let said = node.types_well("/root/aami server uninstall")?;
    ensure!(
        operator.pids()?.iter().all(|pid| pid == "0"),
        "something runs on: {}",
        said.all()
    );
    ensure!(node.sh("ls -A /etc/systemd/system | grep aami-")?.code != 0);
    node.sh("ls /var/lib/aami/prometheus/wal /etc/aami/config.yaml")?
        .ok()?;
    node.types_well(INIT)?;
    operator.all_well()?;
    let rules = operator.stage.prometheus("/api/v1/rules")?.to_string();
    ensure!(rules.contains("\"Ours\""), "{rules}");

    // And back to nothing.
    node.types_well("/root/aami server uninstall --purge-data --yes")?;
    is_as_before(node, &before, "an uninstall")
}

#[test]
fn whom_alertmanager_tells_is_its_own_affair_and_no_secret_is_shown() -> Result<()> {
    let net = Net::new()?;
    let operator = Operator::boot(&net)?;
    let node = operator.node();
    let init = |secret: &str| format!("SLACK='{secret}' {INIT}");
    node.types_well(INIT)?;
    let pids = operator.pids()?;

    // A secret that is not there is named before anything is changed.
    for (field, value) in [
        ("webhook_url", "${SLACK}"),
        ("channel", "#gpu"),
        ("enabled", "true"),
    ] {
        node.types_well(&format!(
            "/root/aami config set notifications.slack.{field} '{value}'"
        ))?;
    }
    let picture = node.picture()?;
    let said = node.types(INIT)?;
    ensure!(said.code != 0 && said.all().contains("SLACK"), "{}", said.all());
    ensure!(operator.pids()? == pids, "{}", said.all());
    let mut changes = operator.changes_since(&picture)?;
    // That a run failed is remembered.
    changes.retain(|change| !change.contains("/install/"));
    ensure!(changes.is_empty(), "{changes:#?}");

    // Given one, Alertmanager and nothing else begins anew; the same again starts nothing; another one does.
    let (first, second) = (
        "https://hooks.example.com/T0/FIRSTSECRET",
        "https://hooks.example.com/T0/OTHERSECRET",
    );
    for (secret, expected) in [
        (first, &["aami-alertmanager"][..]),
        (first, &[]),
        (second, &["aami-alertmanager"]),
    ] {
        let pids = operator.pids()?;
        let said = node.types_well(&init(secret))?;
        let anew = operator.begun_anew(&pids)?;
        ensure!(anew == expected, "{anew:?}, not {expected:?}: {}", said.all());
        ensure!(!said.all().contains("SECRET"), "a secret was printed");
    }
    operator.node().types_well("/root/aami server status")?;
    // It stands in its own file, and nowhere else.
    let found = node.sh(
        "grep -rlF -e FIRSTSECRET -e OTHERSECRET /etc /opt/aami /var/lib/aami/install /run/systemd 2>/dev/null; \
         journalctl --no-pager -u 'aami-*' | grep -cF SECRET; \
         cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -vF grep | grep -cF SECRET",
    )?;
    ensure!(
        found.stdout.trim() == "/etc/aami/secrets/alertmanager-slack-url\n0\n0",
        "found in: {}",
        found.stdout
    );
    let mode = node
        .sh("stat -c '%a %U:%G' /etc/aami/secrets/alertmanager-slack-url")?
        .ok()?;
    ensure!(mode.trim() == "640 root:aami-alertmanager", "{mode}");
    Ok(())
}

#[test]
fn killed_in_the_middle_the_same_init_continues() -> Result<()> {
    const STEPS: [&str; 3] = ["download", "configure", "start_services"];
    let net = Net::new()?;
    let operator = Operator::boot(&net)?;
    let node = operator.node();
    let before = node.picture()?;
    // One of the steps in turn, all of them where there is time.
    let seed = seed()?;
    println!("RIG_SEED={seed}");
    let cuts = if is_full() { STEPS.len() } else { 1 };
    for number in 0..cuts {
        let step = STEPS[(usize::try_from(seed % 3)? + number) % STEPS.len()];
        cut(node, INIT, step).with_context(|| step.to_owned())?;
        node.types_well(INIT)
            .with_context(|| format!("after a kill in {step}"))?;
        operator
            .all_well()
            .with_context(|| format!("after a kill in {step}"))?;
        node.types_well("/root/aami server uninstall --purge-data --yes")?;
        is_as_before(node, &before, &format!("a kill in {step}"))?;
    }
    // And without continuing first.
    cut(node, INIT, "start_services")?;
    node.types_well("/root/aami server uninstall --purge-data --yes")?;
    is_as_before(node, &before, "a kill in start_services and no more")
}

#[test]
fn what_init_cannot_have_is_named_and_finished_when_it_appears() -> Result<()> {
    let net = Net::new()?;
    let operator = Operator::boot(&net)?;
    let node = operator.node();
    let before = node.picture()?;
    for name in ["grafana", "node_exporter"] {
        // Given a folder without it, the others run,
        let hidden = operator.stage.hide(name)?;
        let said = node.types_in_vain(INIT, 7, "STACK_INCOMPLETE")?;
        ensure!(said.all().contains(name), "{}", said.all());
        let pids = operator.pids()?;
        let missing = pids.iter().filter(|pid| *pid == "0").count();
        ensure!(missing == 1, "{pids:?}: {}", said.all());
        node.types_well("/root/aami alerts list")?;
        // when it appears, the same command finishes, and what runs already runs on.
        hidden.show()?;
        node.types_well(INIT)?;
        operator.all_well().with_context(|| name.to_owned())?;
        let anew = operator.begun_anew(&pids)?;
        ensure!(anew.len() == 1, "{anew:?} began anew for {name}");
        node.types_well("/root/aami server uninstall --purge-data --yes")?;
        is_as_before(node, &before, name)?;
    }
    // Asked for alone, one is all there is, and it is taken back as well.
    node.types_well(&format!("{INIT} --components node_exporter"))?;
    let pids = operator.pids()?;
    ensure!(pids[..3] == ["0", "0", "0"] && pids[3] != "0", "{pids:?}");
    node.types_well("/root/aami server uninstall --purge-data --yes")?;
    is_as_before(node, &before, "an uninstall of one")
}

#[test]
fn without_a_network_everything_comes_out_of_a_bundle() -> Result<()> {
    // Given a machine whose cable is out, with a bundle, and whose questions for names can be counted,
    let workshop = Workshop::open()?;
    workshop.packs()?;
    let net = Net::new()?;
    let operator = Operator::of(workshop.machine(&net, "operator", "/root/aami")?);
    let node = operator.node();
    node.write("/etc/resolv.conf", b"nameserver 127.0.0.1\n", 0o644)?;
    let before = node.picture()?;
    node.connected(false)?;
    let asked = questions(node)?;
    // when nobody says whose bundle it is, then nothing is installed;
    let init = "/root/aami init --offline /root/aami-offline.tar.zst";
    node.types_in_vain(init, 10, "BUNDLE_KEY_UNKNOWN")?;
    is_as_before(node, &before, "refusing")?;
    // when its key is named, then everything comes out of it, and nobody is asked,
    node.types_well(&format!("{init} --bundle-key /root/bundle.pub"))?;
    operator.all_well()?;
    let left = node.sh("ls -A /var/tmp | grep aami-bundle")?.stdout;
    ensure!(left.trim().is_empty(), "left behind: {left}");
    ensure!(questions(node)? == asked, "a name was asked for");
    // also where it is not named again,
    let (picture, pids) = (node.picture()?, operator.pids()?);
    node.types_well("/root/aami init")?;
    let changes = operator.changes_since(&picture)?;
    ensure!(changes.is_empty(), "a second run changed {changes:#?}");
    ensure!(
        operator.pids()? == pids && questions(node)? == asked,
        "something was started or asked"
    );
    node.sh("getent hosts example.com || true")?;
    wait_until(Duration::from_secs(10), "a question is counted", || {
        ensure!(questions(node)? > asked);
        Ok(())
    })?;
    // and it goes without one.
    node.types_well("/root/aami server uninstall --purge-data --yes")?;
    is_as_before(node, &before, "an uninstall")
}

#[test]
fn one_program_comes_from_a_mirror_and_nothing_from_anywhere_else() -> Result<()> {
    // Given a machine without the internet that has a mirror, and none of what that carries,
    let net = Net::new()?;
    let host = net.host("mirror")?;
    let mirror = Mirror::start(&host, |site| site)?;
    load(
        &mut |path, bytes, _| match path.strip_prefix("/root/components/") {
            Some(name) => mirror.write(name, bytes),
            None => Ok(()),
        },
    )?;
    let operator = Operator::boot(&net)?;
    let node = operator.node();
    node.sh("rm -r /root/components")?.ok()?;
    brings_home(node, &host)?;
    let before = node.picture()?;
    // when Prometheus alone is asked for, then it comes from there and runs, and nothing else does;
    let init = format!("/root/aami init --mirror {MIRROR_AT_HOME} --components prometheus");
    let said = node.types_well(&init)?;
    ensure!(
        said.stdout.contains("Created /etc/aami/config.yaml"),
        "{}",
        said.all()
    );
    let pids = operator.pids()?;
    ensure!(
        pids[0] != "0" && pids[1..].iter().all(|pid| pid == "0"),
        "{pids:?}: {}",
        said.all()
    );
    node.types_well("/root/aami alerts list")?;
    let asked = mirror.log();
    ensure!(
        asked.contains("GET /components.toml") && asked.contains("GET /prometheus-"),
        "{asked}"
    );
    for other in ["alertmanager-", "grafana-", "node_exporter-"] {
        ensure!(!asked.contains(&format!("GET /{other}")), "{asked}");
    }
    // when the mirror is gone, then what is there needs it no more;
    host.black_hole(80)?;
    let picture = node.picture()?;
    node.types_well("/root/aami init --components prometheus")?;
    let changes = operator.changes_since(&picture)?;
    ensure!(changes.is_empty(), "a second run changed {changes:#?}");
    ensure!(operator.pids()? == pids, "something was started again");
    host.answer_again()?;
    // and it all goes again.
    node.types_well("/root/aami server uninstall --purge-data --yes")?;
    is_as_before(node, &before, "an uninstall")
}

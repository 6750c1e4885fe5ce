//! The power of a machine is cut in the middle of `aami server install`; after the next boot `--resume` finishes.
//!
//! A real machine: kernel, ext4, systemd, and a disk that loses what was not flushed. Each cut falls into a step
//! that a printed seed chooses (`RIG_SEED` repeats one), and some events further. One cut takes minutes where
//! processors are emulated, so `make test` leaves this out, `make test-full` (`AAMI_FULL=1`) cuts once in each step, and
//! whoever runs the test alone gets one cut. Kills at every boundary are the plan's own tests, with
//! doubles, and those in each step of a running system are `server_install::interrupted`.
//!
//! Without Grafana, which is not to be had here: the others are Debian's own. Without preflight, too: it asks for
//! 4 GB of memory, and an emulated machine that stands beside other tests has a third of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use rig::{Disk, Ended, Hardware, Host, Image, Machine, Net, Picture, Place, Release, Watched, wait_until};
use serde_json::Value;

use crate::server_install::stage::{self, INSTALL};

/// The steps that change the machine.
const STEPS: [&str; 5] = [
    "download",
    "configure",
    "start_services",
    "bootstrap_token",
    "finalize",
];
const UNITS: &str = "aami-server aami-prometheus aami-alertmanager";
const TRACKING: &str = "/var/lib/aami/install";
/// The machine's address, which no host of the network has.
const ADDRESS: &str = "10.77.0.200";
const MAC: &str = "52:54:00:aa:31:01";
/// An install on emulated processors, beside other tests.
const INSTALLED: Duration = Duration::from_secs(600);

#[test]
fn a_power_cut_in_the_middle_of_an_install_is_mended_by_resume() -> Result<()> {
    let seed = seed()?;
    println!("RIG_SEED={seed}");
    let full = std::env::var_os("AAMI_FULL").is_some_and(|full| full == "1");
    let cuts = if full { STEPS.len() } else { 1 };
    let net = Net::new()?;
    let peer = net.host("peer")?;
    let folder = tempfile::tempdir()?;
    // Given a disk with this build and its components, and a bare machine for each cut.
    let release = release(&folder)?;
    let image = Image::of(Release::Bookworm)?;
    for number in 0..cuts {
        let step = STEPS[(usize::try_from(seed % 5)? + number) % STEPS.len()];
        let further = usize::try_from(seed / 5 % 3)?;
        let hardware = Hardware::new("server")?.booting(&image)?.disk(release.clone());
        cut_and_resume(&net, &peer, &hardware, step, further)
            .with_context(|| format!("RIG_SEED={seed}: cut in {step}, {further} events further"))?;
    }
    Ok(())
}

fn cut_and_resume(net: &Net, peer: &Host, hardware: &Hardware, step: &str, further: usize) -> Result<()> {
    let mut machine = boot(net, hardware)?;
    let before = machine.picture()?;

    // When its power goes in the middle of the install, and comes back,
    install_until(&mut machine, step, further)?;
    machine.cut()?;
    let mut machine = boot(net, hardware)?;

    // then what was recorded can be read,
    let records = records(&mut machine)?;
    ensure!(
        records.iter().any(|record| record.ends_with("/state.json")),
        "nothing says how far the install came: {records:?}"
    );
    let pending = installed(&mut machine)?;
    ensure!(
        pending.is_empty() || records.iter().any(|record| record.ends_with("/receipt.json")),
        "no receipt for {pending:?}"
    );

    // the install goes on to its end,
    good(&mut machine, &format!("{} --resume", command()))?;
    all_well(&mut machine, peer)?;

    // a second run changes nothing,
    let (picture, pids) = (machine.picture()?, pids(&mut machine)?);
    good(&mut machine, &command())?;
    ensure!(
        pids == self::pids(&mut machine)?,
        "a second run started something again"
    );
    let changes = changes(&picture, &mut machine)?;
    ensure!(changes.is_empty(), "a second run changed {changes:#?}");

    // and an uninstall leaves the machine as it was.
    good(
        &mut machine,
        "/root/aami server uninstall --purge-data --yes --json",
    )?;
    let mut changes = before.changes_in(&machine.picture()?);
    changes.retain(|change| !change.starts_with("appeared: /run/aami (d"));
    ensure!(changes.is_empty(), "an uninstall left {changes:#?}");
    Ok(())
}

/// A disk that stands at `/root` of the machine.
fn release(folder: &tempfile::TempDir) -> Result<Disk> {
    let content = folder.path().join("content");
    stage::load(&mut |path, bytes, mode| {
        // What does not belong under /root is put there when the machine is up.
        let path = path
            .strip_prefix("/root/")
            .unwrap_or(path)
            .trim_start_matches('/');
        let path = content.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&content))?;
        fs::write(&path, bytes)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
    })?;
    Disk::of_folder(&content, &folder.path().join("release"))
}

/// Switches the machine on, gives it its address and the disk with the release.
fn boot(net: &Net, hardware: &Hardware) -> Result<Machine> {
    let mut machine = hardware.power_on_in(net, MAC)?;
    machine.ready()?;
    let script = format!(
        "mount -o ro /dev/vdb /root && if [ -d /root/usr ]; then cp -r /root/usr/. /usr; fi && \
         ip addr add {ADDRESS}/24 dev eth0 && ip link set eth0 up && ip route add default via 10.77.0.254"
    );
    machine.sh(&script)?.ok()?;
    Ok(machine)
}

fn command() -> String {
    format!(
        "{INSTALL} --runtime systemd --components prometheus,alertmanager --domain {ADDRESS} --skip-preflight \
         --unattended --json"
    )
}

/// Starts the install and returns in the middle of a step: when it began, and so many events later.
fn install_until(machine: &mut Machine, step: &str, further: usize) -> Result<()> {
    let mut since = None;
    let watched = machine.watch(INSTALLED, &command(), |line| {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        if event["type"] == "step_started" && event["step"] == step {
            since = Some(0);
        } else if let Some(count) = &mut since {
            *count += 1;
        }
        // Further than its own end is another step, and behind the last one there is nothing to cut off.
        since.is_some_and(|count| count >= further)
            || (since.is_some() && event["type"] == "step_completed" && event["step"] == step)
    })?;
    match watched {
        Watched::Seen => Ok(()),
        Watched::Ended(ended) => bail!("the install ended before {step}: {} {}", ended.code, ended.said()),
    }
}

/// The state files and receipts there are, each of which has to be one JSON document.
fn records(machine: &mut Machine) -> Result<BTreeSet<String>> {
    let found = machine.sh(&format!("find {TRACKING} -name state.json -o -name receipt.json"))?;
    let mut records = BTreeSet::new();
    for path in found.stdout.lines() {
        let text = machine.read(path)?;
        let _: Value =
            serde_json::from_str(&text).with_context(|| format!("{path} after the cut: {text:?}"))?;
        records.insert(path.to_owned());
    }
    Ok(records)
}

/// What of us is on the machine beside the tracking itself.
fn installed(machine: &mut Machine) -> Result<Vec<String>> {
    let found = machine.sh("find /opt/aami /etc/aami /etc/systemd/system/aami-* -type f 2>/dev/null")?;
    let ours = |path: &&str| !path.contains("aami-rig");
    Ok(found.stdout.lines().filter(ours).map(str::to_owned).collect())
}

/// Every part says that it is well, the control plane to another host too.
fn all_well(machine: &mut Machine, peer: &Host) -> Result<()> {
    let said = machine.sh("/root/aami server status --json")?;
    let status: Value = serde_json::from_str(&said.stdout).with_context(|| said.said())?;
    ensure!(
        said.code == 0 && status["healthy"] == true,
        "{status:#}\n{}",
        journal(machine)
    );
    let url = format!("https://{ADDRESS}:8080/health/ready");
    wait_until(Duration::from_secs(60), "the control plane answers", || {
        Place::On(peer).get(&url, &["--insecure"])
    })?;
    Ok(())
}

fn pids(machine: &mut Machine) -> Result<String> {
    machine.sh(&format!("systemctl show -P MainPID {UNITS}"))?.ok()
}

/// What changed since, beside what the services write while they run.
fn changes(picture: &Picture, machine: &mut Machine) -> Result<Vec<String>> {
    let mut changes = picture.changes_in(&machine.picture()?);
    changes.retain(|change| {
        !["server", "prometheus", "alertmanager", "targets"]
            .iter()
            .any(|part| change.contains(&format!(": /var/lib/aami/{part}")))
    });
    Ok(changes)
}

fn good(machine: &mut Machine, line: &str) -> Result<Ended> {
    let said = machine.sh_within(INSTALLED, line)?;
    ensure!(
        said.code == 0,
        "{line}: exit {}\n{}\n{}",
        said.code,
        said.said(),
        journal(machine)
    );
    Ok(said)
}

fn journal(machine: &mut Machine) -> String {
    let said = machine.sh("journalctl --no-pager -u 'aami-*' | tail -n 80");
    said.map_or_else(|error| format!("{error:#}"), |ended| ended.stdout)
}

fn seed() -> Result<u64> {
    match std::env::var("RIG_SEED") {
        Ok(seed) => seed.parse().context("RIG_SEED is no number"),
        Err(_) => Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()),
    }
}

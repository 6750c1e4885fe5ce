//! What gets in an installation's way on a real machine: a disk that is full, one that takes no writes, a service that
//! does not start in its time, another installer. Each is one sentence with one code; nothing is half-placed, and in the
//! end the same command goes on to a server that is taken back whole.

use std::time::Duration;

use anyhow::{Result, ensure};
use rig::{Net, Process, Release, wait_until};

use super::stage::{INSTALL, Stage};
use crate::site::{Said, Typing as _, is_as_before};

/// Where a site's own word about Alertmanager's unit lies.
const DROP_IN: &str = "/etc/systemd/system/aami-alertmanager.service.d";
/// Until this is there, Alertmanager does not start.
const GO: &str = "/run/go";

/// Alertmanager's unit waits for [`GO`], and for so many seconds at most.
fn waits(stage: &Stage, seconds: u32) -> Result<()> {
    let script = format!(
        "mkdir -p {DROP_IN} && printf '[Service]\nExecStartPre=+/bin/sh -c \"until test -e {GO}; do sleep 0.1; done\"\n\
         TimeoutStartSec={seconds}\nRestart=no\n' > {DROP_IN}/waits.conf && systemctl daemon-reload"
    );
    stage.node.sh(&script)?.ok().map(drop)
}

/// One sentence, with its code and nothing else's.
fn is_one_sentence(said: &Said) -> Result<()> {
    let errors = said
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .count();
    ensure!(errors == 1, "{errors} errors:\n{}", said.all());
    Ok(())
}

/// No file of an unfinished change stands anywhere. What was downloaded and verified is kept for the next run.
fn nothing_is_torn(stage: &Stage) -> Result<()> {
    let script = "find /opt /etc /usr/local /var/lib/aami /run/aami -name '*.aami-new*' 2>/dev/null; true";
    let torn = stage.node.sh(script)?.ok()?;
    ensure!(torn.is_empty(), "{torn}");
    Ok(())
}

#[test]
fn what_gets_in_the_way_has_one_code_and_the_same_command_goes_on() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    let node = &stage.node;
    let before = node.picture()?;
    let plain = format!("{INSTALL} --unattended");
    let unlooked = format!("{plain} --skip-preflight");

    // A disk with room for one of the programs. Whoever looks first is told before anything is changed;
    node.sh("mkdir /opt/aami && mount -t tmpfs -o size=150m,mode=755 tmpfs /opt/aami")?
        .ok()?;
    let mounted = node.picture()?;
    let said = node.types_in_vain(&plain, 1, "DISK_FULL")?;
    ensure!(said.all().contains("/opt/aami"), "{}", said.all());
    is_as_before(node, &mounted, "a full disk that was seen")?;
    // whoever does not finds it full in the middle.
    let said = node.types_in_vain(&unlooked, 1, "DISK_FULL")?;
    is_one_sentence(&said)?;
    ensure!(said.stderr.contains("/opt/aami/"), "no path: {}", said.all());
    ensure!(
        node.sh("df --output=avail /opt/aami | tail -n 1")?.ok()?.trim() != "0",
        "what was half written is kept"
    );
    nothing_is_torn(&stage)?;
    ensure!(
        node.sh("systemctl is-active 'aami-*'")?.stdout.trim().is_empty(),
        "something runs"
    );
    let status = node.types("/root/aami server status")?;
    ensure!(
        status.code == 3 && status.all().contains("download"),
        "{}",
        status.all()
    );
    node.sh("mount -o remount,size=1g /opt/aami")?.ok()?;

    // A folder that takes no writes.
    let units = "/etc/systemd/system";
    node.sh(&format!(
        "mount --bind {units} {units} && mount -o remount,bind,ro {units}"
    ))?
    .ok()?;
    let said = node.types_in_vain(&unlooked, 1, "READ_ONLY")?;
    is_one_sentence(&said)?;
    ensure!(said.stderr.contains(units), "no path: {}", said.all());
    nothing_is_torn(&stage)?;
    node.sh(&format!("umount {units}"))?.ok()?;

    // A service that does not start in its time: always the same code, and systemd's own word for it.
    waits(&stage, 2)?;
    for _ in 0..2 {
        let said = node.types_in_vain(&unlooked, 1, "UNIT_FAILED")?;
        is_one_sentence(&said)?;
        ensure!(
            said.stderr.contains("aami-alertmanager.service") && said.stderr.contains("timeout"),
            "{}",
            said.stderr
        );
    }

    // Another installer, and somebody who takes back, while one is at work.
    waits(&stage, 90)?;
    let folder = tempfile::tempdir()?;
    let mut first = Process::start(
        "the first installer",
        node.background(&unlooked),
        &folder.path().join("log"),
    )?;
    wait_until(
        Duration::from_secs(60),
        "the first waits for Alertmanager",
        || {
            first.check()?;
            let state = node.sh("systemctl show -P ActiveState aami-alertmanager")?.stdout;
            ensure!(state.trim() == "activating", "{state}\n{}", first.log());
            Ok(())
        },
    )?;
    let holder = node.sh("pgrep --full '^/root/aami server install'")?.ok()?;
    for command in [
        plain.as_str(),
        &format!("{plain} --repair"),
        "/root/aami server install --reset --unattended",
        "/root/aami server uninstall",
        "/root/aami server uninstall --purge-data --yes",
    ] {
        let said = node.types_in_vain(command, 6, "LOCKED")?;
        is_one_sentence(&said)?;
        ensure!(
            said.stderr.contains(holder.trim()),
            "{command}: not {holder}: {}",
            said.stderr
        );
    }
    let status = node.types("/root/aami server status")?;
    ensure!(
        status.all().contains("An installer is at work"),
        "{}",
        status.all()
    );
    node.sh(&format!("touch {GO}"))?.ok()?;
    let ended = first.wait(Duration::from_secs(120))?;
    ensure!(ended.success(), "{}", first.log());
    stage.all_well()?;

    // All of it is taken back, the site's own word about a unit aside.
    node.sh(&format!("rm -r {DROP_IN} {GO} && systemctl daemon-reload"))?
        .ok()?;
    node.types_well("/root/aami server uninstall --purge-data --yes")?;
    ensure!(
        node.sh("ls -A /opt/aami")?.stdout.is_empty(),
        "something is left in /opt/aami"
    );
    node.sh("umount /opt/aami && rmdir /opt/aami")?.ok()?;
    is_as_before(node, &before, "what got in the way")
}

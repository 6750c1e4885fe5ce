//! The power of a machine is cut in the middle of `aami server install`; after the next boot `--resume` finishes.
//!
//! A real machine: kernel, ext4, systemd, and a disk that loses what was not flushed. One install is cut several
//! times: at each moment but the last the machine stands still while its disk is copied as a cut would leave it, and
//! at the last it goes off. Each disk boots then, and the install on it has to come to its end. The moments lie in
//! steps that a printed seed chooses (`RIG_SEED` repeats one), and some events further: two of them, and with
//! `AAMI_FULL=1` one in each step. `make machines` runs it, since it takes minutes where processors are emulated.
//! Kills at every boundary are the plan's own tests, with doubles, and those in each step of a running system are
//! `server_install::interrupted`.
//!
//! Without Grafana, which is not to be had here: the others are Debian's own. Without preflight, too: it asks for
//! 4 GB of memory, and an emulated machine that stands beside other tests has a third of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rig::{Disk, Ended, Hardware, Host, Image, Machine, Net, Picture, Place, Release, Watched, wait_until};
use serde_json::Value;

use crate::interrupted::seed;
use crate::server_install::stage::{self, INSTALL};
use crate::site::is_full;

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

/// As many machines as go on beside each other.
const ABREAST: usize = 2;

/// A moment of an install: a step, and so many events behind its beginning, or its end where that comes first.
#[derive(Debug, Clone, Copy)]
struct Moment {
    step: usize,
    further: u64,
}

/// A machine whose power went at a moment.
#[derive(Debug)]
struct Left {
    moment: Moment,
    hardware: Hardware,
}

#[test]
fn a_power_cut_in_the_middle_of_an_install_is_mended_by_resume() -> Result<()> {
    let seed = seed()?;
    println!("RIG_SEED={seed}");
    let full = is_full();
    let moments = moments(seed, if full { STEPS.len() } else { 2 });
    let start = Instant::now();
    let says = |what: &str| println!("{:4} s: {what}", start.elapsed().as_secs());

    // Given a bare machine with this build and its components at hand.
    let folder = tempfile::tempdir()?;
    let release = release(&folder)?;
    let hardware = Hardware::new("server")?
        .booting(&Image::of(Release::Bookworm)?)?
        .disk(release);
    let net = Net::new()?;
    let mut machine = boot(&net, &hardware)?;
    machine.sh("sync")?.ok()?;
    let before = machine.picture()?;
    says("the machine is up");

    // When its power goes at some moments of the install,
    let left = Mutex::new(cut_at(machine, hardware, &moments)?);
    says("its power is cut");

    // then each of the machines that are left goes on to the end when its power comes back.
    let go_on = || -> Result<()> {
        loop {
            let next = left.lock().ok().and_then(|mut left| left.pop());
            let Some(Left { moment, hardware }) = next else {
                return Ok(());
            };
            let Moment { step, further } = moment;
            let cut = format!("cut in {}, {further} events further", STEPS[step]);
            resume(&hardware, &before, &|what| says(&format!("{cut}: {what}")))
                .with_context(|| format!("RIG_SEED={seed}: {cut}"))?;
        }
    };
    std::thread::scope(|scope| {
        let going: Vec<_> = (0..ABREAST).map(|_| scope.spawn(go_on)).collect();
        going.into_iter().try_for_each(|one| match one.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// So many moments, in the order in which an install comes by.
fn moments(seed: u64, count: usize) -> Vec<Moment> {
    let mut moments: Vec<Moment> = (seed..)
        .step_by(2)
        .zip(0..count)
        .map(|(number, _)| Moment {
            step: usize::try_from(number % 5).unwrap_or_default(),
            further: number / 5 % 3,
        })
        .collect();
    moments.sort_by_key(|moment| moment.step);
    moments
}

/// Installs, and gives the machines that cuts at these moments leave. The last cut is one.
fn cut_at(mut machine: Machine, hardware: Hardware, moments: &[Moment]) -> Result<Vec<Left>> {
    let plug = machine.plug()?;
    let mut coming = moments.iter().copied().peekable();
    let (mut since, mut copied, mut failed) = (None, Vec::new(), None);
    let watched = machine.watch(INSTALLED, &command(), |line| {
        let Some(&moment) = coming.peek() else {
            return true;
        };
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        let is_in = event["step"] == STEPS[moment.step];
        if is_in && event["type"] == "step_started" {
            since = Some(0);
        } else if let Some(count) = &mut since {
            *count += 1;
        }
        // Further than its own end is another step, and behind the last one there is nothing to cut off.
        let has_ended = since.is_some() && is_in && event["type"] == "step_completed";
        if !has_ended && since.is_none_or(|count| count < moment.further) {
            return false;
        }
        since = None;
        coming.next();
        if coming.peek().is_none() {
            return true;
        }
        match hardware.left_by(&plug) {
            Ok(hardware) => copied.push(Left { moment, hardware }),
            Err(error) => failed = Some(error),
        }
        failed.is_some()
    })?;
    if let Watched::Ended(ended) = watched {
        bail!(
            "the install ended before {coming:?}: {} {}",
            ended.code,
            ended.said()
        );
    }
    machine.cut()?;
    if let Some(error) = failed {
        return Err(error);
    }
    let moment = *moments.last().context("no moment to cut at")?;
    copied.push(Left { moment, hardware });
    Ok(copied.into_iter().map(|left| left.of_one_processor()).collect())
}

impl Left {
    /// Several go on beside each other.
    fn of_one_processor(self) -> Self {
        Self {
            hardware: self.hardware.cpus(1),
            ..self
        }
    }
}

fn resume(hardware: &Hardware, before: &Picture, says: &dyn Fn(&str)) -> Result<()> {
    let net = Net::new()?;
    let peer = net.host("peer")?;
    let mut machine = boot(&net, hardware)?;
    says("it is up again");

    // What was recorded can be read,
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
    all_well(&mut machine, &peer)?;
    says("the install has come to its end");

    // a second run has nothing to mend,
    let (picture, pids) = (machine.picture()?, pids(&mut machine)?);
    good(&mut machine, &command())?;
    ensure!(
        pids == self::pids(&mut machine)?,
        "a second run started something again"
    );
    let changes = changes(&picture, &mut machine)?;
    ensure!(changes.is_empty(), "a second run changed {changes:#?}");
    says("a second run changed nothing");

    // and an uninstall leaves the machine as it was.
    good(
        &mut machine,
        "/root/aami server uninstall --purge-data --yes --json",
    )?;
    let mut changes = before.changes_in(&machine.picture()?);
    changes.retain(|change| !change.starts_with("appeared: /run/aami (d"));
    ensure!(changes.is_empty(), "an uninstall left {changes:#?}");
    says("an uninstall left nothing");
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
    // A third of it; what only a debugger reads would be copied and hashed by emulated processors.
    let stripped = Command::new("strip").arg(content.join("aami")).status()?;
    ensure!(stripped.success(), "strip: {stripped}");
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

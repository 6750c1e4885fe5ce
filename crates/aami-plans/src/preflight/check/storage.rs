//! Room, and whether files can be written and programs run, where it will be done.

use std::io::ErrorKind;

use aami_inventory::volume::Volume;
use aami_model::code;

use super::super::facts::{Facts, PlaceFacts};
use super::super::fix::Fix;
use super::super::needs::{self, Place};
use super::super::report::{Category, Check, Outcome};
use super::super::request::{Mode, Request, Sizes};
use super::super::trial::Trial;

const GB: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;
/// Free inodes a place must have.
const INODES: u64 = 1000;

pub(super) fn checks(request: &Request, facts: &Facts) -> Vec<Check> {
    let mut checks = vec![disk(request, facts)];
    let places = needs::places(request, &facts.choice);
    for place in &places {
        if let Some(found) = facts.places.get(&place.path) {
            let check = one(place, found, facts.choice.mode);
            let shared = found
                .volume
                .as_ref()
                .and_then(|volume| shared(&places, facts, place, volume));
            checks.push(match shared {
                Some(sentence) if check.outcome != Outcome::Failed => too_little(check, sentence),
                _ => check,
            });
        }
    }
    checks
}

/// What is said of a mount that has room for each of the places on it and not for all of them. It is said once, of
/// the largest.
fn shared(places: &[Place], facts: &Facts, place: &Place, volume: &Volume) -> Option<Shared> {
    let mount = |place: &Place| facts.places.get(&place.path)?.volume.as_ref();
    let mut here: Vec<&Place> = places
        .iter()
        .filter(|other| mount(other).is_some_and(|other| other.mount_point == volume.mount_point))
        .collect();
    here.sort_by_key(|place| std::cmp::Reverse(place.bytes));
    let needed = here
        .iter()
        .fold(0_u64, |sum, place| sum.saturating_add(place.bytes));
    let largest = here.first()?;
    if largest.path != place.path || needed <= volume.free || largest.bytes > volume.free {
        return None;
    }
    let each = here
        .iter()
        .filter(|place| place.bytes >= 16 * MIB)
        .map(|place| format!("{} ({} MiB)", place.path, place.bytes / MIB));
    Some(Shared {
        needed,
        free: volume.free,
        mount: volume.mount_point.clone(),
        places: each.collect::<Vec<_>>().join(", "),
    })
}

/// Places that share a mount without room for all of them.
struct Shared {
    needed: u64,
    free: u64,
    mount: String,
    places: String,
}

fn too_little(check: Check, shared: Shared) -> Check {
    let Shared {
        needed,
        free,
        mount,
        places,
    } = shared;
    let (free, in_all) = (free / MIB, needed / MIB);
    check
        .limit(needed)
        .failed(
            code::DISK_FULL,
            format!("{free} MiB free on {mount} (minimum: {in_all} MiB)"),
            format!("{mount} has {free} MiB free of {in_all} MiB that will be written to it: {places}"),
        )
        .advice(format!("Free some space on {mount}"))
}

/// The mount data will be on, against the minimum of the guide. What grows on a server is Prometheus' data.
fn disk(request: &Request, facts: &Facts) -> Check {
    let data = match &request.prometheus_data {
        Some(elsewhere) if facts.choice.mode == Mode::Server => elsewhere,
        _ => &request.data_dir,
    };
    let minimum = facts.choice.minima().disk_gb;
    let check = Check::new(Category::System, "disk_gb", "Disk").limit(minimum);
    let volume = facts.places.get(data).and_then(|place| place.volume.as_ref());
    let Some(volume) = volume else {
        return check.warned(
            code::DETECTION_FAILED,
            "unknown",
            format!("The file system of {data} cannot be looked at"),
        );
    };
    let free = volume.free / GB;
    let mount = &volume.mount_point;
    let check = check
        .from(format!("statvfs of {} (mount {mount})", volume.existing))
        .measured(free)
        .member("value", free)
        .member("minimum", minimum)
        .member("bytes", volume.free)
        .member("mount", mount.as_str());
    if volume.free >= minimum * GB {
        return check.passed(format!("{free}GB free (minimum: {minimum}GB)"));
    }
    let exact = format!("{}.{}GB", volume.free / GB, volume.free % GB * 10 / GB);
    let summary = format!("{exact} free on {mount} (minimum: {minimum}GB)");
    let message = format!("{data} is on {mount}, which has {exact} free, and the minimum is {minimum}GB");
    let check = match request.sizes {
        Sizes::Recommended => check.failed(code::DISK_FULL, summary, message),
        Sizes::Written => check.warned(code::DISK_FULL, summary, message),
    };
    let check = check.advice(format!(
        "Free some space on {mount}; 'du -xh {mount} | sort -h | tail' shows what is large"
    ));
    match request.prometheus_data {
        Some(_) => {
            check.advice("Choose another folder with prometheus.storage_path in /etc/aami/config.yaml")
        }
        None => elsewhere(check, facts.choice.mode, "--data-dir"),
    }
}

/// A server's folders can be chosen; a node's are what they are.
fn elsewhere(check: Check, mode: Mode, flag: &str) -> Check {
    match mode {
        Mode::Server => check.advice(format!("Choose another folder with {flag}")),
        Mode::Node => check,
    }
}

/// One place, by its mount and by trying.
fn one(place: &Place, found: &PlaceFacts, mode: Mode) -> Check {
    let (path, what) = (&place.path, place.what);
    let check = Check::new(Category::Permissions, path.as_str(), path.as_str()).quiet();
    let Some(volume) = &found.volume else {
        return check.warned(
            code::DETECTION_FAILED,
            "unknown",
            format!("The file system of {path} cannot be looked at"),
        );
    };
    let (mount, existing) = (&volume.mount_point, &volume.existing);
    let check = check
        .from(format!(
            "statvfs of {existing} (mount {mount}), and a file written there"
        ))
        .measured(volume.free)
        .limit(place.bytes)
        .member("writable", true)
        .member("mount", mount.as_str())
        .member("free_bytes", volume.free);
    if let Some(blocked) = &volume.blocked_by {
        return check
            .member("writable", false)
            .failed(
                code::NOT_A_FOLDER,
                format!("{blocked} is no folder"),
                format!("{path} is needed for {what}, and {blocked} is a file or a link that leads nowhere"),
            )
            .remedy(
                "Move it away",
                &["sudo", "mv", blocked, &format!("{blocked}.before-aami")],
            );
    }
    if volume.read_only {
        return check
            .member("writable", false)
            .failed(
                code::READ_ONLY,
                format!("{mount} is mounted read-only"),
                format!("{path} is needed for {what}, and {mount} is mounted read-only"),
            )
            .remedy("Remount it", &["sudo", "mount", "-o", "remount,rw", mount])
            .advice("Look at 'dmesg': the kernel makes a file system read-only after a disk error");
    }
    // Every system has these; what makes its files there does not make them.
    if matches!(path.as_str(), "/tmp" | "/run") && found.mode.is_none() {
        return check
            .member("writable", false)
            .failed(
                code::NOT_A_FOLDER,
                "missing",
                format!("{path} is needed for {what}, and is missing"),
            )
            .remedy(
                "Make it",
                &[
                    "sudo",
                    "mkdir",
                    "-m",
                    if path == "/tmp" { "1777" } else { "755" },
                    path,
                ],
            )
            .fixed_by(Fix::Folder(path.clone()));
    }
    if path == "/tmp" && found.mode.is_some_and(|mode| mode & 0o1777 != 0o1777) {
        let mode = format!("{:04o}", found.mode.unwrap_or(0));
        return check
            .failed(
                code::NOT_WRITABLE,
                format!("its mode is {mode}"),
                format!("/tmp has the mode {mode}; package managers and services need 1777"),
            )
            .remedy("Give it the usual one", &["sudo", "chmod", "1777", "/tmp"]);
    }
    no_room(place, volume, &check).unwrap_or_else(|| tried(place, volume, found.trial.as_ref(), check, mode))
}

/// What is said where bytes or inodes do not do.
fn no_room(place: &Place, volume: &Volume, check: &Check) -> Option<Check> {
    let check = check.clone();
    let (path, what, mount) = (&place.path, place.what, &volume.mount_point);
    if volume.free < place.bytes {
        let (free, needed) = (volume.free / MIB, place.bytes / MIB);
        return Some(check
            .failed(
                code::DISK_FULL,
                format!("{free} MiB free on {mount} (minimum: {needed} MiB)"),
                format!("{path} is needed for {what}, and {mount} has {free} MiB free of {needed} MiB that will be written"),
            )
            .advice(format!("Free some space on {mount}")));
    }
    if volume.inodes.is_some() && volume.inodes_free < INODES {
        let free = volume.inodes_free;
        return Some(
            check
                .measured(free)
                .limit(INODES)
                .failed(
                    code::INODES_FULL,
                    format!("{free} inodes free on {mount} (minimum: {INODES})"),
                    format!("{path} is needed for {what}, and {mount} has {free} inodes free"),
                )
                .remedy("See where the inodes are", &["df", "-i", mount]),
        );
    }
    None
}

fn tried(place: &Place, volume: &Volume, trial: Option<&Trial>, check: Check, mode: Mode) -> Check {
    let (path, what) = (&place.path, place.what);
    let (mount, existing) = (&volume.mount_point, &volume.existing);
    let refuse_noexec = |check: Check, why: &str| {
        let check = check
            .failed(
                code::NOEXEC,
                format!("programs cannot be run on {mount} ({why})"),
                format!(
                    "{path} is needed for {what}, and a script written to {existing} could not be run: {why}"
                ),
            )
            .remedy("Allow it", &["sudo", "mount", "-o", "remount,exec", mount]);
        elsewhere(check, mode, "--install-dir")
    };
    match trial {
        None if place.programs && volume.noexec => refuse_noexec(check, "it is mounted noexec"),
        None => check.passed("not tried: this needs root"),
        Some(Trial::Written | Trial::Ran) => {
            let ran = if trial == Some(&Trial::Ran) {
                " and runs programs"
            } else {
                ""
            };
            check.passed(format!(
                "writable{ran} ({} MiB free on {mount})",
                volume.free / MIB
            ))
        }
        Some(Trial::NotRun(why)) => refuse_noexec(check, why),
        Some(Trial::NotWritten(kind, why)) => {
            let code = match kind {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => code::DISK_FULL,
                ErrorKind::ReadOnlyFilesystem => code::READ_ONLY,
                _ => code::NOT_WRITABLE,
            };
            let check = check.member("writable", false).failed(
                code,
                format!("cannot be written ({why})"),
                format!("{path} is needed for {what}, and a file cannot be written to {existing}: {why}"),
            );
            match code == code::NOT_WRITABLE {
                true => check.remedy("See what forbids it", &["sudo", "lsattr", "-d", existing]),
                false => check.advice(format!("Free some space on {mount}")),
            }
        }
    }
}

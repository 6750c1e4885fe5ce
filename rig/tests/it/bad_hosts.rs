//! What can be wrong with the machine itself.

use std::time::Duration;

use anyhow::{Result, ensure};
use rig::{Net, Node, Process, Release, wait_until};

use crate::site::{Said, Site, Typing as _, is_as_before};

#[test]
fn a_port_held_by_a_stranger_is_said_with_its_holder_and_left_to_it() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    node.sh("mkdir -p /srv/www && systemd-run --unit=stranger busybox httpd -f -p 9100 -h /srv/www")?
        .ok()?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;

    let said = node.types_in_vain(&token.one_line, 6, "PORT_IN_USE")?;

    ensure!(
        said.all().contains("busybox") || said.all().contains("stranger"),
        "{}",
        said.all()
    );
    ensure!(node.sh("systemctl is-active stranger")?.stdout == "active\n");
    is_as_before(&node, &before, "a refusal")?;
    // Another port is a way out.
    node.types_well(&format!("{} -s -- --port 9199", token.one_line))?;
    ensure!(site.node("node1")?["status"] == "online");
    Ok(())
}

#[test]
fn two_installers_at_once_end_as_one() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let token = site.token(&["--name", "rack", "--max-uses", "2"])?;

    let folder = tempfile::tempdir()?;
    let mut running = (0..2)
        .map(|number| {
            let log = folder.path().join(format!("{number}"));
            Process::start("an installer", node.background(&token.one_line), &log)
        })
        .collect::<Result<Vec<_>>>()?;
    let mut codes = Vec::new();
    for process in &mut running {
        let ended = process.wait(std::time::Duration::from_secs(120))?;
        codes.push(ended.code());
    }

    // Either the second found the first at work, or it came after and found everything done.
    let said: String = running.iter().map(Process::log).collect();
    ensure!(codes.contains(&Some(0)), "{codes:?}\n{said}");
    for code in codes {
        ensure!(matches!(code, Some(0 | 6)), "{code:?}\n{said}");
    }
    ensure!(!said.contains("panicked"), "{said}");
    ensure!(site.node("node1")?["status"] == "online");
    ensure!(site.json(&["tokens", "show", &token.id])?["used"] == 1);
    Ok(())
}

#[test]
fn a_disk_without_room_is_said_before_the_first_change() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    node.sh("mount -t tmpfs -o size=2m none /opt")?.ok()?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;

    node.types_in_vain(&token.one_line, 1, "DISK_FULL")?;

    is_as_before(&node, &before, "a refusal")?;
    node.sh("umount /opt")?.ok()?;
    node.types_well(&token.one_line)?;
    Ok(())
}

#[test]
fn a_disk_that_fills_up_on_the_way_is_said_and_the_line_goes_on_later() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;
    // Too small for an exporter, and preflight is told to look away.
    node.sh("mount -t tmpfs -o size=2m none /opt")?.ok()?;

    node.types_in_vain(
        &format!("{} -s -- --skip-preflight", token.one_line),
        1,
        "DISK_FULL",
    )?;
    ensure!(
        node.sh("find /opt -name node_exporter -type f")?
            .stdout
            .is_empty(),
        "a half-placed program"
    );

    node.sh("umount /opt")?.ok()?;
    node.types_well(&token.one_line)?;
    node.types_well("aami-agent uninstall")?;
    is_as_before(&node, &before, "a refusal")?;
    Ok(())
}

#[test]
fn a_clock_a_year_off_does_not_block_enrolment_and_is_said() -> Result<()> {
    for (years, offset) in [("ahead", "+366d"), ("behind", "-366d")] {
        let net = Net::new()?;
        let faketime = rig::engines::faketime()?;
        let variables = [
            ("LD_PRELOAD", faketime.to_str().unwrap_or_default()),
            ("FAKETIME", offset),
            // Only the wall clock: timers go on as they are.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let site = Site::start_with(&net, "control", &[], &variables)?;
        let node = Node::boot(&net, Release::Bookworm, "node1")?;
        let token = site.token(&["--name", "rack"])?;

        let said = node.types_well(&token.one_line)?;

        ensure!(
            said.all().contains("clock"),
            "a year {years}: no word of it\n{}",
            said.all()
        );
        ensure!(site.node("node1")?["status"] == "online", "a year {years}");
        // Its agent is connected all the same, and everybody sees what is wrong.
        wait_until(Duration::from_secs(30), "the clock is found to be wrong", || {
            let known = site.node("node1")?;
            let findings = known["findings"].to_string();
            ensure!(
                known["connected"] == true && findings.contains("CLOCK_SKEW"),
                "a year {years}: {known}"
            );
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_machine_with_a_hostile_name_address_or_labels_is_refused_before_anything_is_placed() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;
    let one_sentence = |said: &Said, case: &str| -> Result<()> {
        ensure!(
            said.all().matches("error: ").count() <= 1,
            "{case}: {}",
            said.all()
        );
        ensure!(said.all().len() < 5_000, "{case}: {:.2000}", said.all());
        Ok(())
    };

    // Labels that would rewrite what Prometheus does, or that are none. The agent's own tests have more of them.
    let long = format!("long={}", "x".repeat(10_000));
    for label in ["__address__=10.0.0.1:9100", "a\"b=c", "team=x\nup 1", &long] {
        let line = format!("{} -s -- --labels '{label}'", token.one_line);
        let said = node.types_in_vain(&line, 2, "code: INVALID (")?;
        one_sentence(&said, label)?;
    }
    // Bytes that are no text never get as far as a label; how a command is called is said instead of a hint.
    let line = format!(
        "{} -s -- --labels \"$(printf 'team=\\377\\376')\"",
        token.one_line
    );
    let said = node.types(&line)?;
    ensure!(
        said.code == 2 && said.all().contains("code: INVALID (") && said.all().contains("--help"),
        "{said:?}"
    );
    is_as_before(&node, &before, "labels")?;

    // Addresses that lead elsewhere than to this node: a cloud's metadata, whoever asks, the control plane itself.
    let control = site.host().address().to_string();
    for address in ["169.254.169.254", "127.0.0.1", &control] {
        let line = format!("{} -s -- --address '{address}'", token.one_line);
        let said = node.types_in_vain(&line, 2, "code: ADDRESS_REFUSED (")?;
        one_sentence(&said, address)?;
        ensure!(said.all().contains("--address"), "{}", said.all());
    }
    is_as_before(&node, &before, "addresses")?;

    // A kernel takes any bytes for a host name, also those that no tool would pass on.
    let sethostname = if cfg!(target_arch = "aarch64") { 161 } else { 170 };
    let longest = "x".repeat(64);
    for name in [
        &b"ev\"il"[..],
        b"node1\nup 1",
        b"node\xff\xfe1",
        b"$(reboot)",
        longest.as_bytes(),
    ] {
        let hex: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        let script = format!(
            "perl -e '$n = pack(\"H*\", \"{hex}\"); syscall({sethostname}, $n, length $n) == 0 or die $!'"
        );
        node.sh(&script)?.ok()?;
        let case = String::from_utf8_lossy(name).into_owned();
        let said = node.types_in_vain(&token.one_line, 1, "code: HOSTNAME_INVALID (")?;
        one_sentence(&said, &case)?;
    }
    node.sh("hostname node1")?.ok()?;
    is_as_before(&node, &before, "names")?;

    ensure!(site.json(&["nodes", "list"])? == serde_json::json!([]));
    ensure!(site.json(&["tokens", "show", &token.id])?["used"] == 0);
    Ok(())
}

#[test]
fn a_read_only_place_is_said() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    node.sh("mkdir -p /opt && mount -t tmpfs -o size=400m none /opt && mount -o remount,ro /opt")?
        .ok()?;
    let before = node.picture()?;
    let token = site.token(&["--name", "rack"])?;

    node.types_in_vain(&token.one_line, 1, "READ_ONLY")?;

    is_as_before(&node, &before, "a refusal")
}

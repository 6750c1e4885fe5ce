//! Whatever a user's login shell is and whatever its start files print, a command is that command.

use std::time::Duration;

use aami_ssh::{Command, ErrorClass, Exit, HostKeyPolicy, Stdin, Upload, Uploaded};
use anyhow::{Context as _, Result, ensure};
use rig::Node;

use super::world::{World, text};

/// Shells that a node does not have, put there as files.
fn more_shells(node: &Node) -> Result<()> {
    let unpacked = rig::ssh::shells()?;
    let tar = std::process::Command::new("tar")
        .args([
            "--create",
            "--exclude=./usr/share/doc",
            "--exclude=./usr/share/man",
            "--directory",
        ])
        .arg(&unpacked)
        .arg(".")
        .output()
        .context("no tar")?;
    ensure!(tar.status.success(), "{}", text(&tar.stderr));
    node.sh_within(
        Duration::from_secs(60),
        "tar --extract --keep-directory-symlink --no-same-owner --directory / && ldconfig",
        &tar.stdout,
    )?
    .ok()?;
    Ok(())
}

/// Everything that start files do to disturb: they talk, on both streams, and repeat what they were started for.
const NOISE: &[(&str, &str, &str)] = &[
    (
        "bashful",
        "/bin/bash",
        "printf 'Welcome to bash' ; echo err >&2; set -v; echo \"$BASH_EXECUTION_STRING\"\n@.bashrc",
    ),
    ("dashing", "/bin/dash", "echo never read\n@.profile"),
    (
        "seashell",
        "/bin/tcsh",
        "echo 'Welcome to tcsh'\nset histchars = '!^'\nset history = 100\n@.tcshrc",
    ),
    ("berkeley", "/bin/bsd-csh", "echo 'Welcome to csh'\n@.cshrc"),
    (
        "fisher",
        "/usr/bin/fish",
        "echo 'Welcome to fish'; echo err >&2\n@.config/fish/config.fish",
    ),
    ("boxer", "/usr/local/bin/boxsh", "\n@.nothing"),
];

#[test]
fn every_login_shell_runs_the_command_and_its_noise_is_left_out() -> Result<()> {
    // Given a node whose users have all kinds of shells, and start files that talk
    let world = World::new()?;
    let node = world.node("shells")?;
    more_shells(&node)?;
    node.write(
        "/usr/local/bin/boxsh",
        b"#!/bin/sh\nexec busybox sh \"$@\"\n",
        0o755,
    )?;
    node.sh("echo 'Authorised users only!' > /etc/motd; echo 'Banner /etc/motd' >> /etc/ssh/sshd_config; systemctl restart ssh")?
        .ok()?;
    for (user, shell, file) in NOISE {
        world.user(&node, user, shell)?;
        let (content, name) = file.rsplit_once('@').context("a name")?;
        node.write(&format!("/home/{user}/{name}"), content.as_bytes(), 0o644)?;
        node.sh(&format!("chown -R {user} /home/{user}"))?.ok()?;
    }
    let client = world.client(HostKeyPolicy::AcceptNew);

    for (user, shell, _) in NOISE {
        let host = world.host(&node, user);
        // When a command with every difficult character runs, with input, and a file is placed
        let script = "read -r line\nprintf '%s|%s\\n' \"$line\" 'it'\\''s $HOME !! \\n \"q\" `x` ü'\necho errors >&2\nexit 7";
        let command = Command::script(script).stdin(Stdin::Bytes("in ' put \\ !\n".into()));
        let place = format!("/home/{user}/place/d file");
        let upload = Upload::bytes(vec![7; 300_000], place.clone(), 0o600);
        let (output, placed, again) = world
            .operate(async || {
                let connection = client.connect(&host).await?;
                let output = connection.output(&command, 10_000).await?;
                let placed = connection.upload(&upload).await?;
                let again = connection.upload(&upload).await?;
                Ok::<_, aami_ssh::SshError>((output, placed, again))
            })?
            .with_context(|| format!("{user} with {shell}"))?;

        // Then that, and nothing else, comes back
        ensure!(output.exit == Exit::Code(7), "{shell}: {output:?}");
        ensure!(
            text(&output.stdout) == "in ' put \\ !|it's $HOME !! \\n \"q\" `x` ü\n",
            "{shell}: {:?}",
            text(&output.stdout)
        );
        ensure!(
            text(&output.stderr) == "errors\n",
            "{shell}: {:?}",
            text(&output.stderr)
        );
        ensure!(
            (placed, again) == (Uploaded::Written, Uploaded::AlreadyThere),
            "{shell}"
        );
        let there = node.sh(&format!("stat -c '%s %a %U' '{place}'"))?.ok()?;
        ensure!(there == format!("300000 600 {user}\n"), "{shell}: {there}");
    }
    Ok(())
}

#[test]
fn a_login_that_runs_something_else_is_told_as_that() -> Result<()> {
    let world = World::new()?;
    let node = world.node("nologin")?;
    world.user(&node, "closed", "/usr/sbin/nologin")?;
    world.user(&node, "forced", "/bin/bash")?;
    world.user(&node, "exits", "/bin/bash")?;
    node.sh(
        "sed -i 's/^/command=\"echo only backups here\" /' /home/forced/.ssh/authorized_keys; \
         echo 'echo go away; exit 0' > /home/exits/.bashrc",
    )?
    .ok()?;
    let client = world.client(HostKeyPolicy::AcceptNew);
    for (user, words) in [
        ("closed", "not available"),
        ("forced", "only backups here"),
        ("exits", "go away"),
    ] {
        let host = world.host(&node, user);
        let error = world
            .run(&client, &host, &Command::script("echo never"))?
            .expect_err("it did not run");
        ensure!(error.class() == ErrorClass::Remote, "{user}: {error}");
        ensure!(error.code().symbol == "SSH_NO_SHELL", "{user}: {error}");
        ensure!(error.to_string().contains(words), "{user}: {error}");
    }
    Ok(())
}

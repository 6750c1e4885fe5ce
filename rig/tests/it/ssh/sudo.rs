//! Root over sudo: without a password, with one, and with a wrong one exactly once.

use std::time::Duration;

use aami_ssh::{Command, ErrorClass, Exit, HostKeyPolicy, Question, SshError, Stdin, Sudo, Upload, Waiting};
use anyhow::{Result, ensure};
use rig::{Node, wait_until};

use super::world::{World, text};

const PASSWORD: &str = "correct horse 'battery' $taple";

fn world() -> Result<(World, Node)> {
    let world = World::new()?;
    let node = world.node("sudoer")?;
    for user in ["free", "asked", "nobodys", "seated"] {
        world.user(&node, user, "/bin/bash")?;
    }
    node.sh_within(
        Duration::from_secs(20),
        "chpasswd",
        format!("asked:{PASSWORD}\n").as_bytes(),
    )?
    .ok()?;
    node.write(
        "/etc/sudoers.d/story",
        b"free ALL=(root) NOPASSWD: ALL\nasked ALL=(root) ALL\nseated ALL=(root) NOPASSWD: ALL\nDefaults:seated requiretty\n",
        0o440,
    )?;
    Ok((world, node))
}

#[test]
fn a_command_becomes_root_with_its_input_its_output_and_its_code() -> Result<()> {
    let (world, node) = world()?;
    let command = Command::script("id -u; cat; echo errors >&2; exit 5")
        .as_root()
        .stdin(Stdin::Bytes("all of the input\n".into()));

    for (user, sudo, answers) in [
        ("root", Sudo::WithoutPassword, vec![]),
        ("free", Sudo::WithoutPassword, vec![]),
        // Nothing is asked for, so nothing is given: else the password would be the command's input.
        ("free", Sudo::WithPassword, vec![PASSWORD]),
        ("asked", Sudo::WithPassword, vec![PASSWORD]),
    ] {
        let (client, person) = world.client_of(HostKeyPolicy::AcceptNew, &answers);
        let mut host = world.host(&node, user);
        host.sudo = sudo;
        let output = world.run(&client, &host, &command)??;
        ensure!(output.exit == Exit::Code(5), "{user}: {output:?}");
        ensure!(
            text(&output.stdout) == "0\nall of the input\n",
            "{user}: {}",
            text(&output.stdout)
        );
        ensure!(
            text(&output.stderr) == "errors\n",
            "{user}: {}",
            text(&output.stderr)
        );
        let asked = person.asked.lock().expect("not poisoned").clone();
        let expected = usize::from(user == "asked");
        ensure!(asked.len() == expected, "{user}: {asked:?}");
        if let Some(question) = asked.first() {
            ensure!(
                matches!(question, Question::Sudo { user, host: None } if user == "asked"),
                "{question:?}"
            );
        }
    }

    // The password is asked for once for several commands, and stands nowhere.
    let (client, person) = world.client_of(HostKeyPolicy::AcceptNew, &[PASSWORD]);
    let mut host = world.host(&node, "asked");
    host.sudo = Sudo::WithPassword;
    world.operate(async || {
        let connection = client.connect(&host).await?;
        let upload = Upload::bytes(&b"root's"[..], "/etc/story/file", 0o640).as_root();
        connection.upload(&upload).await?;
        connection.output(&Command::script("ps axww").as_root(), 10).await
    })??;
    ensure!(person.asked.lock().expect("not poisoned").len() == 1);
    ensure!(node.sh("stat -c '%U %a' /etc/story/file")?.ok()? == "root 640\n");
    let journal = node.sh("journalctl --no-pager --boot")?.ok()?;
    ensure!(!journal.contains("battery"), "the password stands in the journal");
    Ok(())
}

#[test]
fn a_wrong_password_is_tried_once() -> Result<()> {
    let (world, node) = world()?;
    let (client, person) = world.client_of(HostKeyPolicy::AcceptNew, &["not it", PASSWORD]);
    let mut host = world.host(&node, "asked");
    host.sudo = Sudo::WithPassword;
    let error = world
        .run(&client, &host, &Command::script("id").as_root())?
        .expect_err("refused");
    ensure!(error.code().symbol == "SUDO_PASSWORD_WRONG", "{error}");
    ensure!(
        error.class() == ErrorClass::Authentication && !error.class().may_retry(),
        "{error}"
    );
    ensure!(!error.to_string().contains("not it"), "{error}");
    ensure!(person.asked.lock().expect("not poisoned").len() == 1);
    wait_until(Duration::from_secs(20), "sudo has said how often", || {
        let journal = node.sh("journalctl --no-pager --boot")?.ok()?;
        ensure!(journal.contains("1 incorrect password attempt"), "{journal}");
        ensure!(!journal.contains("2 incorrect"), "{journal}");
        Ok(())
    })
}

#[test]
fn each_way_in_which_sudo_says_no_has_its_own_code() -> Result<()> {
    let (world, node) = world()?;
    let client = world.client(HostKeyPolicy::AcceptNew);
    let command = Command::script("id").as_root();
    for (user, symbol) in [
        ("asked", "SUDO_PASSWORD_NEEDED"),
        ("nobodys", "SUDO_PASSWORD_NEEDED"),
        ("seated", "SUDO_NEEDS_TERMINAL"),
    ] {
        let error = world
            .run(&client, &world.host(&node, user), &command)?
            .expect_err("refused");
        ensure!(error.code().symbol == symbol, "{user}: {error}");
    }
    // With a right password of somebody who may not.
    node.sh("echo 'nobodys:its own' | chpasswd")?.ok()?;
    let (client, _) = world.client_of(HostKeyPolicy::AcceptNew, &["its own"]);
    let mut host = world.host(&node, "nobodys");
    host.sudo = Sudo::WithPassword;
    let error = world.run(&client, &host, &command)?.expect_err("refused");
    ensure!(error.code().symbol == "SUDO_REFUSED", "{error}");

    node.sh("mv /usr/bin/sudo /usr/bin/other")?.ok()?;
    let client = world.client(HostKeyPolicy::AcceptNew);
    let error = world
        .run(&client, &world.host(&node, "free"), &command)?
        .expect_err("refused");
    ensure!(error.code().symbol == "SUDO_MISSING", "{error}");
    Ok(())
}

#[test]
fn what_runs_as_root_too_long_is_ended() -> Result<()> {
    let (world, node) = world()?;
    for (user, sudo, answers) in [
        ("free", Sudo::WithoutPassword, vec![]),
        ("asked", Sudo::WithPassword, vec![PASSWORD]),
    ] {
        let (client, _) = world.client_of(HostKeyPolicy::AcceptNew, &answers);
        let mut host = world.host(&node, user);
        host.sudo = sudo;
        let command = Command::script("trap '' TERM; sleep 1234 & wait; sleep 1234")
            .as_root()
            .timeout(Duration::from_secs(1));
        let error = world.run(&client, &host, &command)?.expect_err("too long");
        ensure!(
            matches!(
                error,
                SshError::TimedOut {
                    waiting: Waiting::Command,
                    ..
                }
            ),
            "{error}"
        );
        let left = node.sh("pgrep -fa '[s]leep 1234'")?;
        ensure!(left.code == 1, "{user} left {}", left.stdout);
    }
    Ok(())
}

//! Over jump hosts, past servers that have no room, and by what `~/.ssh/config` says.

use aami_ssh::ssh_config::{SshConfig, Wanted, Whose};
use aami_ssh::{Command, ErrorClass, HostKeyPolicy};
use anyhow::{Context as _, Result, ensure};

use super::world::{World, text};

#[test]
fn thirty_logins_go_through_a_jump_host_that_takes_two_at_a_time() -> Result<()> {
    // Given a jump host that drops logins beyond two at a time, and takes one session a connection
    let world = World::new()?;
    let (bastion, target) = (world.node("bastion")?, world.node("target")?);
    bastion
        .sh("printf 'MaxStartups 2:100:2\\nMaxSessions 1\\n' > /etc/ssh/sshd_config.d/story.conf; systemctl restart ssh")?
        .ok()?;
    target
        .sh("echo 'MaxStartups 100' > /etc/ssh/sshd_config.d/story.conf; systemctl restart ssh")?
        .ok()?;
    // And a configuration that says how to get there
    let key = world.path("id_ed25519");
    let config = format!(
        "Host target\n  HostName {}\n  ProxyJump root@gate\nHost gate\n  HostName {}\nHost *\n  User root\n  IdentityFile {}\n  \
         IdentityAgent none\n  HashKnownHosts yes\n",
        target.address(),
        bastion.address(),
        key.display()
    );
    std::fs::write(world.path("config"), config).context("written")?;
    let config = SshConfig::read(Some(world.path("config")), None, &world.path(""));
    let whose = Whose {
        user: "operator".to_owned(),
        home: world.path(""),
    };
    let host = config
        .host(&Wanted::named("target"), &whose)
        .map_err(anyhow::Error::msg)?;

    // When thirty logins go there at once
    let client = world.client(HostKeyPolicy::AcceptNew);
    let outputs = world.operate(async || {
        let mut running = Vec::new();
        for _ in 0..30 {
            let (client, host) = (client.clone(), host.clone());
            running.push(tokio::spawn(async move {
                let connection = client.connect(&host).await?;
                connection.output(&Command::script("hostname"), 100).await
            }));
        }
        let mut outputs = Vec::new();
        for one in running {
            outputs.push(one.await.expect("no panic"));
        }
        outputs
    })?;

    // Then all of them arrive, over one login at the jump host
    for output in outputs {
        ensure!(text(&output?.stdout) == "target\n");
    }
    let journal = bastion.journal("ssh")?;
    ensure!(journal.matches("Accepted publickey").count() == 1, "{journal}");
    let known = std::fs::read_to_string(world.known_hosts()).context("learned")?;
    ensure!(
        known.lines().count() == 2 && known.lines().all(|line| line.starts_with("|1|")),
        "{known}"
    );
    Ok(())
}

#[test]
fn a_jump_host_that_forwards_nothing_is_named() -> Result<()> {
    let world = World::new()?;
    let (bastion, target) = (world.node("bastion")?, world.node("target")?);
    let mut host = world.host(&target, "root");
    host.jumps = vec![world.host(&bastion, "root")];
    let client = world.client(HostKeyPolicy::AcceptNew);
    host.port = 2222;
    let error = world
        .run(&client, &host, &Command::script("true"))?
        .expect_err("nobody listens there");
    ensure!(error.class() == ErrorClass::Unreachable, "{error}");

    bastion
        .sh("echo 'AllowTcpForwarding no' > /etc/ssh/sshd_config.d/story.conf; systemctl restart ssh")?
        .ok()?;
    host.port = 22;
    let client = world.client(HostKeyPolicy::AcceptNew);
    let error = world
        .run(&client, &host, &Command::script("true"))?
        .expect_err("forbidden");
    ensure!(error.code().symbol == "SSH_FORWARDING_FORBIDDEN", "{error}");
    ensure!(error.to_string().starts_with("jump host bastion: "), "{error}");
    Ok(())
}

#[test]
fn a_server_that_has_no_room_is_congested_and_one_that_is_gone_is_not() -> Result<()> {
    let world = World::new()?;
    let node = world.node("crowded")?;
    node.sh("printf 'MaxStartups 1:100:1\\nLoginGraceTime 60\\n' > /etc/ssh/sshd_config.d/story.conf; systemctl restart ssh")?
        .ok()?;
    let client = world.client(HostKeyPolicy::AcceptNew);
    let host = world.host(&node, "root");
    let address = (node.address(), 22);
    let error = world
        .operate(async || {
            // Somebody who connects and never signs in takes the one place there is.
            let _idle = tokio::net::TcpStream::connect(address).await.expect("connected");
            let _idle2 = tokio::net::TcpStream::connect(address).await.expect("connected");
            client.connect(&host).await.map(drop)
        })?
        .expect_err("no room");
    ensure!(
        error.class() == ErrorClass::Congestion && error.class().may_retry(),
        "{error}"
    );

    node.sh("systemctl stop ssh.service ssh.socket")?;
    let error = world
        .run(&client, &host, &Command::script("true"))?
        .expect_err("stopped");
    ensure!(error.class() == ErrorClass::Refused, "{error}");
    node.black_hole(22)?;
    let error = world
        .run(&client, &host, &Command::script("true"))?
        .expect_err("vanishes");
    ensure!(error.class() == ErrorClass::TimedOut, "{error}");
    Ok(())
}

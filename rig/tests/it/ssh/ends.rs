//! A command that takes too long ends on the host, even where nobody can reach it any more.

use std::time::{Duration, Instant};

use aami_ssh::{
    Client, Command, ErrorClass, HostKeyPolicy, Identities, Settings, Silent, SshError, Trust, Waiting,
};
use anyhow::{Result, ensure};
use rig::wait_until;

use super::world::{World, settings};

/// Ignores being asked to end, and has a child.
const STUBBORN: &str = "trap '' TERM HUP; sleep 4321 & wait; sleep 4321";

fn left(node: &rig::Node) -> Result<String> {
    // Bracketed, so that it does not find itself.
    Ok(node.sh("pgrep -fa '[s]leep 4321'")?.stdout)
}

#[test]
fn a_command_that_takes_too_long_leaves_nothing_running() -> Result<()> {
    let world = World::new()?;
    let node = world.node("ends")?;
    // A server that takes no second command on a connection, so that only signals are left.
    for sessions in [10, 1] {
        node.sh(&format!(
            "echo 'MaxSessions {sessions}' > /etc/ssh/sshd_config.d/story.conf; systemctl restart ssh"
        ))?
        .ok()?;
        let client = world.client(HostKeyPolicy::AcceptNew);
        let command = Command::script(STUBBORN).timeout(Duration::from_secs(1));
        let begun = Instant::now();
        let error = world
            .run(&client, &world.host(&node, "root"), &command)?
            .expect_err("too long");
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
        ensure!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
        wait_until(Duration::from_secs(15), "nothing is left", || {
            let left = left(&node)?;
            ensure!(left.is_empty(), "MaxSessions {sessions} left {left}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_command_ends_in_time_on_a_host_whose_cable_was_pulled() -> Result<()> {
    let world = World::new()?;
    let node = world.node("cut")?;
    let lively = Settings {
        keepalive: Duration::from_millis(500),
        keepalive_misses: 2,
        ..settings()
    };
    let trust = Trust::new(HostKeyPolicy::AcceptNew, vec![world.known_hosts()], Vec::new());
    let client = Client::new(lively, trust, Identities::new(std::sync::Arc::new(Silent)));
    let command = Command::script(STUBBORN).timeout(Duration::from_secs(4));
    let host = world.host(&node, "root");
    let error = world
        .operate(async || {
            let connection = client.connect(&host).await?;
            let running = tokio::spawn(async move { connection.output(&command, 10).await });
            wait_until(Duration::from_secs(10), "it runs", || {
                ensure!(!left(&node)?.is_empty());
                Ok(())
            })
            .expect("it runs");
            node.connected(false).expect("pulled");
            running.await.expect("no panic")
        })?
        .expect_err("cut off");
    ensure!(error.class() == ErrorClass::Lost, "{error}");
    ensure!(error.command_may_have_run());
    wait_until(
        Duration::from_secs(40),
        "the watch on the host has ended it",
        || {
            let left = left(&node)?;
            ensure!(left.is_empty(), "{left}");
            Ok(())
        },
    )?;
    // Whatever runs this here is below a `timeout` of its own, which is none.
    let watches = node.sh("pgrep -fa '[k]ill -KILL|^[t]imeout -k '")?;
    ensure!(watches.stdout.is_empty(), "no watch is left: {}", watches.stdout);
    Ok(())
}

#[test]
fn what_is_cut_off_is_ended_on_a_real_server_before_the_program_ends() -> Result<()> {
    let world = World::new()?;
    let node = world.node("twice")?;
    let client = world.client(HostKeyPolicy::AcceptNew);
    let host = world.host(&node, "root");
    // Given a command at work, and one that has just been sent,
    let untold = world.operate(async || {
        let connection = client.connect(&host).await?;
        let other = connection.clone();
        let running = tokio::spawn(async move { other.output(&Command::script(STUBBORN), 10).await });
        wait_until(Duration::from_secs(10), "it runs", || {
            ensure!(!left(&node)?.is_empty());
            Ok(())
        })
        .expect("it runs");
        let sent = tokio::spawn(async move { connection.output(&Command::script(STUBBORN), 10).await });
        tokio::task::yield_now().await;
        // when nobody waits for them any more,
        running.abort();
        sent.abort();
        let _ = tokio::join!(running, sent);
        Ok::<_, SshError>(client.settle(Duration::from_secs(10)).await)
    })??;
    // then the host has heard of it, and nothing is left there.
    ensure!(untold.is_empty(), "{untold:?}");
    wait_until(Duration::from_secs(10), "nothing is left", || {
        let left = left(&node)?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
}

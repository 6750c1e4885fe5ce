//! Host keys and logins, with keys and certificates that ssh-keygen made.

use std::process::{Child, Command as Program, Stdio};
use std::time::Duration;

use aami_ssh::{
    AgentSocket, Client, Command, ErrorClass, HostKeyPolicy, Identities, Known, Question, Silent, SshError,
    Trust,
};
use anyhow::{Context as _, Result, ensure};
use rig::wait_until;

use super::world::{World, keygen, only_mine, settings, text};

#[test]
fn a_reinstalled_host_is_not_talked_to() -> Result<()> {
    let world = World::new()?;
    let node = world.node("reborn")?;
    let client = world.client(HostKeyPolicy::AcceptNew);
    let host = world.host(&node, "root");
    let known = world.operate(async || client.connect(&host).await.map(|met| met.host_key().clone()))??;
    let Known::Learned {
        fingerprint: before, ..
    } = known
    else {
        anyhow::bail!("it was learned: {known:?}");
    };
    world.run(
        &world.client(HostKeyPolicy::Strict),
        &host,
        &Command::script("true"),
    )??;

    node.sh("rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; systemctl restart ssh")?
        .ok()?;
    let after = node
        .sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2")?
        .ok()?;
    for policy in [HostKeyPolicy::AcceptNew, HostKeyPolicy::Strict] {
        let error = world
            .run(&world.client(policy), &host, &Command::script("true"))?
            .expect_err("another key");
        ensure!(error.class() == ErrorClass::HostKey, "{error}");
        let said = error.to_string();
        for part in [before.as_str(), after.trim(), "known_hosts:1"] {
            ensure!(said.contains(part), "{part} stands in {said}");
        }
    }
    // Under the old policy of looking away nobody is stopped, and it is told.
    let off = world.client(HostKeyPolicy::Off);
    let known = world.operate(async || off.connect(&host).await.map(|met| met.host_key().clone()))??;
    ensure!(matches!(known, Known::Unchecked { .. }), "{known:?}");
    Ok(())
}

#[test]
fn a_host_with_a_certificate_needs_no_line_of_its_own_until_it_is_revoked() -> Result<()> {
    let world = World::new()?;
    let node = world.node("certified")?;
    let authority = world.path("authority").to_string_lossy().into_owned();
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &authority])?;
    let sign = |principal: &str| -> Result<()> {
        let public = node.read("/etc/ssh/ssh_host_ed25519_key.pub")?;
        let path = world.path("host.pub");
        std::fs::write(&path, public).context("written")?;
        keygen(&[
            "-q",
            "-s",
            &authority,
            "-I",
            "a host",
            "-h",
            "-n",
            principal,
            &path.to_string_lossy(),
        ])?;
        let certificate = std::fs::read(world.path("host-cert.pub")).context("signed")?;
        node.write("/etc/ssh/ssh_host_ed25519_key-cert.pub", &certificate, 0o644)?;
        node.write(
            "/etc/ssh/sshd_config.d/story.conf",
            b"HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub\n",
            0o644,
        )?;
        node.sh("systemctl restart ssh")?.ok().map(drop)
    };
    let public = std::fs::read_to_string(format!("{authority}.pub")).context("the authority")?;
    let trusts =
        |more: &str| std::fs::write(world.known_hosts(), format!("@cert-authority * {public}{more}"));
    let host = world.host(&node, "root");
    let strict = || {
        let client = world.client(HostKeyPolicy::Strict);
        world.operate(async || client.connect(&host).await.map(|met| met.host_key().clone()))
    };

    sign("certified,other")?;
    trusts("").context("written")?;
    ensure!(
        strict()??
            == Known::Certified {
                id: "a host".to_owned()
            }
    );

    sign("somebody-else")?;
    let error = strict()?.expect_err("it is for another");
    ensure!(matches!(error, SshError::HostCertificate { .. }), "{error}");
    ensure!(error.to_string().contains("somebody-else"), "{error}");

    sign("certified")?;
    trusts(&format!("@revoked * {public}")).context("written")?;
    let error = strict()?.expect_err("revoked");
    ensure!(
        matches!(error, SshError::HostKeyRevoked { line: 2, .. }),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_passphrase_a_password_and_a_certificate_let_their_user_in() -> Result<()> {
    let world = World::new()?;
    let node = world.node("logins")?;
    world.user(&node, "ada", "/bin/bash")?;
    node.sh("echo 'ada:secret word' | chpasswd; rm /home/ada/.ssh/authorized_keys")?
        .ok()?;
    let whoami = Command::script("whoami");

    // A key with a passphrase, which is only asked for because the host takes the key.
    let locked = world.path("locked");
    keygen(&[
        "-q",
        "-t",
        "rsa",
        "-N",
        "open sesame",
        "-f",
        &locked.to_string_lossy(),
    ])?;
    let mut host = world.host(&node, "ada");
    host.keys.push(locked.clone());
    let (client, person) = world.client_of(HostKeyPolicy::AcceptNew, &["open sesame"]);
    let error = world.run(&client, &host, &whoami)?.expect_err("no key is taken");
    ensure!(error.class() == ErrorClass::Authentication, "{error}");
    ensure!(
        person.asked.lock().expect("not poisoned").is_empty(),
        "nobody was asked"
    );
    let public = std::fs::read(world.path("locked.pub")).context("public")?;
    node.write("/home/ada/.ssh/authorized_keys", &public, 0o600)?;
    node.sh("chown ada /home/ada/.ssh/authorized_keys")?.ok()?;
    let output = world.run(&client, &host, &whoami)??;
    ensure!(text(&output.stdout) == "ada\n");
    ensure!(matches!(
        person.asked.lock().expect("not poisoned").as_slice(),
        [Question::Passphrase { file, wrong: 0 }] if *file == locked
    ));

    // A password, only where that is allowed here; and by questions of the host.
    host.keys = vec![world.path("id_ed25519")];
    let (client, _) = world.client_of(HostKeyPolicy::AcceptNew, &["secret word"]);
    ensure!(
        world.run(&client, &host, &whoami)?.is_err(),
        "not without being allowed"
    );
    host.password = true;
    ensure!(text(&world.run(&client, &host, &whoami)??.stdout) == "ada\n");
    node.sh("printf 'PasswordAuthentication no\\nKbdInteractiveAuthentication yes\\n' > /etc/ssh/sshd_config.d/story.conf; systemctl restart ssh")?
        .ok()?;
    let (client, person) = world.client_of(HostKeyPolicy::AcceptNew, &["secret word"]);
    ensure!(text(&world.run(&client, &host, &whoami)??.stdout) == "ada\n");
    let asked = person.asked.lock().expect("not poisoned").clone();
    ensure!(
        matches!(asked.as_slice(), [Question::Password { host: None, .. }]),
        "{asked:?}"
    );
    let (client, person) = world.client_of(HostKeyPolicy::AcceptNew, &["wrong", "secret word"]);
    let error = world.run(&client, &host, &whoami)?.expect_err("wrong");
    ensure!(error.class() == ErrorClass::Authentication, "{error}");
    ensure!(
        person.asked.lock().expect("not poisoned").len() == 1,
        "tried once"
    );

    // A certificate beside the key.
    let authority = world.path("users").to_string_lossy().into_owned();
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &authority])?;
    let key = world.path("id_ed25519.pub").to_string_lossy().into_owned();
    keygen(&["-q", "-s", &authority, "-I", "ada@operator", "-n", "ada", &key])?;
    node.write(
        "/etc/ssh/users.pub",
        &std::fs::read(format!("{authority}.pub"))?,
        0o644,
    )?;
    node.sh("echo 'TrustedUserCAKeys /etc/ssh/users.pub' > /etc/ssh/sshd_config.d/story.conf; systemctl restart ssh")?
        .ok()?;
    host.password = false;
    let client = world.client(HostKeyPolicy::AcceptNew);
    ensure!(text(&world.run(&client, &host, &whoami)??.stdout) == "ada\n");
    Ok(())
}

/// An agent of the operator's; ends with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_agent_signs_and_its_many_keys_are_not_the_end_of_it() -> Result<()> {
    let world = World::new()?;
    let node = world.node("agent")?;
    let socket = world.path("agent.sock");
    let agent = Program::new(rig::ssh::client("ssh-agent")?)
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .context("no ssh-agent")?;
    let _agent = Agent(agent);
    wait_until(Duration::from_secs(10), "the agent listens", || {
        ensure!(socket.exists());
        Ok(())
    })?;
    let add = |path: &std::path::Path| -> Result<()> {
        let added = Program::new(rig::ssh::client("ssh-add")?)
            .arg("-q")
            .arg(path)
            .env("SSH_AUTH_SOCK", &socket)
            .status()?;
        ensure!(added.success());
        Ok(())
    };
    // More keys than a host has patience for, and the right one behind them.
    for at in 0..7 {
        let path = world.path(&format!("other{at}"));
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &path.to_string_lossy()])?;
        add(&path)?;
    }
    add(&world.path("id_ed25519"))?;
    let client = {
        let trust = Trust::new(HostKeyPolicy::AcceptNew, vec![world.known_hosts()], Vec::new());
        let identities = Identities::new(std::sync::Arc::new(Silent)).agent(Some(socket.clone()));
        Client::new(settings(), trust, identities)
    };
    let mut host = world.host(&node, "root");
    host.agent = AgentSocket::Usual;
    host.keys = vec![world.path("absent")];
    let error = world
        .run(&client, &host, &Command::script("true"))?
        .expect_err("too many");
    ensure!(error.class() == ErrorClass::Authentication, "{error}");
    ensure!(error.to_string().contains("gave up"), "{error}");

    // The public half of a key that only the agent holds is enough to say which one it is.
    let private = world.path("id_ed25519");
    std::fs::rename(&private, world.path("hidden")).context("hidden")?;
    only_mine(&world.path("hidden"))?;
    host.keys = vec![private];
    ensure!(text(&world.run(&client, &host, &Command::script("whoami"))??.stdout) == "root\n");
    Ok(())
}

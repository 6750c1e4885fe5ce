//! A network of one's own: hosts reach each other, and only each other.

use anyhow::{Result, ensure};
use rig::engines::{Nginx, Site};
use rig::{Net, Place};

#[test]
fn hosts_reach_each_other_until_a_port_is_black_holed() -> Result<()> {
    let net = Net::new()?;
    let (server, client) = (net.host("server")?, net.host("client")?);
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("hello"), "hello\n")?;
    let nginx = Nginx::start(&server, &Site::of(folder.path()).with("autoindex off;"))?;
    let (client, url) = (Place::On(&client), format!("{}/hello", nginx.url()));

    ensure!(client.get(&url, &[])? == "hello\n");

    server.black_hole(80)?;
    let lost = client
        .get(&url, &["--connect-timeout", "1"])
        .expect_err("packets vanish");
    ensure!(
        lost.to_string().contains("timed out") || lost.to_string().contains("Timeout"),
        "{lost:#}"
    );

    server.answer_again()?;
    ensure!(client.get(&url, &[])? == "hello\n");

    server.connected(false)?;
    client
        .get(&url, &["--connect-timeout", "1"])
        .expect_err("the cable is out");
    server.connected(true)?;
    ensure!(client.get(&url, &["--retry", "5", "--retry-connrefused"])? == "hello\n");
    Ok(())
}

#[test]
fn a_network_is_not_reached_from_outside() -> Result<()> {
    let net = Net::new()?;
    let server = net.host("server")?;
    let folder = tempfile::tempdir()?;
    let nginx = Nginx::start(&server, &Site::of(folder.path()))?;
    Place::Loopback
        .get(&nginx.url(), &["--connect-timeout", "1"])
        .expect_err("there is no way in");
    Ok(())
}

#[test]
fn a_network_leaves_no_process_behind() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("host")?;
    let mut command = host.command("sleep");
    command.arg("1234.5");
    let mut sleeper = host.start("sleeper", command)?;
    sleeper.check()?;
    let pid = sleeper.pid();

    drop((sleeper, host, net));

    ensure!(
        !std::path::Path::new(&format!("/proc/{pid}")).exists(),
        "process {pid} is still there"
    );
    Ok(())
}

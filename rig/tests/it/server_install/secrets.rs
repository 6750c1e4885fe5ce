//! Programs get JSON and no secret; and while a server is installed none stands in a command line or an environment,
//! nor afterwards in any file or journal but those that are meant for it.

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Release};
use serde_json::Value;

use super::stage::{INSTALL, Stage};
use crate::site::Typing as _;
use crate::watched::{Canary, Watched, astray, secret_in};

/// What the operator gives.
const PASSWORD: &str = "canary-given-71ac0f";
/// What is given where everybody sees it: whoever watches has to see that.
const ON_THE_LINE: &str = "canary-shown-5be2";
const IN_THE_ENVIRONMENT: &str = "canary-around-d094";

#[test]
fn programs_get_json_and_nobody_is_shown_a_secret() -> Result<()> {
    let net = Net::new()?;
    let stage = Stage::boot(&net, Release::Bookworm, "server")?;
    let node = &stage.node;
    node.write("/root/password", format!("{PASSWORD}\n").as_bytes(), 0o600)?;
    // Given somebody who reads every command line and environment there is, and sees what is shown,
    let watched = Watched::begin(node)?;
    let shown = node.types_well(&format!(
        "CONTROL={IN_THE_ENVIRONMENT} {INSTALL} --dry-run --grafana-password {ON_THE_LINE}"
    ))?;
    ensure!(
        shown
            .stderr
            .contains("--grafana-password stands in the process list"),
        "{}",
        shown.stderr
    );
    watched.has_seen(ON_THE_LINE)?;

    // when a server is installed by a program, looked at, mended, and used,
    let said = node.types_well(&format!(
        "{INSTALL} --json --grafana-password-file /root/password"
    ))?;
    node.types_well("aami server status")?;
    node.types_well(&format!("{INSTALL} --json --repair"))?;
    node.types_well("aami tokens create --name another --save-to /root/another")?;
    node.types_well("aami nodes list")?;
    watched.has_seen("--web.listen-address=127.0.0.1:9090")?;
    let seen = watched.end()?;

    // then the program is told where the secrets are, and no secret,
    let last: Value = serde_json::from_str(said.stdout.lines().last().context("nothing was said")?)?;
    ensure!(
        last["type"] == "server" && last["token_valid"] == true,
        "{last:#}"
    );
    let token_file = last["token_file"].as_str().context("no token file")?;
    let secrets = "/etc/aami/secrets";
    let canaries = [
        Canary {
            name: "the first token",
            text: secret_in(node, token_file)?,
            kept_in: &[
                "/etc/aami/secrets/first-token",
                "/etc/aami/secrets/first-one-line",
            ],
        },
        Canary {
            name: "a later token",
            text: secret_in(node, "/root/another")?,
            kept_in: &["/root/another"],
        },
        Canary {
            name: "Prometheus' key",
            text: secret_in(node, &format!("{secrets}/discovery.key"))?,
            kept_in: &["/etc/aami/secrets/discovery.key"],
        },
        Canary {
            name: "the admin's key",
            text: secret_in(node, "/var/lib/aami/server/admin.key")?,
            kept_in: &["/var/lib/aami/server/admin.key"],
        },
        Canary {
            name: "Grafana's password",
            text: PASSWORD.to_owned(),
            kept_in: &["/etc/aami/secrets/grafana-admin-password", "/root/password"],
        },
    ];
    for canary in &canaries {
        ensure!(!said.all().contains(&canary.text), "{} was printed", canary.name);
        let lines = seen.with(&canary.text, |_| false);
        ensure!(lines.is_empty(), "{} stood in {lines:#?}", canary.name);
    }
    // while what was given where it is seen was seen: by whoever watches, and in nothing that stays.
    ensure!(!seen.with(ON_THE_LINE, |line| line.starts_with("E ")).is_empty());
    ensure!(
        !seen
            .with(IN_THE_ENVIRONMENT, |line| line.starts_with("C "))
            .is_empty(),
        "environments are not looked at"
    );
    let astray = astray(node, &canaries)?;
    ensure!(astray.is_empty(), "{astray:#?}");
    Ok(())
}

//! Tokens that are not good: each is named for what it is, and nothing is placed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use rig::{Net, Node, Release, wait_until};

use crate::site::{Site, Typing as _, is_as_before};
use crate::watched::{Canary, Watched, astray, secret_in};

#[test]
fn a_token_that_is_not_good_is_refused_by_name_and_leaves_nothing() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let foreign_site = Site::start_with(&net, "elsewhere", &[], &[])?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let before = node.picture()?;

    let good = site.token(&["--name", "good"])?;
    let line_with = |secret: &str| good.one_line.replace(&good.secret, secret);

    // Unknown: the right shape, nobody's; and no shape at all.
    let unknown = good.secret.replace(&good.id, "aaaaaaaaaaaaaaaa");
    node.types_in_vain(&line_with(&unknown), 4, "AAMI-E-0001")?;
    node.types_in_vain(&line_with("aami_nonsense"), 4, "AAMI-E-0001")?;

    // The right id with another secret is no better than unknown.
    let (kept, last) = good.secret.split_at(good.secret.len() - 1);
    let guessed = format!("{kept}{}", if last == "a" { "b" } else { "a" });
    node.types_in_vain(&line_with(&guessed), 4, "AAMI-E-0001")?;

    // Another control plane's.
    let foreign = foreign_site.token(&["--name", "foreign"])?;
    node.types_in_vain(&line_with(&foreign.secret), 4, "AAMI-E-0001")?;

    // Revoked.
    let revoked = site.token(&["--name", "revoked"])?;
    let done = site.aami(&["tokens", "revoke", &revoked.id])?;
    ensure!(done.code == 0, "{done:?}");
    node.types_in_vain(&revoked.one_line, 4, "AAMI-E-0004")?;

    // Expired.
    let expired = site.token(&["--name", "expired", "--ttl", "1s"])?;
    wait_until(Duration::from_secs(30), "the token expires", || {
        let state = site.json(&["tokens", "show", &expired.id])?["state"].clone();
        ensure!(state == "expired", "it is {state}");
        Ok(())
    })?;
    node.types_in_vain(&expired.one_line, 4, "AAMI-E-0002")?;

    is_as_before(&node, &before, "refusals")?;
    ensure!(site.json(&["nodes", "list"])? == serde_json::json!([]));

    // The good one still is: none of these used it up.
    node.types_well(&good.one_line)?;

    // And once it is used up, a second machine is told so.
    let second = Node::boot(&net, Release::Bookworm, "node2")?;
    let before = second.picture()?;
    second.types_in_vain(&good.one_line, 4, "TOKEN_EXHAUSTED")?;
    is_as_before(&second, &before, "refusals")?;
    Ok(())
}

#[test]
fn no_secret_of_an_enrolment_is_left_where_others_can_read_it() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let token = site.token(&["--name", "rack"])?;

    // Given somebody who reads every command line and environment of the node, when the line is typed into a shell,
    let watched = Watched::begin(&node)?;
    let limit = Duration::from_secs(120);
    let line = format!("{}\n", token.one_line);
    node.sh_within(limit, "exec sh", line.as_bytes())?.ok()?;
    watched.has_seen("aami-agent bootstrap")?;
    // and again with the token from a file, which the other form of it is for,
    node.write("/root/token", token.secret.as_bytes(), 0o600)?;
    let again = node.types_well("aami-agent bootstrap --repair --token-file /root/token")?;
    let seen = watched.end()?;
    ensure!(!again.all().contains(&token.secret), "{}", again.all());

    // then the token stood in the command line of the line's own curl, and no secret anywhere else.
    let own_curl = |line: &str| line.starts_with("C curl ") && line.contains("Authorization: Bearer ");
    let lines = seen.with(&token.secret, own_curl);
    ensure!(lines.is_empty(), "the token stood in {lines:#?}");
    ensure!(
        seen.with(&token.secret, |_| false)
            .iter()
            .all(|line| line.contains("/bootstrap.sh")),
        "another curl showed the token"
    );
    let credential = secret_in(&node, "/var/lib/aami/agent/credential")?;
    for secret in [credential.as_str(), "aamin_", "aamir_"] {
        let lines = seen.with(secret, |_| false);
        ensure!(lines.is_empty(), "{secret} stood in {lines:#?}");
    }
    // On the node each lies in one file that root alone reads, and what spoke for the run is gone with it.
    let canaries = [
        Canary {
            name: "the token",
            text: token.secret.clone(),
            kept_in: &["/root/token"],
        },
        Canary {
            name: "the node's credential",
            text: credential.clone(),
            kept_in: &["/var/lib/aami/agent/credential"],
        },
    ];
    let astray = astray(&node, &canaries)?;
    ensure!(astray.is_empty(), "{astray:#?}");
    let found = node.sh(
        "grep --recursive --files-with-matches --extended-regexp 'aami[nr]_[a-z2-7]{10,}_[a-z2-7]{16,}' \
         /etc /opt /var /tmp /run /root /usr/local || true",
    )?;
    ensure!(
        found.stdout == "/var/lib/aami/agent/credential\n",
        "a credential is in {}",
        found.stdout
    );
    let rights = node
        .sh("stat -c '%a %U' /var/lib/aami/agent/credential /var/lib/aami/agent/node.key")?
        .ok()?;
    ensure!(rights == "600 root\n600 root\n", "{rights}");
    // The control plane keeps what recognises them, in its store, its history and its log.
    for secret in [&token.secret, &credential] {
        ensure!(
            !site.log().contains(secret.as_str()),
            "it is in the control plane's log"
        );
        let holding = holding(site.data(), secret.as_bytes())?;
        ensure!(holding.is_empty(), "it is in {holding:?}");
    }
    Ok(())
}

/// The files below a folder that hold these bytes.
fn holding(folder: &Path, secret: &[u8]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let meta = path.symlink_metadata()?;
        if meta.is_dir() {
            found.extend(holding(&path, secret)?);
        } else if meta.is_file() && fs::read(&path)?.windows(secret.len()).any(|part| part == secret) {
            found.push(path);
        }
    }
    Ok(found)
}

//! Tokens that are not good: each is named for what it is, and nothing is placed.

use std::time::Duration;

use anyhow::{Result, ensure};
use rig::{Net, Node, Release, wait_until};

use crate::site::{Site, Typing as _, is_as_before};

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

    node.types_well(&token.one_line)?;

    // The token is nowhere on the node, and the node's credential in one file that root alone reads.
    let found = node.sh(&format!(
        "grep --recursive --files-with-matches --fixed-strings '{}' /etc /opt /var /tmp /run /root /usr/local || true",
        token.secret
    ))?;
    ensure!(found.stdout.is_empty(), "the token is in {}", found.stdout);
    let found = node.sh(
        "grep --recursive --files-with-matches --extended-regexp 'aamin_[a-z2-7]{10,}_[a-z2-7]{20,}' \
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
    ensure!(
        !site.log().contains(&token.secret),
        "the token is in the control plane's log"
    );
    Ok(())
}

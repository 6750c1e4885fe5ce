//! Every way in which a release is not what was released: one sentence with its code, and nothing placed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rig::engines::{Nginx, Site as Folder};
use rig::{Host, Net, Node, Picture, Release};

use super::shelf::{Shelf, VERSION};
use super::{ALONE, give_minisign};
use crate::site::{ARCH, Typing as _, built, is_as_before};

const HTML: &[u8] = b"<!DOCTYPE html>\n<html><body>Please accept the terms of this network.</body></html>\n";

struct Scene<'net> {
    shelf: Shelf,
    node: Node,
    before: Picture,
    _web: Nginx<'net>,
}

impl<'net> Scene<'net> {
    fn set(net: &Net, host: &'net Host) -> Result<Self> {
        let shelf = Shelf::fill(host)?;
        let web = Nginx::start(host, &Folder::of(&shelf.folder))?;
        let node = Node::boot(net, Release::Bookworm, "server")?;
        // The script itself was fetched while all was well; what it fetches is what goes wrong.
        node.types_well("curl -fsSL http://web/install.sh -o /root/install.sh")?;
        let before = node.picture()?;
        Ok(Self {
            shelf,
            node,
            before,
            _web: web,
        })
    }

    /// Installs in vain: it ends so, says one thing, and names `what`.
    fn refused(&self, arguments: &str, exit: i32, code: &str, what: &str) -> Result<()> {
        let line = format!("sh /root/install.sh {ALONE} {arguments}");
        let said = self.node.types_in_vain(&line, exit, code)?;
        let all = said.all();
        ensure!(all.contains(what), "{line}: no word of {what}:\n{all}");
        let sentences = all.lines().filter(|line| line.starts_with("error: ")).count();
        ensure!(sentences == 1, "{line}: {sentences} sentences:\n{all}");
        Ok(())
    }

    /// Changes a file of the release for as long as `then` takes.
    fn with(&self, name: &str, content: Option<&[u8]>, then: impl FnOnce() -> Result<()>) -> Result<()> {
        let path = self.shelf.release().join(name);
        let whole = fs::read(&path).with_context(|| name.to_owned())?;
        match content {
            Some(content) => fs::write(&path, content)?,
            None => fs::remove_file(&path)?,
        }
        let ended = then();
        fs::write(&path, whole)?;
        ended
    }
}

/// A file with one bit of it another, in the middle.
fn flipped(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = fs::read(path)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    Ok(bytes)
}

/// Every file of a release, by its own list.
fn files(release: &Path) -> Result<Vec<String>> {
    let list = fs::read_to_string(release.join("SHA256SUMS"))?;
    Ok(list
        .lines()
        .filter_map(|line| Some(line.split_once("  ")?.1.to_owned()))
        .collect())
}

#[test]
fn one_flipped_bit_in_any_file_that_is_fetched_is_named_and_nothing_is_placed() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("web")?;
    let scene = Scene::set(&net, &host)?;
    let release = scene.shelf.release();
    let fetched = files(&release)?
        .into_iter()
        .filter(|name| name.starts_with(ARCH) || name.starts_with("components/"))
        .collect::<Vec<_>>();
    ensure!(fetched.len() == 4, "{fetched:?}");
    for name in &fetched {
        let other = flipped(&release.join(name))?;
        scene.with(name, Some(&other), || {
            scene.refused("", 10, "RELEASE_DAMAGED", name)
        })?;
        scene.with(name, Some(&other[..other.len() / 3]), || {
            scene.refused("", 10, "RELEASE_DAMAGED", name)
        })?;
        scene.with(name, Some(HTML), || {
            scene.refused("", 10, "RELEASE_DAMAGED", name)
        })?;
        scene.with(name, None, || scene.refused("", 10, "RELEASE_DAMAGED", name))?;
    }
    // The list and the signature, judged by the program the script knows, and by minisign.
    for _ in 0..2 {
        for name in ["SHA256SUMS", "SHA256SUMS.minisig"] {
            let other = flipped(&release.join(name))?;
            scene.with(name, Some(&other), || {
                scene.refused("", 10, "SIGNATURE_INVALID", "SHA256SUMS")
            })?;
        }
        scene.with("SHA256SUMS.minisig", Some(HTML), || {
            scene.refused("", 10, "SIGNATURE_INVALID", "SHA256SUMS")
        })?;
        scene.with("SHA256SUMS", Some(HTML), || {
            scene.refused("", 10, "RELEASE_DAMAGED", "SHA256SUMS")
        })?;
        if scene.node.sh("command -v minisign")?.code != 0 {
            is_as_before(&scene.node, &scene.before, "refusals")?;
            give_minisign(&scene.node)?;
        }
    }
    ensure!(
        scene
            .node
            .sh("ls -d /opt/aami /tmp/aami.* /var/tmp/aami.*")?
            .stdout
            .is_empty()
    );
    Ok(())
}

#[test]
fn what_was_not_released_like_this_is_refused() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("web")?;
    let scene = Scene::set(&net, &host)?;
    let release = scene.shelf.release();

    scene.with("SHA256SUMS.minisig", None, || {
        scene.refused("", 10, "SIGNATURE_MISSING", "SHA256SUMS.minisig")
    })?;
    scene.refused("--version 9.9.9", 5, "RELEASE_MISSING", "9.9.9")?;
    // An old release under a new name is whole and signed, and still not what was asked for.
    let renamed = scene.shelf.folder.join("9.9.9");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(&release)
        .arg(&renamed)
        .status()?;
    ensure!(copied.success());
    scene.refused("--version 9.9.9", 10, "RELEASE_MISMATCH", "not 9.9.9")?;
    // A machine the release was not built for, and one that nothing is built for.
    let machine = |name: &str| -> Result<()> {
        let script = format!("#!/bin/sh\necho {name}\n");
        scene.node.write("/usr/local/bin/uname", script.as_bytes(), 0o755)
    };
    let other = if ARCH == "amd64" { "aarch64" } else { "x86_64" };
    machine(other)?;
    scene.refused(
        "",
        5,
        "ARCH_NOT_SUPPORTED",
        if ARCH == "amd64" { "arm64" } else { "amd64" },
    )?;
    machine("riscv64")?;
    scene.refused("", 5, "ARCH_NOT_SUPPORTED", "riscv64")?;
    scene.node.sh("rm /usr/local/bin/uname")?.ok()?;
    // Somebody else signed all of it.
    let stranger = host.folder().join("stranger");
    scene.shelf.make_key(&stranger)?;
    scene.shelf.release_signed_by(&stranger)?;
    scene.refused("", 10, "SIGNATURE_INVALID", "SHA256SUMS")?;
    // A name nobody knows.
    scene.refused("--base-url http://nowhere", 1, "DOWNLOAD_FAILED", "nowhere")?;
    is_as_before(&scene.node, &scene.before, "refusals")
}

#[test]
fn aami_names_every_file_of_a_folder_that_was_changed() -> Result<()> {
    let net = Net::new()?;
    let host = net.host("web")?;
    let shelf = Shelf::fill(&host)?;
    let release = shelf.release();
    let judge = || -> Result<(Option<i32>, String)> {
        let output = Command::new(built("aami")?)
            .args(["release", "verify"])
            .arg(&release)
            .args(["--public-key", &shelf.public_key()?, "--version", VERSION])
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    };
    let (code, said) = judge()?;
    ensure!(code == Some(0) && said.contains("signed and whole"), "{said}");
    for name in files(&release)?
        .iter()
        .map(String::as_str)
        .chain(["SHA256SUMS", "SHA256SUMS.minisig"])
    {
        let path = release.join(name);
        let whole = fs::read(&path)?;
        fs::write(&path, flipped(&path)?)?;
        let (code, said) = judge()?;
        ensure!(code == Some(10) && said.contains(name), "{name}: {code:?} {said}");
        fs::write(&path, whole)?;
    }
    Ok(())
}

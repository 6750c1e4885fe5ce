//! Releases of the agent, signed as `cargo xtask dist` signs them, and every way in which one is not what it should be.
//!
//! A newer agent is the one that was built with another version in its stamp, which stands in its file as
//! `aami-version:`. One that never connects asks for a socket that no control plane has.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use minisign::KeyPair;
use sha2::{Digest as _, Sha256};

use crate::site::{ARCH, Site};

/// What stands before the version in the agent's file.
const STAMP: &[u8] = b"aami-version:";
/// Where an agent connects, in its file.
const SOCKET: &[u8] = b"/ws/node";

/// What is wrong with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    SignedByAnother,
    Unsigned,
    ChangedAfterwards,
    /// It was signed as another version.
    OtherVersion,
    ListChanged,
    Absent,
    /// A program that is none of ours.
    NotOurProgram,
    /// It starts, and never gets through to the control plane.
    NeverConnects,
}

/// What a control plane hands out beside what nodes are bootstrapped with.
pub(crate) struct Shelf {
    dist: PathBuf,
    agent: Vec<u8>,
    ours: KeyPair,
    other: KeyPair,
}

impl Shelf {
    /// Makes a key, and lets the control plane say whose it is.
    pub(crate) fn fill(site: &Site) -> Result<Self> {
        let dist = site.data().join("dist");
        let ours = KeyPair::generate_unencrypted_keypair()?;
        let text = format!(
            "untrusted comment: public key of AAMI releases\n{}\n",
            ours.pk.to_base64()
        );
        fs::write(dist.join("minisign.pub"), text)?;
        Ok(Self {
            agent: fs::read(site.agent())?,
            dist,
            ours,
            other: KeyPair::generate_unencrypted_keypair()?,
        })
    }

    /// Places a release.
    pub(crate) fn place(&self, version: &str, flaw: Flaw) -> Result<()> {
        let folder = self.dist.join(version);
        if flaw == Flaw::Absent {
            return Ok(());
        }
        fs::create_dir_all(folder.join(ARCH))?;
        let mut program = match flaw {
            Flaw::NotOurProgram => fs::read("/bin/false")?,
            Flaw::NeverConnects => replaced(&stamped(&self.agent, version)?, SOCKET, b"/ws/nope")?,
            _ => stamped(&self.agent, version)?,
        };
        let name = format!("{ARCH}/aami-agent");
        let mut list = format!("{:x}  {name}\n", Hex(Sha256::digest(&program).as_slice()));
        let signer = if flaw == Flaw::SignedByAnother {
            &self.other
        } else {
            &self.ours
        };
        let signed = if flaw == Flaw::OtherVersion {
            "1.0.0"
        } else {
            version
        };
        let signature = minisign::sign(
            None,
            &signer.sk,
            list.as_bytes(),
            Some(&format!("aami {signed}")),
            None,
        )?;
        if flaw != Flaw::Unsigned {
            fs::write(folder.join("SHA256SUMS.minisig"), signature.to_string())?;
        }
        if flaw == Flaw::ChangedAfterwards {
            let at = program.len() / 2;
            program[at] ^= 1;
        }
        if flaw == Flaw::ListChanged {
            list = list.replacen(|c: char| c.is_ascii_digit(), "a", 1);
        }
        fs::write(folder.join("SHA256SUMS"), list)?;
        fs::write(folder.join(name), program)?;
        Ok(())
    }
}

/// Bytes as lower-case hex.
struct Hex<'a>(&'a [u8]);

impl std::fmt::LowerHex for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An agent with another version in its stamp.
fn stamped(agent: &[u8], version: &str) -> Result<Vec<u8>> {
    let own = [STAMP, env!("CARGO_PKG_VERSION").as_bytes(), b"\0"].concat();
    let mut stamp = [STAMP, version.as_bytes(), b"\0"].concat();
    let room = 64;
    ensure!(stamp.len() <= room);
    stamp.resize(room, 0);
    let at = place_of(agent, &own).context("the agent has no stamp")?;
    let mut program = agent.to_vec();
    program[at..at + room].copy_from_slice(&stamp);
    Ok(program)
}

/// The same with every piece like `from` become `to`, which is as long.
fn replaced(program: &[u8], from: &[u8], to: &[u8]) -> Result<Vec<u8>> {
    ensure!(from.len() == to.len());
    let mut program = program.to_vec();
    let mut count = 0;
    while let Some(at) = place_of(&program, from) {
        program[at..at + to.len()].copy_from_slice(to);
        count += 1;
    }
    ensure!(count > 0, "the agent knows no socket");
    Ok(program)
}

fn place_of(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

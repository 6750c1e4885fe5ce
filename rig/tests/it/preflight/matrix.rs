//! Runs the matrix: each fault injected, looked at, healed; at the end a table of what was named.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rig::{Net, Node, Release};

use super::faults::{self, Fault, Say};
use super::stage::{AGENT, OLD_CA, Stage, Strangers};
use crate::site::{Site, is_as_before};

/// How long the whole matrix may take. Alone on two processors it takes under a minute; it shares them with
/// other nodes and compilers here.
const BUDGET: Duration = Duration::from_secs(200);
/// Faults that are known not to be named, each with the reason.
const KNOWN_MISSES: &[(&str, &str)] = &[];

#[test]
fn every_fault_is_named_before_the_first_change() -> Result<()> {
    let net = Net::new()?;
    let site = Site::start(&net)?;
    let strangers = Strangers::meet(&net)?;
    let pages = tempfile::tempdir()?;
    let _web = strangers.answer(pages.path())?;
    // Nobody answers on this port of the control plane's host: packets vanish.
    site.host().black_hole(8098)?;
    let node = Node::boot(&net, Release::Bookworm, "node1")?;
    let stage = Stage::set(&node, &site)?;
    faults::prepare(&node)?;
    let old = std::fs::read(pages.path().join(OLD_CA))?;
    node.write(&format!("/srv/f/{OLD_CA}"), &old, 0o644)?;
    let portal = strangers.portal.address().to_string();
    let all = faults::all(&site.host().address().to_string(), &portal);
    ensure!(all.len() >= 60, "{} faults are too few", all.len());
    let before = node.picture()?;
    let healthy = stage.look("", &stage.node_arguments())?;
    ensure!(
        healthy.code == 0 && healthy.issues().1.is_empty(),
        "before: {:?}",
        healthy.issues()
    );

    let began = Instant::now();
    let mut missed = Vec::new();
    for fault in &all {
        let found = one(&node, &stage, fault).with_context(|| fault.name)?;
        if let Err(why) = found {
            missed.push((fault.name, why));
        }
    }
    let took = began.elapsed();
    at_once(&node, &stage, &all)?;

    table(&all, &missed, took);
    let known = |name: &str| KNOWN_MISSES.iter().any(|(known, _)| *known == name);
    let new: Vec<_> = missed.iter().filter(|(name, _)| !known(name)).collect();
    ensure!(new.is_empty(), "not named: {new:#?}");
    let healed = stage.look("", &stage.node_arguments())?;
    ensure!(
        healed.code == 0 && healed.issues().1.is_empty(),
        "afterwards: {:?}",
        healed.issues()
    );
    // Every look left the node as it was, and every fault was healed.
    is_as_before(&node, &before, "the matrix")?;
    ensure!(took < BUDGET, "the matrix took {took:?}");
    Ok(())
}

/// Injects, looks and heals. The inner result is whether the fault was named.
fn one(node: &Node, stage: &Stage<'_>, fault: &Fault) -> Result<Result<(), String>> {
    node.sh(&format!("set -e\n{}", fault.inject))?
        .ok()
        .context("cannot be injected")?;
    let arguments = match &fault.say {
        Say::Node => stage.node_arguments(),
        Say::Server => format!("--mode server --mirror {}", fault.mirror),
        Say::Compose => format!("--mode server --runtime compose --mirror {}", fault.mirror),
        Say::This(arguments) => arguments.clone(),
    };
    let seen = stage.look(&fault.before, &arguments);
    node.sh(&format!("set -e\n{}", fault.heal))?
        .ok()
        .context("cannot be healed")?;
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => return Ok(Err(format!("{error:#}"))),
    };
    let (errors, warnings) = seen.issues();
    let among = if fault.is_warning { &warnings } else { &errors };
    let expected = if fault.is_warning { None } else { Some(1) };
    if !among.iter().any(|code| code == fault.code) {
        return Ok(Err(format!(
            "expected {}, found errors {errors:?}, warnings {warnings:?}",
            fault.code
        )));
    }
    if expected.is_some_and(|code| seen.code != code) {
        return Ok(Err(format!("exit {}", seen.code)));
    }
    let message = seen.message(fault.code);
    if message.len() < 20 || !message.contains(fault.names) {
        return Ok(Err(format!("{:?} is not named in {message:?}", fault.names)));
    }
    Ok(Ok(()))
}

/// Faults of every category that one machine can have together.
const TOGETHER: [&str; 6] = [
    "an old kernel",
    "an image's machine-id",
    "programs that may not be run",
    "our unit masked",
    "a stranger on the exporter's port",
    "a lock of /etc/passwd left empty",
];
/// And what is worth a warning there.
const WARNING: &str = "ufw with the port closed";

/// Several faults at once: each is said in the same look, with its own sentence, and by each form of it. With `--quiet`
/// there are errors and nothing else, with `--verbose` what everything was measured by.
fn at_once(node: &Node, stage: &Stage<'_>, all: &[Fault]) -> Result<()> {
    let find = |name: &str| {
        all.iter()
            .find(|fault| fault.name == name)
            .context(name.to_owned())
    };
    let errors = TOGETHER.into_iter().map(find).collect::<Result<Vec<_>>>()?;
    let warning = find(WARNING)?;
    let both = || errors.iter().copied().chain([warning]);
    for fault in both() {
        node.sh(&format!("set -e\n{}", fault.inject))?.ok()?;
    }
    let arguments = stage.node_arguments();
    let seen = stage.look("", &arguments);
    let types = |detail: &str| node.sh(&format!("{AGENT} preflight {arguments} {detail}"));
    let (usual, quiet, verbose) = (types("")?, types("--quiet")?, types("--verbose")?);
    let heals: Vec<&Fault> = both().collect();
    for fault in heals.into_iter().rev() {
        node.sh(&format!("set -e\n{}", fault.heal))?.ok()?;
    }

    let seen = seen?;
    let (found, warned) = seen.issues();
    for fault in &errors {
        ensure!(
            found.iter().any(|code| code == fault.code),
            "{} is missing in {found:?}",
            fault.code
        );
        let sentence = seen.message(fault.code);
        ensure!(sentence.contains(fault.names), "{}: {sentence:?}", fault.name);
        let code = format!("Code: {} (", fault.code);
        for (form, said) in [("usual", &usual), ("quiet", &quiet), ("verbose", &verbose)] {
            ensure!(said.code == 1, "{form}: exit {}", said.code);
            ensure!(
                said.stdout.contains(&code),
                "{form}: no {code:?} in\n{}",
                said.stdout
            );
        }
    }
    ensure!(
        found.len() == errors.len(),
        "{found:?} instead of {}",
        errors.len()
    );
    ensure!(warned.iter().any(|code| code == warning.code), "{warned:?}");
    let result = format!("Result: {} issues found\n", errors.len());
    for said in [&usual, &verbose] {
        ensure!(
            said.stdout.contains(&result) && said.stdout.contains("WARNINGS:\n"),
            "{}",
            said.stdout
        );
    }
    ensure!(quiet.stdout.starts_with("ERRORS:\n"), "{}", quiet.stdout);
    ensure!(!quiet.stdout.contains(warning.code), "{}", quiet.stdout);
    let source = "from /proc/net/tcp, /proc/net/tcp6";
    ensure!(
        verbose.stdout.contains(source) && !usual.stdout.contains(source),
        "{}",
        verbose.stdout
    );
    Ok(())
}

fn table(all: &[Fault], missed: &[(&str, String)], took: Duration) {
    for fault in all {
        let mark = if missed.iter().any(|(name, _)| *name == fault.name) {
            "MISSED"
        } else {
            "named"
        };
        println!("{mark:<7} {:<24} {}", fault.code, fault.name);
    }
    for (name, why) in missed {
        println!("missed: {name}: {why}");
    }
    println!(
        "{} of {} faults were named before the first change, in {took:.1?}",
        all.len() - missed.len(),
        all.len()
    );
}

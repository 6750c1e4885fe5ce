//! Fetches what the tests stand on into the cache, so that the suites themselves only test.
//!
//! Engines always; root file systems as root alone, since only root can make them.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use anyhow::Result;
use rig::{Packed, Release, Root, cache, engines};

type Fetch = Box<dyn FnOnce() -> Result<()> + Send>;

fn main() -> ExitCode {
    let mut fetches: Vec<(String, Fetch)> = vec![
        ("engines".to_owned(), Box::new(engines::fetch)),
        (
            "node_exporter for nodes".to_owned(),
            Box::new(|| Packed::node_exporter().map(drop)),
        ),
        (
            "OpenSSH's client, and shells for nodes".to_owned(),
            Box::new(|| {
                rig::ssh::client("ssh-keygen")
                    .and_then(|_| rig::ssh::shells())
                    .map(drop)
            }),
        ),
    ];
    if rustix::process::geteuid().is_root() {
        let all = Release::ALL.map(Root::Of).into_iter();
        for root in all.chain([Root::Furnished, Root::WithoutSystemd]) {
            let name = format!("root file system: {root:?}");
            fetches.push((name, Box::new(move || root.rootfs().map(drop))));
        }
    }
    let started: Vec<_> = fetches
        .into_iter()
        .map(|(name, fetch)| (name, std::thread::spawn(fetch)))
        .collect();
    let mut code = ExitCode::SUCCESS;
    for (name, fetching) in started {
        if let Ok(Ok(())) = fetching
            .join()
            .map(|fetched| fetched.inspect_err(|error| eprintln!("{name}: {error:#}")))
        {
            println!("{name}: here");
        } else {
            eprintln!("{name}: could not be fetched");
            code = ExitCode::FAILURE;
        }
    }
    if let Ok(folder) = cache::folder() {
        println!("cache: {}", folder.display());
    }
    code
}

//! This crate as a program: a command on every host, with what a person would have it do.

use std::path::Path;
use std::sync::Arc;

use aami_ssh::fanout::{Fanout, Fault, Limits, Output, Turn};
use aami_ssh::{
    AgentSocket, Client, Command, ErrorClass, Exit, Host, HostKeyPolicy, Identities, Settings, Silent, Trust,
};

use crate::{PARALLEL, address};

/// Runs `true` on each host, and says how much memory it took at most, in bytes.
pub(crate) fn drive(folder: &str, port: u16, hosts: usize) {
    let folder = Path::new(folder);
    let trust = Trust::new(
        HostKeyPolicy::Strict,
        vec![folder.join("known_hosts")],
        Vec::new(),
    );
    let client = Client::new(Settings::default(), trust, Identities::new(Arc::new(Silent)));
    let names: Vec<String> = (0..hosts).map(|host| address(host).to_string()).collect();
    let key = folder.join("key");
    let limits = Limits {
        max_parallel: PARALLEL,
        ..Limits::default()
    };
    let work = |turn: Turn, mut output: Output| {
        let client = client.clone();
        let mut host = Host::new(&turn.name, &turn.name, "root");
        host.port = port;
        host.keys = vec![key.clone()];
        host.agent = AgentSocket::None;
        async move {
            let failed = |error| Fault::ssh(&error, true);
            let connection = client.connect(&host).await.map_err(failed)?;
            match connection
                .run(&Command::script("true"), &mut output)
                .await
                .map_err(failed)?
            {
                Exit::Code(0) => Ok(()),
                other => Err(Fault::new(
                    ErrorClass::Remote,
                    aami_model::code::SSH_COMMAND_FAILED,
                    format!("{other:?}"),
                )),
            }
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let report = runtime.block_on(Fanout::new(limits, 1).run(&names, work));
    assert_eq!(report.ok(), hosts, "{:?}", report.summary());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    println!(
        "{}",
        peak.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    );
}

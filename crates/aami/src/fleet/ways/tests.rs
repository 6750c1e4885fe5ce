//! Ways as configurations and files of ssh say them.

use std::time::Duration;

use super::*;
use crate::cli::surroundings::Surroundings;

fn hosts(config: &str, files: &str) -> Vec<Host> {
    ways(config, files).unwrap().hosts
}

fn ways(config: &str, files: &str) -> Result<Ways, Failure> {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    std::fs::write(home.path().join(".ssh/config"), files).unwrap();
    let surroundings = Surroundings {
        home: Some(home.path().to_owned()),
        ..Surroundings::default()
    };
    let place = Place::new(None, None, &surroundings);
    let settings = place.parse(config.as_bytes().to_vec()).unwrap();
    let config = settings.config();
    let members: Vec<Member> = (config.nodes.iter())
        .map(|node| Member::of(&config.login(node), &node.labels))
        .collect();
    Ways::to(&members, &settings, &place)
}

const NODES: &str = "cluster: {name: x}\nnodes:\n  - {name: gpu-01, ip: 10.0.0.1}\n  - {name: gpu-02, ip: \
                     10.0.0.2, ssh_user: ops, ssh_port: 2222}\n";

#[test]
fn what_the_configuration_does_not_say_the_operators_own_files_do() {
    let files = "Host gpu-*\n  User ada\n  Port 2200\n  ProxyJump bastion\n";
    let found = hosts(NODES, files);
    assert_eq!((found[0].user.as_str(), found[0].port), ("ada", 2200));
    assert_eq!((found[1].user.as_str(), found[1].port), ("ops", 2222));
    assert_eq!(found[0].jumps[0].name, "bastion");
    // So do they how long is waited, and whether names are hashed in the file of known hosts.
    let patient = "Host gpu-01\n  ConnectTimeout 3\n  HashKnownHosts yes\n";
    let found = hosts(NODES, patient);
    assert_eq!(found[0].connect_timeout, Some(Duration::from_secs(3)));
    assert_eq!(found[0].hash_known_hosts, Some(true));
    assert_eq!(found[1].connect_timeout, None);
    // What is written stands over them, and they can be left out.
    let written = format!("{NODES}ssh: {{connect_timeout: 10}}\n");
    assert_eq!(hosts(&written, patient)[0].connect_timeout, None);
    let written = format!("{NODES}ssh: {{user: root, port: 22, proxy_jump: ops@gate:2022}}\n");
    let found = hosts(&written, files);
    assert_eq!((found[0].user.as_str(), found[0].port), ("root", 22));
    assert_eq!(
        (found[0].jumps[0].user.as_str(), found[0].jumps[0].port),
        ("ops", 2022)
    );
    let found = hosts(&format!("{NODES}ssh: {{use_ssh_config: false}}\n"), files);
    assert_eq!(
        (found[0].user.as_str(), found[0].port, found[0].jumps.len()),
        ("root", 22, 0)
    );
}

#[test]
fn keys_that_nobody_looks_at_are_told_wherever_that_is_said() {
    let files = "Host gate\n  StrictHostKeyChecking no\nHost gpu-01\n  UserKnownHostsFile /dev/null\n";
    let jumping = format!("{NODES}ssh: {{proxy_jump: gate}}\n");
    let told = ways(&jumping, files).unwrap().reminders.join("\n");
    assert!(told.contains("not looked at for gate and 1 more"), "{told}");
    assert!(told.contains("not remembered for gpu-01,"), "{told}");
    // What is written in the configuration stands over it, for jump hosts as well.
    let strict = format!("{NODES}ssh: {{proxy_jump: gate, host_key_policy: strict}}\n");
    let found = ways(&strict, files).unwrap();
    assert!(
        !found.reminders.join("\n").contains("host keys"),
        "{:?}",
        found.reminders
    );
    assert!(found.hosts[0].known_hosts.is_empty());
    assert_eq!(found.hosts[0].jumps[0].policy, None);
    // So does a line that is not understood.
    let told = ways(NODES, "Porrt 22\n").unwrap().reminders.join("\n");
    assert!(told.contains("config:1 is passed over"), "{told}");
}

#[test]
fn an_alias_of_the_files_is_a_jump_host_with_its_own_way() {
    let files = "Host bastion\n  HostName 192.0.2.1\n  Port 2022\n  ProxyJump outer\nHost gpu-*\n  ProxyCommand nc %h\n";
    let found = hosts(&format!("{NODES}ssh: {{proxy_jump: 'bastion,inner'}}\n"), files);
    let way: Vec<String> = found[0].jumps.iter().map(Host::endpoint).collect();
    assert_eq!(way, ["outer:22", "192.0.2.1:2022", "inner:22"]);
    // Without a way of its own it is refused, not dialled.
    let Err(refused) = ways(NODES, files) else {
        panic!("it is refused");
    };
    assert_eq!(refused.code(), Some(code::SSH_LOCAL));
}

#[test]
fn a_node_that_is_reached_directly_is_so_whatever_the_files_say() {
    let files = "Host gpu-*\n  ProxyJump bastion\n";
    let nodes = "cluster: {name: x}\nnodes:\n  - {name: gpu-01, ip: 10.0.0.1, proxy_jump: none}\n  - {name: gpu-02, ip: \
                 10.0.0.2}\n";
    let found = hosts(nodes, files);
    assert_eq!((found[0].jumps.len(), found[1].jumps.len()), (0, 1));
    // For all nodes at once as well, and one of them may say otherwise.
    let nodes = "cluster: {name: x}\nssh: {proxy_jump: none}\nnodes:\n  - {name: gpu-01, ip: 10.0.0.1}\n  - {name: gpu-02, \
                 ip: 10.0.0.2, proxy_jump: gate}\n";
    let found = hosts(nodes, files);
    assert_eq!(
        (found[0].jumps.len(), found[1].jumps[0].name.as_str()),
        (0, "gate")
    );
    // A program in between is not asked for either.
    let proxied = "Host gpu-01\n  ProxyCommand nc %h %p\n";
    assert!(
        hosts(
            "cluster: {name: x}\nnodes: [{name: gpu-01, ip: 10.0.0.1, proxy_jump: none}]\n",
            proxied
        )[0]
        .jumps
        .is_empty()
    );
}

#[test]
fn root_without_a_way_to_it_is_refused() {
    let never = |user: &str| format!("{NODES}ssh: {{user: {user}, sudo: {{mode: never}}}}\n");
    assert!(
        ways(&never("root"), "").unwrap().need_root().is_err(),
        "gpu-02 is ops"
    );
    assert!(ways(NODES, "").unwrap().need_root().is_ok());
    let always = hosts(&format!("{NODES}ssh: {{sudo: {{mode: always}}}}\n"), "");
    assert!(always[0].sudo_for_root);
}

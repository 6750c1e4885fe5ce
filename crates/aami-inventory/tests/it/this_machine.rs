//! The machine the tests run on.

use aami_inventory::{Host, Inventory, SystemCommands};

#[test]
fn it_is_looked_at_without_surprise() {
    let commands = SystemCommands::default();
    let inventory = Inventory::collect(&Host::this(&commands)).unwrap();

    let kernel_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let short = kernel_name.trim().to_ascii_lowercase();
    assert!(inventory.hostname.as_str().starts_with(&short));
    assert_eq!(
        inventory.arch.name(),
        if cfg!(target_arch = "x86_64") {
            "amd64"
        } else {
            "arm64"
        }
    );
    let info = inventory.system_info();
    assert_eq!(info.check(), Ok(()));
    assert!(info.cpu_cores > 0 && info.memory_gb > 0 && !info.os.is_empty());
    assert!(
        inventory.nics.iter().all(|nic| nic.name != "lo"),
        "loopback has no device behind it"
    );
    assert!(inventory.disks.iter().all(|disk| !disk.name.starts_with("loop")));
}

#[test]
fn its_fingerprint_does_not_change_from_one_look_to_the_next() {
    let commands = SystemCommands::default();
    let look = || Inventory::collect(&Host::this(&commands)).unwrap().machine;
    assert_eq!(look(), look());
}

#[test]
fn who_listens_here_is_found_by_port() {
    let commands = SystemCommands::default();
    let host = Host::this(&commands);
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();

    let found = aami_inventory::listener::listeners(&host, address.port());

    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].address, address);
    assert_eq!(found[0].pid, Some(std::process::id()));
    assert!(found[0].holder().contains(&format!("pid {}", std::process::id())));
    drop(socket);
    assert_eq!(aami_inventory::listener::listeners(&host, address.port()), []);
}

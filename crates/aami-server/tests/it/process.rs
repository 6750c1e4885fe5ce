//! A control plane in a process of its own, so that it can be killed and stopped as one.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aami_api::client::{Client, Settings};
use aami_server::{Config, World};

use crate::house::until;

/// A running one, killed when dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    pub admin: Client,
}

/// What it is told beside where its folder is.
#[derive(Default)]
pub struct Told {
    /// The service that is told of events.
    pub service: Option<String>,
    /// Its store's URL.
    pub store: Option<String>,
    /// How long a node may be silent.
    pub heartbeat_timeout: Option<Duration>,
    /// The first admin key, where another replica made it.
    pub admin_key: Option<String>,
}

impl Process {
    /// Starts one on the data in `folder`.
    pub fn start(folder: &Path, told: &Told) -> Self {
        let _ = std::fs::remove_file(folder.join("address"));
        let seconds = told
            .heartbeat_timeout
            .map(|timeout| timeout.as_secs().to_string());
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::a_control_plane_to_be_killed", "--ignored"])
            .env("AAMI_TEST_FOLDER", folder)
            .env("AAMI_TEST_SERVICE", told.service.as_deref().unwrap_or_default())
            .env("AAMI_TEST_STORE", told.store.as_deref().unwrap_or_default())
            .env("AAMI_TEST_SECONDS", seconds.unwrap_or_default())
            // It ends when this end of the pipe does, however that comes about.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        until("it serves", || {
            address = std::fs::read_to_string(folder.join("address")).map_err(|error| error.to_string())?;
            Ok::<_, String>(())
        });
        let own = || std::fs::read_to_string(folder.join("admin.key")).unwrap();
        let key = told.admin_key.clone().unwrap_or_else(own);
        let admin = Client::new(&Settings::new(format!("http://{address}"))).unwrap();
        Self {
            child,
            address: address.parse().unwrap(),
            admin: admin.with_bearer(key.trim()),
        }
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test by itself: the control plane that others kill.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn a_control_plane_to_be_killed() {
    let Ok(folder) = std::env::var("AAMI_TEST_FOLDER") else {
        return;
    };
    let wanted = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut config = Config::for_data_dir(&folder).unwrap();
    config.listen = "127.0.0.1:0".parse().unwrap();
    crate::deliveries::quick(&mut config);
    config.noti_service_url = wanted("AAMI_TEST_SERVICE");
    if let Some(store) = wanted("AAMI_TEST_STORE") {
        config.store = store;
    }
    if let Some(seconds) = wanted("AAMI_TEST_SECONDS") {
        config.heartbeat_timeout = Duration::from_secs(seconds.parse().unwrap());
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime
        .block_on(aami_server::start(config, World::system()))
        .unwrap();
    let place = Path::new(&folder);
    std::fs::write(place.join("address.new"), running.address().to_string()).unwrap();
    std::fs::rename(place.join("address.new"), place.join("address")).unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}

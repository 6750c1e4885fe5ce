//! The control plane inside this process.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use aami_api::client::{Client, Settings};
use aami_model::{Exit, code};
use aami_server::{Config, Running, World};
use tokio::runtime::Runtime;

use super::prometheus::Seat;
use super::remembered::Remembered;
use super::stop::Stop;
use super::{Places, ports};
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::server;

/// Everybody may reach it: other machines are to enrol.
const EVERYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A running control plane, and a client that may do everything.
pub(super) struct Plane {
    running: Running,
    pub(super) client: Client,
}

impl Plane {
    /// Starts it on the first port that can be had.
    pub(super) fn start(
        runtime: &Runtime,
        places: &Places,
        usual: u16,
        prometheus: &Seat,
        remembered: &mut Remembered,
        screen: &mut Screen,
    ) -> Result<Self, Failure> {
        let mut config = Config::for_data_dir(&places.data)?;
        config.prometheus_url = Some(prometheus.url());
        config.prometheus_rules = Some(prometheus.rules.clone());
        let candidates = ports::candidates(remembered.server, usual);
        let mut last = None;
        for port in candidates {
            config.listen = SocketAddr::new(EVERYWHERE, port);
            match runtime.block_on(aami_server::start(config.clone(), World::system())) {
                Ok(running) => {
                    let chosen = running.address().port();
                    ports::say(screen, "the control plane", usual, chosen, EVERYWHERE);
                    remembered.server = Some(chosen);
                    server::leave_address(&places.data, &running)?;
                    let key = read_key(&places.admin_key())?;
                    let client = Client::new(&Settings::new(server::local_url(running.address())))?;
                    return Ok(Self {
                        running,
                        client: client.with_bearer(&key),
                    });
                }
                Err(error) if error.code() == code::ADDRESS_IN_USE => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.map_or_else(
            || Failure::found(code::ADDRESS_IN_USE, "no port is free"),
            Failure::from,
        ))
    }

    /// Where this machine reaches it.
    pub(super) fn url(&self) -> &str {
        self.client.server()
    }

    /// Where other machines reach it.
    pub(super) fn public_url(&self) -> &str {
        self.running.public_url()
    }

    /// The cluster's name.
    pub(super) fn cluster(&self) -> &str {
        self.running.cluster()
    }

    /// Finishes what has begun.
    pub(super) async fn stop(self, stop: &Stop) -> Exit {
        stop.finishing(self.running.stop()).await
    }
}

/// A key out of its file.
pub(super) fn read_key(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|error| {
            Failure::found(
                code::KEY_FILE_UNREADABLE,
                format!("the key file {} cannot be read: {error}", path.display()),
            )
        })
}

//! The control plane: keeps what the fleet is, enrols nodes, and tells Prometheus whom to scrape.
//!
//! [`start`] opens the store, reads the view and serves until it is told to stop. Inside, requests go
//! down `http -> app -> store` and what changed comes up `store -> view -> http`:
//!
//! - [`http`]: the routes, who may call them, and how answers look;
//! - [`app`]: the use cases, one file a noun;
//! - [`link`]: the sockets of nodes, and [`live`]: who is connected at this moment;
//! - [`dashboards`]: those who look on as the fleet changes;
//! - [`notify`]: who else is told of events, and [`services`]: who is asked;
//! - [`view`]: the whole state in memory, as of one revision;
//! - [`tasks`]: what happens by the clock;
//! - [`tls`] and [`listener`]: one port for TLS and plain HTTP.
//!
//! What it must not do: print, read the environment, exit (`aami server` does that), know an engine
//! (that is `aami-store`), or change a host.

mod app;
mod bootstrap;
pub mod config;
mod dashboards;
mod http;
mod link;
mod listener;
mod live;
mod metrics;
mod notify;
mod peers;
mod reach;
mod secret_file;
mod services;
mod tasks;
mod tls;
mod view;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use aami_model::{Code, code};
use aami_store::StoreError;
use aami_store::history::{History, MemoryHistory, SqliteHistory};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use bootstrap::recover_admin_key;
pub use config::Config;
pub use http::openapi::document as openapi;
pub use tls::{TlsError, judge_certificate};
pub use world::{Clock, Random, World};

use app::App;

/// Why the control plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made or used.
    #[error("the data folder {} cannot be used: {source}", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// There is no certificate to show.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The first documents cannot be written.
    #[error("the store cannot be prepared: {0}")]
    Prepare(String),
}

impl StartError {
    /// The code of the condition.
    pub fn code(&self) -> Code {
        match self {
            Self::DataDir { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull => code::STORE_DISK_FULL,
                std::io::ErrorKind::ReadOnlyFilesystem => code::READ_ONLY,
                _ => code::CONFIG_INVALID,
            },
            Self::Store(error) => error.code(),
            Self::Tls(error) => error.code(),
            Self::Listen { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => {
                code::ADDRESS_IN_USE
            }
            Self::Listen { .. } => code::CONFIG_INVALID,
            Self::Prepare(_) => code::STORE_UNAVAILABLE,
        }
    }
}

/// A control plane at work.
pub struct Running {
    address: SocketAddr,
    public_url: String,
    pin: Option<String>,
    ca: Option<String>,
    admin_key: PathBuf,
    cluster: String,
    router: axum::Router,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Running {
    /// Serves one connection that is none of the network's, such as a pipe in memory, as if it came unencrypted from
    /// `peer`. It ends when the other end does, or with what it was upgraded to.
    pub fn converse<S>(&self, stream: S, peer: SocketAddr) -> impl Future<Output = ()> + Send + use<S>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        listener::converse(stream, peer, self.router.clone())
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is reached.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The pin of its key, where its CA is its own.
    pub fn pin(&self) -> Option<&str> {
        self.pin.as_deref()
    }

    /// That CA, PEM.
    pub fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
    }

    /// Where the first admin key is.
    pub fn admin_key(&self) -> &std::path::Path {
        &self.admin_key
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Takes nothing new, finishes what has begun, and ends.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Opens everything and begins to serve.
pub async fn start(config: Config, world: World) -> Result<Running, StartError> {
    let data_dir = |source| StartError::DataDir {
        path: config.data_dir.clone(),
        source,
    };
    bootstrap::make_data_dir(&config.data_dir).map_err(data_dir)?;
    let seal = notify::seal::Seal::of(&config.data_dir, &world).map_err(data_dir)?;
    let store = aami_store::open(&config.store_url()).await?;
    let history: Arc<dyn History> = if config.store_kind() == "memory" {
        Arc::new(MemoryHistory::new())
    } else {
        Arc::new(SqliteHistory::open(&config.data_dir.join("history.db")).await?)
    };
    bootstrap::first_documents(&store, &config, &world).await?;
    bootstrap::later_than_told(&store, &*history, &world).await?;

    let listener = listener::bind(config.listen).map_err(|source| StartError::Listen {
        address: config.listen,
        source,
    })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen {
        address: config.listen,
        source,
    })?;
    let public_url = if config.public_url.is_empty() {
        reach::url_of(address)
    } else {
        config.public_url.clone()
    };
    let peer_url = match config.peer_url.as_str() {
        "" => reach::url_of(address),
        told => told.to_owned(),
    };
    let (names, addresses) = bootstrap::subjects(&public_url, address);
    let identity = tls::identity(&config, &names, &addresses)?;

    let view = view::feed::read(&store).await?;
    bootstrap::no_organisation_means_all(&view.current());
    let cluster = view
        .current()
        .cluster()
        .map_or_else(|| config.cluster.clone(), |held| held.name.clone());
    let discovery = Arc::new(app::discovery::Discovery::new(cluster.clone()));
    let live = Arc::new(live::Live::new());
    let replica = data_encoding::HEXLOWER.encode(&world.random::<8>());
    let desk = notify::Desk::new(seal);
    let app = Arc::new(App {
        live: live.clone(),
        dashboards: dashboards::Dashboards::new(),
        peers: peers::Peers::new(
            &world,
            peer_url,
            identity.fingerprint,
            config.store_kind() == "etcd",
        ),
        replica,
        world,
        store: store.clone(),
        history,
        view: view.clone(),
        discovery: discovery.clone(),
        verifier: app::verify::Queue::default(),
        services: services::Services::of(&config, &desk.roots),
        scraped: app::scraped::Scraped::default(),
        bundles: app::bundles::Bundles::default(),
        notify: desk,
        strangers_room: Arc::new(Semaphore::new(http::STRANGERS_ROOM)),
        counters: metrics::Counters::new(),
        checksums: http::Checksums::default(),
        reach: reach::Reach {
            public_url: public_url.clone(),
            pin: identity.pin.clone(),
            ca: identity.ca.clone(),
        },
        started: Instant::now(),
        readiness: app::readiness::Readiness::default(),
        config,
    });

    let configurer = Arc::new(app::group_config::Configurer::new(
        live.clone(),
        app.config.heartbeat_timeout,
    ));
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(view::feed::follow(
        store,
        view,
        view::feed::Followers {
            before: vec![discovery],
            // What a node is to run by goes before what it is told to do: several changes may come as one, and an older
            // agent is taken by who knows of the pin.
            after: vec![configurer, live],
        },
        stop.clone(),
    ));
    bootstrap::admin_key(&app).await?;
    let lead = tasks::Lead::new(app.config.store_kind() == "etcd");
    tasks::start(&mut running, &app, &lead, &stop);
    let router = http::router::router(&app);
    running.spawn(listener::serve(
        listener,
        identity.config,
        router.clone(),
        app.config.trusted_proxies.clone(),
        stop.clone(),
        app.config.drain,
    ));
    tracing::info!(%address, %public_url, store = app.config.store_kind(), "the control plane serves");
    Ok(Running {
        address,
        public_url,
        pin: identity.pin,
        ca: identity.ca,
        admin_key: app.config.admin_key_path(),
        cluster,
        router,
        stop,
        tasks: running,
    })
}

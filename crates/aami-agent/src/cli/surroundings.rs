//! What the environment says, read once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use aami_plans::download::Proxies;
use aami_plans::node::proxy_file;

/// What commands take from the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// `AAMI_SERVER`.
    pub(crate) server: Option<String>,
    /// `AAMI_TOKEN_FILE`.
    pub(crate) token_file: Option<PathBuf>,
    /// Whether colours may be used: `NO_COLOR` is not set (<https://no-color.org>), and the terminal is none of
    /// those without.
    pub(crate) colour: bool,
    /// `http_proxy`, `https_proxy`, `no_proxy`, in either case.
    pub(crate) proxies: Proxies,
    /// Who sits at the terminal: `SUDO_USER`, else `USER`.
    pub(crate) user: Option<String>,
    /// `RUNTIME_DIRECTORY`: the folder a unit gave this process, which goes when the unit ends
    /// (systemd.exec(5), `RuntimeDirectory=`).
    pub(crate) runtime_directory: Option<PathBuf>,
    /// `NOTIFY_SOCKET`: where the service manager listens (sd_notify(3)).
    pub(crate) notify_socket: Option<String>,
    /// `WATCHDOG_USEC`: after how long without a word the service manager starts this process anew
    /// (sd_watchdog_enabled(3)).
    pub(crate) watchdog: Option<Duration>,
}

/// The variables that mean the same to a command that goes on without whoever started it.
const CARRIED: [&str; 10] = [
    "AAMI_SERVER",
    "AAMI_TOKEN_FILE",
    "ALL_PROXY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

impl Surroundings {
    /// Reads the environment.
    pub(crate) fn read() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// What a detached run takes along, as it is here.
    pub(crate) fn carried() -> BTreeMap<String, String> {
        let carried = CARRIED.iter().filter_map(|name| {
            let value = std::env::var(name).ok()?;
            Some(((*name).to_owned(), value))
        });
        carried.collect()
    }

    /// What these variables say.
    pub(crate) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| variable(name).filter(|text| !text.is_empty());
        let either = |name: &str| given(name).or_else(|| given(&name.to_ascii_uppercase()));
        let all = either("all_proxy");
        Self {
            server: given("AAMI_SERVER"),
            token_file: given("AAMI_TOKEN_FILE").map(PathBuf::from),
            colour: given("NO_COLOR").is_none() && given("TERM").is_none_or(|term| term != "dumb"),
            runtime_directory: given("RUNTIME_DIRECTORY").map(PathBuf::from),
            notify_socket: given("NOTIFY_SOCKET"),
            watchdog: given("WATCHDOG_USEC")
                .and_then(|text| text.parse().ok())
                .map(Duration::from_micros),
            user: given("SUDO_USER").or_else(|| given("USER")),
            proxies: or_kept(Proxies {
                http: either("http_proxy").or_else(|| all.clone()),
                https: either("https_proxy").or(all),
                without: either("no_proxy")
                    .map(|text| Proxies::split_without(&text))
                    .unwrap_or_default(),
            }),
        }
    }
}

/// The proxies of the bootstrap, where the environment names none: sudo and cron drop its variables.
fn or_kept(given: Proxies) -> Proxies {
    if given.http.is_some() || given.https.is_some() {
        return given;
    }
    match std::fs::read_to_string(proxy_file::PATH) {
        Ok(text) => proxy_file::read(&text),
        Err(_) => given,
    }
}

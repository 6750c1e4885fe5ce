//! What the environment says, read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aami_install::Host;
use aami_plans::download::Proxies;
use aami_plans::stack::{Layout, Note, Part};
use aami_server::config::SETTINGS;

/// What commands take from the environment.
#[derive(Clone, Default)]
pub(crate) struct Surroundings {
    /// `AAMI_SERVER`.
    pub(crate) server: Option<String>,
    /// `AAMI_API_KEY`: the key itself.
    pub(crate) api_key: Option<String>,
    /// The `AAMI_` variables that are settings of the control plane, by the setting's name.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// `AAMI_CONFIG`: the control plane's configuration file.
    pub(crate) config: Option<PathBuf>,
    /// `AAMI_LOG`: what is logged, as `tracing` filters are written.
    pub(crate) log: Option<String>,
    /// `http_proxy`, `https_proxy`, `no_proxy`, in either case.
    pub(crate) proxies: Proxies,
    /// Whether colours may be used: `NO_COLOR` is not set (<https://no-color.org>), and the terminal is none of
    /// those without.
    pub(crate) colour: bool,
    /// Who sits at the terminal: `SUDO_USER`, else `USER`.
    pub(crate) user: Option<String>,
    /// Where the control plane that was installed on this machine keeps its data.
    pub(crate) installed: Option<PathBuf>,
    /// Where this user's data is kept: `XDG_DATA_HOME`, or `~/.local/share`.
    pub(crate) data: Option<PathBuf>,
    /// Where this user's state is kept: `XDG_STATE_HOME`, or `~/.local/state`.
    pub(crate) state: Option<PathBuf>,
    /// Where this user's cache is: `XDG_CACHE_HOME`, or `~/.cache`.
    pub(crate) cache: Option<PathBuf>,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `SSH_AUTH_SOCK`: the SSH agent of this session.
    pub(crate) ssh_agent: Option<PathBuf>,
    /// Every variable, for `${NAME}` in the configuration of a fleet. Some of them are secrets.
    pub(crate) variables: BTreeMap<String, String>,
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Where `aami server` keeps its data.
pub(crate) const SERVER_DATA: &str = "/var/lib/aami";

/// The name without our prefix that a variable is also known by.
fn older(setting: &str) -> Option<&'static str> {
    match setting {
        "noti_service_url" => Some("NOTI_SERVICE_URL"),
        "release_base_url" => Some("RELEASE_BASE_URL"),
        "docs_base_url" => Some("DOCS_BASE_URL"),
        "default_daemon_version" => Some("DEFAULT_DAEMON_VERSION"),
        _ => None,
    }
}

impl Surroundings {
    /// Reads the environment.
    pub(crate) fn read() -> Self {
        let given = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let either = |name: &str| given(name).or_else(|| given(&name.to_ascii_uppercase()));
        let all = either("all_proxy");
        let home = given("HOME").map(PathBuf::from);
        // The XDG specification: a path that is not absolute is to be ignored.
        let folder = |name: &str, below: &str| {
            given(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .or_else(|| Some(home.as_ref()?.join(below)))
        };
        Self {
            server: given("AAMI_SERVER"),
            api_key: given("AAMI_API_KEY"),
            settings: SETTINGS
                .iter()
                .filter_map(|setting| {
                    let value = given(&setting.env()).or_else(|| given(older(setting.name)?))?;
                    Some((setting.name, value))
                })
                .collect(),
            config: given("AAMI_CONFIG").map(PathBuf::from),
            log: given("AAMI_LOG"),
            user: given("SUDO_USER").or_else(|| given("USER")),
            proxies: Proxies {
                http: either("http_proxy").or_else(|| all.clone()),
                https: either("https_proxy").or(all),
                without: either("no_proxy").map_or_else(Vec::new, |text| Proxies::split_without(&text)),
            },
            colour: given("NO_COLOR").is_none() && given("TERM").is_none_or(|term| term != "dumb"),
            installed: installed(),
            data: folder("XDG_DATA_HOME", ".local/share"),
            state: folder("XDG_STATE_HOME", ".local/state"),
            cache: folder("XDG_CACHE_HOME", ".cache"),
            ssh_agent: given("SSH_AUTH_SOCK").map(PathBuf::from),
            // What is no text can be named by no text.
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
            home,
        }
    }

    /// The folder of `aami up`.
    pub(crate) fn up_data(&self) -> Option<PathBuf> {
        Some(self.data.as_ref()?.join("aami-up"))
    }

    /// Folders in which a control plane of this machine may keep its data.
    pub(crate) fn data_folders(&self) -> Vec<PathBuf> {
        let server = Path::new(SERVER_DATA).to_owned();
        let mut folders: Vec<PathBuf> = self.installed.iter().cloned().collect();
        for folder in [server.join("server"), server].into_iter().chain(self.up_data()) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }
}

/// What `aami server install` noted on this machine, where it was told another folder for data.
fn installed() -> Option<PathBuf> {
    let note = Note::read(&Host::system().ok()?)?;
    let data = Layout::of(&note.wishes).ok()?.data_of(Part::ControlPlane).ok()?;
    Some(PathBuf::from(data.as_str()))
}

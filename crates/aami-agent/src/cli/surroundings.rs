//! What the environment says, read once.

use std::path::PathBuf;

use aami_plans::download::Proxies;

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
}

impl Surroundings {
    /// Reads the environment.
    pub(crate) fn read() -> Self {
        let given = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let either = |name: &str| given(name).or_else(|| given(&name.to_ascii_uppercase()));
        let all = either("all_proxy");
        Self {
            server: given("AAMI_SERVER"),
            token_file: given("AAMI_TOKEN_FILE").map(PathBuf::from),
            colour: given("NO_COLOR").is_none() && given("TERM").is_none_or(|term| term != "dumb"),
            proxies: Proxies {
                http: either("http_proxy").or_else(|| all.clone()),
                https: either("https_proxy").or(all),
                without: either("no_proxy")
                    .map(|text| Proxies::split_without(&text))
                    .unwrap_or_default(),
            },
        }
    }
}

//! A flag for each setting of the control plane, and two older ones.

use aami_server::config::{SETTINGS, Setting};
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

/// The settings given as flags, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Flags {
    pub(super) given: Vec<(&'static str, String)>,
}

/// `--etcd-endpoints A,B` stands for `--store etcd://A,B`.
const ETCD_ENDPOINTS: &str = "etcd_endpoints";

fn flag(setting: &'static Setting) -> Arg {
    let mut arg = Arg::new(setting.name)
        .long(setting.flag().trim_start_matches('-').to_owned())
        .help(help(setting));
    if setting.name == "listen" {
        arg = arg.alias("listen-addr");
    }
    if is_switch(setting) {
        // `--plain-http` alone turns it on; `--plain-http=false` overrules a file that does.
        arg.num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("true|false")
    } else {
        arg.value_name("VALUE").allow_hyphen_values(false)
    }
}

fn is_switch(setting: &Setting) -> bool {
    matches!(setting.default, "true" | "false")
}

fn help(setting: &Setting) -> String {
    if setting.default.is_empty() {
        format!("{} [{}]", setting.help, setting.env())
    } else {
        format!(
            "{} [{}; default {}]",
            setting.help,
            setting.env(),
            setting.default
        )
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for setting in SETTINGS {
            if let Some(value) = matches.get_one::<String>(setting.name) {
                self.given.push((setting.name, value.clone()));
            }
        }
        if let Some(endpoints) = matches.get_one::<String>(ETCD_ENDPOINTS) {
            let hosts: Vec<&str> = endpoints
                .split(',')
                .map(|endpoint| endpoint.rsplit("://").next().unwrap_or(endpoint))
                .collect();
            self.given.push(("store", format!("etcd://{}", hosts.join(","))));
        }
        Ok(())
    }
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        let older = Arg::new(ETCD_ENDPOINTS)
            .long("etcd-endpoints")
            .value_name("HOST:PORT,...")
            .conflicts_with("store")
            .hide(true);
        command.args(SETTINGS.iter().map(flag)).arg(older)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(arguments: &[&str]) -> Vec<(&'static str, String)> {
        let command = Flags::augment_args(Command::new("server"));
        let matches = command
            .try_get_matches_from(std::iter::once(&"server").chain(arguments))
            .unwrap();
        Flags::from_arg_matches(&matches).unwrap().given
    }

    #[test]
    fn only_what_is_given_counts_as_given() {
        assert_eq!(given(&[]), []);
        assert_eq!(
            given(&["--listen", "[::]:1", "--plain-http"]),
            [("listen", "[::]:1".into()), ("plain_http", "true".into())]
        );
        assert_eq!(given(&["--plain-http=false"]), [("plain_http", "false".into())]);
    }

    #[test]
    fn older_names_mean_the_same() {
        assert_eq!(given(&["--listen-addr", "[::]:1"]), [("listen", "[::]:1".into())]);
        assert_eq!(
            given(&["--etcd-endpoints", "http://a:2379,b:2379"]),
            [("store", "etcd://a:2379,b:2379".into())]
        );
    }
}

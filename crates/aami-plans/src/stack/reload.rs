//! How Prometheus comes to read its rules again where it listens for other machines too.
//!
//! Its own endpoint for that would be open to all of them, with one beside it that ends it. So the control plane, which
//! may reload no unit, writes a file, and systemd, which watches the file, reloads the unit. A container it can signal even
//! less, and there may be no systemd: there Prometheus looks for itself, which it can since 3.0.

use aami_install::effect::{Placement, UnitState};
use aami_install::{Content, Effect, Mark, Owner, StepError};

use super::config::broken;
use super::layout::Layout;
use super::part::Part;
use super::wishes::{Runtime, Wishes};

const PATH: &str = "aami-prometheus-reload.path";
const SERVICE: &str = "aami-prometheus-reload.service";

/// Whether it is told this way.
pub(crate) fn is_by_file(wishes: &Wishes) -> bool {
    wishes.expose && wishes.control_plane && wishes.runtime == Runtime::Systemd
}

/// How often a Prometheus in a container looks: well within the time it is given to load rules.
const LOOKS_EVERY: &str = "5s";

/// What a Prometheus of this version is started with to look for itself, where nobody can tell it; nothing where somebody
/// can, or where it cannot look.
pub(crate) fn by_itself(wishes: &Wishes, version: &str) -> Vec<String> {
    if !is_untold(wishes) || !can_look(version) {
        return Vec::new();
    }
    vec![
        "--enable-feature=auto-reload-config".to_owned(),
        format!("--config.auto-reload-interval={LOOKS_EVERY}"),
    ]
}

/// Why a Prometheus of this version would never hear of new rules, where it is so.
pub(crate) fn never_hears(wishes: &Wishes, version: &str) -> Option<String> {
    (is_untold(wishes) && !can_look(version)).then(|| {
        format!(
            "Prometheus {version} in a container that listens for other machines cannot be told of new rules: use 3.0 or \
             later, or --expose=false; until then restart it after each change (`docker restart {}`)",
            Part::Prometheus.container()
        )
    })
}

/// Whether nobody can tell it: neither its endpoint is open nor does anybody watch a file for it.
fn is_untold(wishes: &Wishes) -> bool {
    wishes.expose && wishes.control_plane && wishes.runtime == Runtime::Compose
}

fn can_look(version: &str) -> bool {
    let major = version.trim_start_matches('v').split('.').next();
    major
        .and_then(|major| major.parse::<u32>().ok())
        .is_some_and(|major| major >= 3)
}

/// The unit that watches, and the one it starts.
pub(crate) fn effects(layout: &Layout) -> Result<Vec<Effect>, StepError> {
    let path = format!(
        "[Unit]\nDescription=Prometheus has other rules, installed by AAMI\n\n[Path]\nPathChanged={}\nUnit={SERVICE}\n\n\
         [Install]\nWantedBy=multi-user.target\n",
        layout.reload
    );
    // Rules may change often; what is asked for twice is done twice.
    let service = format!(
        "[Unit]\nDescription=Prometheus reads its rules again, installed by AAMI\nStartLimitIntervalSec=0\n\n[Service]\n\
         Type=oneshot\nExecStart=systemctl reload {}\n",
        Part::Prometheus.unit()
    );
    let mut effects = Vec::new();
    for (name, text) in [(SERVICE, service), (PATH, path)] {
        let file = Layout::unit(name).map_err(broken)?;
        let placement = Placement::new(file, Content::bytes(text), 0o644, Some(Owner::root()));
        effects.push(Effect::WriteFile(placement.marked(Mark::Hash)));
    }
    let watched = Layout::unit(PATH).map_err(broken)?;
    effects.push(Effect::UnitState(UnitState::up(PATH, [watched])));
    Ok(effects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_listens_for_others_is_told_by_a_file() {
        let mut wishes = Wishes::usual().unwrap();
        assert!(!is_by_file(&wishes), "on loopback it is told by itself");
        wishes.expose = true;
        assert!(is_by_file(&wishes));
        let layout = Layout::of(&wishes).unwrap();
        assert_eq!(effects(&layout).unwrap().len(), 3);
        let text = super::super::config::server(&wishes, &layout, &[Part::Prometheus]).unwrap();
        assert!(
            text.contains("prometheus_reload: \"/var/lib/aami/targets/reload\"\n"),
            "{text}"
        );
    }

    #[test]
    fn in_a_container_that_listens_for_others_it_looks_for_itself() {
        let mut wishes = Wishes::usual().unwrap();
        wishes.expose = true;
        assert!(by_itself(&wishes, "3.5.0").is_empty(), "under systemd it is told");
        wishes.runtime = Runtime::Compose;
        assert!(!is_by_file(&wishes), "nobody watches a file there");
        assert_eq!(
            by_itself(&wishes, "3.5.0"),
            [
                "--enable-feature=auto-reload-config",
                "--config.auto-reload-interval=5s"
            ]
        );
        assert_eq!(never_hears(&wishes, "3.5.0"), None);
        // One that cannot look would not start with that, and somebody is told.
        for old in ["2.42.0", "v2.55.1", "unknown"] {
            assert!(by_itself(&wishes, old).is_empty(), "{old}");
            assert!(never_hears(&wishes, old).unwrap().contains(old));
        }
        assert!(!by_itself(&wishes, "10.0.0").is_empty());
        // On loopback its endpoint is open to this machine, and that is told.
        wishes.expose = false;
        assert!(by_itself(&wishes, "3.5.0").is_empty());
        assert_eq!(never_hears(&wishes, "2.42.0"), None);
    }
}

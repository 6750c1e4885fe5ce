//! Telling Prometheus to read its rules again where it listens for other machines too.
//!
//! Its own endpoint for that would be open to all of them, with one beside it that ends it. So the control plane, which
//! may reload no unit, writes a file, and systemd, which watches the file, reloads the unit.

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
}

//! Whether commands act on a control plane or on the file fleet.
//!
//! A control plane is taken where the command line or the environment names one, else where `server:` in the
//! configuration does, else where one on this machine left its admin key and no configuration was named. In all
//! other cases it is the file fleet. Which of the two it is, is said on standard error.

use aami_config::config::Server;

use super::{ApiFleet, FileFleet, Fleet, Place};
use crate::cli::failure::Failure;
use crate::cli::reach::Reach;
use crate::cli::screen::Screen;
use crate::cli::session::Session;
use crate::cli::surroundings::Surroundings;

/// Which it is.
#[derive(Debug)]
pub(crate) enum Decision {
    /// A control plane.
    Plane(Box<Plane>),
    /// The file fleet.
    File(Box<Place>),
}

/// A control plane that was decided for, and where the operator's settings lie beside it.
#[derive(Debug)]
pub(crate) struct Plane {
    configured: Option<Server>,
    place: Place,
}

impl Plane {
    /// Finds it and says which it is.
    pub(crate) fn connect(&self, reach: &Reach, mut screen: Screen) -> Result<Session, Failure> {
        let reached = reach.connect(&self.place.surroundings, self.configured.as_ref())?;
        for note in &reached.notes {
            screen.note(note);
        }
        Ok(Session {
            client: reached.client,
            screen,
        })
    }
}

/// Decides, without asking anybody.
pub(crate) fn decide(reach: &Reach, surroundings: &Surroundings) -> Result<Decision, Failure> {
    let place = Place::new(reach.root.as_deref(), reach.config.as_deref(), surroundings);
    let plane = |configured, place| Ok(Decision::Plane(Box::new(Plane { configured, place })));
    let settings = place.read();
    let configured = |settings: super::Settings| settings.read.config.server;
    if reach.names_one(surroundings) {
        // What the configuration says of a control plane may help; that it cannot be read hinders nobody.
        return plane(settings.ok().flatten().and_then(configured), place);
    }
    let is_forbidden = |failure: &Failure| matches!(failure, Failure::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied);
    let configured = match settings {
        Ok(settings) => settings.and_then(configured),
        Err(failure) if reach.config.is_none() && is_forbidden(&failure) && reach.finds_one(surroundings) => {
            None
        }
        Err(failure) => return Err(failure),
    };
    if configured.is_some() || (reach.config.is_none() && reach.finds_one(surroundings)) {
        return plane(configured, place);
    }
    Ok(Decision::File(Box::new(place)))
}

/// The fleet there is.
pub(crate) fn choose(
    reach: &Reach,
    surroundings: &Surroundings,
    mut screen: Screen,
) -> Result<Box<dyn Fleet>, Failure> {
    Ok(match decide(reach, surroundings)? {
        Decision::Plane(plane) => {
            let session = plane.connect(reach, screen)?;
            Box::new(ApiFleet::new(session, plane.place))
        }
        Decision::File(place) => {
            screen.note(&format!(
                "aami: acting on the file fleet {}",
                place.config.display()
            ));
            Box::new(FileFleet::new(*place, screen))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const KEY: &str = "aamik_abc_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    fn reach(root: &Path) -> Reach {
        Reach {
            root: Some(root.to_owned()),
            ..Reach::default()
        }
    }

    fn is_file(reach: &Reach, surroundings: &Surroundings) -> bool {
        matches!(decide(reach, surroundings).unwrap(), Decision::File(_))
    }

    const FLEET: (&str, &str) = ("etc/aami/config.yaml", "cluster: {name: x}\n");
    const SERVED: (&str, &str) = (
        "etc/aami/config.yaml",
        "cluster: {name: x}\nserver: https://conf:8080\n",
    );

    #[test]
    fn a_control_plane_that_is_named_anywhere_is_taken_and_else_the_file() {
        let nobody = Surroundings::default();
        let named = Surroundings {
            server: Some("https://env:8080".into()),
            ..Surroundings::default()
        };
        for (files, surroundings, expected) in [
            (&[][..], &nobody, true),
            (&[FLEET], &nobody, true),
            (&[FLEET], &named, false),
            (&[SERVED], &nobody, false),
            (&[("var/lib/aami/server/admin.key", KEY)], &nobody, false),
            (&[FLEET, ("var/lib/aami/admin.key", KEY)], &nobody, false),
        ] {
            let root = root(files);
            assert_eq!(is_file(&reach(root.path()), surroundings), expected, "{files:?}");
        }
    }

    #[test]
    fn a_configuration_that_is_named_outranks_a_key_that_lies_about() {
        let root = root(&[FLEET, ("var/lib/aami/admin.key", KEY)]);
        let named = Reach {
            config: Some(root.path().join(FLEET.0)),
            ..reach(root.path())
        };
        assert!(is_file(&named, &Surroundings::default()));
    }

    #[test]
    fn a_broken_configuration_is_told_and_nobody_guesses_what_it_meant() {
        let root = root(&[
            ("etc/aami/config.yaml", "cluster: [\n"),
            ("var/lib/aami/admin.key", KEY),
        ]);
        let failure = decide(&reach(root.path()), &Surroundings::default()).unwrap_err();
        assert_eq!(failure.code(), Some(aami_model::code::FLEET_INVALID));
        // A control plane that is named needs nothing of it.
        let named = Reach {
            server: Some("https://flag:1".into()),
            ..reach(root.path())
        };
        assert!(!is_file(&named, &Surroundings::default()));
    }
}

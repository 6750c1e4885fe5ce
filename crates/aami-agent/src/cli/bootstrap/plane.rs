//! Which control plane a bootstrap enrols with, and how it is reached; or that there is none.

use aami_api::client::Settings;
use aami_model::code;
use aami_plans::node::Enrolment;

use super::super::failure::Failure;
use super::super::node::settings;
use super::super::screen;
use super::super::surroundings::Surroundings;
use super::{Bootstrap, trust};

impl Bootstrap {
    /// How to reach the control plane; nothing for a node on its own.
    pub(super) fn api(
        &self,
        before: Option<&Enrolment>,
        surroundings: &Surroundings,
    ) -> Result<Option<Settings>, Failure> {
        let Some(server) = self.wanted(before, surroundings)? else {
            return Ok(None);
        };
        let server = server.trim_end_matches('/').to_owned();
        let believed = trust::trust(&server, self.ca_file.as_deref(), self.pin.as_deref(), before);
        let believed = believed.map_err(|failure| {
            if self.pin.is_some() {
                trust::pinned(failure)
            } else {
                failure
            }
        })?;
        if trust::is_in_the_open(&server) {
            if !self.plain_http {
                let sentence = format!("nobody can tell who answers at {server}");
                return Err(Failure::new(code::SERVER_NOT_TRUSTED, sentence)
                    .with_hint("Use https://, or say --plain-http if you trust the network."));
            }
            let what = "the connection to the control plane is plain HTTP: whoever is in between can read the token \
                        and change what is installed; checksums guard against corruption only";
            screen::warn(what, self.json);
        }
        settings(&server, believed, &surroundings.proxies).map(Some)
    }

    /// The address that is asked for, or was before. A node that stands on its own stays so until it is told otherwise.
    fn wanted(
        &self,
        before: Option<&Enrolment>,
        surroundings: &Surroundings,
    ) -> Result<Option<String>, Failure> {
        if self.standalone {
            return Ok(None);
        }
        if let Some(server) = self.server.as_ref().or(surroundings.server.as_ref()) {
            return Ok(Some(server.clone()));
        }
        let before = before.map(|before| before.server.clone());
        before.ok_or_else(|| {
            Failure::invalid(
                "--server is needed: the control plane's address; or --standalone, where there is none",
            )
        })
    }
}

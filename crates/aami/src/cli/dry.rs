//! Dry runs: what a command would ask of a control plane, told instead of asked.
//!
//! A command that changes something has a [`Dry`], and makes a [`Change`]: the one request it does it by. That is sent,
//! or it is told with [`Change::would`]; so what a dry run tells is what would be sent. Before it is told, the command
//! reads what it is about, and [`absent`] and its siblings judge it: what the control plane would refuse for a reason
//! that can be read there is refused in a dry run too, with the same code. What only the control plane can judge, such as
//! whether a key may do it, is not judged.
//!
//! Nothing here sends anything but reads where `--dry-run` is said, and no secret is ever told.

use std::fmt::Display;

use aami_api::client::{Answer, ClientError};
use aami_model::code;
use aami_model::group::name_fits;
use clap::Args;
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::each::Done;
use super::failure::Failure;
use super::session::Session;

/// Members of requests that hold a secret, wherever they stand.
const SECRETS: [&str; 5] = ["authorization", "secret", "smtp_password", "password", "token"];
/// What is told in place of one.
const HIDDEN: &str = "***";

/// Whether something is only told.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Dry {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// One request that changes something.
pub(crate) struct Change<'a, B: Serialize + ?Sized> {
    method: Method,
    path: String,
    body: Option<&'a B>,
    /// Sent as `If-Match`: only as it was looked at.
    etag: Option<&'a str>,
    /// Members that hold a secret in this request beside those that always do.
    hidden: &'static [&'static str],
}

impl Change<'static, ()> {
    /// A request without a body.
    pub(crate) fn bare(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            body: None,
            etag: None,
            hidden: &[],
        }
    }

    /// What takes something away.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::bare(Method::DELETE, path)
    }
}

impl<'a, B: Serialize + ?Sized> Change<'a, B> {
    /// A request with a body.
    pub(crate) fn new(method: Method, path: impl Into<String>, body: &'a B) -> Self {
        Self {
            method,
            path: path.into(),
            body: Some(body),
            etag: None,
            hidden: &[],
        }
    }

    /// Only as it was looked at: what somebody else changed meanwhile is not undone unseen.
    pub(crate) fn unchanged_since(self, etag: Option<&'a str>) -> Self {
        Self { etag, ..self }
    }

    /// These members hold a secret too.
    pub(crate) fn hiding(self, hidden: &'static [&'static str]) -> Self {
        Self { hidden, ..self }
    }

    /// Does it.
    pub(crate) fn send<T: DeserializeOwned>(&self, session: &Session) -> Result<T, Failure> {
        let unchanged: Vec<(&str, &str)> = self.etag.iter().map(|etag| ("if-match", *etag)).collect();
        let answer: Answer<T> =
            (session.client).call(self.method.clone(), &self.path, self.body, &unchanged)?;
        Ok(answer.body)
    }

    /// Tells it: `sentence` says what would become of the thing with this id or name.
    pub(crate) fn would(&self, id: impl Display, sentence: impl Into<String>) -> Result<Done, Failure> {
        let mut body = match self.body {
            Some(body) => Some(serde_json::to_value(body).map_err(ClientError::Encode)?),
            None => None,
        };
        if let Some(body) = &mut body {
            hide(body, self.hidden);
        }
        Ok(Done::would(id, sentence).by(Request {
            method: self.method.to_string(),
            path: self.path.clone(),
            body,
        }))
    }

    /// Tells it as all that the command does.
    pub(crate) fn tell(
        &self,
        session: &mut Session,
        id: impl Display,
        sentence: impl Into<String>,
    ) -> Result<aami_model::Exit, Failure> {
        self.would(id, sentence)?.tell(&mut session.screen)
    }
}

/// A request as it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Request {
    method: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
}

impl Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        match &self.body {
            Some(body) => write!(f, " {body}"),
            None => Ok(()),
        }
    }
}

/// Takes secrets out of what is told. What is empty takes one away, and is told.
fn hide(value: &mut Value, more: &[&str]) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let is_secret = SECRETS.contains(&name.as_str()) || more.contains(&name.as_str());
                match member {
                    Value::String(text) if is_secret && !text.is_empty() => HIDDEN.clone_into(text),
                    member => hide(member, more),
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                hide(item, more);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Refuses a name that no group, token, key or destination has.
pub(crate) fn fitting(name: &str) -> Result<(), Failure> {
    if name_fits(name) {
        return Ok(());
    }
    Err(Failure::invalid(
        "name: it is 1 to 64 printable characters without white space at either end",
    ))
}

/// Refuses what is to be made and is there already.
pub(crate) fn absent(session: &Session, path: &str, what: &str) -> Result<(), Failure> {
    match session.client.get::<Value>(path) {
        Ok(_) => Err(Failure::found(code::CONFLICT, format!("there is {what} already"))),
        Err(ClientError::Refused(problem)) if problem.status == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Refuses what is about something that is not there.
pub(crate) fn there(session: &Session, path: &str) -> Result<(), Failure> {
    let _: Value = session.client.get(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_secret_is_told_wherever_it_stands() {
        let body = json!({
            "name": "pager",
            "url": "https://hooks.example.com/T0/B0/verysecret",
            "authorization": "Bearer verysecret",
            "smtp_password": "verysecret",
            "deeper": [{ "secret": "whsec_verysecret" }],
        });
        let change = Change::new(Method::POST, "/api/v1/webhooks", &body);
        let told = change
            .hiding(&["url"])
            .would("pager", "it would be made")
            .unwrap();
        let line = told.line();
        assert!(!line.contains("verysecret"), "{line}");
        assert!(line.contains("\"name\":\"pager\""), "{line}");
        let programs = serde_json::to_string(&told).unwrap();
        assert!(!programs.contains("verysecret") && programs.contains("\"dry_run\":true"));
    }

    #[test]
    fn what_takes_a_secret_away_is_told() {
        let body = json!({ "authorization": "" });
        let told = Change::new(Method::PATCH, "/x", &body).would("x", "x would be changed");
        assert_eq!(
            told.unwrap().line(),
            "x would be changed: PATCH /x {\"authorization\":\"\"}"
        );
    }
}

//! A destination with its secrets opened, and how it is told of one event.

use std::sync::Arc;
use std::time::Duration;

use aami_api::notice::{Notice, ORIGIN};
use aami_model::event::Event;
use aami_model::webhook::{SERVICE, Target, Webhook};
use aami_model::{OrgId, Timestamp};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

use super::seal::Secrets;
use super::sign::{self, Secret};
use super::wire::{Place, Terms, Wire};
use super::{Desk, mail};
use crate::config::Config;
use crate::view::Held;

/// The header that names the control planes an event has passed, so that it never runs in a circle.
pub(crate) const VIA: &str = "aami-via";

/// A destination as it is delivered to.
pub(crate) struct Destination {
    pub(crate) id: String,
    /// In metrics and lists.
    pub(crate) label: String,
    pub(crate) org: Option<OrgId>,
    pub(crate) rate: u32,
    /// Where it begins without a cursor; at the newest event where absent.
    pub(crate) after: Option<u64>,
    filter: Option<Webhook>,
    outlet: Result<Outlet, String>,
}

enum Outlet {
    Post(Post),
    Slack(Terms),
    Mail(mail::Post),
}

struct Post {
    terms: Terms,
    /// What it is signed with, each until when.
    signing: Vec<(Secret, Option<Timestamp>)>,
    authorization: Option<HeaderValue>,
    /// With the words for people beside the notice.
    worded: bool,
}

/// What came of telling it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) status: Option<u16>,
    pub(crate) answer: String,
    pub(crate) error: Option<String>,
    /// How long it wants to be left alone.
    pub(crate) away: Option<Duration>,
}

/// Whether it is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has taken it.
    Taken,
    /// It does not take anything now.
    Later,
    /// It answers, and does not take this.
    Refused,
}

/// One thing to tell.
pub(crate) struct Letter<'a> {
    /// The event's id, the same at every attempt.
    pub(crate) id: &'a str,
    pub(crate) notice: &'a Notice,
    /// The control planes it has passed.
    pub(crate) via: String,
    pub(crate) now: Timestamp,
}

impl Destination {
    /// What an admin made.
    pub(crate) fn of(desk: &Desk, held: &Held<Webhook>) -> Self {
        let webhook = &held.doc;
        let outlet = desk
            .seal
            .open(webhook.id.as_str(), &webhook.sealed)
            .map_err(|error| error.to_string())
            .and_then(|secrets| outlet(desk, webhook, &secrets));
        Self {
            id: webhook.id.to_string(),
            label: webhook.label(),
            org: webhook.org.clone(),
            rate: webhook.rate_per_second,
            after: Some(webhook.after),
            filter: Some(webhook.clone()),
            outlet,
        }
    }

    /// The service the configuration names, if it does.
    pub(crate) fn service(desk: &Desk, config: &Config) -> Option<Self> {
        let url = config.noti_service_url.as_deref()?;
        Some(Self {
            id: SERVICE.to_owned(),
            label: SERVICE.to_owned(),
            org: None,
            rate: aami_model::webhook::USUAL_RATE,
            after: None,
            filter: None,
            outlet: service(desk, config, url),
        })
    }

    /// Whether it is told of an event. What other control planes told is not passed on to the service: it may be
    /// theirs as well.
    pub(crate) fn wants(&self, event: &Event) -> bool {
        match &self.filter {
            Some(webhook) => webhook.wants(&event.kind, &event.org),
            None => event.data.get(ORIGIN).is_none(),
        }
    }

    /// Tells it, once.
    pub(crate) async fn send(&self, wire: &mut Wire, letter: &Letter<'_>, patience: Duration) -> Outcome {
        match &self.outlet {
            Ok(Outlet::Post(post)) => post.send(wire, letter, patience).await,
            Ok(Outlet::Slack(terms)) => slack(terms, wire, letter, patience).await,
            Ok(Outlet::Mail(post)) => by_mail(post, letter, patience).await,
            Err(why) => Outcome::later(why.clone()),
        }
    }
}

fn outlet(desk: &Desk, webhook: &Webhook, secrets: &Secrets) -> Result<Outlet, String> {
    let terms = |url: &str| {
        let place = Place::parse(url).map_err(|why| format!("the URL cannot be used: {why}"))?;
        let tls = match place.tls {
            true => Some(desk.roots.config(webhook.ca.as_deref())?),
            false => None,
        };
        Ok::<_, String>(Terms {
            place,
            tls,
            allow_private: webhook.allow_private,
        })
    };
    match &webhook.target {
        Target::Webhook { url } => {
            let current = secrets.signing.as_deref().and_then(Secret::parse);
            // A receiver that checks signatures would refuse it, and one that does not should not be taught to.
            let current = current.ok_or("it has no signing key; rotate its secret")?;
            let former = secrets.previous.as_ref();
            let former = former.and_then(|(text, until)| Some((Secret::parse(text)?, Some(*until))));
            Ok(Outlet::Post(Post {
                terms: terms(url)?,
                signing: [(current, None)].into_iter().chain(former).collect(),
                authorization: secrets.authorization.as_deref().map(sensitive).transpose()?,
                worded: true,
            }))
        }
        Target::Slack { .. } => Ok(Outlet::Slack(terms(secrets.url.as_deref().unwrap_or_default())?)),
        Target::Email {
            server,
            tls,
            from,
            to,
            user,
        } => {
            let (host, port) = server.rsplit_once(':').ok_or("the mail server is no host:port")?;
            let mailbox = |text: &String| text.parse().map_err(|_| format!("{text} is no mailbox"));
            Ok(Outlet::Mail(mail::Post {
                host: host.trim_matches(['[', ']']).to_owned(),
                port: port.parse().map_err(|_| "the mail server is no host:port")?,
                tls: *tls,
                from: mailbox(from)?,
                to: to.iter().map(mailbox).collect::<Result<_, _>>()?,
                credentials: user.clone().zip(secrets.password.clone()),
                ca: webhook.ca.clone(),
                allow_private: webhook.allow_private,
            }))
        }
    }
}

fn service(desk: &Desk, config: &Config, url: &str) -> Result<Outlet, String> {
    let place = Place::parse(url)
        .map_err(|why| format!("noti_service_url cannot be used: {why}"))?
        .join("/events");
    let read = |path: &Option<std::path::PathBuf>| match path {
        None => Ok(None),
        Some(path) => std::fs::read_to_string(path)
            .map(|text| Some(text.trim().to_owned()))
            .map_err(|error| format!("{} cannot be read: {error}", path.display())),
    };
    let tls = match place.tls {
        true => Some(desk.roots.config(read(&config.noti_ca_file)?.as_deref())?),
        false => None,
    };
    let signing = match read(&config.noti_secret_file)? {
        None => Vec::new(),
        Some(text) => vec![(
            Secret::parse(&text).ok_or("noti_secret_file holds no whsec_ secret")?,
            None,
        )],
    };
    let authorization = read(&config.noti_key_file)?
        .map(|key| sensitive(&format!("Bearer {key}")))
        .transpose()?;
    Ok(Outlet::Post(Post {
        // Whoever writes the configuration of this machine may name an address of this machine.
        terms: Terms {
            place,
            tls,
            allow_private: true,
        },
        signing,
        authorization,
        worded: false,
    }))
}

fn sensitive(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "the authorization holds characters no header may".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn json_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        header::USER_AGENT,
        HeaderValue::from_static(concat!("aami/", env!("CARGO_PKG_VERSION"))),
    );
    headers
}

impl Post {
    async fn send(&self, wire: &mut Wire, letter: &Letter<'_>, patience: Duration) -> Outcome {
        let body = if self.worded {
            serde_json::to_vec(&letter.notice.worded())
        } else {
            serde_json::to_vec(letter.notice)
        };
        let body = Bytes::from(body.unwrap_or_default());
        let seconds = letter.now.millis() / 1000;
        let signatures: Vec<String> = self
            .signing
            .iter()
            .filter(|(_, until)| until.is_none_or(|until| letter.now < until))
            .map(|(secret, _)| secret.sign(letter.id, seconds, &body))
            .collect();
        let mut headers = json_headers();
        for (name, value) in [
            (sign::ID, letter.id.to_owned()),
            (sign::TIMESTAMP, seconds.to_string()),
            (sign::SIGNATURE, signatures.join(" ")),
            (VIA, letter.via.clone()),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value)
                && !value.is_empty()
            {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        post(&self.terms, wire, &headers, &body, patience).await
    }
}

/// What Slack takes: one text, in which three characters mean something.
/// <https://api.slack.com/reference/surfaces/formatting#escaping>
async fn slack(terms: &Terms, wire: &mut Wire, letter: &Letter<'_>, patience: Duration) -> Outcome {
    let escaped = |text: String| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    let text = format!(
        "*{}*\n{}",
        escaped(letter.notice.title()),
        escaped(letter.notice.text())
    );
    let body = Bytes::from(serde_json::to_vec(&json!({ "text": text })).unwrap_or_default());
    post(terms, wire, &json_headers(), &body, patience).await
}

async fn post(
    terms: &Terms,
    wire: &mut Wire,
    headers: &HeaderMap,
    body: &Bytes,
    patience: Duration,
) -> Outcome {
    let answer = match wire.post(terms, headers, body, patience).await {
        Ok(answer) => answer,
        Err(error) => return Outcome::later(error.to_string()),
    };
    let status = answer.status;
    let (verdict, error) = match status {
        status if status.is_success() => (Verdict::Taken, None),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
            (Verdict::Later, Some(format!("it answered {status}")))
        }
        status if status.is_server_error() => (Verdict::Later, Some(format!("it answered {status}"))),
        status if status.is_redirection() => (
            Verdict::Refused,
            Some(format!("it answered {status}; redirects are not followed")),
        ),
        status => (Verdict::Refused, Some(format!("it answered {status}"))),
    };
    Outcome {
        verdict,
        status: Some(status.as_u16()),
        answer: answer.text,
        error,
        away: answer.retry_after.filter(|_| verdict == Verdict::Later),
    }
}

async fn by_mail(post: &mail::Post, letter: &Letter<'_>, patience: Duration) -> Outcome {
    match post.send(letter.id, letter.notice, patience).await {
        Ok((status, answer)) => Outcome {
            verdict: Verdict::Taken,
            status: Some(status),
            answer,
            error: None,
            away: None,
        },
        Err(error) => {
            let (verdict, status) = match &error {
                mail::MailError::Refused {
                    permanent: true,
                    status,
                    ..
                } => (Verdict::Refused, *status),
                mail::MailError::Refused { status, .. } => (Verdict::Later, *status),
                mail::MailError::Write(_) => (Verdict::Refused, None),
                mail::MailError::Wire(_) => (Verdict::Later, None),
            };
            Outcome {
                verdict,
                status,
                ..Outcome::later(error.to_string())
            }
        }
    }
}

impl Outcome {
    fn later(error: String) -> Self {
        Self {
            verdict: Verdict::Later,
            status: None,
            answer: String::new(),
            error: Some(error),
            away: None,
        }
    }
}

/// The control planes an event has passed, this one last.
pub(crate) fn via(event: &Event, here: &str) -> String {
    let passed = event.data.get(ORIGIN).and_then(|origin| origin.get("via"));
    match passed.and_then(|via| via.as_str()) {
        Some(via) if !via.is_empty() => format!("{via}, {here}"),
        _ => here.to_owned(),
    }
}

/// Says what is wrong with a URL to post to.
pub(crate) fn check_url(url: &str) -> Result<(), &'static str> {
    Place::parse(url).map(drop)
}

/// What is held for as long as a destination stays as it is.
pub(crate) type Shared = Arc<Destination>;

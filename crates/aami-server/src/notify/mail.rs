//! One mail to the mailboxes of a destination. Always over TLS; the address is judged as for a webhook.

use std::time::Duration;

use aami_api::notice::Notice;
use aami_model::webhook::MailTls;
use lettre::message::{Mailbox, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::wire::{self, WireError, harmless};

/// Where mail goes, and as whom.
pub(crate) struct Post {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: MailTls,
    pub(crate) from: Mailbox,
    pub(crate) to: Vec<Mailbox>,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) ca: Option<String>,
    pub(crate) allow_private: bool,
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    /// The server cannot be reached.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// It cannot be written.
    #[error("the mail cannot be written: {0}")]
    Write(String),
    /// The server said no; `status` is its code.
    #[error("the mail server refuses: {why}")]
    Refused {
        status: Option<u16>,
        why: String,
        permanent: bool,
    },
}

impl Post {
    /// Sends what a notice says; answers the server's code and words.
    pub(crate) async fn send(
        &self,
        id: &str,
        notice: &Notice,
        patience: Duration,
    ) -> Result<(u16, String), MailError> {
        let sending = self.exchange(id, notice, patience);
        tokio::time::timeout(patience, sending).await.unwrap_or_else(|_| {
            Err(MailError::Wire(WireError::Slow {
                host: self.host.clone(),
                patience,
            }))
        })
    }

    async fn exchange(
        &self,
        id: &str,
        notice: &Notice,
        patience: Duration,
    ) -> Result<(u16, String), MailError> {
        let message = self.message(id, notice)?;
        // The address that was judged is the one that is connected to; the certificate must be the name's.
        let peer = wire::connect(&self.host, self.port, self.allow_private)
            .await?
            .peer_addr()
            .map_err(|error| MailError::Write(error.to_string()))?;
        let refused = |why: String| MailError::Write(why);
        let mut parameters = TlsParameters::builder(self.host.clone());
        if let Some(ca) = &self.ca {
            let ca = Certificate::from_pem(ca.as_bytes()).map_err(|error| refused(error.to_string()))?;
            parameters = parameters
                .certificate_store(CertificateStore::None)
                .add_root_certificate(ca);
        }
        let parameters = parameters
            .build_rustls()
            .map_err(|error| refused(error.to_string()))?;
        let tls = match self.tls {
            MailTls::Starttls => Tls::Required(parameters),
            MailTls::Implicit => Tls::Wrapper(parameters),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(peer.ip().to_string())
            .port(self.port)
            .tls(tls)
            .timeout(Some(patience));
        if let Some((user, password)) = &self.credentials {
            transport = transport.credentials(Credentials::new(user.clone(), password.clone()));
        }
        match transport.build().send(message).await {
            Ok(response) => {
                let code: u16 = response.code().to_string().parse().unwrap_or_default();
                let text = response.message().collect::<Vec<_>>().join(" ");
                Ok((code, harmless(&text)))
            }
            Err(error) => Err(MailError::Refused {
                status: error.status().and_then(|code| code.to_string().parse().ok()),
                why: harmless(&chain(&error)),
                permanent: error.is_permanent(),
            }),
        }
    }

    fn message(&self, id: &str, notice: &Notice) -> Result<Message, MailError> {
        let mut message = Message::builder()
            .from(self.from.clone())
            // The same event is the same mail, however often it is sent.
            .message_id(Some(format!("<{id}@aami>")))
            .subject(notice.text());
        for to in &self.to {
            message = message.to(to.clone());
        }
        let details = serde_json::to_string_pretty(&notice.data).unwrap_or_default();
        let body = format!(
            "{}\n\nWhat: {}\nWhen: {}\n\n{details}\n",
            notice.text(),
            notice.kind,
            notice.timestamp
        );
        message
            .header(header::ContentType::TEXT_PLAIN)
            .body(body)
            .map_err(|error| MailError::Write(error.to_string()))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

//! The hops at which the way to a host can end, and how the transport's errors are told apart.

use std::io;

use aami_model::code::{self, Code};
use rustls::CertificateError;

/// The hop at which the way to a host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No name server answers.
    NameServer,
    /// There is no such name.
    Name,
    /// Nobody listens there.
    Refused,
    /// Nobody answers.
    Silence,
    /// There is no way there.
    Route,
    /// The handshake failed.
    Tls,
    /// The certificate is signed by nobody who is believed.
    Untrusted,
    /// The certificate is for another name.
    OtherName,
    /// The certificate is not valid now.
    NotNow,
    /// The CA file cannot be used.
    CaFile,
    /// The proxy setting cannot be understood.
    ProxySetting,
    /// The proxy asks for a password.
    ProxyPassword,
    /// The proxy cannot be reached.
    ProxyAway,
    /// The proxy refuses.
    ProxyRefused,
    /// A web page answers.
    Portal,
    /// Something else than a control plane answers.
    NotAami,
    /// The server is not well.
    Unwell,
}

impl Fault {
    /// The registry's entry for it.
    pub const fn code(self) -> Code {
        match self {
            Self::NameServer => code::DNS_FAILED,
            Self::Name => code::NAME_UNKNOWN,
            Self::Refused => code::CONNECTION_REFUSED,
            Self::Silence => code::NO_ANSWER,
            Self::Route => code::NO_ROUTE,
            Self::Tls => code::TLS_FAILED,
            Self::Untrusted => code::SERVER_NOT_TRUSTED,
            Self::OtherName => code::CERTIFICATE_NAME,
            Self::NotNow => code::CERTIFICATE_EXPIRED,
            Self::CaFile => code::CA_FILE_INVALID,
            Self::ProxySetting => code::PROXY_INVALID,
            Self::ProxyPassword => code::PROXY_AUTH,
            Self::ProxyAway => code::PROXY_UNREACHABLE,
            Self::ProxyRefused => code::PROXY_REFUSED,
            Self::Portal => code::CAPTIVE_PORTAL,
            Self::NotAami => code::NOT_AAMI,
            Self::Unwell => code::SERVER_UNWELL,
        }
    }

    /// What it means in a few words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NameServer => "no name server answers",
            Self::Name => "the name is not known",
            Self::Refused => "the connection is refused",
            Self::Silence => "no answer",
            Self::Route => "no way there",
            Self::Tls => "no TLS connection",
            Self::Untrusted => "its certificate is signed by nobody who is trusted here",
            Self::OtherName => "its certificate is for another name",
            Self::NotNow => "its certificate is not valid now",
            Self::CaFile => "the CA file cannot be used",
            Self::ProxySetting => "the proxy setting cannot be understood",
            Self::ProxyPassword => "the proxy asks for a password",
            Self::ProxyAway => "the proxy cannot be reached",
            Self::ProxyRefused => "the proxy refuses",
            Self::Portal => "a web page answers in its place",
            Self::NotAami => "something other than a control plane answers",
            Self::Unwell => "it is not well",
        }
    }

    /// The same fault where it is the proxy's name and address that were tried.
    const fn of_proxy(self) -> Self {
        match self {
            Self::NameServer | Self::Name | Self::Refused | Self::Silence | Self::Route => Self::ProxyAway,
            other => other,
        }
    }

    /// What a failure of the transport means; `by_proxy` where a proxy was asked.
    pub(crate) fn of(error: &ureq::Error, by_proxy: bool) -> (Self, String) {
        let fault = match error {
            ureq::Error::HostNotFound => Self::Name,
            ureq::Error::Timeout(ureq::Timeout::Resolve) => Self::NameServer,
            ureq::Error::Timeout(_) => Self::Silence,
            ureq::Error::ConnectProxyFailed(why) if why.contains("407") => Self::ProxyPassword,
            ureq::Error::ConnectProxyFailed(why) if why.contains("responded") => Self::ProxyRefused,
            ureq::Error::ConnectProxyFailed(_) => Self::ProxyAway,
            ureq::Error::InvalidProxyUrl => Self::ProxySetting,
            ureq::Error::Rustls(error) => of_tls(error),
            ureq::Error::Io(error) => of_io(error),
            _ => Self::Tls,
        };
        // Once there is a way through the proxy, it is the server behind it that is slow.
        let is_through = matches!(error, ureq::Error::Timeout(limit)
            if !matches!(limit, ureq::Timeout::Resolve | ureq::Timeout::Connect));
        let fault = if by_proxy && !is_through {
            fault.of_proxy()
        } else {
            fault
        };
        (fault, error.to_string())
    }
}

fn of_io(error: &io::Error) -> Fault {
    if let Some(tls) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        return of_tls(tls);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Fault::Silence,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Fault::Route
        }
        // A peer that hangs up in the handshake is no TLS server.
        _ => Fault::Tls,
    }
}

fn of_tls(error: &rustls::Error) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Fault::OtherName
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Fault::NotNow,
            _ => Fault::Untrusted,
        },
        rustls::Error::NoCertificatesPresented => Fault::Untrusted,
        _ => Fault::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hop_has_a_code_of_its_own() {
        let of = |error: ureq::Error, by_proxy| Fault::of(&error, by_proxy).0.code().symbol;
        let io = |kind: io::ErrorKind| ureq::Error::Io(kind.into());
        let tls = |why| ureq::Error::Rustls(rustls::Error::InvalidCertificate(why));
        let connect = |text: &str| ureq::Error::ConnectProxyFailed(text.to_owned());
        assert_eq!(of(ureq::Error::HostNotFound, false), "NAME_UNKNOWN");
        assert_eq!(of(ureq::Error::HostNotFound, true), "PROXY_UNREACHABLE");
        assert_eq!(
            of(io(io::ErrorKind::ConnectionRefused), false),
            "CONNECTION_REFUSED"
        );
        assert_eq!(
            of(io(io::ErrorKind::ConnectionRefused), true),
            "PROXY_UNREACHABLE"
        );
        assert_eq!(
            of(ureq::Error::Timeout(ureq::Timeout::Connect), false),
            "NO_ANSWER"
        );
        // Behind a proxy, one that cannot be had is told apart from a server that is slow.
        let late = |limit| of(ureq::Error::Timeout(limit), true);
        assert_eq!(late(ureq::Timeout::Connect), "PROXY_UNREACHABLE");
        assert_eq!(late(ureq::Timeout::RecvResponse), "NO_ANSWER");
        assert_eq!(late(ureq::Timeout::Global), "NO_ANSWER");
        assert_eq!(of(io(io::ErrorKind::NetworkUnreachable), false), "NO_ROUTE");
        assert_eq!(
            of(tls(CertificateError::UnknownIssuer), false),
            "SERVER_NOT_TRUSTED"
        );
        assert_eq!(
            of(tls(CertificateError::NotValidForName), true),
            "CERTIFICATE_NAME"
        );
        assert_eq!(of(tls(CertificateError::Expired), false), "CERTIFICATE_EXPIRED");
        let wrapped = io::Error::other(rustls::Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType,
        ));
        assert_eq!(of(ureq::Error::Io(wrapped), false), "TLS_FAILED");
        assert_eq!(of(connect("proxy server responded 407/407"), true), "PROXY_AUTH");
        assert_eq!(
            of(connect("proxy server responded 403/403"), true),
            "PROXY_REFUSED"
        );
        assert_eq!(
            of(connect("proxy server did not respond"), true),
            "PROXY_UNREACHABLE"
        );
    }
}

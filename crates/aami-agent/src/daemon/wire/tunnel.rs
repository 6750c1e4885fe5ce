//! A tunnel through an HTTP proxy (RFC 9110, section 9.3.6). The proxy's address may hold a password: it is sent to
//! the proxy and said to nobody.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use data_encoding::BASE64;
use tungstenite::http::Uri;

use super::connect;
use super::stream::Timed;

/// No proxy's answer is longer.
const LONGEST: usize = 8 * 1024;

/// Connects to `host` through `proxy`.
pub(super) fn through(proxy: &str, host: &str, port: u16, deadline: Instant) -> io::Result<TcpStream> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidInput, why.to_owned());
    let with_scheme = if proxy.contains("://") {
        proxy.to_owned()
    } else {
        format!("http://{proxy}")
    };
    let uri: Uri = with_scheme
        .parse()
        .map_err(|_| bad("the proxy setting cannot be understood"))?;
    if uri.scheme_str() != Some("http") {
        return Err(bad("a proxy is spoken to by http:// alone"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let credential = authority.rsplit_once('@').map(|(credential, _)| credential);
    let address = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let tcp = connect(address, uri.port_u16().unwrap_or(80), deadline)
        .map_err(|error| io::Error::new(error.kind(), format!("the proxy cannot be reached: {error}")))?;
    let target = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(credential) = credential {
        let text = BASE64.encode(credential.as_bytes());
        request.push_str(&format!("Proxy-Authorization: Basic {text}\r\n"));
    }
    request.push_str("\r\n");
    let mut timed = Timed::until(tcp.try_clone()?, deadline);
    timed.write_all(request.as_bytes())?;
    // Byte by byte: what follows the answer is the server's.
    let mut answer = Vec::new();
    let mut byte = [0_u8; 1];
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= LONGEST || timed.read(&mut byte)? == 0 {
            return Err(bad("the proxy gave no answer that could be understood"));
        }
        answer.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).unwrap_or_default();
    if !text.starts_with("HTTP/1.") || status != "200" {
        let shown: String = status.chars().filter(char::is_ascii_digit).take(3).collect();
        return Err(bad(&format!("the proxy refused: {shown}")));
    }
    Ok(tcp)
}

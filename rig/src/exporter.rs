//! What the stand-ins for exporters have in common: metrics, to whoever asks.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Serves `metrics`, made anew for each request, at `address` for as long as the process runs.
pub fn serve(address: SocketAddr, metrics: impl Fn() -> Result<String, String>) -> Result<(), String> {
    let listener = TcpListener::bind(address).map_err(|error| format!("{address}: {error}"))?;
    for stream in listener.incoming().flatten() {
        // Whoever goes away early has what they wanted.
        let _ = metrics().map(|metrics| answer(stream, &metrics));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, metrics: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{metrics}",
        metrics.len()
    )
}

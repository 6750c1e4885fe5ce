//! A real nginx on free loopback ports, with files of a test's own.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running nginx; gone with this value.
pub(crate) struct Nginx {
    child: Child,
    folder: tempfile::TempDir,
    /// The port that speaks plain HTTP.
    pub(crate) port: u16,
    /// The port that speaks TLS.
    pub(crate) tls_port: u16,
    /// The CA that signed its certificate, PEM.
    pub(crate) ca: String,
}

/// Starts nginx: the system's package, unpacked into a cache and not installed.
pub(crate) fn start() -> Nginx {
    let packages = rig::cache::packages(None, &["nginx"]).unwrap();
    Nginx::start(&packages.join("usr/sbin/nginx"))
}

impl Nginx {
    fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["html", "logs", "tmp"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let (certificate, key, ca) = certificate();
        fs::write(root.join("cert.pem"), certificate).unwrap();
        fs::write(root.join("key.pem"), key).unwrap();
        // Another process may take a port between its choice and nginx's bind: then choose again.
        for _ in 0..10 {
            let (port, tls_port) = (free_port(), free_port());
            fs::write(root.join("nginx.conf"), configuration(root, port, tls_port)).unwrap();
            let mut child = Command::new(program)
                .arg("-p")
                .arg(root)
                .arg("-c")
                .arg(root.join("nginx.conf"))
                .arg("-e")
                .arg(root.join("logs/error.log"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            if is_up(&mut child, port) {
                return Self {
                    child,
                    folder,
                    port,
                    tls_port,
                    ca,
                };
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!(
            "nginx did not start: {}",
            fs::read_to_string(root.join("logs/error.log")).unwrap_or_default()
        );
    }

    /// Puts a file where it is served.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("html").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    pub(crate) fn tls_url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.tls_port)
    }

    /// The lines of its access log that ask for `path`: method, status, bytes sent, Range.
    pub(crate) fn requests(&self, path: &str) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("logs/access.log")).unwrap_or_default();
        log.lines()
            .filter(|line| line.split(' ').next() == Some(path))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn is_up(child: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    false
}

fn certificate() -> (String, String, String) {
    let mut ca_parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    ca_parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertifiedIssuer::self_signed(ca_parameters, ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &ca)
        .unwrap();
    (leaf.pem(), key.serialize_pem(), ca.pem())
}

fn configuration(root: &Path, port: u16, tls_port: u16) -> String {
    let root = root.display();
    // Not a daemon and no master: the process started is the one that is killed.
    format!(
        "daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/logs/error.log;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n\
           client_body_temp_path {root}/tmp/b; proxy_temp_path {root}/tmp/p; fastcgi_temp_path {root}/tmp/f;\n\
           uwsgi_temp_path {root}/tmp/u; scgi_temp_path {root}/tmp/s;\n\
           log_format asked '$uri $request_method $status $body_bytes_sent range=$http_range auth=$http_authorization';\n\
           access_log {root}/logs/access.log asked;\n\
           root {root}/html; default_type application/octet-stream;\n\
           server {{\n\
             listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl;\n\
             ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem;\n\
             location /private/ {{ if ($http_authorization != 'Bearer mirror-token') {{ return 401; }} }}\n\
             location /moved/ {{ return 302 http://127.0.0.1:{port}/; }}\n\
             location /away/ {{ rewrite ^/away/(.*)$ /private/$1 redirect; }}\n\
             location /portal/ {{ default_type text/html; return 200 '<html><title>Sign in</title>'; }}\n\
             location /busy/ {{ return 503; }}\n\
           }}\n\
         }}\n"
    )
}

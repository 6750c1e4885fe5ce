//! The peer for discovery: nginx serving the same bytes as a static file.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// An nginx at work; ends with this.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// One that serves `body` as `/list.json`.
    pub(crate) fn start(body: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::write(root.join("list.json"), body).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        // Workers run as nobody where we are root, who must reach the folder.
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).unwrap();
        let dir = root.display();
        let config = format!(
            "daemon off; worker_processes 2; pid {dir}/pid; error_log {dir}/error.log;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;\n\
             types {{ application/json json; }}\n\
             client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f;\n\
             uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;\n\
             server {{ listen {address}; root {dir}; }} }}\n"
        );
        std::fs::write(root.join("nginx.conf"), config).unwrap();
        // The one that tests stand on: fetched, never installed.
        let nginx = rig::cache::packages(None, &["nginx"])
            .unwrap()
            .join("usr/sbin/nginx");
        let child = Command::new(nginx)
            .args(["-p"])
            .arg(root)
            .arg("-c")
            .arg(root.join("nginx.conf"))
            // Before it reads its configuration it would complain into a folder of the packages.
            .args(["-e", "stderr"])
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < deadline, "nginx did not start");
            std::thread::yield_now();
        }
        Self {
            child,
            address,
            _folder: folder,
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killing the master alone would leave its workers.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &pid]).status();
        let _ = self.child.wait();
    }
}

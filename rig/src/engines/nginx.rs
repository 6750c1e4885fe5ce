//! One nginx that serves a folder.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{Place, Process, cache, tool, wait_until};

/// What an nginx serves.
#[derive(Debug, Clone, Default)]
pub struct Site {
    folder: PathBuf,
    credentials: Option<(String, String)>,
    extra: String,
}

impl Site {
    /// The files below `folder`.
    pub fn of(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            ..Self::default()
        }
    }

    /// To those who know a name and password alone.
    pub fn behind(mut self, name: &str, password: &str) -> Self {
        self.credentials = Some((name.to_owned(), password.to_owned()));
        self
    }

    /// With more directives in its `server` block.
    pub fn with(mut self, directives: &str) -> Self {
        self.extra.push_str(directives);
        self.extra.push('\n');
        self
    }
}

/// A running nginx.
#[derive(Debug)]
pub struct Nginx<'net> {
    place: Place<'net>,
    port: u16,
    process: Process,
    folder: TempDir,
}

impl<'net> Nginx<'net> {
    /// Starts one that serves `site` over plain HTTP, on port 80 of a host or a free port of loopback.
    pub fn start(place: impl Into<Place<'net>>, site: &Site) -> Result<Self> {
        let place = place.into();
        let port = place.port(80)?;
        let folder = tempfile::Builder::new().prefix("aami-rig-nginx-").tempdir()?;
        let configuration = folder.path().join("nginx.conf");
        std::fs::write(&configuration, configure(site, place, port, folder.path())?)?;
        let binary = cache::packages(None, &["nginx"])?.join("usr/sbin/nginx");
        let mut command = place.command(&binary.to_string_lossy());
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&configuration)
            .args(["-e", "stderr"]);
        let process = Process::start("nginx", command, &folder.path().join("log"))?;
        let mut nginx = Self {
            place,
            port,
            process,
            folder,
        };
        wait_until(Duration::from_secs(10), "nginx answers", || {
            nginx.process.check()?;
            // Any status will do: the folder may be empty or guarded.
            let mut command = nginx.place.command("curl");
            command.args([
                "--silent",
                "--output",
                "/dev/null",
                "--max-time",
                "5",
                &nginx.url(),
            ]);
            let curl = tool::output(&mut command)?;
            ensure!(curl.status.success(), "curl: {}", curl.status);
            Ok(())
        })
        .with_context(|| nginx.log())?;
        Ok(nginx)
    }

    /// Where it answers, `http://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.place.address(), self.port)
    }

    /// The requests it answered, one a line, and its complaints.
    pub fn log(&self) -> String {
        let requests = std::fs::read_to_string(self.folder.path().join("access")).unwrap_or_default();
        requests + &self.process.log()
    }
}

fn configure(site: &Site, place: Place<'_>, port: u16, folder: &Path) -> Result<String> {
    let mut server = String::new();
    if let Some((name, password)) = &site.credentials {
        let file = folder.join("passwords");
        std::fs::write(&file, format!("{name}:{{PLAIN}}{password}\n"))?;
        let _ = writeln!(
            server,
            "auth_basic mirror; auth_basic_user_file {};",
            file.display()
        );
    }
    server.push_str(&site.extra);
    let work = folder.display();
    // One process: the workers of a master that is killed would stay.
    Ok(format!(
        "daemon off; master_process off; pid {work}/pid;
events {{ worker_connections 512; }}
http {{
    access_log {work}/access;
    client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
    uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
    sendfile on;
    default_type application/octet-stream;
    server {{
        listen {address}:{port};
        root {root};
        {server}
    }}
}}
",
        address = place.address(),
        root = site.folder.display(),
    ))
}

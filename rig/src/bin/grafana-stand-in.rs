//! Stands where Grafana would: the part of it that an installation meets. It takes Grafana's command line, does not
//! start without the pages and defaults of its own folder, reads the members of `grafana.ini` that the installer
//! writes and what that provisions, needs the password file to be readable and the data folder to be writable, and
//! answers `/api/health` and its page. Grafana itself is not to be had for tests.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    ensure!(
        words.first().is_some_and(|word| word == "server"),
        "grafana server ..."
    );
    let flag = |name: &str| {
        words
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let file = flag("--config").context("--config is missing")?;
    // As Grafana ends: "Could not find config defaults, make sure homepath command line parameter is set ...".
    let home = flag("--homepath").context("--homepath is missing")?;
    let defaults = format!("{home}/conf/defaults.ini");
    let defaults = members(&std::fs::read_to_string(&defaults).with_context(|| defaults.clone())?);
    ensure!(defaults.contains_key("paths.data"), "the defaults are not whole");
    let page = format!("{home}/public/index.html");
    let page = std::fs::read_to_string(&page).with_context(|| page.clone())?;
    let ini = members(&std::fs::read_to_string(file).with_context(|| file.to_owned())?);
    let of = |name: &str| {
        ini.get(name)
            .cloned()
            .with_context(|| format!("{file} has no {name}"))
    };

    let password = of("security.admin_password")?;
    let from = password
        .strip_prefix("$__file{")
        .and_then(|rest| rest.strip_suffix('}'));
    let from = from.context("the password stands in the configuration")?;
    let password = std::fs::read_to_string(from).with_context(|| from.to_owned())?;
    ensure!(!password.trim().is_empty(), "{from} is empty");
    let provisioning = of("paths.provisioning")?;
    for (file, word) in [
        ("datasources/aami.yaml", "type: prometheus"),
        ("dashboards/aami.yaml", "providers:"),
    ] {
        let file = format!("{provisioning}/{file}");
        let text = std::fs::read_to_string(&file).with_context(|| file.clone())?;
        ensure!(text.contains(word), "{file} has no {word:?}");
    }
    let data = of("paths.data")?;
    std::fs::write(format!("{data}/grafana.db"), "dashboards").context(data)?;

    let address = format!("{}:{}", of("server.http_addr")?, of("server.http_port")?);
    let listener = TcpListener::bind(&address).with_context(|| address.clone())?;
    println!("listening on {address}");
    for stream in listener.incoming() {
        // Whoever went away meanwhile needs no answer.
        let _ = stream.and_then(|mut stream| {
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone()?);
            reader.read_line(&mut line)?;
            let mut header = String::new();
            while reader.read_line(&mut header)? > 2 {
                header.clear();
            }
            let (status, body) = if line.starts_with("GET /api/health ") {
                ("200 OK", "{\"database\": \"ok\", \"version\": \"stand-in\"}")
            } else if line.starts_with("GET / ") {
                ("200 OK", page.as_str())
            } else {
                ("404 Not Found", "{}")
            };
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
        });
    }
    Ok(())
}

/// The members of an INI file, as `section.name`.
fn members(text: &str) -> BTreeMap<String, String> {
    let mut section = String::new();
    let mut members = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with(';')) {
            members.insert(format!("{section}.{}", name.trim()), value.trim().to_owned());
        }
    }
    members
}

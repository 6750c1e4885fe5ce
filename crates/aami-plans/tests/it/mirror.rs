//! Components from a real web server.

use std::ops::ControlFlow;
use std::time::Duration;

use aami_api::client::Trust;
use aami_inventory::Arch;
use aami_plans::components::Catalogue;
use aami_plans::download::{
    Access, Backoff, Credential, DownloadError, Downloader, Format, Proxies, Settings, Wanted,
};
use aami_plans::extract;
use aami_plans::obtain::{self, Mirror, ObtainError, Source};

use crate::archives::{AMD64, file, program, sum, tar_gz};
use crate::nginx::{self, Nginx};

fn downloader() -> Downloader {
    let mut settings = Settings::new(Proxies::default(), || 0.5);
    settings.attempts = 2;
    settings.backoff = Backoff {
        first: Duration::ZERO,
        most: Duration::ZERO,
        random: || 0.5,
        sleep: |_| {},
    };
    Downloader::new(settings)
}

fn good_archive() -> Vec<u8> {
    tar_gz(&[file("x-1/x", &program(AMD64, 200_000))])
}

/// A catalogue with one component `x`, its file pinned to `bytes`.
fn site_catalogue(bytes: &[u8]) -> String {
    format!(
        "format = 1\n[[component]]\nname = \"x\"\nversion = \"1\"\nkind = \"exporter\"\nlicense = \"MIT\"\n\
         archive = \"tar.gz\"\n[component.build.amd64]\nfile = \"x-1.tar.gz\"\nsha256 = \"{}\"\n\
         programs = {{ x = \"x-1/x\" }}\n",
        sum(bytes)
    )
}

fn fetch(downloader: &Downloader, url: &str, access: &Access, bytes: &[u8]) -> Result<(), DownloadError> {
    let folder = tempfile::tempdir().unwrap();
    let wanted = Wanted {
        url,
        access,
        sha256: sum(bytes),
        format: Format::Gzip,
        largest: 10_000_000,
    };
    let result = downloader.fetch(&wanted, folder.path(), &mut |_, _| ControlFlow::Continue(()));
    match result {
        Ok(verified) => {
            assert_eq!(std::fs::read(verified.path()).unwrap(), bytes);
            Ok(())
        }
        Err(error) => {
            for entry in std::fs::read_dir(folder.path()).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                assert!(name.ends_with(".partial"), "{name} was kept after {error}");
            }
            Err(error)
        }
    }
}

fn believing(server: &Nginx) -> Access {
    Access {
        trust: Trust::Only(server.ca.clone()),
        credential: None,
    }
}

fn mirror(server: &Nginx) -> Source {
    Source::Mirror(Mirror {
        url: server.url(""),
        access: Access::default(),
    })
}

#[test]
fn a_component_comes_from_a_mirror_and_its_program_out_of_it() {
    let server = nginx::start();
    let bytes = good_archive();
    server.file("amd64/x-1.tar.gz", &bytes);
    server.file("components.toml", site_catalogue(&bytes).as_bytes());
    let downloader = downloader();
    let sources = [mirror(&server)];

    let catalogue = obtain::catalogue(&sources, &downloader).unwrap();
    let (component, build) = catalogue.build("x", Arch::Amd64).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    let obtained = obtain::obtain(
        &downloader,
        component,
        build,
        Arch::Amd64,
        &sources,
        folder.path(),
        &mut |done, total| {
            seen = done;
            assert_eq!(total, Some(bytes.len() as u64));
            ControlFlow::Continue(())
        },
    )
    .unwrap();

    assert_eq!(seen, bytes.len() as u64);
    assert!(
        obtained.origin.ends_with("/amd64/x-1.tar.gz"),
        "{}",
        obtained.origin
    );
    let out = extract::program(
        &obtained.verified,
        component.archive,
        &build.programs["x"],
        Arch::Amd64,
        folder.path(),
    )
    .unwrap();
    assert_eq!(std::fs::read(out.path()).unwrap(), program(AMD64, 200_000));

    // A second time, nothing is fetched.
    let before = server.requests("/amd64/x-1.tar.gz").len();
    obtain::obtain(
        &downloader,
        component,
        build,
        Arch::Amd64,
        &sources,
        folder.path(),
        &mut |_, _| ControlFlow::Continue(()),
    )
    .unwrap();
    assert_eq!(server.requests("/amd64/x-1.tar.gz").len(), before);
}

#[test]
fn what_differs_by_one_bit_stops_with_both_sums_and_is_not_looked_for_elsewhere() {
    let server = nginx::start();
    let bytes = good_archive();
    let mut flipped = bytes.clone();
    flipped[5000] ^= 1;
    server.file("x-1.tar.gz", &flipped);
    let folder = tempfile::tempdir().unwrap();
    let second = tempfile::tempdir().unwrap();
    std::fs::write(second.path().join("x-1.tar.gz"), &bytes).unwrap();
    let sources = [mirror(&server), Source::Folder(second.path().to_owned())];
    let catalogue = Catalogue::parse(&site_catalogue(&bytes), "site").unwrap();
    let (component, build) = catalogue.build("x", Arch::Amd64).unwrap();
    let downloader = downloader();

    let error = obtain::obtain(
        &downloader,
        component,
        build,
        Arch::Amd64,
        &sources,
        folder.path(),
        &mut |_, _| ControlFlow::Continue(()),
    )
    .unwrap_err();

    assert_eq!(error.code().symbol, "CHECKSUM_MISMATCH");
    let text = error.to_string();
    assert!(text.contains(&sum(&bytes).to_string()), "{text}");
    assert!(text.contains(&sum(&flipped).to_string()), "{text}");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is kept"
    );
}

#[test]
fn the_next_source_is_asked_when_one_does_not_have_it() {
    let server = nginx::start();
    let bytes = good_archive();
    server.file("x-1.tar.gz", &bytes);
    let empty = tempfile::tempdir().unwrap();
    let dead = Source::Mirror(Mirror {
        url: format!("http://127.0.0.1:{}", nginx::free_port()),
        access: Access::default(),
    });
    let catalogue = Catalogue::parse(&site_catalogue(&bytes), "site").unwrap();
    let (component, build) = catalogue.build("x", Arch::Amd64).unwrap();
    let downloader = downloader();
    let folder = tempfile::tempdir().unwrap();
    let get = |sources: &[Source]| {
        obtain::obtain(
            &downloader,
            component,
            build,
            Arch::Amd64,
            sources,
            folder.path(),
            &mut |_, _| ControlFlow::Continue(()),
        )
    };

    let nowhere = get(&[Source::Folder(empty.path().to_owned()), Source::Publisher]).unwrap_err();
    assert_eq!(nowhere.code().symbol, "COMPONENT_MISSING", "{nowhere}");
    let unreachable = get(&[Source::Folder(empty.path().to_owned()), dead.clone()]).unwrap_err();
    assert_eq!(unreachable.code().symbol, "DOWNLOAD_FAILED", "{unreachable}");
    assert!(unreachable.to_string().contains("refused"), "{unreachable}");
    let obtained = get(&[Source::Folder(empty.path().to_owned()), dead, mirror(&server)]).unwrap();
    assert!(
        obtained.origin.starts_with("http://127.0.0.1"),
        "{}",
        obtained.origin
    );
}

#[test]
fn a_captive_portal_is_recognised() {
    let server = nginx::start();
    let error = fetch(&downloader(), &server.url("portal/x"), &Access::default(), b"x").unwrap_err();
    assert_eq!(error.code().symbol, "NOT_A_PROGRAM");
    assert!(
        error.to_string().contains("a web page titled \"Sign in\""),
        "{error}"
    );
}

#[test]
fn a_busy_server_is_asked_again_and_then_named() {
    let server = nginx::start();
    let error = fetch(&downloader(), &server.url("busy/x"), &Access::default(), b"x").unwrap_err();
    assert!(
        matches!(error, DownloadError::Status { status: 503, .. }),
        "{error}"
    );
    assert_eq!(server.requests("/busy/x").len(), 2);
}

#[test]
fn a_mirror_that_wants_a_credential_gets_it_and_nobody_else_does() {
    let server = nginx::start();
    let bytes = good_archive();
    server.file("private/x.tar.gz", &bytes);
    server.file("x.tar.gz", &bytes);
    let access = Access {
        credential: Credential::bearer("mirror-token"),
        ..Access::default()
    };
    let downloader = downloader();

    let refused = fetch(
        &downloader,
        &server.url("private/x.tar.gz"),
        &Access::default(),
        &bytes,
    )
    .unwrap_err();
    assert!(
        matches!(refused, DownloadError::Status { status: 401, .. }),
        "{refused}"
    );
    fetch(&downloader, &server.url("private/x.tar.gz"), &access, &bytes).unwrap();

    // A redirect leads to the same server here, but it could lead anywhere: no credential follows.
    let away = fetch(&downloader, &server.url("away/x.tar.gz"), &access, &bytes).unwrap_err();
    assert!(
        matches!(away, DownloadError::Status { status: 401, .. }),
        "{away}"
    );
    for text in [refused.to_string(), away.to_string()] {
        assert!(!text.contains("mirror-token"), "{text}");
    }
}

#[test]
fn tls_is_believed_by_the_given_ca_alone() {
    let server = nginx::start();
    let bytes = good_archive();
    server.file("x.tar.gz", &bytes);
    let url = server.tls_url("x.tar.gz");

    fetch(&downloader(), &url, &believing(&server), &bytes).unwrap();

    let error = fetch(&downloader(), &url, &Access::default(), &bytes).unwrap_err();
    assert_eq!(error.code().symbol, "SERVER_NOT_TRUSTED", "{error}");
    let other_name = url.replace("localhost", "127.0.0.1");
    let error = fetch(&downloader(), &other_name, &believing(&server), &bytes).unwrap_err();
    assert_eq!(error.code().symbol, "SERVER_NOT_TRUSTED", "{error}");
}

#[test]
fn who_follows_no_redirect_asks_nobody_else() {
    let server = nginx::start();
    let strict = Downloader::new(Settings {
        redirects: 0,
        ..Settings::new(Proxies::default(), || 0.0)
    });
    let error = fetch(&strict, &server.url("moved/x"), &Access::default(), b"x").unwrap_err();
    assert!(
        matches!(error, DownloadError::Status { status: 302, .. }),
        "{error}"
    );
    assert_eq!(server.requests("/").len(), 0, "the other address was never asked");
}

#[test]
fn a_redirect_from_https_to_http_is_not_followed() {
    let server = nginx::start();
    let error = fetch(
        &downloader(),
        &server.tls_url("moved/x"),
        &believing(&server),
        b"x",
    )
    .unwrap_err();
    assert!(matches!(error, DownloadError::Transport { .. }), "{error}");
    assert_eq!(server.requests("/").len(), 0, "the plain address was never asked");
}

#[test]
fn a_catalogue_of_a_mirror_that_is_broken_stops_everything() {
    let server = nginx::start();
    server.file("components.toml", b"format = 1\nnonsense = true\n");
    let error = obtain::catalogue(&[mirror(&server)], &downloader()).unwrap_err();
    assert!(matches!(error, ObtainError::Catalogue(_)), "{error}");
    assert_eq!(error.code().symbol, "CATALOGUE_INVALID");
    assert!(error.to_string().contains("components.toml, line 2:"), "{error}");
}

#[test]
fn a_download_can_be_called_off() {
    let server = nginx::start();
    let bytes = good_archive();
    server.file("x.tar.gz", &bytes);
    let folder = tempfile::tempdir().unwrap();
    let url = server.url("x.tar.gz");
    let wanted = Wanted {
        url: &url,
        access: &Access::default(),
        sha256: sum(&bytes),
        format: Format::Gzip,
        largest: 10_000_000,
    };
    let error = downloader()
        .fetch(&wanted, folder.path(), &mut |_, _| ControlFlow::Break(()))
        .unwrap_err();
    assert_eq!(error.code().symbol, "INTERRUPTED");
    assert!(!folder.path().join(sum(&bytes).to_string()).exists());
}

#[test]
fn a_mirror_that_refuses_its_catalogue_is_not_passed_over() {
    let server = nginx::start();
    let mirror = Source::Mirror(Mirror {
        url: server.url("private"),
        access: Access::default(),
    });
    let error = obtain::catalogue(&[mirror], &downloader()).unwrap_err();
    assert!(error.to_string().contains("status 401"), "{error}");
}

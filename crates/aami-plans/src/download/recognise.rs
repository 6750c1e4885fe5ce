//! Telling a file from the web page that a captive portal or a proxy sends in its place.

use super::DownloadError;

/// What a file must look like from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A gzip stream.
    Gzip,
    /// An ELF program.
    Program,
    /// Any text but a web page.
    Text,
}

impl Format {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "a tar.gz archive",
            Self::Program => "a program",
            Self::Text => "plain text",
        }
    }
}

/// As many of the first bytes as are worth waiting for.
pub(super) const ENOUGH: usize = 1024;

/// Judges the first bytes. What fails here could not have the right checksum either; this names the
/// cause that a checksum cannot.
pub(super) fn judge(start: &[u8], expected: Format, url: &str) -> Result<(), DownloadError> {
    let fits = match expected {
        Format::Gzip => start.starts_with(&[0x1f, 0x8b]),
        Format::Program => start.starts_with(b"\x7fELF"),
        Format::Text => !is_web_page(start),
    };
    if fits {
        return Ok(());
    }
    Err(DownloadError::NotWhatItSays {
        url: url.to_owned(),
        found: describe(start),
        expected: expected.name(),
    })
}

fn is_web_page(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let text = text.trim_start_matches('\u{feff}').trim_start();
    ["<!doctype html", "<html", "<head", "<body", "<script", "<meta"]
        .iter()
        .any(|tag| text.starts_with(tag))
}

fn describe(start: &[u8]) -> String {
    if start.is_empty() {
        return "an empty file".to_owned();
    }
    let text = String::from_utf8_lossy(start);
    if is_web_page(start) {
        return match title(&text) {
            Some(title) => format!("a web page titled {title:?}"),
            None => "a web page".to_owned(),
        };
    }
    let is_text = start
        .iter()
        .all(|b| !b.is_ascii_control() || b.is_ascii_whitespace());
    if is_text {
        let line: String = text
            .trim()
            .chars()
            .take_while(|c| !c.is_control())
            .take(60)
            .collect();
        return format!("text that begins {line:?}");
    }
    if start.starts_with(&[0x1f, 0x8b]) {
        return "a gzip archive".to_owned();
    }
    if start.starts_with(b"\x7fELF") {
        return "a program".to_owned();
    }
    "other data".to_owned()
}

fn title(page: &str) -> Option<String> {
    let lower = page.to_ascii_lowercase();
    let after = lower.find("<title")? + lower[lower.find("<title")?..].find('>')? + 1;
    let length = lower[after..].find("</title").unwrap_or(lower.len() - after);
    let title: String = page[after..after + length]
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(80)
        .collect();
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(start: &[u8], expected: Format) -> String {
        judge(start, expected, "http://x/y").unwrap_err().to_string()
    }

    #[test]
    fn a_captive_portal_is_named() {
        let page = b"\xef\xbb\xbf \n<!DOCTYPE HTML>\n<html><head><TITLE>Hotel Guest\nWiFi</TITLE>";
        assert_eq!(
            found(page, Format::Gzip),
            "http://x/y answered with a web page titled \"Hotel GuestWiFi\" where a tar.gz archive was expected"
        );
        assert!(found(page, Format::Text).contains("a web page titled"));
    }

    #[test]
    fn other_things_are_named_too() {
        assert!(found(b"", Format::Program).contains("an empty file"));
        assert!(
            found(b"404 page not found\n", Format::Gzip).contains("text that begins \"404 page not found\"")
        );
        assert!(found(b"\x7fELF\x02", Format::Gzip).contains("with a program where"));
        assert!(found(b"PK\x03\x04", Format::Gzip).contains("other data"));
        assert!(judge(b"\x1f\x8b\x08", Format::Gzip, "").is_ok());
        assert!(judge(b"abc  node_exporter\n", Format::Text, "").is_ok());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>, page in "<html>[<>/titleTITLEÄİ ]{0,60}") {
            for format in [Format::Gzip, Format::Program, Format::Text] {
                let _ = judge(&bytes, format, "");
                let _ = judge(page.as_bytes(), format, "");
            }
        }
    }
}

//! The event file of a run: numbered lines, written by one process and read by any number.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use aami_api::detached::{Ended, Kind, Line};
use aami_model::Timestamp;
use serde_json::{Map, Value, json};

/// A line is no longer; of a longer one the beginning is kept.
const LONGEST: usize = 128 * 1024;
/// Of a line that no program is meant to read, so much is kept.
const LONGEST_OUTPUT: usize = 2 * 1024;
/// So much of progress, notes and output is kept, in bytes. Steps and endings are few, and always are.
const CHATTER: u64 = 2 << 20;
/// As much as the last whole line can be away from the end.
const TAIL: u64 = 2 * LONGEST as u64 + 1024;

/// Writes the lines of one attempt.
pub(super) struct Writer {
    file: File,
    seq: u64,
    chatter: u64,
    left_out: u64,
    /// The last line may not be whole, since the disk was full.
    is_torn: bool,
}

impl Writer {
    /// Goes on behind the last whole line; what a power cut tore is removed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut file = super::private(path)?;
        let whole = whole_length(&mut file)?;
        file.set_len(whole)?;
        let (seq, _) = last_of(&mut file)?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self {
            file,
            seq,
            chatter: 0,
            left_out: 0,
            is_torn: false,
        })
    }

    /// Whether the last line says that the attempt of this number ended.
    pub(super) fn has_ended(&mut self, attempt: u32) -> io::Result<bool> {
        let (_, ended) = last_of(&mut self.file)?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(ended.is_some_and(|ended| ended.attempt == attempt))
    }

    /// A line that a command wrote.
    pub(super) fn take(&mut self, text: &str, now: Timestamp) {
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        let object = match serde_json::from_str(text) {
            Ok(Value::Object(object)) if object.contains_key("type") && text.len() <= LONGEST => object,
            _ => {
                let message: String = cut(text, LONGEST_OUTPUT).to_owned();
                let output = json!({ "type": "output", "message": message });
                output.as_object().cloned().unwrap_or_default()
            }
        };
        let name = object.get("type").and_then(Value::as_str).unwrap_or_default();
        let is_chatter = matches!(name, "step_progress" | "step_note" | "warning" | "output");
        if is_chatter {
            if self.chatter >= CHATTER {
                self.left_out += 1;
                return;
            }
            self.chatter += u64::try_from(text.len()).unwrap_or(0);
        }
        // What cannot be written is not there to be read; the run does not end for it.
        let _ = self.write(object, now);
    }

    /// How the attempt ended. On disk when this answers.
    pub(super) fn end(&mut self, ended: &Ended, now: Timestamp) -> io::Result<()> {
        if self.left_out > 0 {
            let message = format!(
                "{} lines were left out: there was no room for them",
                self.left_out
            );
            let line = json!({ "type": "output", "message": message });
            self.write(line.as_object().cloned().unwrap_or_default(), now)?;
        }
        self.write(ending(ended), now)?;
        self.file.sync_all()
    }

    fn write(&mut self, mut object: Map<String, Value>, now: Timestamp) -> io::Result<()> {
        let said = object.remove("at").filter(Value::is_string);
        let at = said.unwrap_or_else(|| Value::String(now.to_string()));
        // The number a command gives its own events counts those alone.
        object.remove("seq");
        let rest = Value::Object(object).to_string();
        let rest = rest.strip_prefix('{').unwrap_or("}");
        let before = if self.is_torn { "\n" } else { "" };
        let line = format!("{before}{{\"seq\":{},\"at\":{at},{rest}\n", self.seq + 1);
        self.is_torn = true;
        self.file.write_all(line.as_bytes())?;
        self.is_torn = false;
        self.seq += 1;
        Ok(())
    }
}

/// An ending as a line.
pub(super) fn ending(ended: &Ended) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("type".to_owned(), "run_ended".into());
    if let Ok(Value::Object(members)) = serde_json::to_value(ended) {
        object.extend(members);
    }
    object
}

/// The number of a file's last whole line, and what it says where that is an ending.
pub(super) fn last(path: &Path) -> io::Result<(u64, Option<Ended>)> {
    match File::open(path) {
        Ok(mut file) => last_of(&mut file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((0, None)),
        Err(error) => Err(error),
    }
}

fn last_of(file: &mut File) -> io::Result<(u64, Option<Ended>)> {
    let text = tail(file)?;
    // The last one has no line end where it is being written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = whole.lines().rev().find_map(|line| {
        let line = Line::parse(line)?;
        Some((line.seq?, line.kind))
    });
    Ok(match line {
        Some((seq, Kind::Ended(ended))) => (seq, Some(ended)),
        Some((seq, _)) => (seq, None),
        None => (0, None),
    })
}

/// Up to where the lines of a file are whole.
fn whole_length(file: &mut File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    Ok(from + u64::try_from(end).unwrap_or(0))
}

fn tail(file: &mut File) -> io::Result<String> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The beginning of a text, of at most `most` bytes.
fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use aami_model::run::{RunEventKind, RunStatus};
    use std::fs;

    use super::*;

    fn lines(path: &Path) -> Vec<Line> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| Line::parse(line).unwrap()).collect()
    }

    fn ended(attempt: u32) -> Ended {
        Ended {
            status: RunStatus::Failed,
            exit: 1,
            attempt,
            message: None,
        }
    }

    #[test]
    fn lines_are_numbered_whatever_number_they_had_and_also_across_attempts() {
        // Given a run that said three things and ended,
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut writer = Writer::open(&path).unwrap();
        let now = Timestamp::from_millis(1000);
        writer.take("{\"type\":\"warning\",\"message\":\"mind\"}", now);
        writer.take(
            r#"{"seq":1,"at":"2026-01-01T00:00:00.000Z","type":"step_started","step":"checks","attempt":1}"#,
            now,
        );
        writer.take("Segmentation fault", now);
        writer.end(&ended(1), now).unwrap();
        // and a power cut in the middle of its next line,
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"seq\":5,\"ty").unwrap();
        // when it goes on, then it goes on with the next number, and nothing is torn.
        let mut writer = Writer::open(&path).unwrap();
        assert!(writer.has_ended(1).unwrap() && !writer.has_ended(2).unwrap());
        writer.take("again", now);
        let lines = lines(&path);
        let numbers: Vec<_> = lines.iter().map(|line| line.seq.unwrap()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5]);
        assert!(matches!(
            lines[1].kind,
            Kind::Event(RunEventKind::StepStarted { .. })
        ));
        assert_eq!(lines[1].at.unwrap().to_string(), "2026-01-01T00:00:00.000Z");
        assert_eq!(lines[2].kind, Kind::Output("Segmentation fault".to_owned()));
        assert_eq!(lines[3].kind, Kind::Ended(ended(1)));
        assert_eq!(last(&path).unwrap(), (5, None));
    }

    #[test]
    fn chatter_is_bounded_and_steps_and_the_end_are_there_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut writer = Writer::open(&path).unwrap();
        let now = Timestamp::EPOCH;
        let long = "x".repeat(LONGEST * 2);
        for _ in 0..40 {
            writer.take(&long, now);
        }
        writer.take(r#"{"type":"step_started","step":"checks","attempt":1}"#, now);
        writer.end(&ended(1), now).unwrap();
        assert!(fs::metadata(&path).unwrap().len() < 2 * CHATTER);
        let lines = lines(&path);
        let from_end = |n: usize| &lines[lines.len() - n].kind;
        assert!(matches!(
            from_end(3),
            Kind::Event(RunEventKind::StepStarted { .. })
        ));
        assert!(matches!(from_end(2), Kind::Output(text) if text.contains("left out")));
        assert_eq!(last(&path).unwrap().1, Some(ended(1)));
    }

    #[test]
    fn no_file_is_no_line() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(last(&folder.path().join("x")).unwrap(), (0, None));
        fs::write(folder.path().join("x"), b"\xff\xfe no line").unwrap();
        assert_eq!(last(&folder.path().join("x")).unwrap(), (0, None));
    }
}

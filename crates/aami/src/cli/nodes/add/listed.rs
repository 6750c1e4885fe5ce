//! Other people's lists of nodes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use aami_config::NewNode;
use aami_config::list::Format;
use aami_model::code;

use super::look_up;
use crate::cli::failure::Failure;

/// The longest list that is read.
const LONGEST: u64 = 64 * 1024 * 1024;

/// The nodes of a list; `-` is standard input. Its form is found by what is written unless one is named. Every bad line
/// is named.
pub(super) fn read(path: &Path, format: Option<Format>) -> Result<Vec<NewNode>, Failure> {
    let failed = |source| Failure::File {
        path: path.to_owned(),
        doing: "read",
        source,
    };
    let from_stdin = path == Path::new("-");
    let mut bytes = Vec::new();
    let read = if from_stdin {
        io::stdin().lock().take(LONGEST + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
    };
    read.map_err(failed)?;
    let name = match from_stdin {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    };
    if bytes.len() as u64 > LONGEST {
        return Err(Failure::invalid(format!("{name} is longer than {LONGEST} bytes")));
    }
    let listed = aami_config::list::read(&bytes, format, &look_up::all).map_err(|problems| {
        let mut places: Vec<String> = problems.list().iter().map(ToString::to_string).collect();
        let count = places.len() + problems.left_out();
        if problems.left_out() > 0 {
            places.push(format!("and {} more", problems.left_out()));
        }
        Failure::Listed {
            code: code::FLEET_LIST_INVALID,
            sentence: match count {
                1 => format!("{name} has a line that cannot be taken; nothing was added"),
                _ => format!("{name} has {count} lines that cannot be taken; nothing was added"),
            },
            places,
        }
    })?;
    Ok(listed.into_iter().map(|one| one.node).collect())
}

//! Turns the tables of `data/` into the static tables of the catalogue.
//!
//! A row that is out of order, a code named twice, a severity, reset or resolution nobody knows, a mask that is not 32
//! places wide: each ends the build with the file and line. What is built is therefore sound, and nothing is parsed at
//! run time.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let data = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("data");
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    println!("cargo::rerun-if-changed=data");

    let generations = Table::read(&data, "generations.tsv", 7)?;
    let xid = Table::read(&data, "xid.tsv", 13)?;
    let sxid = Table::read(&data, "sxid.tsv", 13)?;
    let text = entries(&xid, "XIDS", |row| from_generations(&generations, row))?
        + &entries(&sxid, "SXIDS", from_source)?;
    fs::write(out.join("catalogue.rs"), text)?;
    let nvlink5 = Table::read(&data, "nvlink5.tsv", 12)?;
    fs::write(out.join("nvlink5.rs"), rules(&nvlink5)?)?;
    Ok(())
}

/// A file of tab-separated cells under a line of headings.
struct Table {
    name: &'static str,
    rows: Vec<Row>,
}

struct Row {
    place: String,
    cells: Vec<String>,
}

impl Row {
    fn cell(&self, at: usize) -> &str {
        self.cells.get(at).map_or("", String::as_str)
    }

    fn code(&self) -> Outcome<u32> {
        self.cell(0)
            .parse()
            .map_err(|_| self.wrong("its code is no number"))
    }

    fn one_of(&self, at: usize, known: &[(&str, &'static str)]) -> Outcome<&'static str> {
        let cell = self.cell(at);
        let found = known.iter().find(|(word, _)| *word == cell);
        found
            .map(|(_, rust)| *rust)
            .ok_or_else(|| self.wrong(&format!("{cell:?} is not known")))
    }

    fn wrong(&self, what: &str) -> Box<dyn Error> {
        format!("{}: {what}", self.place).into()
    }
}

impl Table {
    fn read(folder: &Path, name: &'static str, width: usize) -> Outcome<Self> {
        let text = fs::read_to_string(folder.join(name))?;
        let mut rows = Vec::new();
        for (at, line) in text.lines().enumerate().skip(1) {
            let row = Row {
                place: format!("{name}:{}", at + 1),
                cells: line.split('\t').map(str::to_owned).collect(),
            };
            if row.cells.len() != width {
                return Err(row.wrong(&format!("{} cells, {width} are wanted", row.cells.len())));
            }
            rows.push(row);
        }
        Ok(Self { name, rows })
    }
}

/// What another column or table adds to an entry: mnemonic, generations, since when Xid 154 follows, source.
struct More {
    mnemonic: String,
    generations: String,
    since: String,
    source: String,
}

fn from_generations(generations: &Table, row: &Row) -> More {
    let found = generations.rows.iter().find(|more| more.cell(0) == row.cell(0));
    let Some(more) = found else {
        return More {
            mnemonic: String::new(),
            generations: "None".to_owned(),
            since: String::new(),
            source: row.cell(12).to_owned(),
        };
    };
    let bits = (2..6).fold(0, |bits, at| bits | u8::from(more.cell(at) == "YES") << (at - 2));
    More {
        mnemonic: more.cell(1).to_owned(),
        generations: format!("Some(Generations({bits}))"),
        since: more.cell(6).to_owned(),
        source: row.cell(12).to_owned(),
    }
}

/// An SXid's source begins with the driver's name for it.
fn from_source(row: &Row) -> More {
    let (mnemonic, source) = row.cell(12).split_once(" in ").unwrap_or(("", row.cell(12)));
    More {
        mnemonic: mnemonic.to_owned(),
        generations: "None".to_owned(),
        since: String::new(),
        source: source.to_owned(),
    }
}

fn entries(table: &Table, name: &str, more: impl Fn(&Row) -> More) -> Outcome<String> {
    let mut text = format!("static {name}: &[Entry] = &[\n");
    let mut before = 0;
    for row in &table.rows {
        let code = row.code()?;
        if code <= before {
            return Err(row.wrong("codes ascend, each once"));
        }
        before = code;
        let more = more(row);
        writeln!(
            text,
            "Entry {{ code: {code}, name: {:?}, severity: {}, category: {:?}, meaning: {:?}, causes: {:?}, \
             actions: {:?}, drain: {}, reset: {}, replace: {}, first: Resolution::{}, then: {:?}, mnemonic: {:?}, \
             generations: {}, recovery_action_since: {:?}, source: {:?} }},",
            row.cell(1),
            row.one_of(2, SEVERITIES)?,
            row.cell(3),
            row.cell(4),
            row.cell(5),
            row.cell(6),
            row.one_of(7, YES_OR_NO)?,
            row.one_of(8, RESETS)?,
            row.one_of(9, YES_OR_NO)?,
            camel(row.cell(10)),
            row.cell(11),
            more.mnemonic,
            more.generations,
            more.since,
            more.source,
        )?;
    }
    if table.rows.is_empty() {
        return Err(format!("{} is empty", table.name).into());
    }
    text.push_str("];\n");
    Ok(text)
}

const SEVERITIES: &[(&str, &str)] = &[
    ("critical", "Severity::Critical"),
    ("warning", "Severity::Warning"),
    ("info", "Severity::Info"),
];
const YES_OR_NO: &[(&str, &str)] = &[("yes", "true"), ("no", "false")];
const RESETS: &[(&str, &str)] = &[
    ("none", "Reset::None"),
    ("gpu", "Reset::Gpu"),
    ("fabric", "Reset::Fabric"),
    ("vm", "Reset::Vm"),
    ("node", "Reset::Node"),
    ("power", "Reset::Power"),
    ("line", "Reset::AsTheLineSays"),
];

/// `RESET_GPU` as `ResetGpu`; that there is such a resolution, the compiler sees.
fn camel(word: &str) -> String {
    let mut name = String::new();
    for part in word.split(|c: char| !c.is_ascii_alphanumeric()) {
        let (first, rest) = part.split_at(part.len().min(1));
        name.push_str(first);
        name.push_str(&rest.to_ascii_lowercase());
    }
    name
}

fn rules(table: &Table) -> Outcome<String> {
    let mut text = "static RULES: &[Rule] = &[\n".to_owned();
    for row in &table.rows {
        let second = match (row.cell(6), row.cell(7), row.cell(8)) {
            ("", "", "") => "None".to_owned(),
            (before, since, resolution) => format!(
                "Some(Second {{ before_r575: {}, since_r575: {}, resolution: Resolution::{} }})",
                mask(row, before)?,
                mask(row, since)?,
                camel(resolution)
            ),
        };
        writeln!(
            text,
            "Rule {{ code: {}, units: {:?}, before_r575: {}, since_r575: {}, status: {}, resolution: \
             Resolution::{}, second: {second}, investigate: {:?}, is_fatal: {}, part: {:?} }},",
            row.code()?,
            row.cell(1),
            mask(row, row.cell(2))?,
            mask(row, row.cell(3))?,
            status(row)?,
            camel(row.cell(5)),
            row.cell(9),
            !row.cell(10).starts_with("Non-fatal"),
            row.cell(11),
        )?;
    }
    if table.rows.is_empty() {
        return Err(format!("{} is empty", table.name).into());
    }
    text.push_str("];\n");
    Ok(text)
}

/// `--01` as the bits that count and what they are.
fn mask(row: &Row, pattern: &str) -> Outcome<String> {
    let (mut care, mut want) = (0_u32, 0_u32);
    if pattern.len() != 32 {
        return Err(row.wrong(&format!("{pattern:?} is not 32 places wide")));
    }
    for place in pattern.chars() {
        let (cares, wants) = match place {
            '-' => (0, 0),
            '0' => (1, 0),
            '1' => (1, 1),
            _ => return Err(row.wrong(&format!("{place:?} is no place of a mask"))),
        };
        care = care << 1 | cares;
        want = want << 1 | wants;
    }
    Ok(format!("Mask {{ care: {care:#x}, want: {want:#x} }}"))
}

/// `0x1/0x2` as a list; empty is any.
fn status(row: &Row) -> Outcome<String> {
    let mut list = String::from("&[");
    for word in row.cell(4).split('/').filter(|word| !word.is_empty()) {
        let digits = word
            .strip_prefix("0x")
            .ok_or_else(|| row.wrong("a status is hexadecimal"))?;
        let value = u32::from_str_radix(digits, 16).map_err(|_| row.wrong("a status has 32 bits"))?;
        write!(list, "{value:#x}, ")?;
    }
    list.push(']');
    Ok(list)
}

//! From the parser's events to a [`Tree`].

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

use super::{Entry, MOST_ALIASED, MOST_BYTES, MOST_DEPTH, Node, Tree, Value, decode};
use crate::problem::{Gathered, Problem};
use crate::text::shown;

/// Reads a text. In: its bytes. Out: its tree; an empty text is an empty mapping. Fails with the first place where it
/// is no YAML, or YAML that is not read here: several documents, tags, merge keys.
pub(crate) fn parse(bytes: &[u8]) -> Result<Tree<'_>, Problem> {
    let decoded = decode(bytes, MOST_BYTES)?;
    let mut options = granit_parser::options! {
        flow_nesting_limit: MOST_DEPTH,
        block_nesting_limit: MOST_DEPTH,
    };
    options.set_emit_comments(false);
    let mut build = Build {
        skipped: decoded.skipped,
        open: Vec::new(),
        done: None,
        anchors: HashMap::new(),
        aliased: 0,
        problems: Gathered::default(),
    };
    for next in Parser::new_from_str_with_options(decoded.text, options) {
        match next {
            Ok((event, span)) => build.take(event, span)?,
            Err(error) => {
                return Err(Problem {
                    line: error.marker().line(),
                    field: String::new(),
                    sentence: format!("this is not YAML: {}", shown(&error.info(), 200)),
                    hint: Some(hint(decoded.text, error.marker().line())),
                });
            }
        }
    }
    // A text of comments alone says as much as an empty mapping.
    let root = match build.done {
        Some(root) if !root.is_null() => root,
        _ => Node::made("{}", 1),
    };
    Ok(Tree {
        root,
        problems: build.problems,
    })
}

/// What most often is the cause.
fn hint(text: &str, line: usize) -> String {
    let written = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    if written.contains('\t') {
        "Indent with spaces; YAML takes no tabs there.".to_owned()
    } else if written.contains("${")
        && (written.contains('[') || written.trim_start_matches("- ").contains(": {"))
    {
        "Put quotes around values with `${...}` in lists and mappings of one line.".to_owned()
    } else {
        "Look at the line named and the one above it: indentation, a missing colon, an open quote.".to_owned()
    }
}

/// A collection that is still open.
enum Open<'a> {
    List {
        node: Node<'a>,
        anchor: usize,
    },
    Map {
        node: Node<'a>,
        anchor: usize,
        /// The key whose value comes next.
        key: Option<Key<'a>>,
        /// The keys so far.
        keys: HashSet<Cow<'a, str>>,
    },
}

struct Key<'a> {
    text: Cow<'a, str>,
    span: Range<usize>,
    line: usize,
}

/// A value that aliases can name.
struct Anchor<'a> {
    node: Node<'a>,
    /// How many values it holds, itself included.
    size: usize,
    /// How deep it goes, itself included.
    depth: usize,
}

struct Build<'a> {
    skipped: usize,
    open: Vec<Open<'a>>,
    done: Option<Node<'a>>,
    anchors: HashMap<usize, Anchor<'a>>,
    aliased: usize,
    problems: Gathered,
}

impl<'a> Build<'a> {
    fn take(&mut self, event: Event<'a>, span: Span) -> Result<(), Problem> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tagged_text = match tag {
                    None => false,
                    Some(tag) if tag.core_suffix() == Some("str") => true,
                    Some(_) => return Err(self.tag(line)),
                };
                let plain = style == ScalarStyle::Plain && !tagged_text;
                let node = self.node(Value::Scalar { text, plain }, span);
                self.put(node, anchor)
            }
            Event::SequenceStart(_, _, Some(_)) | Event::MappingStart(_, _, Some(_)) => Err(self.tag(line)),
            Event::SequenceStart(style, anchor, None) => {
                let flow = style == StructureStyle::Flow;
                let items = Vec::new();
                let node = self.node(Value::List { items, flow }, span);
                self.deeper(line)?;
                self.open.push(Open::List { node, anchor });
                Ok(())
            }
            Event::MappingStart(style, anchor, None) => {
                let flow = style == StructureStyle::Flow;
                let entries = Vec::new();
                let node = self.node(Value::Map { entries, flow }, span);
                self.deeper(line)?;
                self.open.push(Open::Map {
                    node,
                    anchor,
                    key: None,
                    keys: HashSet::new(),
                });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => self.alias(id, span),
            Event::DocumentStart(..) if self.done.is_some() => Err(refused(
                line,
                "a second document begins here",
                "Keep one document a file; remove the `---`.",
            )),
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => Ok(()),
            // None of them is asked for.
            Event::Anchor(..) | Event::UnresolvedAlias(_) | Event::Comment(..) => Ok(()),
            _ => Err(refused(
                line,
                "this part of YAML is not read here",
                "Write it in another way.",
            )),
        }
    }

    fn node(&self, value: Value<'a>, span: Span) -> Node<'a> {
        let range = span.byte_range().unwrap_or_default();
        Node {
            value,
            span: range.start + self.skipped..range.end + self.skipped,
            line: span.start.line(),
            aliased: false,
        }
    }

    fn tag(&self, line: usize) -> Problem {
        refused(
            line,
            "tags (`!...`) are not read here",
            "Write the value without a tag.",
        )
    }

    fn deeper(&self, line: usize) -> Result<(), Problem> {
        if self.open.len() >= MOST_DEPTH {
            return Err(too_deep(line));
        }
        Ok(())
    }

    /// A value is complete: it becomes a key, a value or an item of what is open, or the whole document.
    fn put(&mut self, node: Node<'a>, anchor: usize) -> Result<(), Problem> {
        if anchor > 0 {
            let (size, depth) = measure(&node);
            // What is copied for later is bounded as what is copied then.
            self.aliased += size;
            if self.aliased > MOST_ALIASED {
                return Err(too_many(node.line));
            }
            let node = node.clone();
            self.anchors.insert(anchor, Anchor { node, size, depth });
        }
        match self.open.last_mut() {
            None => self.done = Some(node),
            Some(Open::List { node: list, .. }) => {
                // Where nothing is written, nothing ends.
                if !node.span.is_empty() {
                    list.span.end = list.span.end.max(node.span.end);
                }
                if let Value::List { items, .. } = &mut list.value {
                    items.push(node);
                }
            }
            Some(Open::Map {
                node: map, key, keys, ..
            }) => match key.take() {
                None => {
                    let Value::Scalar { text, .. } = node.value else {
                        return Err(refused(
                            node.line,
                            "a key is a text, not a list or a mapping",
                            "Write `key: value`; put quotes around a value that begins with [ or {.",
                        ));
                    };
                    if text == "<<" {
                        return Err(refused(
                            node.line,
                            "merge keys (`<<`) are not read here",
                            "Say what all nodes share under `ssh:`; the rest is said at each node.",
                        ));
                    }
                    if map.span.is_empty() {
                        map.span.start = node.span.start;
                    }
                    map.span.end = map.span.end.max(node.span.end);
                    *key = Some(Key {
                        text,
                        span: node.span,
                        line: node.line,
                    });
                }
                Some(given) => {
                    if !node.span.is_empty() {
                        map.span.end = map.span.end.max(node.span.end);
                    }
                    if !keys.insert(given.text.clone()) {
                        self.problems.add(Problem {
                            line: given.line,
                            field: shown(&given.text, 60),
                            sentence: "this key is given twice in one mapping".to_owned(),
                            hint: Some("Keep one of them.".to_owned()),
                        });
                        return Ok(());
                    }
                    if let Value::Map { entries, .. } = &mut map.value {
                        entries.push(Entry {
                            key: given.text,
                            key_span: given.span,
                            line: given.line,
                            value: node,
                        });
                    }
                }
            },
        }
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Problem> {
        let Some(Open::List { mut node, anchor } | Open::Map { mut node, anchor, .. }) = self.open.pop()
        else {
            // The parser closes nothing that it did not open.
            return Ok(());
        };
        let flow = matches!(
            node.value,
            Value::List { flow: true, .. } | Value::Map { flow: true, .. }
        );
        if flow {
            // The bracket itself.
            node.span.end = span
                .byte_range()
                .map_or(node.span.end, |range| range.end + self.skipped);
        }
        self.put(node, anchor)
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Problem> {
        let line = span.start.line();
        let Some(anchor) = self.anchors.get(&id) else {
            return Err(refused(
                line,
                "an alias stands within the value that it names",
                "Write the value out.",
            ));
        };
        if anchor.depth + self.open.len() > MOST_DEPTH {
            return Err(too_deep(line));
        }
        self.aliased += anchor.size;
        if self.aliased > MOST_ALIASED {
            return Err(too_many(line));
        }
        let mut copy = self.node(anchor.node.value.clone(), span);
        mark_aliased(&mut copy, line);
        self.put(copy, 0)
    }
}

/// Everything below an alias stands, for people, where the alias does.
fn mark_aliased(node: &mut Node<'_>, line: usize) {
    node.aliased = true;
    node.line = line;
    match &mut node.value {
        Value::Scalar { .. } => {}
        Value::List { items, .. } => items.iter_mut().for_each(|item| mark_aliased(item, line)),
        Value::Map { entries, .. } => {
            for entry in entries {
                entry.line = line;
                mark_aliased(&mut entry.value, line);
            }
        }
    }
}

/// How many values a value holds, and how deep it goes, itself included.
fn measure(node: &Node<'_>) -> (usize, usize) {
    let below: Vec<(usize, usize)> = match &node.value {
        Value::Scalar { .. } => Vec::new(),
        Value::List { items, .. } => items.iter().map(measure).collect(),
        Value::Map { entries, .. } => entries.iter().map(|entry| measure(&entry.value)).collect(),
    };
    let size = below.iter().map(|(size, _)| size).sum::<usize>();
    let depth = below.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
    (size + 1, depth + 1)
}

fn too_many(line: usize) -> Problem {
    refused(
        line,
        "what anchors and aliases stand for is more than 100000 values",
        "Write the values out.",
    )
}

fn too_deep(line: usize) -> Problem {
    refused(
        line,
        "values lie more than 32 deep within each other",
        "Nothing in this file lies so deep; look for brackets that are not closed.",
    )
}

fn refused(line: usize, sentence: &str, hint: &str) -> Problem {
    Problem {
        line,
        field: String::new(),
        sentence: sentence.to_owned(),
        hint: Some(hint.to_owned()),
    }
}

#[cfg(test)]
mod tests;

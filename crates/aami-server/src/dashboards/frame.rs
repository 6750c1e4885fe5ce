//! A frame, encoded once for everybody who may see it.

use aami_api::dashboard::{Plane, What};
use aami_model::{NodeId, OrgId, RunId};
use axum::extract::ws::Utf8Bytes;
use serde::Serialize;

/// What a frame is about, where a newer one replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A node's status.
    Node(NodeId),
    /// What a node is made of.
    Hardware(NodeId),
    /// A run's status.
    Run(RunId),
    /// How far a run is.
    Progress(RunId),
}

/// How long a frame stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    /// Until a newer one replaces it: it is part of every snapshot.
    Row,
    /// It is told once, and then makes room for others.
    Passing,
}

/// A frame that has no number yet.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) key: Option<Key>,
    pub(super) org: OrgId,
    pub(super) stay: Stay,
    /// All of the document that follows its number.
    rest: String,
}

/// A frame.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) org: OrgId,
    pub(super) stay: Stay,
    text: Utf8Bytes,
    /// Where in it the rest begins.
    rest: usize,
}

#[derive(Serialize)]
struct Rest<'a> {
    plane: Plane,
    #[serde(flatten)]
    what: &'a What,
}

fn rest_of(plane: Plane, what: &What) -> String {
    // These documents have text as keys and no more than numbers, texts and lists in them: they can be written.
    let mut text = serde_json::to_string(&Rest { plane, what }).unwrap_or_default();
    if text.starts_with('{') {
        text.replace_range(..1, ",");
    }
    text
}

fn numbered(seq: u64, rest: &str) -> String {
    format!("{{\"seq\":{seq}{rest}")
}

/// Encodes a frame for one reader.
pub(super) fn encode(seq: u64, plane: Plane, what: &What) -> Utf8Bytes {
    numbered(seq, &rest_of(plane, what)).into()
}

impl Draft {
    pub(super) fn new(key: Option<Key>, org: OrgId, stay: Stay, plane: Plane, what: &What) -> Self {
        Self {
            key,
            org,
            stay,
            rest: rest_of(plane, what),
        }
    }

    pub(super) fn number(self, seq: u64) -> Frame {
        let text = numbered(seq, &self.rest);
        Frame {
            org: self.org,
            stay: self.stay,
            rest: text.len() - self.rest.len(),
            text: text.into(),
        }
    }
}

impl Frame {
    /// As everybody is told it.
    pub(super) fn text(&self) -> Utf8Bytes {
        self.text.clone()
    }

    /// The same as part of a snapshot: it moves nobody on.
    pub(super) fn again(&self, seq: u64) -> Utf8Bytes {
        numbered(seq, self.rest()).into()
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether it says the same.
    pub(super) fn says(&self, draft: &Draft) -> bool {
        self.rest() == draft.rest && self.stay == draft.stay && self.org == draft.org
    }

    fn rest(&self) -> &str {
        self.text.get(self.rest..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use aami_api::dashboard::{About, Frame as Document};

    use super::*;

    #[test]
    fn a_frame_is_one_document_whatever_number_it_carries() {
        let what = What::Removed(About {
            node_id: Some("n1".parse().unwrap()),
            ..About::default()
        });
        let draft = Draft::new(None, OrgId::default(), Stay::Passing, Plane::State, &what);
        let frame = draft.clone().number(77);
        assert!(frame.says(&draft));
        for (text, seq) in [
            (frame.text(), 77),
            (frame.again(5), 5),
            (encode(9, Plane::State, &what), 9),
        ] {
            let document: Document = serde_json::from_str(&text).unwrap();
            assert_eq!((document.seq, document.plane), (seq, Plane::State), "{text}");
            assert_eq!(document.what, what);
        }
    }
}

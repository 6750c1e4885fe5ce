//! How a section is declared: once, by [`section!`].
//!
//! From one declaration follow the struct, its reading, its schema and its rows in the guide. A field is a line:
//!
//! ```text
//! /// What it means.
//! name: Type, required, KIND;            must be written
//! name: Option<Type>, optional, KIND;    nothing where nothing is written
//! name: Type, default "text", KIND;      read from this text where nothing is written
//! name: Type, section;                   a section; every field has its default where nothing is written
//! ```

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::kind::{Kind, Section};
use crate::read::{Path, Reader};
use crate::tree::Node;

/// A section: a mapping with known fields.
pub(crate) trait Fields: Sized {
    /// What the section is.
    const ABOUT: &'static str;
    /// The keys it knows, as Rust spells them.
    const KEYS: &'static [&'static str];

    /// Reads the fields; nothing where one of them has a problem.
    fn read(pairs: &mut Pairs<'_, '_, '_>) -> Option<Self>;

    /// What is to be said of each field.
    fn fields() -> Vec<Field>;
}

/// Whether a field must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
    Default(&'static str),
    Section,
}

/// What is to be said of a field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) about: String,
    pub(crate) presence: Presence,
    pub(crate) words: String,
    pub(crate) schema: Value,
    /// The fields below it, and what stands between the names.
    pub(crate) below: Option<(&'static str, Vec<Self>)>,
}

impl Field {
    pub(crate) fn new<K: Kind>(key: &'static str, about: &[&str], presence: Presence, kind: &K) -> Self {
        Self {
            key: plain(key),
            about: joined(about),
            presence,
            words: kind.words(),
            schema: kind.schema(),
            below: kind.below(),
        }
    }
}

/// `r#for` is `for` in the file.
pub(crate) fn plain(key: &'static str) -> &'static str {
    key.strip_prefix("r#").unwrap_or(key)
}

/// Lines of documentation as one text.
pub(crate) fn joined(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let _ = write!(text, "{}{}", if text.is_empty() { "" } else { " " }, line.trim());
    }
    text
}

/// The schema of a section.
pub(crate) fn object<T: Fields>() -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in T::fields() {
        let mut schema = json!({"description": field.about, "allOf": [field.schema]});
        match field.presence {
            Presence::Required => required.push(field.key),
            Presence::Default(text) => schema["default"] = default_value(text),
            Presence::Optional | Presence::Section => {}
        }
        properties.insert(field.key.to_owned(), schema);
    }
    let mut object = json!({
        "type": ["object", "null"],
        "description": T::ABOUT.trim(),
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["type"] = json!("object");
        object["required"] = json!(required);
    }
    object
}

/// A default as JSON has it.
fn default_value(text: &str) -> Value {
    match text {
        "[]" => json!([]),
        "{}" => json!({}),
        "true" => json!(true),
        "false" => json!(false),
        text => text
            .parse::<u64>()
            .map_or_else(|_| json!(text), |number| json!(number)),
    }
}

/// The pairs of a mapping that is being read.
pub(crate) struct Pairs<'r, 'n, 'e> {
    pub(crate) node: &'r Node<'n>,
    pub(crate) path: &'r Path<'r>,
    pub(crate) reader: &'r mut Reader<'e>,
}

/// What is written under a key. An empty text is nothing, where the kind says so.
fn written<'r, 'n, K: Kind>(node: &'r Node<'n>, key: &str, kind: &K) -> Option<&'r Node<'n>> {
    node.get(key)
        .filter(|node| !(kind.blank_is_nothing() && node.is_blank()))
}

impl Pairs<'_, '_, '_> {
    pub(crate) fn required<K: Kind>(&mut self, key: &'static str, kind: &K) -> Option<K::Out> {
        let path = self.path.key(key);
        match written(self.node, key, kind) {
            Some(node) => kind.read(node, &path, self.reader),
            None => {
                let line = self.node.entry(key).map_or(self.node.line, |entry| entry.line);
                let sentence = format!("this is required: {}", kind.words());
                self.reader.problem(line, &path, sentence, None);
                None
            }
        }
    }

    #[allow(
        clippy::option_option,
        reason = "the outer one says whether there was a problem"
    )]
    pub(crate) fn optional<K: Kind>(&mut self, key: &'static str, kind: &K) -> Option<Option<K::Out>> {
        let path = self.path.key(key);
        match written(self.node, key, kind) {
            Some(node) => kind.read(node, &path, self.reader).map(Some),
            None => Some(None),
        }
    }

    pub(crate) fn defaulted<K: Kind>(
        &mut self,
        key: &'static str,
        default: &'static str,
        kind: &K,
    ) -> Option<K::Out> {
        let path = self.path.key(key);
        match written(self.node, key, kind) {
            Some(node) => kind.read(node, &path, self.reader),
            None => self
                .reader
                .by_default(|reader| kind.read(&Node::made(default, 0), &path, reader)),
        }
    }

    pub(crate) fn section<T: Fields>(&mut self, key: &'static str) -> Option<T> {
        let path = self.path.key(key);
        match self.node.get(key) {
            Some(node) => Section::<T>::KIND.read(node, &path, self.reader),
            None => {
                let mut nothing = Node::made("{}", 0);
                nothing.line = self.node.entry(key).map_or(0, |entry| entry.line);
                Section::<T>::KIND.read(&nothing, &path, self.reader)
            }
        }
    }
}

/// Declares a section. See the room's first lines.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident : $type:ty, $presence:ident $($default:literal)? $(, $kind:expr)? ;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                pub $field: $type,
            )+
        }

        impl crate::section::Fields for $name {
            const ABOUT: &'static str = concat!($($about),+);
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),+];

            fn read(pairs: &mut crate::section::Pairs<'_, '_, '_>) -> Option<Self> {
                #[allow(unused_imports, reason = "a section of sections names no kind")]
                use crate::kind::*;
                $(
                    let $field = crate::section::section!(
                        @read pairs, $type, crate::section::plain(stringify!($field)),
                        $presence $($default)? $(, $kind)?
                    );
                )+
                Some(Self { $($field: $field?),+ })
            }

            fn fields() -> Vec<crate::section::Field> {
                #[allow(unused_imports, reason = "a section of sections names no kind")]
                use crate::kind::*;
                vec![$(
                    crate::section::section!(
                        @field $type, stringify!($field), &[$($doc),+], $presence $($default)? $(, $kind)?
                    )
                ),+]
            }
        }
    };

    (@read $pairs:ident, $type:ty, $key:expr, required, $kind:expr) => { $pairs.required($key, &$kind) };
    (@read $pairs:ident, $type:ty, $key:expr, optional, $kind:expr) => { $pairs.optional($key, &$kind) };
    (@read $pairs:ident, $type:ty, $key:expr, default $default:literal, $kind:expr) => {
        $pairs.defaulted($key, $default, &$kind)
    };
    (@read $pairs:ident, $type:ty, $key:expr, section) => { $pairs.section::<$type>($key) };

    (@field $type:ty, $key:expr, $doc:expr, required, $kind:expr) => {
        crate::section::Field::new($key, $doc, crate::section::Presence::Required, &$kind)
    };
    (@field $type:ty, $key:expr, $doc:expr, optional, $kind:expr) => {
        crate::section::Field::new($key, $doc, crate::section::Presence::Optional, &$kind)
    };
    (@field $type:ty, $key:expr, $doc:expr, default $default:literal, $kind:expr) => {
        crate::section::Field::new($key, $doc, crate::section::Presence::Default($default), &$kind)
    };
    (@field $type:ty, $key:expr, $doc:expr, section) => {
        crate::section::Field::new(
            $key,
            $doc,
            crate::section::Presence::Section,
            &crate::kind::Section::<$type>::KIND,
        )
    };
}
pub(crate) use section;

/// Declares a value that is one of a few words.
macro_rules! choice {
    (
        $(#[doc = $about:literal])+
        pub enum $name:ident {
            $( $(#[doc = $doc:literal])+ $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[doc = $doc])+ $variant, )+
        }

        impl $name {
            /// The word in the file.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl crate::kind::Named for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),+];
        }
    };
}
pub(crate) use choice;

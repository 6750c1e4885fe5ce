//! The operator's declared fleet, `/etc/aami/config.yaml`: what it may say, what it says, and how it is changed.
//!
//! Start at [`config`]: the sections, each declared once. [`read()`] turns a text into a [`Config`] or into every
//! problem it has, each with its line. [`document`] changes the text itself and leaves comments, order, quoting and
//! `${VAR}` as they are. [`list`] reads nodes from other people's lists.
//!
//! This room is pure: the text, the environment's variables and what is known of files come in as values, and what
//! goes out is a value or a text. It writes nothing; the program does. It must never show a secret.

pub mod config;
pub mod document;
mod duration;
mod environment;
mod jump;
mod kind;
pub mod list;
mod newnode;
pub mod problem;
mod read;
pub mod reference;
pub mod schema;
mod secret;
mod section;
mod setting;
mod text;
mod tree;
mod variable;

pub use config::{Config, Login, Node, USUAL_PATH};
pub use document::Document;
pub use duration::PromDuration;
pub use environment::{Environment, FileState};
pub use jump::{Hop, ProxyJump};
pub use newnode::NewNode;
pub use problem::{Problem, Problems};
pub use read::{Read, explain, read};
pub use secret::{NotSet, SecretValue};
pub use setting::{Setting, Source};
pub use text::nearest;

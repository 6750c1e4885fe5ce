//! Watching an etcd cluster without end.
//!
//! A stream breaks when its member stops, is cut off, or loses its leader. Then another is made that
//! begins after the last revision that was told whole, so that nothing is told twice or left out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{EventType, WatchClient, WatchOptions, WatchResponse, WatchStream as EtcdStream};
use futures::StreamExt;
use tokio::time::{sleep, timeout};

use super::wire::{end_of, key, revision_of};
use super::{ATTEMPT, LARGEST_ANSWER};
use crate::entry::{Change, Entry, Revision};
use crate::key::Prefix;
use crate::watch::{WatchEvent, WatchStream};

/// How long to wait before a stream is made anew: doubled each time it breaks without having told
/// anything.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) fn watch(client: WatchClient, prefix: Prefix, from: Revision, place: Arc<str>) -> WatchStream {
    let watching = Watching {
        client: client.max_decoding_message_size(LARGEST_ANSWER),
        prefix,
        place,
        from: from.max(Revision::FIRST.next()),
        stream: None,
        events: VecDeque::new(),
        part: None,
        pause: Duration::ZERO,
        over: false,
    };
    futures::stream::unfold(watching, |mut watching| async move {
        let event = watching.next().await?;
        Some((event, watching))
    })
    .boxed()
}

struct Watching {
    client: WatchClient,
    prefix: Prefix,
    place: Arc<str>,
    /// The next revision to tell: everything before has been told, or is in `events`.
    from: Revision,
    stream: Option<EtcdStream>,
    events: VecDeque<WatchEvent>,
    /// What is known of the revision being received.
    part: Option<(Revision, Vec<Change>)>,
    /// How long to wait before the next stream.
    pause: Duration,
    over: bool,
}

impl Watching {
    async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            match self.stream.as_mut() {
                None => self.connect().await,
                Some(stream) => match stream.message().await {
                    Ok(Some(response)) => self.take(response),
                    Ok(None) => self.broken(&"the stream ended"),
                    Err(error) => self.broken(&error),
                },
            }
        }
    }

    async fn connect(&mut self) {
        sleep(self.pause).await;
        // From one revision before, which is not told again: etcd lets a watch begin at the compacted
        // revision itself, but may have forgotten the deletions of that one.
        let start = self.from.before().max(Revision::FIRST);
        let options = WatchOptions::new()
            .with_range(end_of(&self.prefix))
            .with_start_revision(start.signed())
            .with_fragment()
            .with_progress_notify();
        let first = if self.prefix.as_str().is_empty() {
            vec![0]
        } else {
            self.prefix.as_str().as_bytes().to_vec()
        };
        match timeout(ATTEMPT, self.client.watch(first, Some(options))).await {
            Ok(Ok(stream)) => self.stream = Some(stream),
            Ok(Err(error)) => self.broken(&error),
            Err(_) => self.broken(&"no answer in time"),
        }
    }

    fn broken(&mut self, why: &dyn std::fmt::Display) {
        tracing::debug!(store = &*self.place, from = %self.from, %why, "a watch broke and is made anew");
        self.stream = None;
        // The rest of it will not come; the new stream tells the revision from its beginning.
        self.part = None;
        self.pause = (self.pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    }

    fn take(&mut self, response: WatchResponse) {
        if response.canceled() {
            if response.compact_revision() > 0 {
                self.over = true;
                self.events.push_back(WatchEvent::Compacted);
            } else {
                let why = response.cancel_reason().to_owned();
                self.broken(&why);
            }
            return;
        }
        let fragment = response.0.fragment;
        let head = revision_of(response.header());
        let created = response.created();
        let empty = response.events().is_empty();
        for event in response.0.events {
            let Some(kv) = event.kv else { continue };
            let revision = Revision::from_signed(kv.mod_revision);
            if revision < self.from {
                continue;
            }
            if self.part.as_ref().is_some_and(|(part, _)| *part != revision) {
                self.finish();
            }
            let deleted = event.r#type == EventType::Delete as i32;
            match change(kv, deleted) {
                Some(change) => self
                    .part
                    .get_or_insert_with(|| (revision, Vec::new()))
                    .1
                    .push(change),
                None => {
                    tracing::warn!(store = &*self.place, %revision, "somebody else writes under our keys")
                }
            }
        }
        if fragment {
            return;
        }
        self.finish();
        if empty && !created && head >= self.from {
            // Nothing has happened here up to this revision.
            self.told(head, WatchEvent::Bookmark(head));
        }
    }

    /// The revision being received is whole.
    fn finish(&mut self) {
        if let Some((revision, changes)) = self.part.take() {
            self.told(revision, WatchEvent::Batch { revision, changes });
        }
    }

    fn told(&mut self, revision: Revision, event: WatchEvent) {
        self.from = revision.next();
        self.events.push_back(event);
        // Only a stream that gets anywhere is worth making anew at once.
        self.pause = Duration::ZERO;
    }
}

fn change(kv: etcd_client::proto::PbKeyValue, deleted: bool) -> Option<Change> {
    let key = key(&kv.key)?;
    Some(if deleted {
        Change::Delete(key)
    } else {
        Change::Put(Entry {
            key,
            value: kv.value.into(),
            create_revision: Revision::from_signed(kv.create_revision),
            mod_revision: Revision::from_signed(kv.mod_revision),
        })
    })
}

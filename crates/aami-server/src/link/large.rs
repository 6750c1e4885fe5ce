//! Lets go of the room that a large frame took.
//!
//! The bytes of a frame lie in the socket's own buffer, which grows for a large one, and which the socket uses again
//! once nobody else holds them: it would stay as large for as long as the node is connected. So the last large frame is
//! held until the socket has read as much as its buffer can have had left behind it. Then it needs a new one, which is
//! small, for the old one is not its to use; and then the frame is let go, with the old buffer.

use axum::extract::ws::Utf8Bytes;

use super::BUFFER;

/// A frame of more than so many bytes is large. What a node with many GPUs says each minute is not.
const LARGE: usize = 8 * 1024;

/// The last large frame, for as long as it has to be held.
#[derive(Default)]
pub(super) struct Large {
    held: Option<Utf8Bytes>,
    /// How much was read since.
    since: usize,
}

impl Large {
    /// A frame was dealt with.
    pub(super) fn taken(&mut self, frame: Utf8Bytes) {
        if frame.len() > LARGE {
            (self.held, self.since) = (Some(frame), 0);
        } else if self.held.is_some() {
            self.since += frame.len();
            if self.since >= BUFFER {
                self.held = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_frame_is_let_go_once_as_much_was_read_as_is_read_at_once() {
        let mut large = Large::default();
        large.taken("x".repeat(LARGE).into());
        assert!(large.held.is_none());
        large.taken("x".repeat(LARGE + 1).into());
        large.taken("x".repeat(BUFFER - 1).into());
        assert!(large.held.is_some());
        large.taken("x".into());
        assert!(large.held.is_none());
    }
}

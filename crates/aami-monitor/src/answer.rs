//! A rendered answer that costs nothing to hand out again.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// An answer in pieces, in order. Cloning it copies no text.
#[derive(Debug, Clone)]
pub struct Answer {
    pieces: Arc<[Bytes]>,
    len: usize,
    targets: usize,
}

impl Answer {
    pub(crate) fn new(pieces: Vec<Bytes>, targets: usize) -> Self {
        Self {
            len: pieces.iter().map(Bytes::len).sum(),
            pieces: gathered(pieces).into(),
            targets,
        }
    }

    /// The text in pieces; none of them is empty.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// The length of the whole, in bytes: the `Content-Length`.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no text at all. An empty list is `[]`, which is text.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many exporters it tells of.
    pub const fn targets(&self) -> usize {
        self.targets
    }

    /// The whole text, copied together; what a `file_sd` file holds.
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}

/// Pieces below this are copied together: handing out thousands of short ones costs more than copying
/// them once.
const SHORT: usize = 16 * 1024;
/// How long a copied piece may get.
const LONG: usize = 256 * 1024;

fn gathered(pieces: Vec<Bytes>) -> Vec<Bytes> {
    let mut whole = Vec::new();
    let mut short = BytesMut::new();
    for piece in pieces {
        if piece.len() >= SHORT || short.len() + piece.len() > LONG {
            if !short.is_empty() {
                whole.push(short.split().freeze());
            }
            if piece.len() >= SHORT {
                whole.push(piece);
                continue;
            }
        }
        short.extend_from_slice(&piece);
    }
    if !short.is_empty() {
        whole.push(short.freeze());
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_pieces_are_copied_together_and_long_ones_are_not() {
        let long = Bytes::from(vec![b'l'; SHORT]);
        let mut pieces = vec![Bytes::from_static(b"ab"); 40_000];
        pieces.push(long.clone());
        pieces.push(Bytes::from_static(b"]"));
        let text = pieces.concat();
        let answer = Answer::new(pieces, 1);
        assert_eq!(answer.to_vec(), text);
        assert_eq!(answer.pieces().len(), 3);
        assert_eq!(answer.pieces()[1].as_ptr(), long.as_ptr(), "it was copied");
    }
}

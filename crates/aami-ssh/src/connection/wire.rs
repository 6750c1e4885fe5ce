//! The bytes under an SSH connection: its beginning is kept, to be able to say what answered, and it can be cut.
//!
//! A session that hangs in the middle of a key exchange listens to nobody; only taking the stream away ends it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much of the beginning is kept.
const BEGINNING: usize = 512;

/// Something that bytes go over in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

#[derive(Debug, Default)]
struct Shared {
    cut: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
    full: AtomicBool,
    beginning: Mutex<Vec<u8>>,
}

/// A stream that can be cut.
pub(super) struct Wire {
    stream: Box<dyn Stream>,
    shared: Arc<Shared>,
}

/// Cuts a wire when it is dropped.
#[derive(Debug)]
pub(crate) struct Cutter {
    shared: Arc<Shared>,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> (Self, Cutter) {
        let shared = Arc::new(Shared::default());
        let wire = Self {
            stream,
            shared: Arc::clone(&shared),
        };
        (wire, Cutter { shared })
    }
}

impl Cutter {
    /// The first bytes that came, at most [`BEGINNING`].
    pub(super) fn beginning(&self) -> Vec<u8> {
        self.shared
            .beginning
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.shared.cut.store(true, Ordering::Release);
        self.shared.reader.wake();
        self.shared.writer.wake();
    }
}

impl Shared {
    fn refused(&self, waker: &AtomicWaker, context: &Context<'_>) -> Option<io::Error> {
        // Registered first, so that a cut in between wakes it.
        waker.register(context.waker());
        self.cut
            .load(Ordering::Acquire)
            .then(|| io::Error::new(io::ErrorKind::ConnectionAborted, "closed on this side"))
    }

    fn keep(&self, bytes: &[u8]) {
        if self.full.load(Ordering::Relaxed) {
            return;
        }
        let mut beginning = self.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let room = BEGINNING.saturating_sub(beginning.len()).min(bytes.len());
        beginning.extend_from_slice(&bytes[..room]);
        if beginning.len() >= BEGINNING {
            self.full.store(true, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.shared.refused(&self.shared.reader, context) {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.shared.keep(&buffer.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.shared.refused(&self.shared.writer, context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.shared.refused(&self.shared.writer, context) {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shared.cut.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_by_the_cut() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let (mut wire, cutter) = Wire::new(Box::new(ours));
        theirs.write_all(b"SSH-2.0-x").await.expect("written");
        let mut some = [0; 9];
        wire.read_exact(&mut some).await.expect("read");
        assert_eq!(cutter.beginning(), b"SSH-2.0-x");

        let reading = tokio::spawn(async move { wire.read(&mut [0; 1]).await });
        tokio::task::yield_now().await;
        drop(cutter);

        let ended = tokio::time::timeout(std::time::Duration::from_secs(5), reading).await;
        let error = ended.expect("in time").expect("no panic").expect_err("cut");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}

//! What a command reads, on its way there.

use std::future::pending;
use std::pin::Pin;

use russh::ChannelWriteHalf;
use russh::client::Msg;
use tokio::io::AsyncReadExt as _;

use crate::SshError;
use crate::command::Stdin;

/// How much is read of a local file at a time.
const PIECE: usize = 32 * 1024;

/// Input that is being sent.
pub(super) type Feeding<'a> = Pin<Box<dyn Future<Output = Result<(), SshError>> + Send + 'a>>;

/// Waits for the input to be sent, where there is some being sent.
pub(super) async fn fed(feeding: &mut Option<Feeding<'_>>) -> Result<(), SshError> {
    let fed = match feeding {
        Some(future) => future.await,
        None => pending().await,
    };
    *feeding = None;
    fed
}

/// Sends a command its input. A command that does not read it is not at fault: that it is gone shows elsewhere.
pub(super) async fn feed(writer: &ChannelWriteHalf<Msg>, stdin: Stdin) -> Result<(), SshError> {
    match stdin {
        Stdin::Empty => {}
        Stdin::Bytes(bytes) => {
            let _ = writer.data_bytes(bytes).await;
        }
        Stdin::File(path) => {
            let unreadable = |error: std::io::Error| SshError::Local {
                why: format!("{}: {error}", path.display()),
            };
            let mut file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
            loop {
                let mut piece = bytes::BytesMut::with_capacity(PIECE);
                if file.read_buf(&mut piece).await.map_err(unreadable)? == 0
                    || writer.data_bytes(piece.freeze()).await.is_err()
                {
                    break;
                }
            }
        }
    }
    let _ = writer.eof().await;
    Ok(())
}

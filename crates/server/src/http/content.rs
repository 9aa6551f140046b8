//! The body of a request.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use agent_socket_driver::BodyError;
use agent_socket_wire::limits::{BODY_PROGRESS_MS, MAX_BODY_BYTES};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming};

use super::connection::Connection;

/// The least time between two signs of life of the same body.
const PROGRESS: Duration = Duration::from_millis(BODY_PROGRESS_MS);

/// A body of at most so many bytes is taken along with its request if it is
/// there already.
const EARLY_BYTES: u64 = 64 * 1024;

/// A body, and what has been read of it.
pub(super) struct Content {
    incoming: Incoming,
    read: BytesMut,
    connection: Arc<Connection>,
}

impl Content {
    pub(super) fn new(incoming: Incoming, connection: Arc<Connection>) -> Self {
        Self {
            incoming,
            read: BytesMut::new(),
            connection,
        }
    }

    /// All of a small body that has come together with its head, as most do:
    /// then the session need not ask for it. Nothing is waited for.
    pub(super) async fn early(&mut self) -> Option<Bytes> {
        let length = self.incoming.size_hint().exact()?;
        if length > EARLY_BYTES {
            return None;
        }
        let mut is_asked = false;
        let frame = poll_fn(|cx| match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame),
            // The connection reads a body only once it is asked for. What it has
            // at hand it gives at once.
            Poll::Pending if !is_asked => {
                is_asked = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Ready(None),
        });
        let data = frame.await?.ok()?.into_data().ok()?;
        if data.len() as u64 == length {
            self.connection.brings_body(false);
            return Some(data);
        }
        self.read.extend_from_slice(&data);
        None
    }

    /// Reads to the end, or past [`MAX_BODY_BYTES`], however long the body is said
    /// to be; `progress` is called now and then while parts of it come. How long
    /// they may take is for the session to say.
    pub(super) async fn read(&mut self, mut progress: impl FnMut()) -> Result<Bytes, BodyError> {
        let announced = self.incoming.size_hint().exact().unwrap_or_default();
        let announced = usize::try_from(announced).unwrap_or(MAX_BODY_BYTES);
        self.read.reserve(announced.min(MAX_BODY_BYTES));
        let mut told_at = Instant::now();
        while let Some(frame) = self.incoming.frame().await {
            let frame = frame.map_err(|_| BodyError::Unreadable)?;
            let data = Frame::into_data(frame).unwrap_or_default();
            if self.read.len().saturating_add(data.len()) > MAX_BODY_BYTES {
                return Err(BodyError::TooLarge);
            }
            self.read.extend_from_slice(&data);
            if told_at.elapsed() >= PROGRESS {
                told_at = Instant::now();
                progress();
            }
        }
        self.connection.brings_body(false);
        Ok(self.read.split().freeze())
    }
}

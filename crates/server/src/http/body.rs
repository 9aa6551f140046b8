//! The body of a response.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use agent_socket_wire::limits::MAX_UNREAD_STREAM_BYTES;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::mpsc;

use super::connection::Busy;
use crate::session::request::Watch;

/// A body: all there, or still coming.
#[derive(Debug)]
pub(crate) enum Body {
    Whole(Option<Bytes>),
    Stream(Stream),
}

/// From so many bytes on that wait for the client, nothing more is kept for it:
/// what it does not read must not fill the memory.
const MAX_WAITING_BYTES: usize = 1024 * 1024;

/// A body whose parts come one by one.
#[derive(Debug)]
pub(crate) struct Stream {
    first: Option<Bytes>,
    parts: Parts,
    /// Tells the session if nobody reads them any more.
    watch: Watch,
    busy: Option<Busy>,
}

/// Where the parts of a body come from.
#[derive(Debug)]
pub(crate) struct Parts {
    comes: mpsc::UnboundedReceiver<Part>,
    waiting: Waiting,
}

/// Where the parts of a body are sent.
#[derive(Clone, Debug)]
pub(crate) struct PartSender {
    parts: mpsc::UnboundedSender<Part>,
    waiting: Waiting,
}

/// Bytes of a body that its client has not taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The client reads too little: its body is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMuchWaits;

/// Both ends of a body.
pub(crate) fn parts() -> (PartSender, Parts) {
    let (parts, comes) = mpsc::unbounded_channel();
    let waiting = Waiting::default();
    let sender = PartSender {
        parts,
        waiting: waiting.clone(),
    };
    (sender, Parts { comes, waiting })
}

impl PartSender {
    /// Sends a part, of whatever length.
    ///
    /// # Errors
    /// If [`MAX_WAITING_BYTES`] or more wait already; then it is not sent.
    pub(crate) fn send(&self, part: Part) -> Result<(), TooMuchWaits> {
        if let Part::Data(bytes) = &part {
            if self.waiting.bytes() >= MAX_WAITING_BYTES {
                return Err(TooMuchWaits);
            }
            self.waiting.0.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        // Whoever is gone needs nothing.
        let _ = self.parts.send(part);
        Ok(())
    }
}

impl PartSender {
    /// Whether the client takes what comes.
    pub(crate) fn keeps_up(&self) -> bool {
        self.waiting.bytes() < MAX_UNREAD_STREAM_BYTES
    }
}

impl Parts {
    /// What waits of them.
    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting.clone()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let part = ready!(self.comes.poll_recv(cx));
        if let Some(Part::Data(bytes)) = &part {
            self.waiting.0.fetch_sub(bytes.len(), Ordering::Relaxed);
        }
        Poll::Ready(part)
    }
}

/// What comes of a body.
#[derive(Debug)]
pub(crate) enum Part {
    Data(Bytes),
    /// It is whole. A body whose sender goes away without it is cut off, so
    /// that no client takes a part for the whole (RFC 9112, 8).
    End,
}

/// The body broke off.
#[derive(Debug)]
pub(crate) struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body broke off")
    }
}

impl std::error::Error for CutOff {}

impl Body {
    pub(crate) fn stream(first: Bytes, parts: Parts, watch: Watch) -> Self {
        Self::Stream(Stream {
            first: (!first.is_empty()).then_some(first),
            parts,
            watch,
            busy: None,
        })
    }

    /// Lets the request count as open for as long as its answer goes on.
    pub(crate) fn keep(&mut self, busy: Busy) {
        if let Self::Stream(stream) = self {
            busy.streams(stream.parts.waiting());
            stream.busy = Some(busy);
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Whole(None)
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => {
                if let Some(first) = stream.first.take() {
                    return Poll::Ready(Some(Ok(Frame::data(first))));
                }
                stream.parts.poll_next(cx).map(|part| match part {
                    Some(Part::Data(bytes)) => Some(Ok(Frame::data(bytes))),
                    Some(Part::End) => {
                        stream.watch.done();
                        None
                    }
                    // The session is told that nobody reads any more, in case it
                    // has not cut it off itself.
                    None => Some(Err(CutOff)),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn data(bytes: usize) -> Part {
        Part::Data(Bytes::from(vec![b'x'; bytes]))
    }

    #[tokio::test]
    async fn a_client_keeps_up_while_little_waits() {
        let (sender, mut parts) = parts();
        assert!(sender.keeps_up());
        sender.send(data(MAX_UNREAD_STREAM_BYTES - 1)).unwrap();
        assert!(sender.keeps_up());
        sender.send(data(1)).unwrap();
        assert!(!sender.keeps_up());
        assert!(poll_fn(|cx| parts.poll_next(cx)).await.is_some());
        assert!(sender.keeps_up());
    }

    #[tokio::test]
    async fn what_nobody_reads_is_kept_up_to_a_limit() {
        let (sender, mut parts) = parts();
        // One part may be of any length.
        sender.send(data(MAX_WAITING_BYTES - 1)).unwrap();
        sender.send(data(5 * MAX_WAITING_BYTES)).unwrap();
        assert_eq!(sender.send(data(1)), Err(TooMuchWaits));
        assert_eq!(parts.waiting.bytes(), 6 * MAX_WAITING_BYTES - 1);
        for _ in 0..2 {
            assert!(poll_fn(|cx| parts.poll_next(cx)).await.is_some());
        }
        assert_eq!(parts.waiting.bytes(), 0);
        sender.send(data(MAX_WAITING_BYTES)).unwrap();
        // The end is told all the same.
        sender.send(Part::End).unwrap();
        assert_eq!(sender.send(data(0)), Err(TooMuchWaits));
        assert!(matches!(
            poll_fn(|cx| parts.poll_next(cx)).await,
            Some(Part::Data(_))
        ));
        assert!(matches!(
            poll_fn(|cx| parts.poll_next(cx)).await,
            Some(Part::End)
        ));
    }
}

//! The body of a response.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

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

/// A body whose parts come one by one.
#[derive(Debug)]
pub(crate) struct Stream {
    first: Option<Bytes>,
    parts: mpsc::UnboundedReceiver<Part>,
    /// Tells the session if nobody reads them any more.
    watch: Watch,
    busy: Option<Busy>,
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
    pub(crate) fn stream(first: Bytes, parts: mpsc::UnboundedReceiver<Part>, watch: Watch) -> Self {
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
                stream.parts.poll_recv(cx).map(|part| match part {
                    Some(Part::Data(bytes)) => Some(Ok(Frame::data(bytes))),
                    Some(Part::End) => {
                        stream.watch.done();
                        None
                    }
                    None => {
                        stream.watch.done();
                        Some(Err(CutOff))
                    }
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

//! An app's WebSocket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use agent_socket_driver::{Millis, SocketId};
use agent_socket_wire::close::CloseCode;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_websockets::{Config, Error, Limits, Message, Payload, ServerBuilder, WebSocketStream};

use crate::io::{Io, Traffic};
use crate::metrics::Counted;

/// Largest message that is read, in bytes. The protocol counts a text in UTF-16
/// units; the session counts them.
const MAX_MESSAGE_BYTES: usize = agent_socket_wire::limits::MAX_FRAME_BYTES;

/// From this length on a message is no reason to keep a buffer of its size while
/// calls are in flight. Without any, none is kept.
const LARGE_BYTES: u64 = 1024 * 1024;

/// Bytes that are read at once from a socket that rests: more than a heartbeat.
const FIRST_BYTES: usize = 256;

/// From so many bytes on that the peer has not taken, nothing more is read from
/// it: an app that asks and never listens must not fill the memory with answers.
/// More than calls make up alone.
const MAX_UNTAKEN_BYTES: u64 = 16 * 1024 * 1024;

/// How long what is sent may wait until the peer takes some of it.
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a peer has to answer a Close frame and end its connection (RFC 6455,
/// 7.1.1).
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// The same when the relay ends, which cannot wait for it longer.
const RESTART_PATIENCE: Duration = Duration::from_secs(1);

/// What came from a socket.
#[derive(Debug)]
pub(crate) enum Received {
    /// A text message.
    Text(Payload),
    /// A binary message.
    Binary(Payload),
    /// One that is too large, of which only the length was read.
    TooLarge,
    /// The socket is closed; the code as [`agent_socket_driver::Driver::socket_closed`]
    /// has it.
    Closed(u16),
}

/// A socket. Messages that are sent wait until [`Self::poll_flush`].
#[derive(Debug)]
pub(crate) struct AppSocket {
    pub(crate) id: SocketId,
    /// The `Origin` of its upgrade.
    pub(crate) origin: Option<Box<str>>,
    /// What the session keeps with it.
    pub(crate) attachment: Option<String>,
    /// When its heartbeat was last answered.
    pub(crate) last_auto_response: Option<Millis>,
    /// What reads and writes messages; nothing while the socket rests, since its
    /// buffers are most of what an idle session weighs.
    stream: Option<Box<WebSocketStream<Io>>>,
    /// The connection while the socket rests.
    resting: Io,
    traffic: Arc<Traffic>,
    /// Bytes that were handed to `stream`, counted as `traffic` counts them.
    queued: u64,
    /// Bytes of the messages that came out of `stream`.
    taken: u64,
    /// Whether `stream` may hold a large buffer.
    is_large: bool,
    is_flushed: bool,
    /// Since when nothing has moved, and how much had been written then.
    stalled: Option<(Instant, u64)>,
    /// Its place among the relay's connections.
    _place: OwnedSemaphorePermit,
    _counted: Counted,
}

fn server(io: Io) -> Box<WebSocketStream<Io>> {
    // Frames are never split or flushed by the library: a turn's messages go
    // out together.
    let config = Config::default()
        .frame_size(usize::MAX)
        .flush_threshold(usize::MAX);
    let limits = Limits::default().max_payload_len(Some(MAX_MESSAGE_BYTES));
    Box::new(ServerBuilder::new().config(config).limits(limits).serve(io))
}

/// Bytes of a frame: as a server sends it, or as a client does, with a mask
/// (RFC 6455, 5.2).
const fn frame_bytes(payload: usize, mask: u64) -> u64 {
    let head = match payload {
        0..=125 => 2,
        126..=65_535 => 4,
        _ => 10,
    };
    (payload as u64).saturating_add(head).saturating_add(mask)
}

impl AppSocket {
    pub(crate) fn new(
        id: SocketId,
        mut io: Io,
        origin: Option<Box<str>>,
        place: OwnedSemaphorePermit,
        counted: Counted,
    ) -> Self {
        let traffic = io.traffic();
        // The bytes of the upgrade went through the same connection.
        let (read, written) = (traffic.read(), traffic.written());
        let taken = read.saturating_sub(io.waiting_bytes());
        Self {
            id,
            origin,
            attachment: None,
            last_auto_response: None,
            stream: Some(server(io.take())),
            resting: io,
            traffic,
            queued: written,
            taken,
            is_large: false,
            is_flushed: true,
            stalled: None,
            _place: place,
            _counted: counted,
        }
    }

    /// What came, if something did.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        loop {
            if self.backlog() >= MAX_UNTAKEN_BYTES {
                if self.poll_flush(cx).is_err() {
                    return Poll::Ready(Received::Closed(1006));
                }
                if self.backlog() >= MAX_UNTAKEN_BYTES {
                    return Poll::Pending;
                }
            }
            if self.stream.is_none() && ready!(self.poll_wake(cx)).is_err() {
                return Poll::Ready(Received::Closed(1006));
            }
            let message = match self.awake().poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(Some(Err(Error::PayloadTooLong { .. }))) => {
                    return Poll::Ready(Received::TooLarge);
                }
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Received::Closed(1006)),
                Poll::Pending => {
                    if self.is_large {
                        self.rest();
                    }
                    return Poll::Pending;
                }
            };
            let bytes = frame_bytes(message.as_payload().len(), 4);
            self.taken = self.taken.saturating_add(bytes);
            self.is_large |= bytes > LARGE_BYTES;
            if let Some((code, _)) = message.as_close() {
                return Poll::Ready(Received::Closed(code.into()));
            }
            // The library answers pings.
            if message.is_text() || message.is_binary() {
                let is_text = message.is_text();
                let payload = message.into_payload();
                return Poll::Ready(match is_text {
                    true => Received::Text(payload),
                    false => Received::Binary(payload),
                });
            }
            self.is_flushed = false;
        }
    }

    /// Lets go of everything but the connection if nothing is on its way. Whether
    /// something is still in a buffer cannot be asked, but if every byte that was
    /// read belongs to a message that came out, nothing is. The task that waits
    /// for the connection goes on waiting for it.
    pub(crate) fn rest(&mut self) {
        if !self.is_flushed || self.taken != self.traffic.read() {
            return;
        }
        if let Some(mut stream) = self.stream.take() {
            self.is_large = false;
            self.resting = stream.get_mut().take();
        }
    }

    /// Waits until something comes to a socket that rests.
    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut first = [0; FIRST_BYTES];
        let mut first = ReadBuf::new(&mut first);
        ready!(Pin::new(&mut self.resting).poll_read(cx, &mut first))?;
        if first.filled().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        let first = Bytes::copy_from_slice(first.filled());
        self.stream = Some(server(self.resting.take().after(first)));
        Poll::Ready(Ok(()))
    }

    fn awake(&mut self) -> &mut WebSocketStream<Io> {
        let resting = &mut self.resting;
        self.stream.get_or_insert_with(|| server(resting.take()))
    }

    /// Queues a text message.
    pub(crate) fn send(&mut self, text: String) {
        self.queued = self.queued.saturating_add(frame_bytes(text.len(), 0));
        self.is_flushed = false;
        // It fails if the socket is closing; that event follows.
        let _ = self.awake().start_send_unpin(Message::text(text));
    }

    /// Queues a text message that is always the same.
    pub(crate) fn send_static(&mut self, text: &'static str) {
        self.queued = self.queued.saturating_add(frame_bytes(text.len(), 0));
        self.is_flushed = false;
        let _ = self.awake().start_send_unpin(Message::text(text));
    }

    /// Bytes that were sent and that the peer's side has not taken yet.
    pub(crate) fn backlog(&self) -> u64 {
        self.queued.saturating_sub(self.traffic.written())
    }

    /// Writes what waits, as far as the peer takes it.
    ///
    /// # Errors
    /// If the socket is broken.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if self.is_flushed {
            return Ok(());
        }
        match self.awake().poll_flush_unpin(cx) {
            Poll::Ready(flushed) => {
                self.is_flushed = true;
                self.stalled = None;
                // Pongs of the library are not in the count.
                self.queued = self.traffic.written();
                flushed
            }
            Poll::Pending => {
                let written = self.traffic.written();
                if self.stalled.is_none_or(|(_, before)| before != written) {
                    self.stalled = Some((Instant::now(), written));
                }
                Ok(())
            }
        }
    }

    /// When it must be looked at, since what is sent waits.
    pub(crate) fn stalled_until(&self) -> Option<Instant> {
        self.stalled
            .and_then(|(since, _)| since.checked_add(WRITE_PATIENCE))
    }

    /// Whether the peer has taken nothing of what was sent for too long.
    pub(crate) fn is_stuck(&self, now: Instant) -> bool {
        self.stalled_until().is_some_and(|until| until <= now)
    }

    /// Closes it: sends a Close frame after what was sent, waits for the peer's
    /// and ends the connection.
    pub(crate) async fn close(mut self, code: CloseCode) {
        let number = tokio_websockets::CloseCode::try_from(code.code()).ok();
        let reason = number.map_or("", |_| code.reason());
        // It fails if the socket is closing, or if the library has told the peer
        // what is wrong already.
        let _ = self
            .awake()
            .start_send_unpin(Message::close(number, reason));
        let patience = match code {
            CloseCode::Restarting => RESTART_PATIENCE,
            _ => CLOSE_PATIENCE,
        };
        self.finish_within(patience).await;
    }

    /// Ends a connection whose closing has begun.
    pub(crate) async fn finish(self) {
        self.finish_within(CLOSE_PATIENCE).await;
    }

    async fn finish_within(mut self, patience: Duration) {
        let closing = async {
            // What is wrong with the socket, and how it ends, does not matter any
            // more.
            let _ = self.wait_for_close().await;
            let _ = self.awake().get_mut().shutdown().await;
        };
        let _ = timeout(patience, closing).await;
    }

    async fn wait_for_close(&mut self) -> Result<(), Error> {
        let stream = self.awake();
        stream.flush().await?;
        while let Some(message) = stream.next().await {
            message?;
        }
        Ok(())
    }
}

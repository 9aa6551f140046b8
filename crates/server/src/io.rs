//! A connection's bytes, with or without TLS, and how far they have come.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

use crate::metrics::TrafficMetrics;

/// After how long without a byte the peer is asked whether it is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// How often it is asked then.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// How long sent bytes may wait for the peer to acknowledge them (RFC 5482). Longer
/// than any deadline of the relay's own: Linux counts from the first moment when a
/// slow reader had no room, also if it has read since, and would cut it off.
const USER_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a connection stays to be read from after the last was sent, so that
/// what the peer still sends does not reset it before it has read that.
const LINGER: Duration = Duration::from_secs(2);

/// Sets what keeps a dead peer from holding a connection, and sends small
/// messages at once. A socket that has no such options goes without.
pub(crate) fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
    let _ = socket.set_tcp_nodelay(true);
}

/// Bytes that came and went.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    read: AtomicU64,
    written: AtomicU64,
    /// Those of all connections.
    all: TrafficMetrics,
}

impl Traffic {
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Another has it now.
    Taken,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Io {
    stream: Stream,
    /// Until when the peer's last bytes are passed over, once nothing more is
    /// sent.
    lingering: Option<Pin<Box<Sleep>>>,
    /// What another reader took from the stream and did not use.
    first: Bytes,
    traffic: Arc<Traffic>,
}

impl Io {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self::new(Stream::Plain(stream))
    }

    pub(crate) fn tls(stream: TlsStream<TcpStream>) -> Self {
        Self::new(Stream::Tls(Box::new(stream)))
    }

    fn new(stream: Stream) -> Self {
        Self {
            stream,
            lingering: None,
            first: Bytes::new(),
            traffic: Arc::default(),
        }
    }

    /// The same connection, whose bytes are counted with those of others. No byte
    /// has come or gone yet.
    pub(crate) fn counted(mut self, all: &TrafficMetrics) -> Self {
        self.traffic = Arc::new(Traffic {
            all: all.clone(),
            ..Traffic::default()
        });
        self
    }

    /// The same connection, from which these bytes come first.
    pub(crate) fn after(mut self, first: Bytes) -> Self {
        // What is empty may hold a buffer all the same.
        self.first = if first.is_empty() {
            Bytes::new()
        } else {
            first
        };
        self
    }

    /// Takes the connection out, and leaves one that is closed.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            stream: std::mem::replace(&mut self.stream, Stream::Taken),
            lingering: None,
            first: std::mem::take(&mut self.first),
            traffic: Arc::clone(&self.traffic),
        }
    }

    /// Bytes that were read from the connection and that nobody has got yet.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.first.len() as u64
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first.split_to(length));
            if self.first.is_empty() {
                self.first = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let poll = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Taken => Poll::Ready(Ok(())),
        };
        let more = buf.filled().len().saturating_sub(before);
        if more > 0 {
            let traffic = &self.traffic;
            traffic.read.fetch_add(more as u64, Ordering::Relaxed);
            traffic.all.read.increment(more as u64);
        }
        poll
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Taken => Poll::Ready(Ok(0)),
        };
        self.wrote(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Taken => Poll::Ready(Ok(0)),
        };
        self.wrote(poll)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
            Stream::Taken => false,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Taken => Poll::Ready(Ok(())),
        }
    }

    /// Ends the connection once the peer has had the time to read what was sent:
    /// nothing more is sent, and what still comes is passed over. A connection
    /// that is ended while bytes wait to be read is reset, and the peer may lose
    /// what it has not read yet (RFC 9112, 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(self.poll_end(cx))?;
            self.lingering = Some(Box::pin(sleep(LINGER)));
        }
        let is_over = self
            .lingering
            .as_mut()
            .is_none_or(|until| until.as_mut().poll(cx).is_ready());
        if is_over {
            return Poll::Ready(Ok(()));
        }
        let mut rest = [0; 1024];
        loop {
            let mut rest = ReadBuf::new(&mut rest);
            match ready!(self.as_mut().poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                // The peer has ended it too, or is gone.
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl Io {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Taken => Poll::Ready(Ok(())),
        }
    }

    fn wrote(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(more)) = &poll {
            let traffic = &self.traffic;
            traffic.written.fetch_add(*more as u64, Ordering::Relaxed);
            traffic.all.written.increment(*more as u64);
        }
        poll
    }
}

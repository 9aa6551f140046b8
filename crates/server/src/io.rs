//! A connection's bytes, with or without TLS, and how far they have come.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::server::TlsStream;

/// After how long without a byte the peer is asked whether it is there.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// How often it is asked then.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// How long sent bytes may wait for the peer to acknowledge them (RFC 5482).
const USER_TIMEOUT: Duration = Duration::from_secs(30);

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
            first: Bytes::new(),
            traffic: Arc::default(),
        }
    }

    /// The same connection, from which these bytes come first.
    pub(crate) fn after(mut self, first: Bytes) -> Self {
        self.first = first;
        self
    }

    /// Takes the connection out, and leaves one that is closed.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            stream: std::mem::replace(&mut self.stream, Stream::Taken),
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

    /// Ends the connection once the peer has had the time to read what was
    /// sent: nothing more is sent, and what still comes is passed over.
    pub(crate) async fn finish(mut self) {
        let deadline = Instant::now().checked_add(LINGER);
        let Some(deadline) = deadline else { return };
        let ending = async {
            self.shutdown().await?;
            let mut rest = [0; 4096];
            while self.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // A peer that is gone, or that stays too long, is let go of all the same.
        let _ = timeout_at(deadline, ending).await;
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
            let read = &self.traffic.read;
            read.fetch_add(more as u64, Ordering::Relaxed);
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

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Taken => Poll::Ready(Ok(())),
        }
    }
}

impl Io {
    fn wrote(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(more)) = &poll {
            let written = &self.traffic.written;
            written.fetch_add(*more as u64, Ordering::Relaxed);
        }
        poll
    }
}

//! HTTP by hand, for what no client library sends: unfinished uploads, chunks
//! without an end, connections that are reset.

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;
use super::response::Response;
use crate::transcript::Transcript;

/// A TCP connection to the relay.
pub struct Raw {
    stream: TcpStream,
    log: Transcript,
    what: String,
}

impl Raw {
    /// Connects to `authority` (host and port).
    ///
    /// # Errors
    /// If nobody listens.
    pub async fn connect(authority: &str, log: Transcript) -> Result<Self> {
        let stream = TcpStream::connect(authority)
            .await
            .with_context(|| format!("connecting to {authority}"))?;
        stream
            .set_nodelay(true)
            .context("switching Nagle's algorithm off")?;
        Ok(Self {
            stream,
            log,
            what: String::new(),
        })
    }

    /// Sends the start of a request: its line and headers, and the empty line.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn head(&mut self, line: &str, headers: &[(&str, &str)]) -> Result<()> {
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        self.what = line.to_owned();
        self.log.log(
            "raw  ",
            &format!("→ {line} {}", headers.replace("\r\n", " ")),
        );
        self.write(format!("{line} HTTP/1.1\r\n{headers}\r\n").as_bytes())
            .await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes))
            .await
            .with_context(|| format!("{}: the relay does not read", self.what))?
            .with_context(|| format!("{}: writing", self.what))
    }

    /// Sends bytes as one chunk (RFC 9112, 7.1).
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn chunk(&mut self, bytes: &[u8]) -> Result<()> {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.write(&chunk).await
    }

    /// Reads a response.
    ///
    /// # Errors
    /// If there is none in time, or it is not HTTP/1.1.
    pub async fn response(&mut self) -> Result<Response> {
        let response = timeout(PATIENCE, self.read_response())
            .await
            .with_context(|| format!("{}: no answer within {PATIENCE:?}", self.what))??;
        self.log.log("raw  ", &format!("← {response}"));
        Ok(response)
    }

    /// Reads on until what came since the start holds this text, and gives all
    /// of it: for responses that are not at their end.
    ///
    /// # Errors
    /// If it does not come in time.
    pub async fn until(&mut self, received: &mut Vec<u8>, part: &str) -> Result<String> {
        let reading = async {
            while find(received, part.as_bytes()).is_none() {
                self.read_more(received).await?;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, reading)
            .await
            .with_context(|| format!("waiting for {part:?}"))??;
        let text = String::from_utf8_lossy(received).into_owned();
        self.log.log("raw  ", &format!("← … {part}"));
        Ok(text)
    }

    async fn read_response(&mut self) -> Result<Response> {
        let mut received = Vec::new();
        let head_end = loop {
            if let Some(at) = find(&received, b"\r\n\r\n") {
                break at;
            }
            self.read_more(&mut received).await?;
        };
        let head = String::from_utf8_lossy(&received[..head_end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .with_context(|| format!("{}: no status line in {head:?}", self.what))?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut response = Response {
            what: self.what.clone(),
            status,
            headers,
            body: received.split_off(head_end + 4),
        };
        self.read_body(&mut response).await?;
        Ok(response)
    }

    async fn read_body(&mut self, response: &mut Response) -> Result<()> {
        let length = response.header("content-length").map(str::parse::<usize>);
        if let Some(length) = length {
            let length = length.context("content-length is not a number")?;
            while response.body.len() < length {
                self.read_more(&mut response.body).await?;
            }
            return Ok(());
        }
        if response.header("transfer-encoding") == Some("chunked") {
            while find(&response.body, b"0\r\n\r\n").is_none() {
                self.read_more(&mut response.body).await?;
            }
            response.body = dechunk(&response.body)?;
        }
        Ok(())
    }

    async fn read_more(&mut self, into: &mut Vec<u8>) -> Result<()> {
        let read = self
            .stream
            .read_buf(into)
            .await
            .with_context(|| format!("{}: reading", self.what))?;
        if read == 0 {
            bail!(
                "{}: the relay closed the connection after {:?}",
                self.what,
                String::from_utf8_lossy(into)
            );
        }
        Ok(())
    }

    /// Goes away with a reset (RST), as a client does whose process is killed.
    ///
    /// # Errors
    /// If the socket can't be set so.
    pub fn reset(self) -> Result<()> {
        self.log.log("raw  ", "→ reset");
        self.stream
            .set_zero_linger()
            .context("setting SO_LINGER to 0")
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

fn dechunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = find(rest, b"\r\n").context("a chunk without a size")?;
        let size = std::str::from_utf8(&rest[..line_end]).context("a chunk's size")?;
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        let data = &rest[line_end + 2..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(data.get(..size).context("a chunk that is cut off")?);
        rest = data.get(size + 2..).context("a chunk that is cut off")?;
    }
}

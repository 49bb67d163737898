//! Links: how frames get to a master and back. One over TCP is here; the worker has one within the process.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::ClientError;
use crate::limits::{FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES};
use crate::protocol::{ErrorCode, Header, Hello, Reply, Request, VERSION};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the answer to Hello may take.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between attempts of a patient link.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Ends the sending side of a link from another thread.
pub type Ender = Box<dyn Fn() + Send + Sync>;

/// One frame of the master.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// Its body.
    pub body: Vec<u8>,
}

/// A way to a master that can be opened, lost and opened again.
pub trait Link: Send {
    /// Opens the link, with Hello if it needs one.
    ///
    /// # Errors
    /// When it cannot be opened; nothing is open then.
    fn open(&mut self) -> Result<(), ClientError>;

    /// Whether it is open.
    fn is_open(&self) -> bool;

    /// Closes it.
    fn close(&mut self);

    /// Sends one or more frames.
    ///
    /// # Errors
    /// When the link broke.
    fn send(&mut self, frames: Vec<u8>) -> io::Result<()>;

    /// Waits for a frame of the master.
    ///
    /// # Errors
    /// `TimedOut` when none came in time; others when the link broke.
    fn receive(&mut self, wait: Duration) -> io::Result<Frame>;

    /// Ends the sending side of the link as it is now, from any thread.
    ///
    /// # Errors
    /// What the system says.
    fn ender(&self) -> io::Result<Ender>;
}

/// A link over TCP.
#[derive(Debug)]
pub struct TcpLink {
    address: String,
    name: String,
    token: Vec<u8>,
    patience: Duration,
    stream: Option<TcpStream>,
}

impl TcpLink {
    /// A link to `HOST:PORT` that is not open yet. The token is empty if the master needs none.
    #[must_use]
    pub fn new(address: &str, name: &str, token: &[u8]) -> TcpLink {
        TcpLink {
            address: address.to_owned(),
            name: name.to_owned(),
            token: token.to_owned(),
            patience: Duration::ZERO,
            stream: None,
        }
    }

    /// The same, but a connection that is refused is tried again for this long: the master may be starting.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> TcpLink {
        TcpLink { patience, ..self }
    }

    fn connect_patiently(&self) -> io::Result<TcpStream> {
        let until = Instant::now() + self.patience;
        loop {
            match self.connect() {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && Instant::now() < until => {
                    std::thread::sleep(RETRY_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn greet(&mut self) -> Result<(), ClientError> {
        let mut hello = Vec::new();
        let request = Request::Hello(Hello { version: VERSION, name: &self.name, token: &self.token });
        request.check().map_err(ClientError::Refused)?;
        request.encode(0, &mut hello);
        let unreachable =
            |address: &str, source| ClientError::Unreachable { address: address.to_owned(), source };
        self.send(hello).map_err(|source| unreachable(&self.address, source))?;
        let frame = match self.receive(HELLO_TIMEOUT) {
            Ok(frame) => frame,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(ClientError::NotTheProtocol { why: error.to_string() });
            }
            Err(source) => return Err(unreachable(&self.address, source)),
        };
        match Reply::decode(frame.header.kind, &frame.body) {
            Ok(Reply::HelloOk(_)) => Ok(()),
            Ok(Reply::Error(refusal)) => Err(ClientError::Refused(refusal)),
            Ok(_) => {
                Err(ClientError::NotTheProtocol { why: "Hello was answered by another reply".to_owned() })
            }
            Err(refusal) => Err(ClientError::NotTheProtocol { why: refusal.text }),
        }
    }
}

impl Link for TcpLink {
    fn open(&mut self) -> Result<(), ClientError> {
        let stream = self
            .connect_patiently()
            .map_err(|source| ClientError::Unreachable { address: self.address.clone(), source })?;
        self.stream = Some(stream);
        self.greet().inspect_err(|_| self.stream = None)
    }

    fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    fn close(&mut self) {
        self.stream = None;
    }

    fn send(&mut self, frames: Vec<u8>) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(&frames)
    }

    fn receive(&mut self, wait: Duration) -> io::Result<Frame> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let until = Instant::now() + wait;
        let mut head = [0; FRAME_HEADER_BYTES];
        read_exact_until(stream, &mut head, until)?;
        let header = Header::decode(&head, FRAME_BODY_BYTES_MAX)
            .map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad.refusal.text))?;
        let mut body = vec![0; header.body_bytes];
        read_exact_until(stream, &mut body, until)?;
        Ok(Frame { header, body })
    }

    fn ender(&self) -> io::Result<Ender> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?.try_clone()?;
        Ok(Box::new(move || {
            // A connection that is gone has no sending side left to end.
            let _ = stream.shutdown(Shutdown::Write);
        }))
    }
}

fn read_exact_until(stream: &mut TcpStream, mut room: &mut [u8], until: Instant) -> io::Result<()> {
    while !room.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(came) => room = &mut room[came..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The refusal that a reply carries, if it is one.
pub(super) fn refusal_in(reply: Reply<'_>) -> Result<Reply<'_>, ClientError> {
    match reply {
        Reply::Error(refusal) if refusal.code == ErrorCode::Malformed => {
            Err(ClientError::NotTheProtocol { why: refusal.text })
        }
        Reply::Error(refusal) => Err(ClientError::Refused(refusal)),
        other => Ok(other),
    }
}

//! Links: how frames get to a master and back. One over TCP is here; the worker has one within the process.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::ClientError;
use crate::limits::{FRAME_BODY_BYTES_MAX, FRAME_HEADER_BYTES};
use crate::protocol::{Header, Hello, Reply, Request};

/// How long making a connection, and the answer to Hello, may take at most.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between attempts of a patient link.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Ends the sending side of a link, or both, from another thread.
pub type Ender = Box<dyn Fn(Shutdown) + Send + Sync>;

/// One frame of the master.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// Its body.
    pub body: Vec<u8>,
}

/// A way to a master that can be opened, lost and opened again. Its error is `TimedOut` when the deadline is over; with
/// any other the link broke.
pub trait Link: Send {
    /// Opens the link, with Hello if it needs one. If it cannot be opened until the deadline, nothing is open.
    fn open(&mut self, deadline: Instant) -> Result<(), ClientError>;

    /// Whether it is open.
    fn is_open(&self) -> bool;

    /// Closes it.
    fn close(&mut self);

    /// Sends one or more frames.
    fn send(&mut self, frames: Vec<u8>, deadline: Instant) -> io::Result<()>;

    /// Waits for a frame of the master.
    fn receive(&mut self, deadline: Instant) -> io::Result<Frame>;

    /// Ends the link as it is now, or its sending side alone, from any thread.
    fn ender(&self) -> io::Result<Ender>;
}

/// A link over TCP.
#[derive(Debug)]
pub struct TcpLink {
    address: String,
    name: String,
    token: Vec<u8>,
    patience: Duration,
    says_begun: bool,
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
            says_begun: false,
            stream: None,
        }
    }

    /// The same, but where nobody listens yet, or the master is still reading its log, it is tried again for this long.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> TcpLink {
        TcpLink { patience, ..self }
    }

    /// The same, and it is promised to the master to say by [`Client::say`](super::Client::say) when a job is begun.
    #[must_use]
    pub fn saying_begun(self) -> TcpLink {
        TcpLink { says_begun: true, ..self }
    }

    fn open_once(&mut self, deadline: Instant) -> Result<(), ClientError> {
        let stream = self.connect(deadline).map_err(|source| self.unreachable(source))?;
        self.stream = Some(stream);
        self.greet(deadline).inspect_err(|_| self.stream = None)
    }

    fn connect(&self, deadline: Instant) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.address.to_socket_addrs()? {
            let left = left_until(deadline)?.min(OPEN_TIMEOUT);
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn greet(&mut self, deadline: Instant) -> Result<(), ClientError> {
        let mut hello = Vec::new();
        let says_begun = self.says_begun.then_some(true);
        let request = Request::from(Hello { says_begun, ..Hello::new(&self.name, &self.token) });
        request.check().map_err(ClientError::Refused)?;
        request.encode(0, &mut hello);
        let deadline = deadline.min(Instant::now() + OPEN_TIMEOUT);
        let answer = self.send(hello, deadline).and_then(|()| self.receive(deadline));
        let frame = answer.map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => not_the_protocol(&source.to_string()),
            io::ErrorKind::TimedOut => self.unreachable(io::Error::new(
                source.kind(),
                "something listens there but does not answer as falcond does",
            )),
            _ => self.unreachable(source),
        })?;
        match Reply::decode(frame.header.kind, &frame.body) {
            Ok(Reply::HelloOk(_)) => Ok(()),
            Ok(Reply::Error(refusal)) => Err(ClientError::Refused(refusal)),
            Ok(_) => Err(not_the_protocol("Hello was answered by another reply")),
            Err(refusal) => Err(not_the_protocol(&refusal.text)),
        }
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        ClientError::Unreachable { address: self.address.clone(), source }
    }
}

fn not_the_protocol(why: &str) -> ClientError {
    ClientError::NotTheProtocol { why: why.to_owned() }
}

/// Whether it may be over in a moment: a master was just started.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { source, .. } => source.kind() == io::ErrorKind::ConnectionRefused,
        error => error.is_starting(),
    }
}

/// The time that is left, which a system call may be given as its bound.
fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl Link for TcpLink {
    fn open(&mut self, deadline: Instant) -> Result<(), ClientError> {
        let until = deadline.min(Instant::now() + self.patience);
        loop {
            match self.open_once(deadline) {
                Err(error) if may_pass(&error) && Instant::now() < until => std::thread::sleep(RETRY_PAUSE),
                outcome => return outcome,
            }
        }
    }

    fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    fn close(&mut self) {
        self.stream = None;
    }

    fn send(&mut self, frames: Vec<u8>, deadline: Instant) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut rest = &frames[..];
        while !rest.is_empty() {
            stream.set_write_timeout(Some(left_until(deadline)?))?;
            match stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => rest = &rest[sent..],
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, deadline: Instant) -> io::Result<Frame> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut head = [0; FRAME_HEADER_BYTES];
        read_exact_until(stream, &mut head, deadline)?;
        let header = Header::decode(&head, FRAME_BODY_BYTES_MAX).map_err(|bad| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}; is that the right port?", bad.refusal.text))
        })?;
        let mut body = vec![0; header.body_bytes];
        read_exact_until(stream, &mut body, deadline)?;
        Ok(Frame { header, body })
    }

    fn ender(&self) -> io::Result<Ender> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?.try_clone()?;
        Ok(Box::new(move |how| {
            // A connection that is gone has nothing left to end.
            let _ = stream.shutdown(how);
        }))
    }
}

fn read_exact_until(stream: &mut TcpStream, mut room: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !room.is_empty() {
        stream.set_read_timeout(Some(left_until(deadline)?))?;
        match stream.read(room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(came) => room = &mut room[came..],
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Interrupted, or the time-out of one call; whether the deadline is over is seen before the next one.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Checks an address: `HOST:PORT`, with the port as a number.
pub fn check_address(text: &str) -> Result<String, String> {
    let fits = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if fits { Ok(text.to_owned()) } else { Err("write HOST:PORT, as in 127.0.0.1:3252".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn addresses_need_a_host_and_a_port() {
        for good in ["127.0.0.1:3252", "[::1]:0", "localhost:80"] {
            assert!(check_address(good).is_ok(), "{good}");
        }
        for bad in ["", "foo", "127.0.0.1", "foo:bar", "foo:99999", ":80"] {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_listener_that_says_nothing_and_one_that_says_something_else_are_errors_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut link = TcpLink::new(&listener.local_addr().unwrap().to_string(), "test", b"");
        let silent = link.open(Instant::now() + Duration::from_millis(50)).unwrap_err();
        assert!(silent.to_string().contains("does not answer as falcond"), "{silent}");
        let stranger = std::thread::spawn(move || {
            let _silent = listener.accept().unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let other = link.open(Instant::now() + Duration::from_secs(20)).unwrap_err();
        assert!(matches!(other, ClientError::NotTheProtocol { .. }), "{other}");
        stranger.join().unwrap();
    }

    #[test]
    fn a_side_that_does_not_read_does_not_hold_the_sender_for_ever() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut link = TcpLink::new("", "test", b"");
        link.stream = Some(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let error = link.send(vec![0; 64 << 20], Instant::now() + Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

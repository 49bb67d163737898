//! Links: how frames get to a master and back. One over a socket is here; another one leads to a master in the same
//! process.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::socket::{Socket, left_until};
use super::{ClientError, WorkerFacts};
use crate::address::Address;
use crate::limits::FRAME_BODY_BYTES_MAX;
use crate::protocol::{FrameBuffer, Hello, Reply, Request};

/// How long the answer to Hello may take at most.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between attempts of a patient link.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How long one read waits at most. A deadline that is further away needs no time-out of its own to be set.
const READ_WAIT: Duration = Duration::from_secs(5);

/// How long one write waits.
const WRITE_WAIT: Duration = Duration::from_millis(100);

/// Bytes that are asked for at once where nothing is known of the frame that comes, and of a long one.
const READ_BYTES: usize = 64 << 10;
const READ_BYTES_MAX: usize = 256 << 10;

/// Makes links to one master. A time-out is the error of a call, not of the link: see [`Link::receive`].
pub trait Connector: Send + Sync {
    /// Opens a link, of a client that says this of itself, until the deadline.
    fn connect(&self, facts: &WorkerFacts, deadline: Instant) -> Result<Box<dyn Link>, ClientError>;
}

/// A way to a master that is open. It breaks for good at its first error other than `TimedOut`, and goes away with its
/// last owner.
pub trait Link: Send + Sync {
    /// Sends the first of these bytes, as many as it takes, and says how many; one thread at a time does so. `TimedOut`
    /// when it has taken none for a moment: the other side does not read, perhaps since nobody reads what it says.
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits for bytes of the master and puts them at the end of `into`; one thread at a time does so. `TimedOut` when
    /// none came until the deadline, `UnexpectedEof` when none will come.
    fn receive(&self, into: &mut FrameBuffer, deadline: Instant) -> io::Result<()>;

    /// Ends its sending side, or both, from any thread.
    fn end(&self, how: Shutdown);

    /// How long either side may be silent before the other takes it for dead; nothing where that cannot be.
    fn silence(&self) -> Option<Duration> {
        None
    }
}

/// Makes links over TCP, or a Unix socket.
#[derive(Clone, Debug)]
pub struct Remote {
    address: String,
    name: String,
    token: Vec<u8>,
    patience: Duration,
    /// What is told why it is tried again, once a link.
    told: fn(&ClientError),
    says_begun: bool,
}

impl Remote {
    /// Links to an address such as `HOST:PORT` or `unix:PATH`, by a client of this name. The token is empty if the
    /// master needs none.
    #[must_use]
    pub fn new(address: &str, name: &str, token: &[u8]) -> Remote {
        Remote {
            address: address.to_owned(),
            name: name.to_owned(),
            token: token.to_owned(),
            patience: Duration::ZERO,
            told: |_| {},
            says_begun: false,
        }
    }

    /// The same, but where nobody listens yet, or the master is still reading its log, it is tried again for this long;
    /// of each link that is not made at once, `told` is told why.
    #[must_use]
    pub fn with_patience(self, patience: Duration, told: fn(&ClientError)) -> Remote {
        Remote { patience, told, ..self }
    }

    /// The same, and it is promised to the master to say by [`Client::say`](super::Client::say) when a job is begun.
    #[must_use]
    pub fn saying_begun(self) -> Remote {
        Remote { says_begun: true, ..self }
    }

    fn connect_once(&self, facts: &WorkerFacts, deadline: Instant) -> Result<SocketLink, ClientError> {
        let socket = self.dial(deadline).map_err(|source| self.unreachable(source))?;
        let mut link = SocketLink { socket, read_wait_ms: AtomicU64::new(0), silence: None };
        link.silence = self.greet(&link, facts, deadline)?;
        Ok(link)
    }

    fn dial(&self, deadline: Instant) -> io::Result<Socket> {
        let bad = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        let address: Address = self.address.parse().map_err(bad)?;
        let socket = Socket::dial(&address, deadline)?;
        socket.set_write_timeout(WRITE_WAIT)?;
        Ok(socket)
    }

    /// Says Hello; returns how long the link may be silent.
    fn greet(
        &self,
        link: &SocketLink,
        facts: &WorkerFacts,
        deadline: Instant,
    ) -> Result<Option<Duration>, ClientError> {
        let mut hello = Vec::new();
        let says_begun = self.says_begun.then_some(true);
        let request = Request::from(Hello { says_begun, ..facts.hello(&self.name, &self.token) });
        request.check().map_err(ClientError::Refused)?;
        request.encode(0, &mut hello);
        let deadline = deadline.min(Instant::now() + HELLO_TIMEOUT);
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::InvalidData => not_the_protocol(&source.to_string()),
            io::ErrorKind::TimedOut => self.unreachable(io::Error::new(
                source.kind(),
                "something listens there but does not answer as falcond does",
            )),
            _ => self.unreachable(source),
        };
        // It fits into the buffers of a connection that was just made.
        link.send(&hello).map_err(failed)?;
        let mut frames = FrameBuffer::default();
        loop {
            link.receive(&mut frames, deadline).map_err(failed)?;
            let answer = frames.next_frame(FRAME_BODY_BYTES_MAX).map_err(|bad| not_the_protocol(&bad.refusal.text))?;
            let Some((header, body)) = answer else { continue };
            return match Reply::decode(header.kind, body) {
                Ok(Reply::HelloOk(hello)) => Ok(hello.silence_ms.map(|ms| Duration::from_millis(ms.into()))),
                Ok(Reply::Error(refusal)) => Err(ClientError::Refused(refusal)),
                Ok(_) => Err(not_the_protocol("Hello was answered by another reply")),
                Err(refusal) => Err(not_the_protocol(&refusal.text)),
            };
        }
    }

    fn unreachable(&self, source: io::Error) -> ClientError {
        ClientError::Unreachable { address: self.address.clone(), source }
    }
}

impl Connector for Remote {
    fn connect(&self, facts: &WorkerFacts, deadline: Instant) -> Result<Box<dyn Link>, ClientError> {
        let until = deadline.min(Instant::now() + self.patience);
        let mut told = false;
        loop {
            match self.connect_once(facts, deadline) {
                Err(error) if error.may_pass_unsent() && Instant::now() < until => {
                    if !std::mem::replace(&mut told, true) {
                        (self.told)(&error);
                    }
                    std::thread::sleep(RETRY_PAUSE);
                }
                Err(error) => return Err(error),
                Ok(link) => return Ok(Box::new(link)),
            }
        }
    }
}

fn not_the_protocol(why: &str) -> ClientError {
    ClientError::NotTheProtocol { why: format!("{why}; is that the right port?") }
}

/// A connection that was greeted.
#[derive(Debug)]
struct SocketLink {
    socket: Socket,
    /// The time-out of reads as it was set last, so that most reads set none.
    read_wait_ms: AtomicU64,
    /// As the master said.
    silence: Option<Duration>,
}

impl SocketLink {
    /// Sets the time-out of the next read, if it is to be another one; rounded up to a millisecond.
    fn wait_until(&self, deadline: Instant) -> io::Result<()> {
        let wait_ms = left_until(deadline)?.min(READ_WAIT).as_millis() as u64 + 1;
        if self.read_wait_ms.swap(wait_ms, Ordering::Relaxed) != wait_ms {
            self.socket.set_read_timeout(Duration::from_millis(wait_ms))?;
        }
        Ok(())
    }
}

impl Link for SocketLink {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket.write(bytes) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Err(error) if is_passing(&error) => Err(io::ErrorKind::TimedOut.into()),
            outcome => outcome,
        }
    }

    fn receive(&self, into: &mut FrameBuffer, deadline: Instant) -> io::Result<()> {
        let missing = into.missing_bytes(FRAME_BODY_BYTES_MAX);
        loop {
            self.wait_until(deadline)?;
            match into.read_with(missing, missing.clamp(READ_BYTES, READ_BYTES_MAX), |room| self.socket.read(room)) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn end(&self, how: Shutdown) {
        // A connection that is gone has nothing left to end.
        let _ = self.socket.shutdown(how);
    }

    fn silence(&self) -> Option<Duration> {
        self.silence
    }
}

/// Interrupted, or the time-out of one call; whether the deadline is over is seen before the next one.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;

    #[test]
    fn a_listener_that_says_nothing_and_one_that_says_something_else_are_errors_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = Remote::new(&listener.local_addr().unwrap().to_string(), "test", b"");
        let failure = |limit_ms| {
            let deadline = Instant::now() + Duration::from_millis(limit_ms);
            tcp.connect(&WorkerFacts::default(), deadline).err().unwrap()
        };
        let silent = failure(50);
        assert!(silent.to_string().contains("does not answer as falcond"), "{silent}");
        let stranger = std::thread::spawn(move || {
            let _silent = listener.accept().unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let other = failure(20_000);
        assert!(matches!(other, ClientError::NotTheProtocol { .. }), "{other}");
        stranger.join().unwrap();
    }

    #[test]
    fn one_that_takes_the_connection_and_is_gone_is_tried_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let tcp = Remote::new(&address, "test", b"").with_patience(Duration::from_secs(20), |_| {});
        let stranger = std::thread::spawn(move || {
            // With Hello unread it is reset.
            let (first, _) = listener.accept().unwrap();
            first.peek(&mut [0]).unwrap();
            drop(first);
            listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        });
        let last = tcp.connect(&WorkerFacts::default(), Instant::now() + Duration::from_secs(20)).err().unwrap();
        assert!(matches!(last, ClientError::NotTheProtocol { .. }), "{last}");
        stranger.join().unwrap();
    }
}

//! The ceilings: a server of one thread that sends back what it gets, and does nothing else; and one that writes it
//! to a file and syncs that before, as little as a server can do that answers durably.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::sync::written_file;

const LISTENER: Token = Token(usize::MAX);
const BUFFER_BYTES: usize = 256 << 10;
const LOG_BYTES: u64 = 64 << 20;

struct Conn {
    stream: TcpStream,
    /// What may leave, and what waits for the log.
    ready: Vec<u8>,
    held: Vec<u8>,
}

/// A file that is written round and round.
struct Log {
    file: File,
    end: u64,
    /// What came since the last sync, and from whom.
    bytes: Vec<u8>,
    from: Vec<usize>,
}

struct Server {
    listener: TcpListener,
    poll: Poll,
    conns: Slab<Conn>,
    buffer: Vec<u8>,
    log: Option<Log>,
}

/// Serves until it is killed. With a `log` each byte is in that file, and that on the disk, before it is sent back; a
/// sync is made when nothing more is ready to be read.
pub fn serve(port: u16, log: Option<&Path>) -> std::io::Result<()> {
    let log = match log {
        Some(path) => {
            let file = written_file(path, LOG_BYTES)?;
            Some(Log { file, end: 0, bytes: Vec::new(), from: Vec::new() })
        }
        None => None,
    };
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    Server { listener, poll, conns: Slab::new(), buffer: vec![0; BUFFER_BYTES], log }.run()
}

impl Server {
    fn run(&mut self) -> std::io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            let is_waiting = self.log.as_ref().is_some_and(|log| !log.bytes.is_empty());
            self.poll.poll(&mut events, is_waiting.then_some(Duration::ZERO))?;
            for event in &events {
                if event.token() == LISTENER {
                    self.accept()?;
                } else {
                    self.echo(event.token().0);
                }
            }
            if events.is_empty() {
                self.sync()?;
            }
        }
    }

    fn accept(&mut self) -> std::io::Result<()> {
        while let Ok((mut stream, _)) = self.listener.accept() {
            stream.set_nodelay(true)?;
            let entry = self.conns.vacant_entry();
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(entry.key()), both)?;
            entry.insert(Conn { stream, ready: Vec::new(), held: Vec::new() });
        }
        Ok(())
    }

    /// Takes what a connection has sent and sends what may leave; an error ends the connection.
    fn echo(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let before = conn.held.len();
        let outcome = conn.echo(&mut self.buffer, self.log.is_some());
        if let Some(log) = &mut self.log
            && conn.held.len() > before
        {
            log.bytes.extend_from_slice(&conn.held[before..]);
            log.from.push(key);
        }
        if outcome.is_err() {
            self.conns.remove(key);
        }
    }

    /// Makes durable what came, and sends it back.
    fn sync(&mut self) -> std::io::Result<()> {
        let Some(log) = self.log.as_mut().filter(|log| !log.bytes.is_empty()) else { return Ok(()) };
        if log.end + log.bytes.len() as u64 > LOG_BYTES {
            log.end = 0;
        }
        log.file.write_all_at(&log.bytes, log.end)?;
        log.end += log.bytes.len() as u64;
        log.file.sync_data()?;
        log.bytes.clear();
        for key in std::mem::take(&mut log.from) {
            let Some(conn) = self.conns.get_mut(key) else { continue };
            conn.ready.append(&mut conn.held);
            if conn.send().is_err() {
                self.conns.remove(key);
            }
        }
        Ok(())
    }
}

impl Conn {
    fn echo(&mut self, buffer: &mut [u8], is_held: bool) -> std::io::Result<()> {
        loop {
            self.send()?;
            if !self.ready.is_empty() {
                return Ok(());
            }
            let bytes = match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let place = if is_held { &mut self.held } else { &mut self.ready };
            place.extend_from_slice(&buffer[..bytes]);
            if bytes < buffer.len() {
                return self.send();
            }
        }
    }

    /// Sends what may leave, as far as the socket takes it.
    fn send(&mut self) -> std::io::Result<()> {
        while !self.ready.is_empty() {
            match self.stream.write(&self.ready) {
                Ok(bytes) => drop(self.ready.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_comes_back_is_in_the_log() {
        let home = tempfile::tempdir().unwrap();
        let (path, port) = (home.path().join("log"), crate::server::free_port().unwrap());
        let log = path.clone();
        // It ends with the test's process.
        std::thread::spawn(move || serve(port, Some(&log)));
        let begun = Instant::now();
        let mut stream = loop {
            match std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                Ok(stream) => break stream,
                Err(error) => assert!(begun.elapsed() < Duration::from_mins(1), "no server: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut all = Vec::new();
        for said in [&b"one"[..], b"two, longer"] {
            stream.write_all(said).unwrap();
            let mut back = vec![0; said.len()];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(back, said);
            all.extend_from_slice(said);
            let mut logged = vec![0; all.len()];
            File::open(&path).unwrap().read_exact_at(&mut logged, 0).unwrap();
            assert_eq!(logged, all);
        }
    }
}

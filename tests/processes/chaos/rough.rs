//! A connection that is treated roughly: whatever fails on it is what was to be expected, for the master may close it
//! at any moment and for good reasons.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::dice::Dice;
use crate::harness::frames::{Reply, Request, decode, decode_header, hello};

/// No read or write waits longer.
const PATIENCE: Duration = Duration::from_millis(200);

pub struct Rough {
    stream: TcpStream,
    correlation: u64,
}

impl Rough {
    /// None if the master has no place for it.
    pub fn connect(address: &str) -> Option<Rough> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        Some(Rough { stream, correlation: 1 })
    }

    /// Connected, and past Hello.
    pub fn greeted(address: &str) -> Option<Rough> {
        let mut rough = Rough::connect(address)?;
        match rough.ask(&hello(b""))? {
            Reply::HelloOk { .. } => Some(rough),
            _ => None,
        }
    }

    /// Whether all of it was taken.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends a request with this correlation.
    pub fn request(&mut self, request: &Request, correlation: u64) -> bool {
        self.send(&request.frame(correlation))
    }

    /// The reply, unless the connection ends or is silent before.
    pub fn ask(&mut self, request: &Request) -> Option<Reply> {
        self.correlation += 1;
        let correlation = self.correlation;
        if !self.request(request, correlation) {
            return None;
        }
        self.reply_to(correlation)
    }

    /// The next reply with this correlation; the others are not wanted.
    pub fn reply_to(&mut self, correlation: u64) -> Option<Reply> {
        let end_at = Instant::now() + 5 * PATIENCE;
        while Instant::now() < end_at {
            let (found, reply) = self.receive()?;
            if found == correlation {
                return Some(reply);
            }
        }
        None
    }

    fn receive(&mut self) -> Option<(u64, Reply)> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head).ok()?;
        let (body_bytes, kind, correlation) = decode_header(&head);
        let mut body = vec![0; body_bytes];
        self.stream.read_exact(&mut body).ok()?;
        Some((correlation, decode(kind, &body)))
    }

    /// Reads a few bytes, in the midst of whatever comes.
    pub fn nibble(&mut self, bytes: usize) {
        // Nothing may come at all.
        let _ = self.stream.read(&mut vec![0; bytes]);
    }

    /// Ends it in one of three ways: in order, for one side only, or by a reset.
    pub fn end(self, dice: &mut Dice) {
        match dice.below(3) {
            0 => {}
            // It may have ended already.
            1 => drop(self.stream.shutdown(Shutdown::Write)),
            // Unread bytes or not: the other side hears of a reset.
            _ => drop(set_socket_linger(&self.stream, Some(Duration::ZERO))),
        }
    }
}

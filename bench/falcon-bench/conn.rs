//! One connection of the load generator: buffers around a socket that never blocks.

use std::collections::VecDeque;
use std::io::ErrorKind;

use crate::place::{Place, Stream};
use crate::wire::{Seen, Wire};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Producer,
    Worker,
    Idle,
}

pub struct Conn {
    pub stream: Box<dyn Stream>,
    pub role: Role,
    pub wire: Box<dyn Wire>,
    /// Bytes to be written; all of them go in one write.
    pub out: Vec<u8>,
    /// How many of them were written.
    written: usize,
    /// The beginning of a reply whose rest is not here yet.
    input: Vec<u8>,
    /// Times and jobs of the submits that are open, oldest first.
    pub submits: VecDeque<(u64, u32)>,
    pub is_ready: bool,
}

impl Conn {
    /// Connects and sends the greeting.
    pub fn open(place: &Place, role: Role, wire: Box<dyn Wire>) -> Result<Conn, String> {
        let stream = place.connect().map_err(|error| format!("cannot connect to {place}: {error}"))?;
        let mut conn = Conn {
            stream,
            role,
            wire,
            out: Vec::new(),
            written: 0,
            input: Vec::new(),
            submits: VecDeque::new(),
            is_ready: false,
        };
        conn.wire.greet(&mut conn.out);
        conn.flush()?;
        Ok(conn)
    }

    /// Writes what there is, as far as the socket takes it.
    pub fn flush(&mut self) -> Result<(), String> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("cannot write: {error}")),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads what is there through `buffer` and decodes it. A read that does not fill the buffer took all: the next
    /// bytes bring the next event.
    pub fn read(&mut self, buffer: &mut [u8], seen: &mut Seen) -> Result<(), String> {
        loop {
            let bytes = match self.stream.read(buffer) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("cannot read: {error}")),
            };
            if self.input.is_empty() {
                let used = self.wire.decode(&buffer[..bytes], seen, &mut self.out)?;
                self.input.extend_from_slice(&buffer[used..bytes]);
            } else {
                self.input.extend_from_slice(&buffer[..bytes]);
                let used = self.wire.decode(&self.input, seen, &mut self.out)?;
                self.input.drain(..used);
            }
            if bytes < buffer.len() {
                return Ok(());
            }
        }
    }
}

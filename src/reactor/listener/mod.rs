//! Accepting connections, on all sockets of a master: within the limit, and through every error that accepting can
//! meet.

mod bound;

use std::fs::File;
use std::io;

use mio::{Registry, Token};

pub use bound::{Bound, StdSocket};

use super::stream::Stream;
use crate::address::Address;

/// Accepts taken in one turn, so that a storm of connections does not starve the others.
const ACCEPTS_PER_TURN: usize = 128;

#[derive(Debug)]
pub struct Listener {
    sockets: Vec<Bound>,
    /// Given up for a moment when there are no more descriptors: so the connection that would stay in line, and wake
    /// the loop for ever, is accepted and closed.
    reserve: Option<File>,
    /// Whether there may be more to accept without a further event.
    pub is_ready: bool,
}

impl Listener {
    pub fn new(sockets: Vec<Bound>) -> Listener {
        Listener { sockets, reserve: File::open("/dev/null").ok(), is_ready: true }
    }

    /// Where it listens.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.sockets.iter().map(Bound::address)
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.sockets.iter_mut().try_for_each(|socket| socket.register(registry, token))
    }

    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.sockets.iter_mut().try_for_each(|socket| socket.deregister(registry))
    }

    /// Accepts what waits, up to a bound of which each socket has its share, and hands each to `take`.
    pub fn accept_some(&mut self, mut take: impl FnMut(Stream)) {
        let share = ACCEPTS_PER_TURN / self.sockets.len().max(1);
        let mut is_ready = false;
        for place in 0..self.sockets.len() {
            is_ready |= self.accept_from(place, share, &mut take);
        }
        self.is_ready = is_ready;
    }

    /// The same from one socket; says whether there may be more.
    fn accept_from(&mut self, place: usize, share: usize, take: &mut impl FnMut(Stream)) -> bool {
        for _ in 0..share {
            match self.sockets[place].accept() {
                Ok(stream) => take(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if is_out_of_descriptors(&error) => {
                    if !self.shed(place) {
                        return false;
                    }
                }
                // The connection broke before it was taken, or the call was interrupted: the next one.
                Err(error) => log::debug!("accepting a connection: {error}"),
            }
        }
        true
    }

    /// Closes one connection that waits, by means of the reserve; says whether there was one.
    fn shed(&mut self, place: usize) -> bool {
        log::warn!("no file descriptor left for another connection; it was closed. Raise the limit (ulimit -n)");
        drop(self.reserve.take());
        let shed = self.sockets[place].accept().is_ok();
        self.reserve = File::open("/dev/null").ok();
        shed
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let out = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| out.iter().any(|errno| errno.raw_os_error() == code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::time::Duration;

    #[test]
    fn as_many_clients_may_wait_at_once_as_the_system_allows() {
        let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
        let count = allowed.trim().parse::<usize>().unwrap().min(2000);
        let bound = Bound::new(&"127.0.0.1:0".parse().unwrap(), 0o600).unwrap();
        let address = bound.address().to_string().parse().unwrap();
        // A line that is full answers nothing, and the next try of the system comes after a second.
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(900)).expect("there is a place");
        let waiting: Vec<TcpStream> = (0..count).map(connect).collect();
        assert_eq!(waiting.len(), count);
    }

    #[test]
    fn each_socket_gets_its_share_of_a_turn() {
        let bind = || Bound::new(&"127.0.0.1:0".parse().unwrap(), 0o600).unwrap();
        let mut listener = Listener::new(vec![bind(), bind()]);
        let connect = |address: &Address| TcpStream::connect(address.to_string()).unwrap();
        let addresses: Vec<Address> = listener.addresses().cloned().collect();
        let _busy: Vec<TcpStream> = (0..ACCEPTS_PER_TURN).map(|_| connect(&addresses[0])).collect();
        let _other = connect(&addresses[1]);
        let mut count = 0;
        listener.accept_some(|_| count += 1);
        assert_eq!((count, listener.is_ready), (ACCEPTS_PER_TURN / 2 + 1, true));
        listener.accept_some(|_| count += 1);
        listener.accept_some(|_| count += 1);
        assert_eq!((count, listener.is_ready), (ACCEPTS_PER_TURN + 1, false));
    }
}

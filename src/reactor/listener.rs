//! Accepting connections: within the limit, and through every error that accepting can meet.

use std::fs::File;
use std::io;
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

/// Accepts taken in one turn, so that a storm of connections does not starve the others.
const ACCEPTS_PER_TURN: usize = 128;

/// Connections that may wait to be accepted; the system takes `net.core.somaxconn` of it.
const BACKLOG: i32 = 65_535;

#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    /// Given up for a moment when there are no more descriptors: so the connection that would stay in line, and wake
    /// the loop for ever, is accepted and closed.
    reserve: Option<File>,
    /// Whether there may be more to accept without a further event.
    pub is_ready: bool,
}

impl Listener {
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = TcpListener::bind(address)?;
        // Again, for a longer line: after a restart all clients come back at once, and whoever finds the line full
        // tries again only a second later.
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(Listener { socket, reserve: File::open("/dev/null").ok(), is_ready: true })
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.socket, token, Interest::READABLE)
    }

    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.socket)
    }

    /// Accepts what waits, up to a bound, and hands each to `take`.
    pub fn accept_some(&mut self, mut take: impl FnMut(TcpStream)) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.socket.accept() {
                Ok((stream, _)) => take(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.is_ready = false,
                Err(error) if is_out_of_descriptors(&error) => self.is_ready = self.shed(),
                // The connection broke before it was taken, or the call was interrupted: the next one.
                Err(error) => log::debug!("accepting a connection: {error}"),
            }
            if !self.is_ready {
                return;
            }
        }
    }

    /// Closes one connection that waits, by means of the reserve; says whether there was one.
    fn shed(&mut self) -> bool {
        log::warn!("no file descriptor left for another connection; it was closed. Raise the limit (ulimit -n)");
        drop(self.reserve.take());
        let shed = self.socket.accept().is_ok();
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
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        // A line that is full answers nothing, and the next try of the system comes after a second.
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(900)).expect("there is a place");
        let waiting: Vec<TcpStream> = (0..count).map(connect).collect();
        assert_eq!(waiting.len(), count);
    }
}

//! One socket that listens, on an address or on a path.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, net};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

use super::super::stream::Stream;
use crate::address::Address;

/// Connections that may wait to be accepted; the system takes `net.core.somaxconn` of it.
const BACKLOG: i32 = 65_535;

#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    address: Address,
    /// The file of a Unix socket that goes when nobody listens any more: device and number.
    file: Option<(u64, u64)>,
}

/// A socket that listens, for another loop than the reactor's.
#[derive(Debug)]
pub enum StdSocket {
    Tcp(net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Bound {
    /// Listens on the first address of a name, or on a path, whose socket gets this mode.
    pub fn new(address: &Address, socket_mode: u32) -> io::Result<Bound> {
        match address {
            Address::Tcp { host, port } => {
                let first = (host.as_str(), *port).to_socket_addrs()?.next();
                let first = first.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the name has no address"))?;
                Bound::tcp(TcpListener::bind(first)?)
            }
            Address::Unix(path) => Bound::unix(path, socket_mode),
        }
    }

    /// A TCP socket that listens already, as systemd hands it over.
    pub fn inherited(socket: net::TcpListener) -> io::Result<Bound> {
        socket.set_nonblocking(true)?;
        Bound::tcp(TcpListener::from_std(socket))
    }

    /// The same for a Unix socket; its file is not ours.
    pub fn inherited_unix(socket: std::os::unix::net::UnixListener) -> io::Result<Bound> {
        socket.set_nonblocking(true)?;
        let path = socket.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
        let socket = Socket::Unix(UnixListener::from_std(socket));
        Ok(Bound { socket, address: Address::Unix(path), file: None })
    }

    fn tcp(socket: TcpListener) -> io::Result<Bound> {
        // Again, for a longer line: after a restart all clients come back at once, and whoever finds the line full
        // tries again only a second later.
        listen(&socket, BACKLOG)?;
        let at = socket.local_addr()?;
        let address = Address::Tcp { host: at.ip().to_string(), port: at.port() };
        Ok(Bound { socket: Socket::Tcp(socket), address, file: None })
    }

    fn unix(path: &Path, mode: u32) -> io::Result<Bound> {
        let path = std::path::absolute(path)?;
        take_away_stale(&path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        bind(&socket, &SocketAddrUnix::new(&path)?)?;
        // Nobody can connect before it listens.
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        listen(&socket, BACKLOG)?;
        let file = fs::symlink_metadata(&path).map(|facts| (facts.dev(), facts.ino()))?;
        let socket = UnixListener::from_std(socket.into());
        Ok(Bound { socket: Socket::Unix(socket), address: Address::Unix(path), file: Some(file) })
    }

    /// A copy for another loop; it does not block.
    pub fn to_std(&self) -> io::Result<StdSocket> {
        match &self.socket {
            Socket::Tcp(socket) => Ok(StdSocket::Tcp(socket.as_fd().try_clone_to_owned()?.into())),
            Socket::Unix(socket) => Ok(StdSocket::Unix(socket.as_fd().try_clone_to_owned()?.into())),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whether others than this host may reach it.
    pub fn is_open_to_others(&self) -> bool {
        let Socket::Tcp(socket) = &self.socket else { return false };
        !socket.local_addr().is_ok_and(|at: SocketAddr| at.ip().to_canonical().is_loopback())
    }

    pub fn accept(&self) -> io::Result<Stream> {
        match &self.socket {
            Socket::Tcp(socket) => socket.accept().map(|(stream, _)| Stream::Tcp(stream)),
            Socket::Unix(socket) => socket.accept().map(|(stream, _)| Stream::Unix(stream)),
        }
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(socket) => socket.register(registry, token, Interest::READABLE),
            Socket::Unix(socket) => socket.register(registry, token, Interest::READABLE),
        }
    }

    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(socket) => socket.deregister(registry),
            Socket::Unix(socket) => socket.deregister(registry),
        }
    }

    fn own_path(&self) -> Option<&PathBuf> {
        let (Address::Unix(path), Some(file)) = (&self.address, self.file) else { return None };
        let is_same = fs::symlink_metadata(path).is_ok_and(|facts| (facts.dev(), facts.ino()) == file);
        is_same.then_some(path)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(path) = self.own_path()
            && let Err(error) = fs::remove_file(path)
        {
            log::debug!("removing the socket {}: {error}", path.display());
        }
    }
}

/// Removes the socket of a master that was killed; one that somebody listens on is in use, and what is no socket stays.
fn take_away_stale(path: &Path) -> io::Result<()> {
    let Ok(facts) = fs::symlink_metadata(path) else { return Ok(()) };
    if !facts.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file of that name, and it is no socket"));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_socket_has_its_mode_from_the_first_moment_and_goes_with_the_master() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("falcond.sock");
        let address = Address::Unix(path.clone());
        let bound = Bound::new(&address, 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let _client = UnixStream::connect(&path).unwrap();
        assert!(!bound.is_open_to_others());
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_a_killed_master_left_is_replaced_and_no_other_one() {
        let dir = tempfile::tempdir().unwrap();
        let address = Address::Unix(dir.path().join("falcond.sock"));
        // Nobody removes the file of one of std.
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("falcond.sock")).unwrap());
        let bound = Bound::new(&address, 0o660).unwrap();
        assert_eq!(Bound::new(&address, 0o660).unwrap_err().kind(), ErrorKind::AddrInUse);
        drop(bound);
        let path = dir.path().join("file");
        fs::write(&path, "precious").unwrap();
        let error = Bound::new(&Address::Unix(path.clone()), 0o660).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(path).unwrap(), "precious");
    }

    #[test]
    fn what_others_can_reach_is_known() {
        let is_open = |text: &str| Bound::new(&text.parse().unwrap(), 0o600).unwrap().is_open_to_others();
        assert_eq!(["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"].map(is_open), [false, false, true, true]);
    }
}

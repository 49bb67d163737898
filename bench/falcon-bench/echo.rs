//! The ceiling: a server of one thread that sends back what it gets, and does nothing else.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);
const BUFFER_BYTES: usize = 256 << 10;

struct Conn {
    stream: TcpStream,
    /// What the socket did not take.
    kept: Vec<u8>,
}

/// Serves until it is killed.
pub fn serve(port: u16) -> std::io::Result<()> {
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut events, mut conns, mut buffer) =
        (Events::with_capacity(1024), Slab::new(), vec![0; BUFFER_BYTES]);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut conns)?;
            } else if let Some(conn) = conns.get_mut(event.token().0)
                && echo(conn, &mut buffer).is_err()
            {
                conns.remove(event.token().0);
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, conns: &mut Slab<Conn>) -> std::io::Result<()> {
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_nodelay(true)?;
        let entry = conns.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(entry.key()), both)?;
        entry.insert(Conn { stream, kept: Vec::new() });
    }
    Ok(())
}

/// Sends back what is there; an error ends the connection.
fn echo(conn: &mut Conn, buffer: &mut [u8]) -> std::io::Result<()> {
    loop {
        while !conn.kept.is_empty() {
            match conn.stream.write(&conn.kept) {
                Ok(bytes) => drop(conn.kept.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let bytes = match conn.stream.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let written = match conn.stream.write(&buffer[..bytes]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            result => result?,
        };
        conn.kept.extend_from_slice(&buffer[written..bytes]);
        if bytes < buffer.len() && conn.kept.is_empty() {
            return Ok(());
        }
    }
}

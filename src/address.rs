//! Where a master listens and is found, as people write it: `HOST:PORT`, `HOST`, an IPv6 address with or without
//! brackets, `unix:PATH`.
//!
//! It does not: look names up. Whoever connects or listens does.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::limits::{PORT_DEFAULT, SOCKET_PATH_BYTES_MAX};

/// What stands before the path of a Unix socket.
const UNIX: &str = "unix:";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A name or an address of a host, without brackets.
    Tcp { host: String, port: u16 },
    /// The path of a socket.
    Unix(PathBuf),
}

impl Address {
    /// The same from wherever a program goes: a relative path is one of the directory that this process is in now.
    ///
    /// # Errors
    /// When that directory is not known.
    pub fn absolute(&self) -> std::io::Result<Address> {
        match self {
            Address::Unix(path) => std::path::absolute(path).map(Address::Unix),
            Address::Tcp { .. } => Ok(self.clone()),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        Address::parse(text, PORT_DEFAULT)
    }
}

impl Address {
    /// Reads an address; where it names no port, it has this one.
    ///
    /// # Errors
    /// A sentence that says how addresses are written.
    pub fn parse(text: &str, port_default: u16) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix(UNIX) {
            return unix(path);
        }
        let advice = || advice(port_default);
        let (host, port) = split(text).ok_or_else(advice)?;
        let is_sane = |c: char| !c.is_whitespace() && !c.is_control() && !"/[]@?#".contains(c);
        if host.is_empty() || !host.chars().all(is_sane) {
            return Err(advice());
        }
        let port = match port {
            None => port_default,
            Some(port) if port.contains('/') => return Err(advice()),
            Some(port) => port.parse().map_err(|_| format!("{port:?} is no port: it takes 0 to 65535"))?,
        };
        Ok(Address::Tcp { host: host.to_owned(), port })
    }
}

fn unix(path: &str) -> Result<Address, String> {
    match path.len() {
        0 => Err("write unix:PATH, as in unix:/run/falcond/falcond.sock".to_owned()),
        bytes if bytes > SOCKET_PATH_BYTES_MAX => {
            Err(format!("the path of a socket has {bytes} bytes; the system takes up to {SOCKET_PATH_BYTES_MAX}"))
        }
        _ if path.contains('\0') => Err("the path of a socket has a NUL in it".to_owned()),
        _ => Ok(Address::Unix(Path::new(path).to_owned())),
    }
}

/// Host and port; nothing if the brackets are wrong, or it has a colon too many.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((text, None));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        // One of a link names its interface behind a %.
        host.split('%').next()?.parse::<Ipv6Addr>().ok()?;
        return if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) };
    }
    match text.split_once(':') {
        None => Some((text, None)),
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
    }
}

fn advice(port_default: u16) -> String {
    format!("write HOST:PORT, HOST (for port {port_default}), [IPV6]:PORT or unix:PATH")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("127.0.0.1:3252", "127.0.0.1:3252"),
            ("127.0.0.1", "127.0.0.1:3252"),
            ("localhost", "localhost:3252"),
            ("queue.example.org:80", "queue.example.org:80"),
            ("::1", "[::1]:3252"),
            ("[::1]", "[::1]:3252"),
            ("[::1]:0", "[::1]:0"),
            ("[fe80::1%eth0]:80", "[fe80::1%eth0]:80"),
            ("unix:/run/falcond/falcond.sock", "unix:/run/falcond/falcond.sock"),
            ("unix:falcond.sock", "unix:falcond.sock"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse(), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_in_a_sentence() {
        let long = format!("unix:/{}", "x".repeat(107));
        for (text, why) in [
            ("", "write HOST:PORT"),
            (":80", "write HOST:PORT"),
            ("foo:bar", "\"bar\" is no port"),
            ("foo:99999", "\"99999\" is no port"),
            ("foo:", "\"\" is no port"),
            ("a b", "write HOST:PORT"),
            ("tcp://foo:80", "write HOST:PORT"),
            ("http://foo", "write HOST:PORT"),
            ("1:2:3", "write HOST:PORT"),
            ("[::1", "write HOST:PORT"),
            ("[::1]80", "write HOST:PORT"),
            ("[foo]:80", "write HOST:PORT"),
            ("unix:", "write unix:PATH"),
            (&long, "takes up to 107"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_path_of_a_socket_is_right_from_everywhere() {
        let here = std::env::current_dir().unwrap();
        let address: Address = "unix:a.sock".parse().unwrap();
        assert_eq!(address.absolute().unwrap(), Address::Unix(here.join("a.sock")));
    }
}

//! The sockets of a master: those that systemd hands over, and those that `--listen` names.

use std::io;

use listenfd::ListenFd;

use super::args::Args;
use super::settings::Settings;
use crate::address::Address;
use crate::exit::{self, Failure};
use crate::limits::LISTENERS_MAX;
use crate::reactor::{Bound, Listener};

/// Listens. Where systemd hands sockets over and no address was asked for, on those alone.
pub fn listen(settings: &Settings) -> Result<Listener, Failure> {
    let args = &settings.args;
    let mut sockets = inherited().map_err(|error| {
        Failure::new(exit::UNAVAILABLE, format!("a socket that systemd hands over cannot be used: {error}"))
    })?;
    if sockets.is_empty() || settings.was_told("listen") {
        for address in &args.listen {
            sockets.push(bind(address, args.socket_mode, "--listen")?);
        }
    }
    if sockets.len() > LISTENERS_MAX {
        let text = format!("{} addresses were named; it listens on up to {LISTENERS_MAX}", sockets.len());
        return Err(Failure::new(exit::USAGE, text));
    }
    hold_against_strangers(args, &sockets)?;
    Ok(Listener::new(sockets))
}

fn inherited() -> io::Result<Vec<Bound>> {
    let mut handed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for place in 0..handed.len() {
        // One that is neither is an error.
        if let Ok(Some(socket)) = handed.take_unix_listener(place) {
            sockets.push(Bound::inherited_unix(socket)?);
        } else if let Some(socket) = handed.take_tcp_listener(place)? {
            sockets.push(Bound::inherited(socket)?);
        }
    }
    Ok(sockets)
}

/// Refuses addresses that others reach, where anybody may do everything.
pub fn hold_against_strangers(args: &Args, sockets: &[Bound]) -> Result<(), Failure> {
    if args.token_file.is_some() {
        return Ok(());
    }
    let Some(open) = sockets.iter().find(|socket| socket.is_open_to_others()) else { return Ok(()) };
    let address = open.address();
    if args.insecure {
        log::warn!("{address} is open to other hosts, without a token: whoever reaches it can do all");
        return Ok(());
    }
    let text = format!(
        "listening on {address} lets other hosts in, and there is no token: name a file with one by --token-file, \
         listen on 127.0.0.1 or unix:PATH, or say --insecure"
    );
    Err(Failure::new(exit::USAGE, text))
}

/// Listens where an option says.
pub fn bind(address: &Address, mode: u32, option: &str) -> Result<Bound, Failure> {
    Bound::new(address, mode).map_err(|error| cannot_listen(address, &error, option))
}

fn cannot_listen(address: &Address, error: &io::Error, option: &str) -> Failure {
    let advice = match (error.kind(), address) {
        (io::ErrorKind::AddrInUse, Address::Tcp { .. }) => {
            format!("; another program has this port, name another one with {option}")
        }
        (io::ErrorKind::AddrInUse, Address::Unix(_)) => {
            format!("; another falcond serves there, name another path with {option}")
        }
        (io::ErrorKind::NotFound, Address::Unix(_)) => "; make its directory first".to_owned(),
        _ => String::new(),
    };
    Failure::new(exit::UNAVAILABLE, format!("listening on {address} failed: {error}{advice}"))
}

//! From the command line's options to a client.

use super::Stop;
use super::args::Common;
use crate::client::{Client, TcpLink, read_token};
use crate::exit::{self, Failure};

/// A client of the master that the options name.
pub fn client(common: &Common) -> Result<Client<TcpLink>, Stop> {
    let token = match &common.token_file {
        Some(path) => read_token(path).map_err(|text| Failure::new(exit::USAGE, text))?,
        None => Vec::new(),
    };
    Ok(Client::new(TcpLink::new(&common.master, "falcon-cli", &token)))
}

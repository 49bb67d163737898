//! From the command line's options to a client.

use std::time::Duration;

use super::Stop;
use super::args::Common;
use crate::client::{Client, Tcp, read_token};
use crate::exit::{self, Failure};

/// How long a refused connection is tried again: a master that was started a moment ago may not listen yet.
const PATIENCE: Duration = Duration::from_secs(1);

/// A client of the master that the options name.
pub fn client(common: &Common) -> Result<Client, Stop> {
    let token = common.token_file.as_deref().map(read_token).transpose();
    let token = token.map_err(|text| Failure::new(exit::USAGE, text))?.unwrap_or_default();
    Ok(Client::new(Tcp::new(&common.master, "falcon-cli", &token).with_patience(PATIENCE)))
}

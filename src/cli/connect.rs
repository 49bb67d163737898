//! From the command line's options to a client.

use std::thread;
use std::time::{Duration, Instant};

use super::Stop;
use super::args::Common;
use crate::client::{Client, ClientError, Tcp, read_token};
use crate::exit::{self, Failure};

/// How long a refused connection is tried again: a master that was started a moment ago may not listen yet.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a master that went away in the midst of a command is waited for.
const AWAY_MAX: Duration = Duration::from_secs(10);

/// Pause before it is asked again.
const AGAIN_PAUSE: Duration = Duration::from_millis(100);

/// A client of the master that the options name.
pub fn client(common: &Common) -> Result<Client, Stop> {
    let token = common.token_file.as_deref().map(read_token).transpose();
    let token = token.map_err(|text| Failure::new(exit::USAGE, text))?.unwrap_or_default();
    Ok(Client::new(Tcp::new(&common.master, "falcon-cli", &token).with_patience(PATIENCE)))
}

/// Asks again where the master went away, for up to 10 s: for what does no harm when it is done twice.
pub fn again_if_away<T>(ask: impl Fn() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let mut until = None;
    loop {
        match ask() {
            Err(error) if error.may_pass() && Instant::now() < *until.get_or_insert(Instant::now() + AWAY_MAX) => {
                thread::sleep(AGAIN_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

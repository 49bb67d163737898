//! From the command line's options to a client.

use std::thread;
use std::time::{Duration, Instant};

use super::Stop;
use super::args::Common;
use crate::client::{Client, ClientError, Tcp, read_token};
use crate::codec::text_head;
use crate::exit::{self, Failure};
use crate::limits::CLIENT_NAME_BYTES_MAX;

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
    Ok(Client::new(Tcp::new(&common.master, &own_name(), &token).with_patience(PATIENCE)))
}

/// What the master is told of who asks: it stands in the log beside what was changed.
fn own_name() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|variable| std::env::var(variable).ok());
    let user = user.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = format!("falcon-cli {user}@{host}").chars().filter(|c| !c.is_control()).collect();
    text_head(&name, CLIENT_NAME_BYTES_MAX).to_owned()
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

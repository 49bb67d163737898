//! From the command line's options to a client.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Stop;
use super::args::Common;
use crate::client::{Client, ClientError, Remote, read_token};
use crate::codec::text_head;
use crate::exit::{self, Failure};
use crate::limits::CLIENT_NAME_BYTES_MAX;

/// How long a master that leaves requests unanswered is asked again.
const AWAY_MAX: Duration = Duration::from_secs(10);

/// Pause before it is asked again.
const AGAIN_PAUSE: Duration = Duration::from_millis(100);

/// Whether it was said already that the master is waited for.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// A client of the master that the options name. A master that is not there, or still reads its log, is waited for as
/// long as `--retry-for` says, with one line that says so: nothing was sent to it yet.
pub fn client(common: &Common) -> Result<Client, Stop> {
    Ok(Client::new(remote(common)?.with_patience(common.retry_for.into(), tell)))
}

/// The same, but a master that is not there is an error at once, and nothing is said of it.
#[cfg(feature = "top")]
pub fn impatient_client(common: &Common) -> Result<Client, Stop> {
    Ok(Client::new(remote(common)?))
}

fn remote(common: &Common) -> Result<Remote, Stop> {
    let token = common.token_file.as_deref().map(read_token).transpose();
    let token = token.map_err(|text| Failure::new(exit::USAGE, text))?.unwrap_or_default();
    Ok(Remote::new(&common.master.to_string(), &own_name(), &token))
}

/// What the master is told of who asks: it stands in the log beside what was changed.
fn own_name() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|variable| std::env::var(variable).ok());
    let user = user.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = format!("falcon-cli {user}@{host}").chars().filter(|c| !c.is_control()).collect();
    text_head(&name, CLIENT_NAME_BYTES_MAX).to_owned()
}

/// Says once that the master is waited for.
fn tell(error: &ClientError) {
    if !is_told() {
        exit::say(&format!("falcon-cli: {error}; it is waited for, as long as --retry-for says"));
    }
}

/// Whether it was said before that the master is waited for; from now on it was.
pub fn is_told() -> bool {
    IS_TOLD.swap(true, Ordering::Relaxed)
}

/// Asks again where the connection broke or the master is too busy: for what does no harm when it is done twice. How
/// long a master that is not there is waited for is the connection's matter.
pub fn again_if_away<T>(ask: impl Fn() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let mut until = None;
    loop {
        match ask() {
            Err(error @ ClientError::Unreachable { .. }) => return Err(error),
            Err(error) if error.may_pass() && Instant::now() < *until.get_or_insert(Instant::now() + AWAY_MAX) => {
                thread::sleep(AGAIN_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

//! A worker inside a program of your own: jobs are run by a function and not by a command.
//!
//! ```sh
//! falcond &
//! falcon-cli submit shout 'hello' --key once
//! cargo run --example handler
//! ```

use falconqueue::client::Job;
use falconqueue::worker::{Cancel, Handler, Outcome, Pool, PoolConfig, remote};

/// Answers each payload in capitals.
struct Shout;

impl Handler for Shout {
    fn run(&self, job: &Job, cancel: &Cancel) -> Outcome {
        // Long work looks at this from time to time, and stops when there is a reason.
        if cancel.reason().is_some() {
            return Outcome::Stopped;
        }
        match std::str::from_utf8(&job.payload) {
            Ok(text) => Outcome::Done(text.to_uppercase().into_bytes()),
            Err(error) => Outcome::Failed { for_good: true, retry_in: None, error: error.to_string() },
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let master = std::env::var("FALCON_MASTER").unwrap_or_else(|_| "127.0.0.1:3252".to_owned());
    let mut config = PoolConfig::new(["shout"]);
    config.concurrency = 2;
    let pool = Pool::start(config, remote(&master, "example", b""), Shout)?;
    // `pool.stopper().stop()`, from a signal handler for example, ends it in order; `be_quiet` and `resume` make a pause.
    Ok(pool.join()?)
}

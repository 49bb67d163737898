//! The arguments of `falcon-cli worker`.

use clap::Subcommand;

use crate::ids::check_client_name;

#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// Show all workers that are connected.
    List,
    /// Show a worker and its jobs.
    Show {
        /// Its name, as `worker list` tells it.
        #[arg(value_name = "NAME", value_parser = client_name)]
        name: String,
    },
    /// Let workers take no new jobs; what they run goes on.
    Quiet {
        /// The name of a worker, or `all`.
        #[arg(value_name = "NAME", value_parser = client_name)]
        name: String,
    },
    /// Let workers take jobs again.
    Resume {
        /// The name of a worker, or `all`.
        #[arg(value_name = "NAME", value_parser = client_name)]
        name: String,
    },
    /// Let workers finish what they run, and leave, as after SIGTERM.
    Stop {
        /// The name of a worker, or `all`.
        #[arg(value_name = "NAME", value_parser = client_name)]
        name: String,
    },
}

/// No worker is asked for by an empty name: that would be all of them.
fn client_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("an empty name; `all` stands for all workers".to_owned());
    }
    check_client_name(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

//! The arguments of `falcon-cli top`.

use super::values::interval;
use crate::time::Millis;

const KEYS: &str = "\
Keys: 1-5 or Tab switch between queues, running jobs, workers, dead jobs by error, and the log; arrows, j and k select.
p pauses or resumes the queue, r requeues dead jobs of the queue or error, c cancels the job, Q quiets or resumes the
worker; each is asked back. ? shows all keys, q leaves.";

#[derive(Debug, clap::Args)]
#[command(after_help = KEYS)]
pub struct Top {
    /// How often the master is asked; less often where its answers take long.
    #[arg(long, value_name = "INTERVAL", default_value = "2s", value_parser = interval)]
    pub every: Millis,
}

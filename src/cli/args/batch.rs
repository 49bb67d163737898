//! The arguments of `falcon-cli batch`.

use crate::ids::parse_batch_name;
use crate::time::Millis;

#[derive(Debug, clap::Subcommand)]
pub enum BatchCommand {
    /// Begin a batch, to be filled by `submit --batch NAME --keep-open`. It is cancelled when nobody fills it for 60 s.
    Begin(Named),
    /// All jobs are there: hand them out.
    End(Named),
    /// List the batches that are known.
    List,
    /// Show how far a batch is.
    Show(Named),
    /// Wait until all its jobs have ended; exit status 1 if some did not complete.
    Wait(Wait),
    /// Cancel all its jobs that have not ended.
    Cancel(Named),
}

#[derive(Debug, clap::Args)]
pub struct Named {
    #[arg(value_name = "NAME", value_parser = parse_batch_name)]
    pub name: String,
}

#[derive(Debug, clap::Args)]
pub struct Wait {
    #[arg(value_name = "NAME", value_parser = parse_batch_name)]
    pub name: String,
    /// Wait no longer than this; exit status 4 then.
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<Millis>,
}

//! The FalconQueue master.

use std::process::ExitCode;

use falconqueue::daemon;
use falconqueue::worker::Reaper;

fn main() -> ExitCode {
    if Reaper::run_if_asked() {
        return ExitCode::SUCCESS;
    }
    daemon::main(std::env::args_os().collect())
}

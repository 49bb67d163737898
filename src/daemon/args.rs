//! The command line of `falcond`. Each setting has its name in the environment, and in a file, too: see `settings`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum, value_parser};

use crate::address::Address;
use crate::limits::{CONCURRENCY_MAX, SEGMENT_BYTES_DEFAULT};
use crate::master::SyncMode;
use crate::stderr::{Levels, LineFormat};
use crate::time::Millis;
use crate::wal::SegmentIo;
use crate::worker::QueueShare;
use crate::worker::args::lease;

const EXAMPLES: &str = "\
Examples:
  falcond --data-dir /var/lib/falcon --listen 127.0.0.1:3252
  falcond --listen 127.0.0.1 --listen unix:/run/falcond/falcond.sock
  falcond --config /etc/falcond.toml --check-config
  falcond --workers 4 --queue mail -- ./send-mail

A setting is taken from the command line, else from the environment (FALCOND_DATA_DIR for --data-dir), else from the
file that --config names (data-dir = \"/var/lib/falcon\"), else it is as said above. SIGHUP reads the file and the token
again: log, token-file, default-timeout, key-window, grace, silence and memory-max change while it runs.

Exit status: 0 stopped by a signal, 2 bad usage, 65 the log is damaged, 69 cannot listen, 71 the system failed,
73 no usable data directory, 74 the disk failed, 75 another falcond has the directory, 78 bad configuration or token";

const WHERE: &str = "Where";
const PROMISES: &str = "Promises and limits";
const LOG_LINES: &str = "Log lines";
const CONFIGURATION: &str = "Configuration";
const STANDALONE: &str = "Workers in this process";

/// The FalconQueue master: keeps every job in a log on disk, and hands jobs to workers that poll for them.
#[derive(Debug, Parser)]
#[command(
    name = "falcond",
    version,
    override_usage = "falcond [OPTIONS] [--workers N --queue QUEUE -- CMD [ARGS]...]",
    after_help = EXAMPLES
)]
pub struct Args {
    /// Where the log is; made if it is not there.
    #[arg(
        long,
        value_name = "DIR",
        env = "FALCOND_DATA_DIR",
        hide_env = true,
        default_value = "./falcon-data",
        help_heading = WHERE
    )]
    pub data_dir: PathBuf,
    /// Where to listen: HOST:PORT (port 0 picks a free one), HOST, an IPv6 address, or unix:PATH; may be given several
    /// times. Sockets that systemd hands over are served as well.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "FALCOND_LISTEN",
        hide_env = true,
        value_delimiter = ',',
        default_value = "127.0.0.1:3252",
        help_heading = WHERE
    )]
    pub listen: Vec<Address>,
    /// Where to answer HTTP, with the API, the metrics and the health checks: HOST:PORT, HOST (port 3253), an IPv6
    /// address, or unix:PATH; may be given several times. Off unless it is named.
    #[cfg(feature = "http")]
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "FALCOND_HTTP",
        hide_env = true,
        value_delimiter = ',',
        value_parser = http_address,
        help_heading = WHERE
    )]
    pub http: Vec<Address>,
    /// A name by which browsers call the HTTP server, beside localhost and its addresses; may be given several times.
    #[cfg(feature = "http")]
    #[arg(
        long = "http-name",
        value_name = "NAME",
        env = "FALCOND_HTTP_NAME",
        hide_env = true,
        value_delimiter = ',',
        help_heading = WHERE
    )]
    pub http_names: Vec<String>,
    /// Permissions of Unix sockets that are made.
    #[arg(
        long,
        value_name = "OCTAL",
        env = "FALCOND_SOCKET_MODE",
        hide_env = true,
        default_value = "660",
        value_parser = mode,
        help_heading = WHERE
    )]
    pub socket_mode: u32,
    /// File with tokens, one of which every client has to know: NAME:ROLE:TOKEN each, the role read, submit, work or
    /// admin; or one token alone, of an admin.
    #[arg(long, value_name = "FILE", env = "FALCOND_TOKEN_FILE", hide_env = true, help_heading = WHERE)]
    pub token_file: Option<PathBuf>,
    /// Listen on addresses that other hosts can reach although there is no token: whoever reaches them can do all.
    #[arg(long, env = "FALCOND_INSECURE", hide_env = true, help_heading = WHERE)]
    pub insecure: bool,
    /// When the log is made durable: always (before each answer), never, or at most this long after.
    #[arg(
        long,
        value_name = "always|never|DURATION",
        env = "FALCOND_SYNC",
        hide_env = true,
        default_value = "always",
        help_heading = PROMISES
    )]
    pub sync: SyncMode,
    /// How long an attempt may run of a job that was submitted without a time of its own; 0s for no bound.
    #[arg(
        long,
        value_name = "DURATION",
        env = "FALCOND_DEFAULT_TIMEOUT",
        hide_env = true,
        default_value = "0s",
        help_heading = PROMISES
    )]
    pub default_timeout: Millis,
    /// How long a key is held after its job was completed or died.
    #[arg(
        long,
        value_name = "DURATION",
        env = "FALCOND_KEY_WINDOW",
        hide_env = true,
        default_value = "1h",
        help_heading = PROMISES
    )]
    pub key_window: Millis,
    /// What is left of the leases of a worker whose connection broke. Workers name their leases once a second: with
    /// less than that one whose connection breaks may lose what it runs.
    #[arg(
        long,
        value_name = "DURATION",
        env = "FALCOND_GRACE",
        hide_env = true,
        default_value = "2s",
        help_heading = PROMISES
    )]
    pub grace: Millis,
    /// How long the connection of a worker may be silent before it is taken for dead. Workers send a sign of life three
    /// times in this time.
    #[arg(
        long,
        value_name = "DURATION",
        env = "FALCOND_SILENCE",
        hide_env = true,
        default_value = "15s",
        help_heading = PROMISES
    )]
    pub silence: Millis,
    /// Memory of its own, in MiB, past which it takes no more jobs; polls and reports go on. Mapped segments do not
    /// count.
    #[arg(
        long,
        value_name = "MIB",
        env = "FALCOND_MEMORY_MAX",
        hide_env = true,
        value_parser = value_parser!(u64).range(16..=1 << 24),
        help_heading = PROMISES
    )]
    pub memory_max: Option<u64>,
    /// Size of a log segment.
    #[arg(
        long,
        value_name = "BYTES",
        env = "FALCOND_SEGMENT_BYTES",
        hide_env = true,
        default_value_t = SEGMENT_BYTES_DEFAULT,
        help_heading = PROMISES
    )]
    pub segment_bytes: u32,
    /// How log segments are written: through a map, by pwrite, or as is safe on this file system when the disk is full.
    #[arg(
        long,
        value_name = "auto|map|pwrite",
        env = "FALCOND_SEGMENT_IO",
        hide_env = true,
        default_value = "auto",
        help_heading = PROMISES
    )]
    pub segment_io: SegmentIo,
    /// What is logged: error, warn, info, debug or trace; or by module, in the way of MODULE=LEVEL,LEVEL.
    #[arg(
        long,
        value_name = "LEVELS",
        env = "FALCON_LOG",
        hide_env = true,
        default_value = "info",
        help_heading = LOG_LINES
    )]
    pub log: Levels,
    /// How log lines are written.
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        env = "FALCOND_LOG_FORMAT",
        hide_env = true,
        default_value_t = Format::Text,
        help_heading = LOG_LINES
    )]
    pub log_format: Format,
    /// A TOML file with settings, named as here.
    #[arg(long, value_name = "FILE", env = "FALCOND_CONFIG", hide_env = true, help_heading = CONFIGURATION)]
    pub config: Option<PathBuf>,
    /// Look whether the settings can be used, and end.
    #[arg(long, help_heading = CONFIGURATION)]
    pub check_config: bool,
    /// Write each setting, and where it came from, and end.
    #[arg(long, help_heading = CONFIGURATION)]
    pub print_config: bool,
    /// Run this many jobs at once in this process; needs --queue and a command.
    #[arg(
        long,
        value_name = "N",
        env = "FALCOND_WORKERS",
        hide_env = true,
        value_parser = value_parser!(u64).range(1..=CONCURRENCY_MAX),
        help_heading = STANDALONE
    )]
    pub workers: Option<u64>,
    /// A queue for --workers; may be given several times, the preferred one first, or with weights, as in mail=3.
    #[arg(
        long = "queue",
        value_name = "QUEUE[=WEIGHT]",
        env = "FALCOND_QUEUE",
        hide_env = true,
        value_delimiter = ',',
        help_heading = STANDALONE
    )]
    pub queues: Vec<QueueShare>,
    /// Length of the leases of --workers.
    #[arg(
        long,
        value_name = "DURATION",
        env = "FALCOND_LEASE",
        hide_env = true,
        default_value = "10s",
        value_parser = lease,
        help_heading = STANDALONE
    )]
    pub lease: Millis,
    /// How long jobs of --workers may go on after SIGTERM, SIGINT or SIGQUIT; then they are stopped and given back.
    #[arg(
        long,
        value_name = "DURATION",
        env = "FALCOND_SHUTDOWN_LIMIT",
        hide_env = true,
        default_value = "25s",
        help_heading = STANDALONE
    )]
    pub shutdown_limit: Millis,
    /// The command that --workers run for each job.
    #[arg(last = true, value_name = "CMD", help_heading = STANDALONE)]
    pub command: Vec<String>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// An object a line.
    Json,
}

impl From<Format> for LineFormat {
    fn from(format: Format) -> LineFormat {
        match format {
            Format::Text => LineFormat::Text,
            Format::Json => LineFormat::Json,
        }
    }
}

#[cfg(feature = "http")]
fn http_address(text: &str) -> Result<Address, String> {
    Address::parse(text, crate::limits::HTTP_PORT_DEFAULT)
}

fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| format!("{text:?} is no mode; write it as chmod takes it, as in 660"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        assert_eq!((mode("660"), mode("0600")), (Ok(0o660), Ok(0o600)));
        for bad in ["", "8", "1777", "rw-"] {
            assert!(mode(bad).is_err(), "{bad:?}");
        }
    }
}

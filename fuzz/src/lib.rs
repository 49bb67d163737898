//! What the fuzz targets do: each module has a `run`, which takes any bytes and panics where a promise is broken, and
//! `seeds`, from which the corpus begins. The seeds are made of the samples, dumps and fixtures that the tests have,
//! so they never go stale. `fuzz/run` runs all of them.
//!
//! Common to all targets: nothing panics, no single allocation is larger than the limit in `limit`, and what was read
//! is written again to the same bytes. Plain bytes hardly ever pass a checksum; so where there are checksums, the first
//! byte of an input says whether they are made right before the bytes are read ([`whole`]).
//!
//! It does not try sockets or the disk: `tests/processes` does.

pub mod event;
pub mod jobs_file;
mod limit;
pub mod record;
pub mod recovery;
pub mod reply;
pub mod request;
mod same;
pub mod seeds;
pub mod snapshot;
pub mod state;
pub mod whole;

#[path = "../../tests/values/sim/bytes.rs"]
#[allow(dead_code)]
mod bytes;

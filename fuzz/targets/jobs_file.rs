//! See the module of this name in the library.

#![no_main]

use falconqueue_fuzz::{jobs_file, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::lay(&jobs_file::seeds()), |input: &[u8]| jobs_file::run(input));

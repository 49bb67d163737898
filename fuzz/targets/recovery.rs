//! See the module of this name in the library.

#![no_main]

use falconqueue_fuzz::{recovery, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::lay(&recovery::seeds()), |input: &[u8]| recovery::run(input));

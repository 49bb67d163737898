//! See the module of this name in the library.

#![no_main]

use falconqueue_fuzz::{seeds, snapshot};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::lay(&snapshot::seeds()), |input: &[u8]| snapshot::run(input));

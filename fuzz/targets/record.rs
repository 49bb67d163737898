//! See the module of this name in the library.

#![no_main]

use falconqueue_fuzz::{record, seeds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: seeds::lay(&record::seeds()), |input: &[u8]| record::run(input));

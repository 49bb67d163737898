//! Values of options that only a command line has; the others are those of [`crate::shapes`].

use clap::builder::{PossibleValuesParser, TypedValueParser};

pub use crate::shapes::values::*;

use crate::job::Standing;

/// Reads where a job stands.
pub fn standing() -> impl TypedValueParser<Value = Standing> {
    let words = PossibleValuesParser::new(Standing::ALL.iter().map(|standing| standing.word()));
    words.map(|word| *Standing::ALL.iter().find(|standing| standing.word() == word).expect("one of these words"))
}

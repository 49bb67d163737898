//! `falcon-cli job explain` and `queue explain`: a line a reason, what is to be looked at first before the rest.

use serde_json::{Map, Value};

use super::args::{Common, One};
use super::nearest::{Named, found_named};
use super::render::Renderer;
use super::{Stop, connect, found, lookup};
use crate::client::Why;
use crate::protocol::Cause;

/// Why a job does not run now; exit status 3 if there is none of this id.
pub fn job(common: &Common, one: &One) -> Result<(), Stop> {
    let client = connect::client(common)?;
    let job = lookup::job(&client, one)?;
    write(common, found(client.explain(job))?)
}

/// What holds in a queue now; exit status 3 if there is none of this name.
pub fn queue(common: &Common, name: &str) -> Result<(), Stop> {
    let client = connect::client(common)?;
    write(common, found_named(&client, Named::Queue, name, client.explain_queue(name))?)
}

fn write(common: &Common, reasons: Vec<Why>) -> Result<(), Stop> {
    let mut renderer = Renderer::new(common.output);
    for Why { cause, text, count, left } in reasons {
        let word = Cause::from_code(cause).map_or_else(|| cause.to_string(), |cause| cause.word().to_owned());
        let mut json = Map::new();
        json.insert("cause".to_owned(), word.clone().into());
        json.insert("text".to_owned(), text.clone().into());
        let figures =
            [("count", count), ("left_ms", left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)))];
        for (name, figure) in figures {
            if let Some(figure) = figure {
                json.insert(name.to_owned(), figure.into());
            }
        }
        renderer.line(text, Value::Object(json), word)?;
    }
    Ok(renderer.flush()?)
}

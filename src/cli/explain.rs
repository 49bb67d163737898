//! `falcon-cli job explain` and `queue explain`: a line a reason, what is to be looked at first before the rest.

use super::args::{Common, One};
use super::nearest::{Named, found_named};
use super::render::Renderer;
use super::{Stop, connect, found, lookup};
use crate::client::Why;
use crate::shapes;

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
    for why in reasons {
        let (word, json) = shapes::why(&why);
        renderer.line(why.text, json, word)?;
    }
    Ok(renderer.flush()?)
}

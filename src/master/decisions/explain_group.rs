//! Why no job of a group is handed out now: its limit, strict order, its tokens, the turns of others.

use super::explain::{COUNTED_MAX, Reasons, span};
use crate::ids::QueueId;
use crate::protocol::Cause;
use crate::queue::{GroupView, Queues};
use crate::words::{by_number, counted, is};

/// What stands in the way of the next job of this group.
pub(super) fn group(queues: &Queues, queue: QueueId, name: &str, reasons: &mut Reasons) {
    let Some(group) = queues.group(queue, name, COUNTED_MAX) else { return };
    let rules = queues.rules_of_group(queue, name);
    let what = if name.is_empty() { "the jobs that are in no group".to_owned() } else { format!("group {name:?}") };
    let queue_name = queues.queue_name(queue);
    let running = u64::from(group.in_flight);
    if let Some(max) = rules.running_max.filter(|max| group.in_flight >= *max) {
        let (jobs, are) = (counted(running, "job"), is(running));
        let text = format!("{jobs} of {what} {are} in flight and {max} may; the next goes when one ends");
        reasons.count(Cause::GroupLimited, running, text);
    }
    strict(queues, queue_name, &group, &what, reasons);
    if let (Some(at), Some(rate)) = (group.token_at, rules.rate) {
        let left = span(at.since(reasons.now));
        let text = format!("{what}: {rate} are handed out; the next token comes in {left}");
        reasons.until(Cause::GroupThrottled, at, text);
    }
    if let Some(before) = group.before.filter(|before| *before > 0) {
        let more = if before < COUNTED_MAX as u64 { "" } else { "at least " };
        let (groups, have) = (counted(before, "group"), by_number(before, "has its", "have their"));
        let text = format!("{more}{groups} {have} turn before {what}");
        reasons.count(Cause::GroupsBefore, before, text);
    }
}

fn strict(queues: &Queues, queue: &str, group: &GroupView<'_>, what: &str, reasons: &mut Reasons) {
    let is_strict = queues.rules(queue).is_some_and(|rules| rules.settings.strict == Some(true));
    if !is_strict || group.in_flight + group.retrying == 0 {
        return;
    }
    let (count, does) = if group.in_flight > 0 {
        (group.in_flight, "in flight")
    } else {
        (group.retrying, "waiting for another attempt")
    };
    let (jobs, are) = (counted(count.into(), "job"), is(count.into()));
    let text = format!("queue {queue:?} goes in strict order, and {jobs} of {what} {are} {does}");
    reasons.count(Cause::Strict, count.into(), text);
}

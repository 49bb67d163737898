//! What `protocol.md` lists is what the code has: error codes, events, bounds.

use falconqueue::protocol::{ErrorCode, REPLY_BIT, Request};
use falconqueue::queue::Event;

use crate::protocol_doc::page;

#[test]
fn the_page_lists_every_error_code_with_its_manners() {
    let page = page();
    for code in ErrorCode::ALL {
        let word = |yes: bool| if yes { "yes" } else { "no" };
        let row =
            format!("| {} | `{code:?}` | {} | {} |", code.code(), word(code.retry_may_help()), word(code.closes()));
        assert!(page.contains(&row), "protocol.md lacks the row {row}");
    }
}

#[test]
fn the_page_lists_every_request_with_its_role() {
    let page = page();
    for request in Request::samples(&mut 0) {
        let kind = request.kind();
        let (_, name) = Request::KINDS.iter().find(|(number, _)| *number == kind).unwrap();
        let role = match request {
            Request::Hello(_) => "–",
            ref other => other.role().word(),
        };
        let start = format!("| `{kind:#06X}` | {name} | {role} | ").replace("0X", "0x");
        let end = format!(" | `{:#06X}` |", kind | REPLY_BIT).replace("0X", "0x");
        let has_row = page.lines().any(|line| line.starts_with(&start) && line.ends_with(&end));
        assert!(has_row, "protocol.md lacks the row {start}…{end}");
    }
}

#[test]
fn the_page_lists_every_event_by_its_number() {
    let page = page();
    for (kind, name) in Event::KINDS {
        let row = format!("| {kind} | {name} |");
        assert!(page.contains(&row), "protocol.md lacks the row {row}");
    }
}

#[test]
fn the_page_names_the_bounds_of_the_code() {
    use falconqueue::limits::*;
    let page = page();
    let grouped = |number: u64| {
        let digits = number.to_string();
        let from_end = digits.len();
        let with_commas = digits.char_indices().map(|(at, digit)| {
            let comma = at > 0 && (from_end - at).is_multiple_of(3);
            if comma { format!(",{digit}") } else { digit.to_string() }
        });
        with_commas.collect::<String>()
    };
    for (name, bound) in [
        ("frame body", FRAME_BODY_BYTES_MAX as u64),
        ("body before Hello", HELLO_BODY_BYTES_MAX as u64),
        ("payload", PAYLOAD_BYTES_MAX as u64),
        ("result", RESULT_BYTES_MAX as u64),
        ("error text", ERROR_TEXT_BYTES_MAX as u64),
        ("items", ITEMS_MAX as u64),
        ("waiting polls", WAITING_POLLS_MAX as u64),
        ("delay", DELAY_MS_MAX),
        ("timeout", TIMEOUT_MS_MAX),
        ("wait", u64::from(WAIT_MS_MAX)),
        ("lease", u64::from(LEASE_MS_MAX)),
        ("attempts", u64::from(ATTEMPTS_MAX)),
        ("queues", QUEUES_MAX as u64),
        ("piece of a file", u64::from(READ_BYTES_MAX)),
        ("events of a page", LOG_EVENTS_MAX as u64),
        ("bytes of a page", LOG_PAGE_BYTES_MAX as u64),
        ("text about progress", PROGRESS_TEXT_BYTES_MAX as u64),
        ("name of a host", HOST_BYTES_MAX as u64),
    ] {
        assert!(page.contains(&grouped(bound)), "protocol.md lacks the bound of {name}, {}", grouped(bound));
    }
}

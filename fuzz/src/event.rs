//! One event: the first byte is its kind, the rest the body of its record.

use falconqueue::queue::Event;

pub fn run(input: &[u8]) {
    if let Some((kind, body)) = input.split_first() {
        decode(*kind, body);
    }
}

/// Reads it; written again it is the same.
pub fn decode(kind: u8, body: &[u8]) -> Option<Event<'_>> {
    let event = Event::decode(kind, body).ok()?;
    assert_eq!(event.kind(), kind);
    let mut again = Vec::new();
    let tail = event.encode_head(&mut again);
    again.extend_from_slice(tail);
    assert!(again == body || again.len() < body.len(), "one way to write it");
    assert_eq!(Event::decode(kind, &again), Ok(event));
    let mut fields = 0;
    event.show(&mut |_, _| fields += 1);
    assert!(fields > 0);
    Some(event)
}

/// Its body.
pub fn body(event: &Event<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    let tail = event.encode_head(&mut body);
    body.extend_from_slice(tail);
    body
}

pub fn seeds() -> Vec<Vec<u8>> {
    let samples = (0..4).flat_map(|seed| Event::samples(&mut { seed }));
    samples.map(|event| [&[event.kind()], &body(&event)[..]].concat()).collect()
}

//! Replies: the first two bytes are the kind, the rest is the body.

use falconqueue::codec::text_head;
use falconqueue::protocol::{Reply, frame};

pub fn run(input: &[u8]) {
    let Some((kind, body)) = input.split_first_chunk() else { return };
    let kind = u16::from_le_bytes(*kind);
    let Ok(reply) = Reply::decode(kind, body) else { return };
    assert_eq!(reply.kind(), kind);
    let mut bytes = Vec::new();
    reply.encode(7, &mut bytes);
    let (header, again) = frame::split_frame(&bytes).expect("a frame that was just written");
    assert_eq!((header.kind, header.correlation), (kind, 7));
    let read = Reply::decode(kind, again).expect("what was just written");
    if let (Reply::Error(told), Reply::Error(read)) = (&reply, &read) {
        // Whether to try again is what the code says, and a long text is cut.
        assert_eq!((read.code, &*read.text), (told.code, text_head(&told.text, 1000)));
        return;
    }
    assert!(again == body || again.len() < body.len(), "one way to write it");
    assert_eq!(read, reply);
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut frames: Vec<Vec<u8>> = crate::seeds::documented_frames();
    frames.retain(|bytes| bytes[5] & 0x80 != 0);
    for seed in 0..4 {
        for reply in Reply::samples(&mut { seed }) {
            let mut bytes = Vec::new();
            reply.encode(seed, &mut bytes);
            frames.push(bytes);
        }
    }
    frames.iter().map(|bytes| [&bytes[4..6], &bytes[16..]].concat()).collect()
}

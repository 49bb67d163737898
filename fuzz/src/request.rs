//! Frames and requests. The first byte says how to read the rest: even, as a stream that is cut into frames, at once
//! and by pieces; odd, as the kind and the body of one request.

use falconqueue::limits::FRAME_BODY_BYTES_MAX;
use falconqueue::protocol::frame::{self, FrameBuffer, Header, next_in};
use falconqueue::protocol::{Hello, Refusal, Reply, Request};

/// A frame, or why the stream cannot be followed.
type Cut = Result<(Header, Vec<u8>), Refusal>;

pub fn run(input: &[u8]) {
    let Some((how, rest)) = input.split_first() else { return };
    if how % 2 == 1 {
        let Some((kind, body)) = rest.split_first() else { return };
        return decode(u16::from(*kind), body);
    }
    let frames = cut_at_once(rest);
    assert_eq!(cut_by_pieces(rest, usize::from(how / 2) + 1, false), frames, "pieces that are pushed");
    assert_eq!(cut_by_pieces(rest, usize::from(how / 2) + 1, true), frames, "pieces that are read to their place");
    for (header, body) in frames.iter().flatten() {
        decode(header.kind, body);
    }
}

/// By the function that the buffer is made of.
fn cut_at_once(mut stream: &[u8]) -> Vec<Cut> {
    let mut frames = Vec::new();
    loop {
        match next_in(stream, FRAME_BODY_BYTES_MAX) {
            Ok(Some((header, bytes))) => {
                frames.push(Ok((header, stream[frame_header()..bytes].to_vec())));
                stream = &stream[bytes..];
            }
            Ok(None) => return frames,
            Err(bad) => {
                frames.push(Err(bad.refusal));
                return frames;
            }
        }
    }
}

fn frame_header() -> usize {
    falconqueue::limits::FRAME_HEADER_BYTES
}

fn cut_by_pieces(mut stream: &[u8], piece: usize, in_place: bool) -> Vec<Cut> {
    let (mut buffer, mut frames) = (FrameBuffer::default(), Vec::new());
    while !stream.is_empty() {
        let missing = buffer.missing_bytes(FRAME_BODY_BYTES_MAX);
        let count =
            if in_place && missing > 0 { missing.min(piece).min(stream.len()) } else { piece.min(stream.len()) };
        if in_place && missing > 0 {
            let read = |room: &mut [u8]| {
                room.copy_from_slice(&stream[..count]);
                Ok(count)
            };
            buffer.read_with(missing, count, read).expect("it is copied");
        } else {
            buffer.push(&stream[..count]);
        }
        stream = &stream[count..];
        loop {
            match buffer.next_frame(FRAME_BODY_BYTES_MAX) {
                Ok(Some((header, body))) => frames.push(Ok((header, body.to_vec()))),
                Ok(None) => break,
                Err(bad) => {
                    frames.push(Err(bad.refusal));
                    return frames;
                }
            }
        }
        assert!(buffer.waiting_bytes() < frame_header() + FRAME_BODY_BYTES_MAX);
    }
    frames
}

fn decode(kind: u16, body: &[u8]) {
    // Whatever it is: the fields that never change are looked at first.
    let _ = Hello::first_fields(body);
    let request = match Request::decode(kind, body) {
        Ok(request) => request,
        Err(refusal) => return answered(&refusal),
    };
    assert_eq!(request.kind(), kind);
    assert_eq!(request.check(), Ok(()), "what is decoded is within its bounds");
    let mut bytes = Vec::new();
    request.encode(7, &mut bytes);
    let (header, again) = frame::split_frame(&bytes).expect("a frame that was just written");
    assert_eq!((header.kind, header.correlation), (kind, 7));
    // Extras that are not known here are passed over.
    assert!(again == body || again.len() < body.len(), "one way to write it");
    assert_eq!(Request::decode(kind, again), Ok(request));
}

/// A refusal can be told, and is understood.
fn answered(refusal: &Refusal) {
    assert!(!refusal.text.is_empty());
    let mut bytes = Vec::new();
    Reply::Error(refusal.clone()).encode(1, &mut bytes);
    let (header, body) = frame::split_frame(&bytes).expect("a frame that was just written");
    let told = Reply::decode(header.kind, body);
    assert!(matches!(told, Ok(Reply::Error(told)) if told.code == refusal.code));
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut frames: Vec<Vec<u8>> = crate::seeds::documented_frames();
    frames.retain(|bytes| bytes[5] & 0x80 == 0);
    for seed in 0..4 {
        for request in Request::samples(&mut { seed }) {
            let mut bytes = Vec::new();
            request.encode(seed, &mut bytes);
            frames.push(bytes);
        }
    }
    let alone = frames.iter().map(|bytes| [&[1, bytes[4]], &bytes[frame_header()..]].concat());
    let streams = frames.chunks(3).zip(0..).map(|(some, number)| [&[number * 2], &some.concat()[..]].concat());
    alone.chain(streams).collect()
}

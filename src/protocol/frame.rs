//! Frames: the 16-byte header, the buffer that cuts a byte stream into frames, and the writer
//! that puts a header before a body.

use super::{ErrorCode, Refusal};
use crate::codec::Reader;
use crate::limits::FRAME_HEADER_BYTES;

/// The header before each body.
///
/// | offset | size | field |
/// | ---: | ---: | --- |
/// | 0 | 4 | `body_bytes` |
/// | 4 | 2 | `kind` |
/// | 6 | 2 | `flags`, 0 |
/// | 8 | 8 | `correlation` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub body_bytes: usize,
    /// What the body is.
    pub kind: u16,
    /// The client's number for this request.
    pub correlation: u64,
}

/// A header that was refused, with what can be said back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadHeader {
    pub correlation: u64,
    pub refusal: Refusal,
}

impl Header {
    /// Reads a header and checks it, before a byte of body is kept.
    ///
    /// # Errors
    /// `FrameTooLarge` for a body over `body_bytes_max`, `Malformed` for flags.
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES], body_bytes_max: usize) -> Result<Header, BadHeader> {
        let [b0, b1, b2, b3, k0, k1, f0, f1, correlation @ ..] = *bytes;
        let body_bytes = u32::from_le_bytes([b0, b1, b2, b3]);
        let kind = u16::from_le_bytes([k0, k1]);
        let flags = u16::from_le_bytes([f0, f1]);
        let correlation = u64::from_le_bytes(correlation);
        let refuse = |code, text| Err(BadHeader { correlation, refusal: Refusal::new(code, text) });
        let fitting = usize::try_from(body_bytes).ok().filter(|bytes| *bytes <= body_bytes_max);
        let Some(body_bytes) = fitting else {
            let text =
                format!("a frame announces a body of {body_bytes} bytes; at most {body_bytes_max} are taken here");
            return refuse(ErrorCode::FrameTooLarge, text);
        };
        if flags != 0 {
            return refuse(ErrorCode::Malformed, format!("malformed frame: flags are {flags:#06x}, they must be 0"));
        }
        Ok(Header { body_bytes, kind, correlation })
    }
}

/// Begins a frame in `out`; `finish_frame` with the returned position completes it.
pub fn begin_frame(out: &mut Vec<u8>, kind: u16, correlation: u64) -> usize {
    let start = out.len();
    let mut header = [0; FRAME_HEADER_BYTES];
    header[4..6].copy_from_slice(&kind.to_le_bytes());
    header[8..].copy_from_slice(&correlation.to_le_bytes());
    out.extend_from_slice(&header);
    start
}

/// Completes the frame that began at `start`: its body is all that was written since, and
/// `spliced_bytes` that are sent along from elsewhere.
pub fn finish_frame(out: &mut [u8], start: usize, spliced_bytes: usize) {
    let body_bytes = out.len() - start - FRAME_HEADER_BYTES + spliced_bytes;
    let body_bytes = u32::try_from(body_bytes).expect("a body is within its limit");
    out[start..start + 4].copy_from_slice(&body_bytes.to_le_bytes());
}

/// Gives a frame that was written with another correlation this one.
pub fn set_correlation(frame: &mut [u8], correlation: u64) {
    frame[8..FRAME_HEADER_BYTES].copy_from_slice(&correlation.to_le_bytes());
}

/// Cuts a stream of bytes into frames.
///
/// Invariant: `bytes[start..]` begins with a frame's header, whole or not, and `start <= bytes.len()`.
/// The buffer grows to hold one frame whose header was accepted, and gives its memory back when
/// everything in it was taken.
#[derive(Debug, Default)]
pub struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
    /// How much of its memory was ever written to since it was empty: so much the system has given.
    touched: usize,
}

/// Memory that an empty buffer keeps, so that a busy connection need not allocate at each read.
const KEPT_BYTES: usize = 4096;

impl FrameBuffer {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes that wait here for the rest of their frame.
    pub fn waiting_bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Bytes of memory that it takes while a frame is unfinished.
    pub fn taken_bytes(&self) -> usize {
        if self.is_empty() { 0 } else { self.touched }
    }

    /// Adds what was read.
    pub fn push(&mut self, read: &[u8]) {
        self.bytes.extend_from_slice(read);
        self.touched = self.touched.max(self.bytes.len());
        self.check();
    }

    /// Reads up to `bytes_max` of the `missing` bytes of a frame straight to their place, with `read`; returns how many
    /// came. What is there already is not moved again until the frame is whole.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read_with(
        &mut self,
        missing: usize,
        bytes_max: usize,
        read: impl FnOnce(&mut [u8]) -> std::io::Result<usize>,
    ) -> std::io::Result<usize> {
        let before = self.bytes.len();
        self.bytes.reserve_exact(missing);
        self.bytes.resize(before + bytes_max, 0);
        self.touched = self.touched.max(self.bytes.len());
        let outcome = read(&mut self.bytes[before..]);
        let came = outcome.as_ref().map_or(0, |came| *came);
        self.bytes.truncate(before + came);
        outcome
    }

    /// Splits off the next frame if all of it is here.
    ///
    /// # Errors
    /// The header's, see [`Header::decode`]; the stream cannot be followed after it.
    pub fn next_frame(&mut self, body_bytes_max: usize) -> Result<Option<(Header, &[u8])>, BadHeader> {
        let Some((header, frame_bytes)) = next_in(&self.bytes[self.start..], body_bytes_max)? else {
            self.tidy();
            return Ok(None);
        };
        let body_start = self.start + FRAME_HEADER_BYTES;
        self.start += frame_bytes;
        self.check();
        Ok(Some((header, &self.bytes[body_start..self.start])))
    }

    /// Bytes still missing from the frame at the front, if its header is here: room to read into.
    pub fn missing_bytes(&self, body_bytes_max: usize) -> usize {
        let waiting = &self.bytes[self.start..];
        let Some(head) = waiting.first_chunk() else { return 0 };
        Header::decode(head, body_bytes_max)
            .map_or(0, |header| (header.body_bytes + FRAME_HEADER_BYTES).saturating_sub(waiting.len()))
    }

    fn tidy(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        }
        if self.bytes.is_empty() {
            self.touched = 0;
        }
        self.check();
    }

    fn check(&self) {
        assert!(self.start <= self.bytes.len(), "a frame buffer's start lies within it");
    }
}

/// The header and whole length of the frame at the start of `bytes`, if all of it is there.
pub fn next_in(bytes: &[u8], body_bytes_max: usize) -> Result<Option<(Header, usize)>, BadHeader> {
    let Some(head) = bytes.first_chunk() else { return Ok(None) };
    let header = Header::decode(head, body_bytes_max)?;
    let frame_bytes = FRAME_HEADER_BYTES + header.body_bytes;
    Ok((bytes.len() >= frame_bytes).then_some((header, frame_bytes)))
}

/// A frame written whole, for tests and for the client.
pub fn frame(kind: u16, correlation: u64, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    let start = begin_frame(&mut out, kind, correlation);
    body(&mut out);
    finish_frame(&mut out, start, 0);
    out
}

/// The header and body of a frame that is known to be whole.
pub fn split_frame(bytes: &[u8]) -> Result<(Header, &[u8]), Refusal> {
    let mut reader = Reader::new(bytes);
    let head = reader.take("header", FRAME_HEADER_BYTES)?;
    let head = head.first_chunk().expect("16 bytes were taken");
    let header = Header::decode(head, usize::MAX).map_err(|bad| bad.refusal)?;
    let body = reader.take("body", header.body_bytes)?;
    reader.finish()?;
    Ok((header, body))
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::*;

    fn sample() -> Vec<u8> {
        let mut stream = frame(3, 7, |out| out.put_slice(b"hello"));
        stream.extend(frame(4, 8, |_| ()));
        stream
    }

    #[test]
    fn frames_come_out_whole_however_the_stream_is_cut() {
        for piece in 1..=sample().len() {
            let mut buffer = FrameBuffer::default();
            let mut seen = Vec::new();
            for chunk in sample().chunks(piece) {
                buffer.push(chunk);
                while let Some((header, body)) = buffer.next_frame(100).unwrap() {
                    seen.push((header.kind, header.correlation, body.to_vec()));
                }
            }
            assert_eq!(seen, [(3, 7, b"hello".to_vec()), (4, 8, Vec::new())], "pieces of {piece}");
            assert_eq!(buffer.waiting_bytes(), 0);
        }
    }

    #[test]
    fn a_long_body_is_refused_from_its_header_alone() {
        let mut buffer = FrameBuffer::default();
        buffer.push(&sample()[..16]);
        let bad = buffer.next_frame(4).unwrap_err();
        assert_eq!((bad.correlation, bad.refusal.code), (7, ErrorCode::FrameTooLarge));
    }

    #[test]
    fn flags_are_refused() {
        let mut bytes = sample();
        bytes[6] = 1;
        let mut buffer = FrameBuffer::default();
        buffer.push(&bytes);
        assert_eq!(buffer.next_frame(100).unwrap_err().refusal.code, ErrorCode::Malformed);
    }

    #[test]
    fn missing_bytes_are_known_once_the_header_is_here() {
        let mut buffer = FrameBuffer::default();
        buffer.push(&sample()[..15]);
        assert_eq!(buffer.missing_bytes(100), 0);
        buffer.push(&sample()[15..17]);
        assert_eq!(buffer.missing_bytes(100), 4);
    }

    #[test]
    fn bytes_are_read_straight_into_the_buffer() {
        let mut buffer = FrameBuffer::default();
        buffer.push(&sample()[..17]);
        let rest = buffer.missing_bytes(100);
        let came = buffer.read_with(rest, rest, |room| {
            room.copy_from_slice(&sample()[17..21]);
            Ok(room.len())
        });
        assert_eq!(came.unwrap(), 4);
        assert_eq!(buffer.next_frame(100).unwrap().unwrap().1, b"hello");
        buffer.read_with(10, 10, |_| Err(std::io::ErrorKind::WouldBlock.into())).unwrap_err();
        assert_eq!(buffer.waiting_bytes(), 0);
    }

    #[test]
    fn an_emptied_buffer_gives_its_memory_back() {
        let mut buffer = FrameBuffer::default();
        buffer.push(&frame(1, 1, |out| out.put_bytes(0, 100_000)));
        assert!(buffer.next_frame(1 << 20).unwrap().is_some());
        assert!(buffer.next_frame(1 << 20).unwrap().is_none());
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}

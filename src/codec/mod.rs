//! Little-endian bytes to values and back, for the wire, the log and the snapshots.
//!
//! The reader names the field that was wrong, never reads past the end, and rejects what is left over. Numbers are
//! fixed or of variable length; text has a length of two bytes before it, bytes have one of four.
//! `message!` declares a value of several fields once, with its extras and its bounds.

mod coded;
mod field;
mod list;
mod message;

use std::fmt;

use bytes::BufMut;

pub(crate) use coded::coded;
pub(crate) use field::newtype_field;
pub use field::{Field, Tail, Value};
pub use list::List;
pub(crate) use message::message;
pub use message::{Extras, Message, finish_extra, put_extra};

/// A field that could not be read, or may not be written. One pointer wide: what is read is mostly right, and small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Box<BadField>);

/// What is wrong with which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadField {
    /// Its name, as in the format's description.
    pub field: &'static str,
    pub fault: Fault,
}

/// What can be wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It reaches past the end of its frame or record.
    TooShort,
    NotUtf8,
    /// A value that no version defines.
    Undefined,
    /// Extras that are not in the order of their tags, or one twice.
    OutOfOrder,
    /// Bytes are left after the last field.
    LeftOver,
    /// A number (of a kind, a flag, a tag) that a later version may define.
    Unknown(u64),
    /// A value out of its bounds: which bound it is, and a sentence for a person.
    OutOfBounds(Bound, String),
}

/// What kind of bound: those that the wire has an error code of their own for are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Value,
    QueueName,
    Payload,
}

impl DecodeError {
    #[cold]
    pub fn new(field: &'static str, fault: Fault) -> DecodeError {
        DecodeError(Box::new(BadField { field, fault }))
    }

    #[cold]
    pub fn out_of_bounds(field: &'static str, bound: Bound, text: impl fmt::Display) -> DecodeError {
        DecodeError::new(field, Fault::OutOfBounds(bound, text.to_string()))
    }

    pub fn fault(&self) -> &Fault {
        &self.0.fault
    }

    pub fn into_fault(self) -> Fault {
        self.0.fault
    }

    /// Whether a later version may have written it: nothing is broken, but this version must not go on.
    pub fn is_unknown(&self) -> bool {
        matches!(self.0.fault, Fault::Unknown(_))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BadField { field, fault } = &*self.0;
        match fault {
            Fault::TooShort => write!(f, "field {field} reaches past the end"),
            Fault::NotUtf8 => write!(f, "field {field} is not UTF-8"),
            Fault::Undefined => write!(f, "field {field} has a value that the format does not define"),
            Fault::OutOfOrder => write!(f, "{field} are not in the order of their tags"),
            Fault::LeftOver => f.write_str("bytes are left over after the last field"),
            Fault::Unknown(number) => write!(f, "{field} {number} is not known to this version"),
            Fault::OutOfBounds(_, text) => f.write_str(text),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Numbers of a fixed number of bytes.
macro_rules! numbers {
    ($($type:ident)*) => {$(
        #[inline]
        pub fn $type(&mut self, field: &'static str) -> Result<$type, DecodeError> {
            self.array(field).map($type::from_le_bytes)
        }
    )*};
}

/// Reads fields one after another from a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    checks: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes, checks: false }
    }

    /// A reader that also holds each value against its bounds.
    pub fn checking(bytes: &'a [u8]) -> Self {
        Reader { checks: true, ..Reader::new(bytes) }
    }

    /// Whether values are held against their bounds.
    pub fn checks(&self) -> bool {
        self.checks
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    #[inline]
    pub fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        let Some((head, rest)) = self.rest.split_at_checked(count) else {
            return Err(DecodeError::new(field, Fault::TooShort));
        };
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeError::new(field, Fault::TooShort));
        };
        self.rest = rest;
        Ok(*head)
    }

    numbers! { u8 u16 u32 u64 }

    /// Reads a number of variable length: seven bits a byte, the low ones first, all bytes but the last marked.
    pub fn varint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(field)?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DecodeError::new(field, Fault::Undefined))
    }

    /// Reads a byte that is 0 or 1.
    #[inline]
    pub fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::new(field, Fault::Undefined)),
        }
    }

    /// Reads text with a length of two bytes.
    #[inline]
    pub fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let count = self.u16(field)?;
        let bytes = self.take(field, usize::from(count))?;
        std::str::from_utf8(bytes).map_err(|_| DecodeError::new(field, Fault::NotUtf8))
    }

    /// Reads bytes with a length of four bytes.
    #[inline]
    pub fn bytes(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let count = self.u32(field)?;
        let Ok(count) = usize::try_from(count) else {
            return Err(DecodeError::new(field, Fault::TooShort));
        };
        self.take(field, count)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `LeftOver` if anything is left.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(DecodeError::new("(end)", Fault::LeftOver))
    }
}

/// The length-prefixed types on top of `BufMut`.
///
/// Lengths are checked against their bounds before anything is written; a longer value here is a
/// broken contract of the caller.
pub trait PutExt: BufMut {
    /// A number of variable length, see [`Reader::varint`].
    fn put_varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.put_u8(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.put_u8(number.to_le_bytes()[0]);
    }

    /// Text with a length of two bytes.
    fn put_text(&mut self, text: &str) {
        let count = u16::try_from(text.len()).expect("a text holds at most 65,535 bytes");
        self.put_slice(&count.to_le_bytes());
        self.put_slice(text.as_bytes());
    }

    /// Bytes with a length of four bytes.
    fn put_bytes_le(&mut self, bytes: &[u8]) {
        let count = u32::try_from(bytes.len()).expect("bytes hold at most 4 GiB");
        self.put_u32_le(count);
        self.put_slice(bytes);
    }
}

impl<B: BufMut> PutExt for B {}

/// The start of `text` that fits into `bytes_max`, cut between characters.
pub fn text_head(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length_come_back_and_longer_ones_are_refused() {
        for number in [0, 1, 127, 128, 300, 1 << 35, u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            bytes.put_varint(number);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.varint("n"), Ok(number));
            reader.finish().unwrap();
            assert!(Reader::new(&bytes[..bytes.len() - 1]).varint("n").is_err());
        }
        for bad in [[0xFF; 10], [0x80; 10]] {
            assert_eq!(Reader::new(&bad).varint("n").unwrap_err().fault(), &Fault::Undefined);
        }
    }

    #[test]
    fn every_type_comes_back_as_it_was_written() {
        let mut out = Vec::new();
        out.put_u8(1);
        out.put_u16_le(2);
        out.put_u32_le(3);
        out.put_u64_le(4);
        out.put_text("five");
        out.put_bytes_le(b"7");
        let mut reader = Reader::new(&out);
        assert!(reader.bool("a").unwrap());
        assert_eq!(reader.u16("b").unwrap(), 2);
        assert_eq!(reader.u32("c").unwrap(), 3);
        assert_eq!(reader.u64("d").unwrap(), 4);
        assert_eq!(reader.text("e").unwrap(), "five");
        assert_eq!(reader.bytes("f").unwrap(), b"7");
        reader.finish().unwrap();
    }

    #[test]
    fn a_length_past_the_end_names_its_field() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]);
        let error = reader.bytes("payload").unwrap_err();
        assert_eq!(error, DecodeError::new("payload", Fault::TooShort));
        assert_eq!(error.to_string(), "field payload reaches past the end");
    }

    #[test]
    fn leftover_bytes_bad_text_and_bad_flags_are_refused() {
        let mut reader = Reader::new(&[1, 2]);
        reader.u8("first").unwrap();
        assert_eq!(reader.finish().unwrap_err().to_string(), "bytes are left over after the last field");
        assert_eq!(Reader::new(&[1, 0, 0xff]).text("name").unwrap_err().fault(), &Fault::NotUtf8);
        assert_eq!(Reader::new(&[2]).bool("flag").unwrap_err().fault(), &Fault::Undefined);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(text_head("aü", 2), "a");
        assert_eq!(text_head("aü", 3), "aü");
        assert_eq!(text_head("aü", 9), "aü");
    }
}

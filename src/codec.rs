//! Little-endian bytes to values and back, for the wire and for the log.
//!
//! The reader names the field that was wrong, never reads past the end, and rejects what is left over.
//! The writing side is `bytes::BufMut` on a `Vec<u8>` with the length-prefixed types added.

use std::fmt;

use bytes::BufMut;

/// A field that could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The field's name, as in the format's description.
    pub field: &'static str,
    /// What was wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The field reaches past the end of its frame or record.
    TooShort,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A value that the format does not define.
    Undefined,
    /// Bytes are left after the last field.
    LeftOver,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field;
        match self.fault {
            Fault::TooShort => write!(f, "field {field} reaches past the end"),
            Fault::NotUtf8 => write!(f, "field {field} is not UTF-8"),
            Fault::Undefined => write!(f, "field {field} has a value that the format does not define"),
            Fault::LeftOver => write!(f, "bytes are left over after field {field}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Reads fields one after another from a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    last_field: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes, last_field: "(start)" }
    }

    /// The bytes not read yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Takes all bytes that are left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Takes the next `count` bytes.
    ///
    /// # Errors
    /// `TooShort` if there are fewer.
    pub fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        self.last_field = field;
        let Some((head, rest)) = self.rest.split_at_checked(count) else {
            return Err(DecodeError { field, fault: Fault::TooShort });
        };
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        self.last_field = field;
        let Some((head, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(DecodeError { field, fault: Fault::TooShort });
        };
        self.rest = rest;
        Ok(*head)
    }

    /// Reads one byte.
    ///
    /// # Errors
    /// `TooShort` at the end.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    /// Reads a 16-bit number.
    ///
    /// # Errors
    /// `TooShort` at the end.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_le_bytes)
    }

    /// Reads a 32-bit number.
    ///
    /// # Errors
    /// `TooShort` at the end.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_le_bytes)
    }

    /// Reads a 64-bit number.
    ///
    /// # Errors
    /// `TooShort` at the end.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// Reads a number of variable length: seven bits a byte, the low ones first, all bytes but the last marked.
    ///
    /// # Errors
    /// `TooShort` at the end, `Undefined` for more than 64 bits.
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
        Err(DecodeError { field, fault: Fault::Undefined })
    }

    /// Reads a byte that is 0 or 1.
    ///
    /// # Errors
    /// `TooShort` at the end, `Undefined` for another value.
    pub fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError { field, fault: Fault::Undefined }),
        }
    }

    /// Reads text with a length of one byte.
    ///
    /// # Errors
    /// `TooShort`, or `NotUtf8`.
    pub fn text8(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let count = self.u8(field)?;
        self.text(field, usize::from(count))
    }

    /// Reads text with a length of two bytes.
    ///
    /// # Errors
    /// `TooShort`, or `NotUtf8`.
    pub fn text16(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let count = self.u16(field)?;
        self.text(field, usize::from(count))
    }

    /// Reads bytes with a length of two bytes.
    ///
    /// # Errors
    /// `TooShort`.
    pub fn bytes16(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let count = self.u16(field)?;
        self.take(field, usize::from(count))
    }

    /// Reads bytes with a length of four bytes.
    ///
    /// # Errors
    /// `TooShort`.
    pub fn bytes32(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let count = self.u32(field)?;
        let fault = DecodeError { field, fault: Fault::TooShort };
        self.take(field, usize::try_from(count).map_err(|_| fault)?)
    }

    /// Reads `count` bytes of text.
    ///
    /// # Errors
    /// `TooShort`, or `NotUtf8`.
    pub fn text(&mut self, field: &'static str, count: usize) -> Result<&'a str, DecodeError> {
        let bytes = self.take(field, count)?;
        std::str::from_utf8(bytes).map_err(|_| DecodeError { field, fault: Fault::NotUtf8 })
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `LeftOver` if anything is left.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(DecodeError { field: self.last_field, fault: Fault::LeftOver })
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

    /// Text with a length of one byte.
    fn put_text8(&mut self, text: &str) {
        let count = u8::try_from(text.len()).expect("text8 holds at most 255 bytes");
        self.put_u8(count);
        self.put_slice(text.as_bytes());
    }

    /// Text with a length of two bytes.
    fn put_text16(&mut self, text: &str) {
        self.put_bytes16(text.as_bytes());
    }

    /// Bytes with a length of two bytes.
    fn put_bytes16(&mut self, bytes: &[u8]) {
        let count = u16::try_from(bytes.len()).expect("bytes16 holds at most 65,535 bytes");
        self.put_u16_le(count);
        self.put_slice(bytes);
    }

    /// Bytes with a length of four bytes.
    fn put_bytes32(&mut self, bytes: &[u8]) {
        let count = u32::try_from(bytes.len()).expect("bytes32 holds at most 4 GiB");
        self.put_u32_le(count);
        self.put_slice(bytes);
    }
}

impl<B: BufMut> PutExt for B {}

/// The start of `text` that fits into `bytes_max`, cut between characters.
#[must_use]
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
            assert_eq!(Reader::new(&bad).varint("n").unwrap_err().fault, Fault::Undefined);
        }
    }

    #[test]
    fn every_type_comes_back_as_it_was_written() {
        let mut out = Vec::new();
        out.put_u8(1);
        out.put_u16_le(2);
        out.put_u32_le(3);
        out.put_u64_le(4);
        out.put_text8("five");
        out.put_text16("sechs");
        out.put_bytes16(b"7");
        out.put_bytes32(b"");
        let mut reader = Reader::new(&out);
        assert!(reader.bool("a").unwrap());
        assert_eq!(reader.u16("b").unwrap(), 2);
        assert_eq!(reader.u32("c").unwrap(), 3);
        assert_eq!(reader.u64("d").unwrap(), 4);
        assert_eq!(reader.text8("e").unwrap(), "five");
        assert_eq!(reader.text16("f").unwrap(), "sechs");
        assert_eq!(reader.bytes16("g").unwrap(), b"7");
        assert_eq!(reader.bytes32("h").unwrap(), b"");
        reader.finish().unwrap();
    }

    #[test]
    fn a_length_past_the_end_names_its_field() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]);
        let error = reader.bytes32("payload").unwrap_err();
        assert_eq!(error, DecodeError { field: "payload", fault: Fault::TooShort });
        assert_eq!(error.to_string(), "field payload reaches past the end");
    }

    #[test]
    fn leftover_bytes_bad_text_and_bad_flags_are_refused() {
        let mut reader = Reader::new(&[1, 2]);
        reader.u8("first").unwrap();
        assert_eq!(reader.finish().unwrap_err().to_string(), "bytes are left over after field first");
        assert_eq!(Reader::new(&[1, 0xff]).text8("name").unwrap_err().fault, Fault::NotUtf8);
        assert_eq!(Reader::new(&[2]).bool("flag").unwrap_err().fault, Fault::Undefined);
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(text_head("aü", 2), "a");
        assert_eq!(text_head("aü", 3), "aü");
        assert_eq!(text_head("aü", 9), "aü");
    }
}

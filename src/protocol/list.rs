//! A list of items, read lazily from a frame or lent as a slice. Decoding walks it once to see that
//! every item is well formed; no item is ever copied into a vector.

use std::fmt;

use bytes::BufMut;

use crate::codec::{DecodeError, Reader};

/// One item of a list on the wire.
pub trait Item<'a>: Copy {
    /// Reads one item.
    ///
    /// # Errors
    /// The field that was wrong.
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// Writes one item.
    fn encode(&self, out: &mut Vec<u8>);
}

/// A list of `T`.
#[derive(Clone, Copy)]
pub struct List<'a, T> {
    count: usize,
    items: Items<'a, T>,
}

#[derive(Clone, Copy)]
enum Items<'a, T> {
    Encoded(&'a [u8]),
    Lent(&'a [T]),
}

impl<'a, T: Item<'a>> List<'a, T> {
    /// A list of the items of a slice.
    #[must_use]
    pub fn lent(items: &'a [T]) -> Self {
        List { count: items.len(), items: Items::Lent(items) }
    }

    /// Reads a count of two bytes and that many items.
    pub(super) fn decode16(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, DecodeError> {
        Self::decode16_each(reader, field, |_| ())
    }

    /// Reads a count of two bytes and that many items, each of which is shown to `look`.
    pub(super) fn decode16_each(
        reader: &mut Reader<'a>,
        field: &'static str,
        look: impl FnMut(&T),
    ) -> Result<Self, DecodeError> {
        let count = reader.u16(field)?;
        Self::decode_items(reader, usize::from(count), look)
    }

    /// Reads a count of one byte and that many items.
    pub(super) fn decode8(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, DecodeError> {
        let count = reader.u8(field)?;
        Self::decode_items(reader, usize::from(count), |_| ())
    }

    /// Reads a count of four bytes and that many items.
    pub(super) fn decode32(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, DecodeError> {
        let count = reader.u32(field)?;
        // Each item takes a byte at least, so that a count beyond the rest fails early.
        Self::decode_items(reader, usize::try_from(count).unwrap_or(usize::MAX), |_| ())
    }

    fn decode_items(
        reader: &mut Reader<'a>,
        count: usize,
        mut look: impl FnMut(&T),
    ) -> Result<Self, DecodeError> {
        let before = reader.rest();
        for _ in 0..count {
            look(&T::decode(reader)?);
        }
        let encoded = &before[..before.len() - reader.rest().len()];
        Ok(List { count, items: Items::Encoded(encoded) })
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The items in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let (mut reader, lent) = match self.items {
            Items::Encoded(bytes) => (Reader::new(bytes), None),
            Items::Lent(items) => (Reader::new(&[]), Some(items)),
        };
        (0..self.count).map(move |index| match lent {
            Some(items) => items[index],
            None => T::decode(&mut reader).expect("the list was decoded before"),
        })
    }

    pub(super) fn encode16(&self, out: &mut Vec<u8>) {
        out.put_u16_le(u16::try_from(self.count).expect("a list16 holds at most 65,535 items"));
        self.encode_items(out);
    }

    pub(super) fn encode8(&self, out: &mut Vec<u8>) {
        out.put_u8(u8::try_from(self.count).expect("a list8 holds at most 255 items"));
        self.encode_items(out);
    }

    pub(super) fn encode32(&self, out: &mut Vec<u8>) {
        out.put_u32_le(u32::try_from(self.count).expect("a list32 holds at most 2^32 items"));
        self.encode_items(out);
    }

    fn encode_items(&self, out: &mut Vec<u8>) {
        match self.items {
            Items::Encoded(bytes) => out.put_slice(bytes),
            Items::Lent(items) => items.iter().for_each(|item| item.encode(out)),
        }
    }
}

impl<'a, T: Item<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Lists are equal when their items are, however they are held.
impl<'a, T: Item<'a> + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

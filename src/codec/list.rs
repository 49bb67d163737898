//! A list of items, read lazily from a frame or lent as a slice. Decoding walks it once to see that
//! every item is well formed; no item is ever copied into a vector. Most lists have one item, and that is kept as
//! it was read, instead of being read again at each look.

use std::fmt;

use bytes::BufMut;

use super::{DecodeError, Field, Reader, Value};

#[derive(Clone, Copy)]
pub struct List<'a, T> {
    count: usize,
    bytes: usize,
    items: Items<'a, T>,
}

#[derive(Clone, Copy)]
enum Items<'a, T> {
    Encoded(&'a [u8]),
    One(T),
    Lent(&'a [T]),
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        List { count: 0, bytes: 0, items: Items::Lent(&[]) }
    }
}

impl<'a, T: Field<'a>> List<'a, T> {
    /// A list of the items of a slice.
    pub fn lent(items: &'a [T]) -> Self {
        List { count: items.len(), bytes: 0, items: Items::Lent(items) }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the items take on the wire; 0 of a list that was not read from there.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The items in order.
    pub fn iter<'s>(&'s self) -> impl Iterator<Item = T> + use<'a, 's, T> {
        let items = &self.items;
        let mut reader = Reader::new(if let Items::Encoded(bytes) = items { bytes } else { &[] });
        (0..self.count).map(move |index| match items {
            Items::One(item) => *item,
            Items::Lent(items) => items[index],
            Items::Encoded(_) => T::read(&mut reader, "item").expect("the list was decoded before"),
        })
    }
}

/// A count of two bytes, then the items.
impl<'a, T: Field<'a>> Field<'a> for List<'a, T> {
    const BYTES: usize = 2;

    fn read(reader: &mut Reader<'a>, name: &'static str) -> Result<Self, DecodeError> {
        let count = usize::from(reader.u16(name)?);
        let before = reader.rest();
        let bytes_before = before.len();
        let bytes = |reader: &Reader<'a>| bytes_before - reader.rest().len();
        if count == 1 {
            let items = Items::One(T::read(reader, name)?);
            return Ok(List { count, bytes: bytes(reader), items });
        }
        for _ in 0..count {
            T::read(reader, name)?;
        }
        let bytes = bytes(reader);
        Ok(List { count, bytes, items: Items::Encoded(&before[..bytes]) })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.put_u16_le(u16::try_from(self.count).expect("a list holds at most 65,535 items"));
        match self.items {
            Items::Encoded(bytes) => out.put_slice(bytes),
            Items::One(item) => item.write(out),
            Items::Lent(items) => items.iter().for_each(|item| item.write(out)),
        }
    }

    fn check(&self) -> Result<(), DecodeError> {
        self.iter().try_for_each(|item| item.check())
    }

    fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        see(name, Value::Number(self.count as u64));
    }

    fn sample(number: &mut u64) -> Self {
        List::lent(vec![T::sample(number), T::sample(number)].leak())
    }
}

impl<'a, T: Field<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Lists are equal when their items are, however they are held.
impl<'a, T: Field<'a> + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.iter().eq(other.iter())
    }
}

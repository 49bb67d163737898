//! Fields: the types that messages are made of.

use super::{DecodeError, PutExt, Reader};

/// A type of a field, or a message of several fields.
pub trait Field<'a>: Copy + Default {
    /// Bytes that it takes: of texts, bytes and lists without what is in them, of a message with all its extras.
    const BYTES: usize;

    /// Reads it, and holds it against its bounds if the reader checks; `name` is what an error calls it.
    fn read(reader: &mut Reader<'a>, name: &'static str) -> Result<Self, DecodeError>;

    fn write(&self, out: &mut Vec<u8>);

    /// Holds what is inside against its bounds.
    fn check(&self) -> Result<(), DecodeError> {
        Ok(())
    }

    /// Tells name and value, for listings; a message tells all of its fields.
    fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>));

    /// A value for tests, another one for each `number`.
    fn sample(number: &mut u64) -> Self;
}

/// A value for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'v> {
    Number(u64),
    /// Milliseconds since 1970; 0 is none.
    Moment(u64),
    Flag(bool),
    Text(&'v str),
    Bytes(&'v [u8]),
}

/// The last field of a message, whose bytes are written apart from the others: they are copied once, to their place.
pub trait Tail<'a>: Copy + Default {
    fn bytes(&self) -> &'a [u8];

    /// # Errors
    /// `NotUtf8` for a text that is none.
    fn of(name: &'static str, bytes: &'a [u8]) -> Result<Self, DecodeError>;

    fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        see(name, Value::Bytes(self.bytes()));
    }

    fn sample(number: &mut u64) -> Self;
}

macro_rules! numbers {
    ($($type:ident)*) => {$(
        impl<'a> Field<'a> for $type {
            const BYTES: usize = size_of::<$type>();

            #[inline]
            fn read(reader: &mut Reader<'a>, name: &'static str) -> Result<Self, DecodeError> {
                reader.$type(name)
            }

            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
                see(name, Value::Number(u64::from(*self)));
            }

            fn sample(number: &mut u64) -> Self {
                *number += 1;
                *number as $type
            }
        }
    )*};
}

numbers! { u8 u16 u32 u64 }

impl<'a> Field<'a> for bool {
    const BYTES: usize = 1;

    #[inline]
    fn read(reader: &mut Reader<'a>, name: &'static str) -> Result<Self, DecodeError> {
        reader.bool(name)
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        see(name, Value::Flag(*self));
    }

    fn sample(number: &mut u64) -> Self {
        *number += 1;
        number.is_multiple_of(2)
    }
}

impl<'a> Field<'a> for &'a str {
    const BYTES: usize = 2;

    #[inline]
    fn read(reader: &mut Reader<'a>, name: &'static str) -> Result<Self, DecodeError> {
        reader.text(name)
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.put_text(self);
    }

    fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        see(name, Value::Text(self));
    }

    fn sample(number: &mut u64) -> Self {
        *number += 1;
        ["", "a", "zwölf", "4"][*number as usize % 4]
    }
}

impl<'a> Field<'a> for &'a [u8] {
    const BYTES: usize = 4;

    #[inline]
    fn read(reader: &mut Reader<'a>, name: &'static str) -> Result<Self, DecodeError> {
        reader.bytes(name)
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.put_bytes_le(self);
    }

    fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        see(name, Value::Bytes(self));
    }

    fn sample(number: &mut u64) -> Self {
        <&str as Field>::sample(number).as_bytes()
    }
}

impl<'a> Tail<'a> for &'a [u8] {
    fn bytes(&self) -> &'a [u8] {
        self
    }

    fn of(_name: &'static str, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(bytes)
    }

    fn sample(number: &mut u64) -> Self {
        Field::sample(number)
    }
}

/// A field that is a newtype around another one.
macro_rules! newtype_field {
    ($($name:ident($inner:ty) $value:ident;)*) => {$(
        impl<'a> $crate::codec::Field<'a> for $name {
            const BYTES: usize = <$inner as $crate::codec::Field>::BYTES;

            #[inline]
            fn read(
                reader: &mut $crate::codec::Reader<'a>,
                name: &'static str,
            ) -> Result<Self, $crate::codec::DecodeError> {
                $crate::codec::Field::read(reader, name).map($name)
            }

            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                $crate::codec::Field::write(&self.0, out);
            }

            fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, $crate::codec::Value<'_>)) {
                see(name, $crate::codec::Value::$value(self.0.into()));
            }

            fn sample(number: &mut u64) -> Self {
                $name($crate::codec::Field::sample(number))
            }
        }
    )*};
}

pub(crate) use newtype_field;

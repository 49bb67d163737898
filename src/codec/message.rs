//! Messages: values of several fields, each declared once.
//!
//! A message stands as its fixed fields in order, then its *extras*, then its tail, if it has one. What nearly every
//! message needs is a fixed field; all else is an extra, which costs nothing where it is not set. So a later version
//! can say more without breaking an older reader:
//!
//! | bytes | |
//! | --- | --- |
//! | u8 | how many extras follow |
//! | for each: u8 | tag, each above the one before |
//! | u16 | length of its value |
//! | … | its value |
//!
//! A reader skips an extra that it does not know if its tag is below 128, and refuses the whole otherwise.

use bytes::BufMut;

use super::{DecodeError, Fault, Field, Reader, Value};
use crate::planted::{Bug, is_planted};

/// Extras from this tag on must be understood.
const MUST_BE_UNDERSTOOD: u8 = 128;

/// A value of several fields.
pub trait Message<'a>: Copy + Default {
    /// Bytes of its fields and of all its extras, without its tail; texts and lists among them are empty.
    const HEAD_BYTES: usize;

    /// Reads it whole. Its tail has its length before it, or is all that is left.
    fn read_whole<const HAS_LENGTH: bool>(reader: &mut Reader<'a>) -> Result<Self, DecodeError>;

    /// Writes everything but the tail's bytes.
    fn write_head(&self, out: &mut Vec<u8>);

    /// The tail's bytes, if it has one.
    fn tail(&self) -> Option<&'a [u8]>;

    fn check_fields(&self) -> Result<(), DecodeError>;

    fn show_fields(&self, see: &mut dyn FnMut(&'static str, Value<'_>));

    fn sample_fields(number: &mut u64) -> Self;
}

/// Within a list or a frame the tail has its length before it.
impl<'a, M: Message<'a>> Field<'a> for M {
    const BYTES: usize = M::HEAD_BYTES;

    #[inline]
    fn read(reader: &mut Reader<'a>, _name: &'static str) -> Result<Self, DecodeError> {
        M::read_whole::<true>(reader)
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.write_head(out);
        if let Some(tail) = self.tail() {
            tail.write(out);
        }
    }

    fn check(&self) -> Result<(), DecodeError> {
        self.check_fields()
    }

    fn show(&self, _name: &'static str, see: &mut dyn FnMut(&'static str, Value<'_>)) {
        self.show_fields(see);
    }

    fn sample(number: &mut u64) -> Self {
        M::sample_fields(number)
    }
}

/// The extras of a message, while they are read.
#[derive(Debug)]
pub struct Extras {
    left: u8,
    /// The lowest tag that may come next.
    next: u16,
}

impl Extras {
    /// So many follow.
    pub fn new(count: u8) -> Extras {
        Extras { left: count, next: 0 }
    }

    /// The next tag, and a reader of its value.
    pub fn next<'a>(&mut self, reader: &mut Reader<'a>) -> Result<Option<(u8, Reader<'a>)>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let tag = reader.u8("extras")?;
        if u16::from(tag) < self.next {
            return Err(DecodeError::new("extras", Fault::OutOfOrder));
        }
        self.next = u16::from(tag) + 1;
        let count = reader.u16("extras")?;
        let value = reader.take("extras", usize::from(count))?;
        let value = if reader.checks() { Reader::checking(value) } else { Reader::new(value) };
        Ok(Some((tag, value)))
    }

    /// Passes over an extra that is not known.
    ///
    /// # Errors
    /// `Unknown` if it must be understood.
    pub fn skip(tag: u8) -> Result<(), DecodeError> {
        if tag < MUST_BE_UNDERSTOOD || is_planted(Bug::UnknownIgnored) {
            return Ok(());
        }
        Err(DecodeError::new("extra", Fault::Unknown(u64::from(tag))))
    }
}

/// Begins an extra in `out`; [`finish_extra`] with what is returned completes it.
pub fn put_extra(out: &mut Vec<u8>, tag: u8) -> usize {
    out.put_u8(tag);
    out.put_u16_le(0);
    out.len()
}

/// Completes the extra whose value begins at `start`.
///
/// # Panics
/// When the value is longer than an extra can be: its type has to be bounded.
pub fn finish_extra(out: &mut [u8], start: usize) {
    let count = u16::try_from(out.len() - start).expect("an extra holds at most 65,535 bytes");
    out[start - 2..start].copy_from_slice(&count.to_le_bytes());
}

/// Declares a message. After a field's type, `=> f` names the function that holds it against its bounds.
///
/// ```ignore
/// message! {
///     /// What it is.
///     Name<'a> {
///         fixed: u32 => within(1, 10);
///         name: &'a str;
///     } extras {
///         1 optional: u64;          // an extra with tag 1: a field of type `Option<u64>`
///     } tail payload: &'a [u8]
/// }
/// ```
macro_rules! message {
    (
        $(#[$doc:meta])*
        $name:ident $(<$life:lifetime>)? {
            $($(#[$fdoc:meta])* $field:ident: $type:ty $(=> $bound:expr)?;)*
        }
        $(extras { $($(#[$xdoc:meta])* $tag:literal $extra:ident: $xtype:ty $(=> $xbound:expr)?;)* })?
        $(tail $tail:ident: $ttype:ty $(=> $tbound:expr)?)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $name $(<$life>)? {
            $($(#[$fdoc])* pub $field: $type,)*
            $($($(#[$xdoc])* pub $extra: Option<$xtype>,)*)?
            $(pub $tail: $ttype,)?
        }

        impl<'a> $crate::codec::Message<'a> for $name $(<$life>)? {
            // The count of extras, and for each its tag and its length.
            const HEAD_BYTES: usize = 1
                $(+ <$type as $crate::codec::Field<'a>>::BYTES)*
                $($(+ 3 + <$xtype as $crate::codec::Field<'a>>::BYTES)*)?;

            #[allow(unused_mut, unused_variables, clippy::redundant_closure_call)]
            #[inline]
            fn read_whole<const HAS_LENGTH: bool>(
                outer: &mut $crate::codec::Reader<'a>,
            ) -> Result<Self, $crate::codec::DecodeError> {
                // A copy of its own stays in registers from field to field.
                let mut reader = outer.clone();
                $(
                    let $field: $type = $crate::codec::Field::read(&mut reader, stringify!($field))?;
                    $(if reader.checks() {
                        $bound(stringify!($field), &$field)?;
                    })?
                )*
                $($(let mut $extra: Option<$xtype> = None;)*)?
                let count = reader.u8("extras")?;
                if count > 0 {
                    let mut extras = $crate::codec::Extras::new(count);
                    while let Some((tag, mut value)) = extras.next(&mut reader)? {
                        match tag {
                            $($($tag => {
                                let read: $xtype = $crate::codec::Field::read(&mut value, stringify!($extra))?;
                                value.finish()?;
                                $(if reader.checks() {
                                    $xbound(stringify!($extra), &read)?;
                                })?
                                $extra = Some(read);
                            })*)?
                            other => $crate::codec::Extras::skip(other)?,
                        }
                    }
                }
                $(
                    let bytes =
                        if HAS_LENGTH { reader.bytes(stringify!($tail))? } else { reader.take_rest() };
                    let $tail: $ttype = $crate::codec::Tail::of(stringify!($tail), bytes)?;
                    $(if reader.checks() {
                        $tbound(stringify!($tail), &$tail)?;
                    })?
                )?
                *outer = reader;
                Ok($name { $($field,)* $($($extra,)*)? $($tail)? })
            }

            #[inline]
            fn write_head(&self, out: &mut Vec<u8>) {
                $($crate::codec::Field::write(&self.$field, out);)*
                out.push(0 $($(+ u8::from(self.$extra.is_some()))*)?);
                $($(if let Some(value) = &self.$extra {
                    let start = $crate::codec::put_extra(out, $tag);
                    $crate::codec::Field::write(value, out);
                    $crate::codec::finish_extra(out, start);
                })*)?
            }

            #[inline]
            fn tail(&self) -> Option<&'a [u8]> {
                None$(.or(Some($crate::codec::Tail::bytes(&self.$tail))))?
            }

            #[allow(clippy::redundant_closure_call)]
            fn check_fields(&self) -> Result<(), $crate::codec::DecodeError> {
                $(
                    $crate::codec::Field::check(&self.$field)?;
                    $($bound(stringify!($field), &self.$field)?;)?
                )*
                $($($(if let Some(value) = &self.$extra {
                    $xbound(stringify!($extra), value)?;
                })?)*)?
                $($($tbound(stringify!($tail), &self.$tail)?;)?)?
                Ok(())
            }

            #[allow(unused_variables)]
            fn show_fields(&self, see: &mut dyn FnMut(&'static str, $crate::codec::Value<'_>)) {
                $($crate::codec::Field::show(&self.$field, stringify!($field), see);)*
                $($(if let Some(value) = &self.$extra {
                    $crate::codec::Field::show(value, stringify!($extra), see);
                })*)?
                $($crate::codec::Tail::show(&self.$tail, stringify!($tail), see);)?
            }

            #[allow(unused_variables)]
            fn sample_fields(number: &mut u64) -> Self {
                $name {
                    $($field: $crate::codec::Field::sample(number),)*
                    $($($extra: Some($crate::codec::Field::sample(number)),)*)?
                    $($tail: $crate::codec::Tail::sample(number),)?
                }
            }
        }
    };
}

pub(crate) use message;

#[cfg(test)]
mod tests {
    use super::*;

    message! {
        /// As today's version has it.
        Known<'a> {
            number: u16;
            text: &'a str;
        } extras {
            3 more: u32;
        } tail rest: &'a [u8]
    }

    message! {
        /// As a later version has it.
        Later<'a> {
            number: u16;
            text: &'a str;
        } extras {
            1 skipped: &'a str;
            3 more: u32;
            200 needed: u8;
        } tail rest: &'a [u8]
    }

    fn bytes<'a>(message: &impl Field<'a>) -> Vec<u8> {
        let mut out = Vec::new();
        message.write(&mut out);
        out
    }

    fn known(bytes: &[u8]) -> Result<Known<'_>, DecodeError> {
        let mut reader = Reader::new(bytes);
        let message = Known::read(&mut reader, "known")?;
        reader.finish().map(|()| message)
    }

    #[test]
    fn a_message_comes_back_and_any_shorter_one_is_refused() {
        let full = Known { number: 7, text: "x", more: Some(9), rest: b"tail" };
        let plain = Known { more: None, ..full };
        for message in [full, plain] {
            let bytes = bytes(&message);
            assert_eq!(known(&bytes), Ok(message));
            for end in 0..bytes.len() {
                assert!(known(&bytes[..end]).is_err(), "{end} bytes");
            }
        }
        assert_eq!(bytes(&plain).len(), 2 + 3 + 1 + 8, "what is not said costs one byte");
        let mut head = Vec::new();
        Known { text: "", ..full }.write_head(&mut head);
        assert_eq!(head.len(), Known::HEAD_BYTES);
    }

    #[test]
    fn an_unknown_extra_is_skipped_or_refused_by_its_tag() {
        let later = Later { skipped: Some("new"), more: Some(5), ..Later::default() };
        assert_eq!(known(&bytes(&later)).map(|message| message.more), Ok(Some(5)));
        let error = known(&bytes(&Later { needed: Some(1), ..later })).unwrap_err();
        assert!(error.is_unknown());
        assert_eq!(error.to_string(), "extra 200 is not known to this version");
    }

    #[test]
    fn extras_stand_in_the_order_of_their_tags() {
        let twice = [0, 0, 0, 0, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(known(&twice).unwrap_err().fault(), &Fault::OutOfOrder);
    }
}

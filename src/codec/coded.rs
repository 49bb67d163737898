//! Words that stand as a number of one byte.

/// Declares an enum with a number and a word for each variant. A number that is not there is one of a later version.
macro_rules! coded {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal $word:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            #[default]
            $($(#[$vdoc])* $variant = $code,)*
        }

        impl $name {
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// Its number in frames, records and snapshots.
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The one with this number.
            pub const fn from_code(code: u8) -> Option<$name> {
                match code { $($code => Some($name::$variant),)* _ => None }
            }

            /// Its word in listings.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }
        }

        impl<'a> $crate::codec::Field<'a> for $name {
            const BYTES: usize = 1;

            #[inline]
            fn read(
                reader: &mut $crate::codec::Reader<'a>,
                name: &'static str,
            ) -> Result<Self, $crate::codec::DecodeError> {
                let code = reader.u8(name)?;
                let unknown = || $crate::codec::Fault::Unknown(u64::from(code));
                Self::from_code(code).ok_or_else(|| $crate::codec::DecodeError::new(name, unknown()))
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.push(self.code());
            }

            fn show(&self, name: &'static str, see: &mut dyn FnMut(&'static str, $crate::codec::Value<'_>)) {
                see(name, $crate::codec::Value::Text(self.word()));
            }

            fn sample(number: &mut u64) -> Self {
                *number += 1;
                Self::ALL[*number as usize % Self::ALL.len()]
            }
        }
    };
}

pub(crate) use coded;

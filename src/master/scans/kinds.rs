//! Kinds of errors: texts that are the same but for numbers and ids in them.

/// What tells one kind from another: FNV-1a (Fowler, Noll, Vo; 64 bits) of the text without numbers and ids.
pub fn kind_of(error: &str) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for word in error.split_inclusive(|c: char| !is_of_word(c)) {
        let (word, end) = match word.char_indices().next_back() {
            Some((at, c)) if !is_of_word(c) => word.split_at(at),
            _ => (word, ""),
        };
        let word = if is_number_or_id(word) { "#" } else { word };
        for byte in word.bytes().chain(end.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
    }
    hash
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_'
}

/// A word with a digit that is no name with a number behind it (`utf8`, `step-2`): it begins with a digit, or is
/// long and all hexadecimal, as ids are.
fn is_number_or_id(word: &str) -> bool {
    let is_hex = |c: char| c.is_ascii_hexdigit() || c == '-';
    let has_digit = word.contains(|c: char| c.is_ascii_digit());
    has_digit && (word.starts_with(|c: char| c.is_ascii_digit()) || (word.len() >= 8 && word.chars().all(is_hex)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ids_make_no_other_kind() {
        for (a, b) in [
            ("order 17 not found", "order 4711 not found"),
            ("line 3, in <module>", "line 99, in <module>"),
            ("at 0x7f00deadbeef", "at 0x1"),
            ("user f47ac10b-58cc-4372-a567-0e02b2c3d479", "user 00000000-58cc-4372-a567-0e02b2c3d479"),
            ("took 12.5s", "took 3.25s"),
            ("commit deadbeef01", "commit 01deadbeef"),
        ] {
            assert_eq!(kind_of(a), kind_of(b), "{a} and {b}");
        }
    }

    #[test]
    fn words_do() {
        for (a, b) in [
            ("not found", "not there"),
            ("utf8 error", "utf16 error"),
            ("a b", "ab"),
            ("", "x"),
            ("deadbeef", "deadbeer"),
            ("Größe", "Grösse"),
        ] {
            assert_ne!(kind_of(a), kind_of(b), "{a} and {b}");
        }
    }
}

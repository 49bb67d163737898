//! RESP2, the protocol of Redis: commands and replies.

use std::io::Write;

use super::bytes::{line, number, shown};

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'b> {
    Nil,
    Simple(&'b [u8]),
    Error(&'b [u8]),
    Int(i64),
    Bulk(&'b [u8]),
    Array(Vec<Value<'b>>),
}

impl<'b> Value<'b> {
    pub fn bulk(&self) -> Result<&'b [u8], String> {
        if let Value::Bulk(bytes) = self { Ok(bytes) } else { Err(self.unexpected()) }
    }

    /// The items of an array of `count`.
    pub fn items(&self, count: usize) -> Result<&[Value<'b>], String> {
        match self {
            Value::Array(items) if items.len() == count => Ok(items),
            _ => Err(self.unexpected()),
        }
    }

    pub fn unexpected(&self) -> String {
        match self {
            Value::Error(text) => format!("error reply: {}", shown(text)),
            _ => format!("unexpected reply: {}", &format!("{self:?}").chars().take(120).collect::<String>()),
        }
    }
}

/// Writes a command. A payload may be written piecemeal, see [`array`] and [`bulk`].
pub fn command(words: &[&[u8]], out: &mut Vec<u8>) {
    array(words.len(), out);
    for word in words {
        bulk(word.len(), out);
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

pub fn array(count: usize, out: &mut Vec<u8>) {
    write!(out, "*{count}\r\n").expect("memory takes it");
}

/// The head of a bulk string; its bytes and a line end have to follow.
pub fn bulk(bytes: usize, out: &mut Vec<u8>) {
    write!(out, "${bytes}\r\n").expect("memory takes it");
}

/// The first reply and its bytes, or nothing if it is not whole yet.
pub fn parse(input: &[u8]) -> Result<Option<(Value<'_>, usize)>, String> {
    let Some((text, head)) = line(input) else { return Ok(None) };
    let Some((kind, rest)) = text.split_first() else { return Err("an empty line".into()) };
    let value = match kind {
        b'+' => Value::Simple(rest),
        b'-' => Value::Error(rest),
        b':' => Value::Int(
            std::str::from_utf8(rest)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| format!("{} is no integer", shown(rest)))?,
        ),
        b'$' | b'*' if rest == b"-1" => Value::Nil,
        b'$' => {
            let bytes = number(rest)?;
            let Some(body) = input.get(head..head + bytes + 2) else { return Ok(None) };
            return Ok(Some((Value::Bulk(&body[..bytes]), head + bytes + 2)));
        }
        b'*' => return parse_array(input, head, number(rest)?),
        _ => return Err(format!("not RESP: {}", shown(text))),
    };
    Ok(Some((value, head)))
}

fn parse_array(input: &[u8], head: usize, count: usize) -> Result<Option<(Value<'_>, usize)>, String> {
    let (mut used, mut items) = (head, Vec::new());
    for _ in 0..count {
        let Some((item, bytes)) = parse(&input[used..])? else { return Ok(None) };
        items.push(item);
        used += bytes;
    }
    Ok(Some((Value::Array(items), used)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut out = Vec::new();
        command(&[b"LLEN", b"q"], &mut out);
        assert_eq!(out, b"*2\r\n$4\r\nLLEN\r\n$1\r\nq\r\n");
    }

    #[test]
    fn replies_are_read_and_cut_ones_wait() {
        let bytes = b"*3\r\n:-7\r\n$3\r\na\r\n\r\n*-1\r\n";
        let whole = Value::Array(vec![Value::Int(-7), Value::Bulk(b"a\r\n"), Value::Nil]);
        assert_eq!(parse(bytes), Ok(Some((whole, bytes.len()))));
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "cut at {cut}");
        }
        assert_eq!(parse(b"$-1\r\n:1\r\n"), Ok(Some((Value::Nil, 5))));
        assert_eq!(parse(b"+OK\r\n"), Ok(Some((Value::Simple(b"OK"), 5))));
        assert!(parse(b"HTTP\r\n").is_err());
    }
}

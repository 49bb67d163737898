//! Reading of fields and lines that a server sent.

/// Little-endian fields one after another.
pub struct Fields<'b>(pub &'b [u8]);

impl<'b> Fields<'b> {
    pub fn bytes(&mut self, count: usize) -> Result<&'b [u8], String> {
        let (head, rest) = self.0.split_at_checked(count).ok_or("a field reaches past the end of its frame")?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.bytes(N)?.try_into().expect("N bytes were taken"))
    }

    pub fn u8(&mut self) -> Result<u8, String> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16, String> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn text(&mut self) -> Result<&'b [u8], String> {
        let count = self.u16()?;
        self.bytes(count.into())
    }

    /// Passes over FalconQueue's extras, none of which is needed here.
    pub fn skip_extras(&mut self) -> Result<(), String> {
        for _ in 0..self.u8()? {
            let tag = self.u8()?;
            if tag >= 128 {
                return Err(format!("an extra of the tag {tag}, which must be understood"));
            }
            self.text()?;
        }
        Ok(())
    }

    pub fn end(&self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("{} bytes are left over in a frame", self.0.len())) }
    }
}

/// The first line without its line end, and the bytes that it took.
pub fn line(input: &[u8]) -> Option<(&[u8], usize)> {
    let end = input.iter().position(|byte| *byte == b'\n')?;
    Some((input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]), end + 1))
}

pub fn number(text: &[u8]) -> Result<usize, String> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("{} is not a number", shown(text)))
}

/// The beginning of what a server said, for an error.
pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned()
}

//! How the fields of a reply are read.

/// Reads a body from front to back and panics where it does not follow the page.
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().expect("a field inside the body");
        self.0 = rest;
        *head
    }

    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let (head, rest) = self.0.split_at(len);
        self.0 = rest;
        head.to_vec()
    }

    pub fn text(&mut self) -> String {
        let len = self.u16();
        String::from_utf8(self.bytes(len.into())).expect("text in UTF-8")
    }

    pub fn bytes32(&mut self) -> Vec<u8> {
        let len = self.u32();
        self.bytes(len as usize)
    }

    /// Passes over the extras: none of this page's replies has one that a test needs.
    pub fn extras(&mut self) {
        let mut last = None;
        for _ in 0..self.u8() {
            let (tag, len) = (self.u8(), self.u16());
            assert!(last < Some(tag) && tag < 128, "an extra {tag} behind {last:?}");
            last = Some(tag);
            self.bytes(len.into());
        }
    }

    /// A list of messages.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.u16()).map(|_| item(self)).collect()
    }

    /// What was read, if no more than extras follow.
    pub fn then_extras<T>(&mut self, message: T) -> T {
        self.extras();
        message
    }
}

//! How a body is read.

/// Reads a body from front to back and panics where it does not follow the page.
pub struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
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

    /// Passes over the extras: none of these has one that a test needs.
    pub fn extras(&mut self) {
        self.extras_by(|_, _| true);
    }

    /// Hands each extra to `take`, which says whether it is passed over; otherwise all of it has to be read.
    pub fn extras_by(&mut self, mut take: impl FnMut(u8, &mut Reader<'_>) -> bool) {
        let mut last = None;
        for _ in 0..self.u8() {
            let (tag, len) = (self.u8(), self.u16());
            assert!(last < Some(tag) && tag < 128, "an extra {tag} behind {last:?}");
            last = Some(tag);
            let bytes = self.bytes(len.into());
            let mut value = Reader(&bytes);
            let is_passed_over = take(tag, &mut value);
            assert!(is_passed_over || value.0.is_empty(), "an extra {tag} ends where its value does");
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

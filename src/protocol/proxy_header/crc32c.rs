//! CRC32C, the checksum of RFC 4960, Appendix B.

/// The polynomial of Castagnoli, with the bits in the order of transmission.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What each value of a byte contributes.
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u32;
    while byte < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
}

/// The checksum of what has been added so far.
pub struct Crc32c(u32);

impl Crc32c {
    pub const fn new() -> Self {
        Self(!0)
    }

    pub fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let [low, ..] = self.0.to_le_bytes();
            self.0 = (self.0 >> 8) ^ TABLE[usize::from(low ^ byte)];
        }
    }

    pub const fn finish(self) -> u32 {
        !self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc32c(bytes: &[u8]) -> u32 {
        let mut crc = Crc32c::new();
        for byte in bytes {
            crc.update(&[*byte]);
        }
        crc.finish()
    }

    /// The values of RFC 3720, Appendix B.4 (there with the bytes in the order of transmission), and the check value
    /// that catalogues of checksums have.
    #[test]
    fn known_checksums_are_computed() {
        assert_eq!(crc32c(&[]), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }
}

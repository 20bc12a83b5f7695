//! Two or three files as one download: the `ustar` form of POSIX.1-2024 (`pax`, "ustar Interchange Format").

/// Files are cut into blocks of so many bytes.
pub const BLOCK: u64 = 512;

/// What stands at the end of an archive.
pub const END: [u8; 1024] = [0; 1024];

/// The most that eleven octal digits can say.
const MOST_OCTAL: u64 = (1 << 33) - 1;

/// The header of a file for its owner alone. `name` has at most 100 bytes.
pub fn header(name: &str, size: u64, modified_s: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name.as_bytes()[..name.len().min(100)]);
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    if size <= MOST_OCTAL {
        put(124, format!("{size:011o}\0").as_bytes());
    } else {
        // As GNU tar and everybody after it writes what is larger: the top bit, and the number itself.
        put(124, &[0x80, 0, 0, 0]);
        put(128, &size.to_be_bytes());
    }
    put(136, format!("{:011o}\0", modified_s.min(MOST_OCTAL)).as_bytes());
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// How many bytes follow a file of this size, so that the next header begins with a block.
pub fn padding(size: u64) -> usize {
    usize::try_from((BLOCK - size % BLOCK) % BLOCK).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole() {
        assert_eq!((padding(0), padding(1), padding(512), padding(513)), (0, 511, 0, 511));
        let small = header("a/b", 5, 0);
        assert_eq!(&small[124..136], b"00000000005\0");
        let large = header("a/b", 1 << 40, 0);
        assert_eq!(large[124], 0x80);
        assert_eq!(u64::from_be_bytes(large[128..136].try_into().expect("eight bytes")), 1 << 40);
    }
}

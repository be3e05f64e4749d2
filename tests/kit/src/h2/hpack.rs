//! Header compression (RFC 7541), without the compression: fields are written as they are, and of
//! what comes only `:status` is read.

/// Fields as literals that nobody has to remember.
#[must_use]
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        push_text(&mut block, name);
        push_text(&mut block, value);
    }
    block
}

fn push_text(block: &mut Vec<u8>, text: &str) {
    // A length of seven bits, the rest in bytes of seven bits each (§5.1).
    let mut length = text.len();
    match u8::try_from(length) {
        Ok(short @ 0..127) => block.push(short),
        _ => {
            block.push(127);
            length -= 127;
            while length >= 128 {
                block.push(u8::try_from(length % 128).unwrap_or_default() | 128);
                length /= 128;
            }
            block.push(u8::try_from(length).unwrap_or_default());
        }
    }
    block.extend_from_slice(text.as_bytes());
}

/// The status at the start of an answer's header section, from a peer that was told to remember
/// nothing. `None` when it begins with something else: trailers, say.
pub(super) fn status(block: &[u8]) -> Option<u16> {
    // What was asked of its memory may be confirmed first (§6.3).
    let updates = block.iter().take_while(|byte| *byte & 0xe0 == 0x20).count();
    let block = &block[updates..];
    if let Some(rest) = block.strip_prefix(b"\0\x07:status\x03") {
        // As written above.
        return std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok();
    }
    const USUAL: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match *block {
        [indexed @ 0x88..=0x8e, ..] => Some(USUAL[usize::from(indexed - 0x88)]),
        // A literal whose name is that of entry 8, in any of its three kinds.
        [0x48 | 0x08 | 0x18, length, ref rest @ ..] => {
            let text = rest.get(..usize::from(length & 0x7f))?;
            if length & 0x80 == 0 {
                return std::str::from_utf8(text).ok()?.parse().ok();
            }
            digits(text)
        }
        _ => None,
    }
}

/// Three digits in Huffman's code (RFC 7541 appendix B): five bits for 0 to 2, six for the others.
fn digits(text: &[u8]) -> Option<u16> {
    let mut bits = text.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut number = 0;
    for _ in 0..3 {
        let mut code = 0;
        for _ in 0..5 {
            code = code << 1 | bits.next()?;
        }
        let digit = match code {
            0..=2 => code,
            _ => (code << 1 | bits.next()?).checked_sub(0x19)? + 3,
        };
        number = number * 10 + u16::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_have_lengths_of_any_size() {
        assert_eq!(block(&[("a", "bc")]), b"\0\x01a\x02bc");
        let long = "x".repeat(1337 + 127 - 10);
        // The example of §C.1.2 with a prefix of seven bits.
        assert_eq!(block(&[("a", &long)])[3..6], [127, 0b1010_1111, 0b0000_1010]);
        assert_eq!(block(&[("a", &"x".repeat(127))])[3..5], [127, 0]);
    }

    #[test]
    fn a_status_is_read_in_every_form() {
        assert_eq!(status(&[0x88]), Some(200));
        assert_eq!(status(&[0x20, 0x8c, 1, 2]), Some(400));
        assert_eq!(status(b"\x08\x03431"), Some(431));
        assert_eq!(status(&block(&[(":status", "502")])), Some(502));
        // 302, as in §C.6.1.
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
        // 431: 011010 011001 00001, padded with ones.
        assert_eq!(status(&[0x48, 0x83, 0b0110_1001, 0b1001_0000, 0b1111_1111]), Some(431));
        assert_eq!(status(b"\0\x01a\x01b"), None);
        assert_eq!(status(b""), None);
    }
}

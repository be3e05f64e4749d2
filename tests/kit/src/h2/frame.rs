//! Frames as they stand on the wire (RFC 9113 §4.1).

use std::io::{ErrorKind, Read, Result};

/// Types of frames (RFC 9113 §6).
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// The beginning of a header section.
    pub const HEADERS: u8 = 1;
    /// The end of one stream.
    pub const RST_STREAM: u8 = 3;
    /// Settings, or that they were seen.
    pub const SETTINGS: u8 = 4;
    /// A question, or its answer.
    pub const PING: u8 = 6;
    /// The end of the connection.
    pub const GOAWAY: u8 = 7;
    /// Room for more.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a header section.
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames; a frame takes those that its type knows.
pub mod flag {
    /// SETTINGS and PING: an answer.
    pub const ACK: u8 = 1;
    /// DATA and HEADERS: the sender's last.
    pub const END_STREAM: u8 = 1;
    /// HEADERS and CONTINUATION: the header section is whole.
    pub const END_HEADERS: u8 = 4;
}

/// Names of settings (RFC 9113 §6.5.2).
pub mod setting {
    /// Bytes of header compression's memory.
    pub const HEADER_TABLE_SIZE: u16 = 1;
    /// Streams that the other side may have open.
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    /// Bytes that may be sent on a new stream.
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    /// Whether upgrades are taken (RFC 8441 §3).
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// See [`kind`].
    pub kind: u8,
    /// See [`flag`].
    pub flags: u8,
    /// Which stream it is about; 0 is the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A frame with these flags and this payload.
    #[must_use]
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// SETTINGS of these values.
    #[must_use]
    pub fn settings(values: &[(u16, u32)]) -> Self {
        let payload: Vec<u8> = values
            .iter()
            .flat_map(|(name, value)| {
                name.to_be_bytes().into_iter().chain(value.to_be_bytes()).collect::<Vec<u8>>()
            })
            .collect();
        Self::new(kind::SETTINGS, 0, 0, payload)
    }

    /// WINDOW_UPDATE.
    #[must_use]
    pub fn window_update(stream: u32, more: u32) -> Self {
        Self::new(kind::WINDOW_UPDATE, 0, stream, more.to_be_bytes())
    }

    /// RST_STREAM.
    #[must_use]
    pub fn reset(stream: u32, code: u32) -> Self {
        Self::new(kind::RST_STREAM, 0, stream, code.to_be_bytes())
    }

    /// GOAWAY: streams above `last` were not looked at.
    #[must_use]
    pub fn go_away(last: u32, code: u32) -> Self {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        Self::new(kind::GOAWAY, 0, 0, payload)
    }

    /// Whether it has this flag.
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The four bytes of the payload from `at` on, as a number without its first bit.
    #[must_use]
    pub fn number(&self, at: usize) -> u32 {
        let bytes = self.payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_be_bytes(bytes.unwrap_or_default()) & 0x7fff_ffff
    }

    /// As it stands on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut bytes = Vec::with_capacity(9 + self.payload.len());
        bytes.extend_from_slice(&length[1..]);
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Reads the next one; `None` when the other side closed in front of it.
    ///
    /// # Errors
    /// As the reader's; the end within a frame is one.
    pub fn read(from: &mut impl Read) -> Result<Option<Self>> {
        let mut head = [0; 9];
        if from.read(&mut head[..1])? == 0 {
            return Ok(None);
        }
        from.read_exact(&mut head[1..])?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let length = usize::try_from(length).map_err(|_| ErrorKind::InvalidData)?;
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Ok(Some(Self { kind: head[3], flags: head[4], stream, payload }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_as_it_was_written() {
        let frame = Frame::new(kind::DATA, flag::END_STREAM, 7, *b"abc");
        let bytes = frame.bytes();
        assert_eq!(bytes, b"\0\0\x03\0\x01\0\0\0\x07abc");
        assert_eq!(Frame::read(&mut bytes.as_slice()).unwrap().unwrap(), frame);
        assert!(Frame::read(&mut &bytes[..11]).is_err());
        assert!(Frame::read(&mut &b""[..]).unwrap().is_none());
    }

    #[test]
    fn numbers_stand_where_they_belong() {
        let away = Frame::go_away(5, 11);
        assert_eq!((away.number(0), away.number(4), away.number(8)), (5, 11, 0));
        assert_eq!(Frame::settings(&[(4, 1), (3, 2)]).payload, b"\0\x04\0\0\0\x01\0\x03\0\0\0\x02");
    }
}

//! The two messages of the gRPC health checking protocol, by hand: a name out, a number in.
//!
//! `grpc.health.v1.Health/Check`: `HealthCheckRequest { string service = 1; }` is answered with
//! `HealthCheckResponse { ServingStatus status = 1; }`, each behind the five bytes of a gRPC message.
//! What is read comes from somebody else's program: nothing is believed about lengths.

use super::Trouble;
use ::http::header::HeaderMap;

/// Where a server is asked.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// A flag (compressed or not) and the length.
const PREFIX: usize = 5;
const SERVICE_FIELD: u8 = 0x0a;
const STATUS_FIELD: u64 = 1;
const SERVING: u64 = 1;

/// Codes of gRPC that say more than "not yet".
const OK: u16 = 0;
const NOT_FOUND: u16 = 5;
const UNIMPLEMENTED: u16 = 12;

/// The request for one service, or for the whole server when the name is empty.
pub(super) fn request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(SERVICE_FIELD);
        push_varint(&mut message, service.len() as u64);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], &message].concat()
}

/// What a call came to: its trailers, which are headers when nothing else was said, and the body.
pub(super) fn verdict(service: &str, trailers: &HeaderMap, body: &[u8]) -> Result<(), Trouble> {
    let status = trailers.get("grpc-status").and_then(|status| status.to_str().ok());
    match status.and_then(|status| status.parse().ok()) {
        Some(OK) => match serving_status(body) {
            Some(SERVING) => Ok(()),
            Some(status) => Err(Trouble::not_yet(format!("its health is {}", name_of(status)))),
            None => Err(Trouble::told("its health answer cannot be read")),
        },
        Some(UNIMPLEMENTED) => Err(Trouble::told(
            "its gRPC server has no health service (UNIMPLEMENTED); without health.grpc a \
             connection is enough",
        )),
        Some(NOT_FOUND) => Err(Trouble::told(format!(
            "its gRPC health service does not know \"{service}\" (NOT_FOUND); \"\" asks for the whole \
             server"
        ))),
        Some(other) => Err(Trouble::not_yet(format!("its health is refused (gRPC code {other})"))),
        None => Err(Trouble::told("its answer to a health check is not gRPC")),
    }
}

fn name_of(status: u64) -> &'static str {
    match status {
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

/// The status of a reply; a field that is not there is 0.
fn serving_status(body: &[u8]) -> Option<u64> {
    let (prefix, message) = body.split_at_checked(PREFIX)?;
    let (&compressed, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let mut message = message.get(..usize::try_from(length).ok()?)?;
    if compressed != 0 {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let key = read_varint(&mut message)?;
        match (key >> 3, key & 7) {
            (STATUS_FIELD, 0) => status = read_varint(&mut message)?,
            (_, 0) => drop(read_varint(&mut message)?),
            (_, 1) => skip(&mut message, 8)?,
            (_, 2) => {
                let length = read_varint(&mut message)?;
                skip(&mut message, usize::try_from(length).ok()?)?;
            }
            (_, 5) => skip(&mut message, 4)?,
            _ => return None,
        }
    }
    Some(status)
}

fn push_varint(to: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn read_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn skip(from: &mut &[u8], count: usize) -> Option<()> {
    *from = from.get(count..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trailers(status: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static(status),
        )])
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[0], &length[..], message].concat()
    }

    #[test]
    fn requests_are_as_protoc_would_have_them() {
        assert_eq!(request(""), [0, 0, 0, 0, 0]);
        assert_eq!(request("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = request(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn only_serving_will_do() {
        let ask = |message: &[u8]| verdict("", &trailers("0"), &framed(message));
        assert_eq!(ask(&[0x08, 1]), Ok(()));
        for (message, name) in
            [(&[0x08, 2][..], "NOT_SERVING"), (&[], "UNKNOWN"), (&[8, 3], "SERVICE_UNKNOWN")]
        {
            let trouble = ask(message).unwrap_err();
            assert!(!trouble.tell && trouble.why.ends_with(name), "{trouble:?}");
        }
    }

    #[test]
    fn fields_that_nobody_knows_yet_are_passed_over() {
        let message = [
            0x10, 0x96, 0x01, // 2: a varint
            0x19, 1, 2, 3, 4, 5, 6, 7, 8, // 3: eight bytes
            0x22, 2, b'h', b'i', // 4: bytes
            0x2d, 1, 2, 3, 4, // 5: four bytes
            0x08, 1,
        ];
        assert_eq!(serving_status(&framed(&message)), Some(SERVING));
    }

    #[test]
    fn nonsense_is_none() {
        for body in [
            &b""[..],
            &[0, 0, 0, 0],
            &[0, 0, 0, 0, 9, 8, 1],
            &[0, 0xff, 0xff, 0xff, 0xff],
            &[1, 0, 0, 0, 2, 8, 1],
            &framed(&[0x08]),
            &framed(&[0x0f]),
            &framed(&[0x22, 200, 1]),
            &framed(&[0x22, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            &framed(&[0x08; 12].map(|_| 0xff)),
        ] {
            assert_eq!(serving_status(body), None, "{body:?}");
        }
        let trouble = verdict("", &trailers("0"), b"<html>").unwrap_err();
        assert!(trouble.tell && trouble.why.contains("cannot be read"));
    }

    #[test]
    fn what_no_waiting_will_mend_is_told() {
        let told = |status| verdict("a.B", &trailers(status), b"").unwrap_err();
        assert!(told("12").tell && told("12").why.contains("UNIMPLEMENTED"));
        assert!(told("5").tell && told("5").why.contains("\"a.B\" (NOT_FOUND)"));
        assert!(!told("14").tell && told("14").why.contains("14"));
        for nonsense in [trailers("x"), HeaderMap::new()] {
            let trouble = verdict("", &nonsense, b"").unwrap_err();
            assert!(trouble.tell && trouble.why.contains("not gRPC"), "{trouble:?}");
        }
    }
}

//! Tree to typed records: each field is decoded from its own subtree, so one mistake hides no other.
//!
//! A record is declared once, with [`record!`]; that declaration decodes the file, refuses what it
//! does not know and describes itself in the JSON Schema. Types here know nothing of each other:
//! whatever needs two values at once is checked in `resolve`.

mod address;
mod choice;
mod examples;
mod field;
mod fill;
mod http;
mod json_path;
mod later;
mod record;
mod scalar;
mod units;
mod url;
mod wrong;

pub(crate) use self::http::{RedirectStatus, Status, Verb};
pub(crate) use address::{NetRule, ServerName};
pub(crate) use choice::choice;
pub(crate) use field::{At, Decode, Defs, Many, Named, NonEmpty, ShortOr, described};
pub(crate) use later::{Capability, Later};
pub(crate) use record::{Record, field, known_keys, object_schema, record, written};
pub(crate) use scalar::{AnyText, FromScalar, Word, scalars};
pub(crate) use units::{Share, Size, SizeOrNone};
pub(crate) use url::Url;
pub(crate) use wrong::Wrong;

//! `uuid`, `random.*` and `now`: what differs from request to request.
//!
//! Chance comes from one generator per request, seeded by the configuration's seed, the endpoint
//! and the number of the match: the k-th answer of an endpoint is the same in every run.

use jiff::{Timestamp, tz::TimeZone};
use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, Value, from_args};
use minijinja::{Error, ErrorKind, State};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest `random.hex` and `random.string`.
const MAX_LENGTH: usize = 65_536;

/// The generator of one request.
#[derive(Debug)]
pub(crate) struct Chance(Mutex<fastrand::Rng>);

impl Chance {
    /// A generator that draws the same for the same seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn uuid(&self) -> String {
        let bytes = self.draw(|rng| rng.u128(..)).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}

/// `uuid`: a function; the mention without a call is turned into one when templates are compiled.
#[derive(Debug)]
pub(super) struct Uuid(pub(super) Arc<Chance>);

impl Object for Uuid {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let () = from_args(args)?;
        Ok(Value::from(self.0.uuid()))
    }
}

/// `now`: the instant of the request in UTC, in whole milliseconds.
#[derive(Debug)]
pub(super) struct Now(Timestamp);

impl Now {
    pub(super) fn new(at: Timestamp) -> Self {
        Self(Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at))
    }
}

impl Object for Now {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "unix" => Some(Value::from(self.0.as_second())),
            "unix_ms" => Some(Value::from(self.0.as_millisecond())),
            _ => None,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    /// `now()`, `now("%Y-%m-%d")`, `now(offset="-1h")`.
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (format, options): (Option<String>, Kwargs) = from_args(args)?;
        let offset: Option<String> = options.get("offset")?;
        options.assert_all_used()?;
        let mut at = self.0.to_zoned(TimeZone::UTC);
        if let Some(offset) = offset {
            let span: jiff::Span = offset
                .parse()
                .map_err(|_| wrong(format!("offset {offset:?} is not a span such as -1h or 2d")))?;
            at = at.checked_add(span).map_err(|error| wrong(error.to_string()))?;
        }
        match format {
            None => Ok(Value::from(format!("{:.3}", at.timestamp()))),
            Some(format) => jiff::fmt::strtime::format(&format, &at)
                .map(Value::from)
                .map_err(|error| wrong(format!("format {format:?}: {error}"))),
        }
    }
}

/// `random`: a namespace of functions.
#[derive(Debug)]
pub(super) struct Random(pub(super) Arc<Chance>);

/// The functions of `random`.
pub(super) const RANDOM: [&str; 6] = ["int", "decimal", "hex", "string", "choice", "bool"];

impl Object for Random {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "int" => self.int(args),
            "decimal" => self.decimal(args),
            "hex" => self.text(args, b"0123456789abcdef"),
            "string" => {
                self.text(args, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
            }
            "choice" => self.choice(args),
            "bool" => {
                let (share,): (Option<f64>,) = from_args(args)?;
                Ok(Value::from(self.0.draw(fastrand::Rng::f64) < share.unwrap_or(0.5)))
            }
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("random has no {method}; it has {}", RANDOM.join(", ")),
            )),
        }
    }
}

impl Random {
    /// A whole number, both ends included.
    fn int(&self, args: &[Value]) -> Result<Value, Error> {
        let (min, max): (i64, i64) = from_args(args)?;
        if min > max {
            return Err(wrong(format!("random.int({min}, {max}) is an empty range")));
        }
        Ok(Value::from(self.0.draw(|rng| rng.i64(min..=max))))
    }

    /// A number with two decimals, or as many as the third argument says.
    fn decimal(&self, args: &[Value]) -> Result<Value, Error> {
        let (min, max, places): (f64, f64, Option<u8>) = from_args(args)?;
        if !(min <= max && (max - min).is_finite()) {
            return Err(wrong(format!("random.decimal({min}, {max}) is an empty range")));
        }
        let scale = 10_f64.powi(i32::from(places.unwrap_or(2).min(12)));
        let number = min + self.0.draw(fastrand::Rng::f64) * (max - min);
        Ok(Value::from(((number * scale).round() / scale).clamp(min, max)))
    }

    fn text(&self, args: &[Value], alphabet: &[u8]) -> Result<Value, Error> {
        let (length,): (usize,) = from_args(args)?;
        if length > MAX_LENGTH {
            return Err(wrong(format!("length {length} is above {MAX_LENGTH}")));
        }
        let text: String = self.0.draw(|rng| {
            (0..length).map(|_| char::from(alphabet[rng.usize(..alphabet.len())])).collect()
        });
        Ok(Value::from(text))
    }

    /// One of a list, or one of the arguments.
    fn choice(&self, args: &[Value]) -> Result<Value, Error> {
        let (given,): (Rest<Value>,) = from_args(args)?;
        let items: Vec<Value> = match given.as_slice() {
            [list] => list.try_iter()?.collect(),
            several => several.to_vec(),
        };
        if items.is_empty() {
            return Err(wrong("random.choice has nothing to choose from".to_owned()));
        }
        Ok(items[self.0.draw(|rng| rng.usize(..items.len()))].clone())
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

//! `choice!`: a value that is one of a few words.

/// Implements reading for a type whose values have fixed names.
macro_rules! choice {
    ($name:ty, $what:literal, { $($word:literal => $value:expr),+ $(,)? }) => {
        impl $crate::decode::FromScalar for $name {
            const WHAT: &'static str = $what;

            fn from_text(text: &str) -> Result<Self, $crate::decode::Wrong> {
                match text {
                    $($word => Ok($value),)+
                    _ => Err($crate::decode::Wrong::new(format!("unknown {} {text:?}", $what))
                        .hint($crate::near::suggest("words", text, [$($word),+]))),
                }
            }

            fn json_schema() -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),+] })
            }
        }
        $crate::decode::scalars!($name);
    };
}
pub(crate) use choice;

//! Every policy key, once: `with_policies!` puts them into a record beside its own keys.

use super::{Enabled, OrOff};
use crate::decode::At;

/// Declares a record that has every policy's key besides its own; see `record!`.
macro_rules! with_policies {
    (
        $(#[doc = $about:literal])*
        $name:ident ($title:literal) { $($own:tt)* }
        later: $($later:expr),+
    ) => {
        $crate::decode::record! {
            $(#[doc = $about])*
            $name($title) {
                $($own)*
                /// Compresses answers as the client accepts it. Default false.
                "compression" => compression: $crate::decode::At<$crate::raw::OrOff<$crate::raw::Enabled>>,
            }
            later: $($later),+
        }

        impl $name {
            /// The policies, apart from what else stands here.
            pub(crate) fn take_policies(&mut self) -> $crate::raw::RawPolicies {
                $crate::raw::RawPolicies {
                    compression: self.compression.take(),
                }
            }
        }
    };
}
pub(crate) use with_policies;

/// The policies of one place in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawPolicies {
    pub(crate) compression: Option<At<OrOff<Enabled>>>,
}

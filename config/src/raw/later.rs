//! Policies that services, routes and `defaults` will share.

use crate::decode::{Capability, Later};

/// Keys that will mean the same wherever a policy may stand.
pub(crate) const POLICIES: &[Later] =
    &[("faults", Capability::Faults), ("undeclared", Capability::Observability)];

//! The forward proxy: absolute-form targets and CONNECT, what may be reached and what is refused.

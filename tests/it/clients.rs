//! Programs that nobody here wrote, as clients through the proxy.

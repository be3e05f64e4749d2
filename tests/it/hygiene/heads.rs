//! Header sections: what is refused, too large, too slow; which host a request is for.

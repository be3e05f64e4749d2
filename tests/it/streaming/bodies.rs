//! Bodies pass through piece by piece, both ways, in bounded memory, with their trailers.

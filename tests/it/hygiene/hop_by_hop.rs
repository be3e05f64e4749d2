//! Headers that concern one connection only, and headers that say who is calling.

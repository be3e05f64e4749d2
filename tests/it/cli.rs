//! The command line: exit codes, what goes to which stream, and what other programs read of it.

"""The parts of benches/compare/compare."""

//! Real and mock in one service: the table of modes, what `mock_on` widens, switching at run time.

//! The test harness

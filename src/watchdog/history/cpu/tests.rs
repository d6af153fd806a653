//! Time on processors is counted once.

//! Inventories as `ansible-inventory --list` understands them.

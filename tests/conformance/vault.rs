//! Vault files and values, both directions, with the real `ansible-vault`.

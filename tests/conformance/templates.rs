//! Templates and their errors, byte for byte, as Ansible renders them.

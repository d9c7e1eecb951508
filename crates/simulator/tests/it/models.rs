//! The model wires as a client meets them.

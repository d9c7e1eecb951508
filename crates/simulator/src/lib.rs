//! Discord and the model providers on loopback, faithful on the wire, with a page to chat in.

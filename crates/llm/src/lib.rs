//! One normalised, streaming conversation with any model provider.

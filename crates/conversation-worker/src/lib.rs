//! Takes one turn at a time per conversation: history from SQLite, answer from a model, reply out.

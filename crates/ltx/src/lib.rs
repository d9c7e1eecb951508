//! Reads a write-ahead log's frames and reads, writes and merges LTX files: pure formats.

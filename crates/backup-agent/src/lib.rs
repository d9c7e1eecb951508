//! Copies, verifies, prunes and restores every database and volume of the system.

//! Keeps snapshots of databases and folders in restic repositories.

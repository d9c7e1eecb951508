//! Keeps copies elsewhere: one way to put, get and list, over a folder, S3, WebDAV, SFTP and rclone.

//! Repositories on a real disk, and beside stock restic.

mod damage;
mod far;
mod folders;
mod forgetting;
mod full_disk;
mod passwords;
mod restic;
mod scene;
mod streams;

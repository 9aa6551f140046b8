//! Room on the disk: new sessions are refused while there is still enough for
//! the old ones.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::Connection;

use super::file::beside;

/// Bytes that are kept for the sessions that are there: an extra file of this
/// size is given up when the disk is full.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;

/// Of the bytes that the file may have, one in so many is for the sessions that
/// are there.
const RESERVED_SHARE: u64 = 8;

/// What the file takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that are in use.
    pub bytes: u64,
    /// Whether there is room for new sessions.
    pub has_room: bool,
}

/// The disk that the file is on.
#[derive(Debug)]
pub(super) struct Space {
    folder: PathBuf,
    reserve: PathBuf,
    max_bytes: Option<u64>,
    bytes: AtomicU64,
    has_room: AtomicBool,
}

impl Space {
    pub(super) fn new(path: &Path, max_bytes: Option<u64>) -> Self {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        Self {
            folder: folder.unwrap_or(Path::new(".")).to_owned(),
            reserve: beside(path, "-reserve"),
            max_bytes,
            bytes: AtomicU64::new(0),
            has_room: AtomicBool::new(true),
        }
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            bytes: self.bytes.load(Ordering::Relaxed),
            has_room: self.has_room.load(Ordering::Relaxed),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.has_room.load(Ordering::Relaxed)
    }

    /// Looks how much there is.
    pub(super) fn look(&self, connection: &Connection) {
        let pages =
            pragma(connection, "page_count").saturating_sub(pragma(connection, "freelist_count"));
        let bytes = pages.saturating_mul(pragma(connection, "page_size"));
        self.bytes.store(bytes, Ordering::Relaxed);
        let fits = self
            .max_bytes
            .is_none_or(|max| bytes <= max.saturating_sub(reserved(max)));
        let has_room = fits && self.has_reserve();
        if self.has_room.swap(has_room, Ordering::Relaxed) != has_room {
            if has_room {
                tracing::info!("there is room for new sessions again");
            } else {
                tracing::warn!(
                    bytes,
                    "the disk is full: new sessions are refused, those that are there go on"
                );
            }
        }
    }

    /// Gives the reserve up, so that the sessions that are there can go on.
    /// Whether there was one.
    pub(super) fn release(&self) -> bool {
        self.has_room.store(false, Ordering::Relaxed);
        let released = fs::remove_file(&self.reserve).is_ok();
        if released {
            tracing::warn!(
                "the disk is full: the reserve is used up now, new sessions are refused"
            );
        }
        released
    }

    /// Whether the reserve is there, or can be made.
    fn has_reserve(&self) -> bool {
        let is_there = fs::metadata(&self.reserve).is_ok_and(|file| file.len() == RESERVE_BYTES);
        if is_there {
            return true;
        }
        // Twice as much, so that making it does not fill the disk.
        let wanted = RESERVE_BYTES.saturating_mul(2);
        if free_bytes(&self.folder).is_none_or(|free| free < wanted) {
            return false;
        }
        let made = self.make();
        if made.is_err() {
            let _ = fs::remove_file(&self.reserve);
        }
        made.is_ok()
    }

    fn make(&self) -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.reserve)?;
        let allocated =
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_BYTES);
        if allocated.is_err() {
            // A file system without it: written out, it takes as much.
            std::io::copy(&mut std::io::repeat(0).take(RESERVE_BYTES), &mut file)?;
        }
        Ok(())
    }
}

/// Pages that the file may have, with what is reserved.
pub(super) const fn max_pages(max_bytes: u64, page_size: u64) -> u64 {
    match max_bytes.checked_div(page_size) {
        Some(pages) => pages,
        None => u64::MAX,
    }
}

const fn reserved(max_bytes: u64) -> u64 {
    let share = max_bytes / RESERVED_SHARE;
    if share < RESERVE_BYTES {
        share
    } else {
        RESERVE_BYTES
    }
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// A figure of SQLite; 0 where it has none.
pub(super) fn pragma(connection: &Connection, name: &str) -> u64 {
    connection
        .pragma_query_value(None, name, |row| row.get::<_, i64>(0))
        .ok()
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or_default()
}

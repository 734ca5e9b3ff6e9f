//! The disk as a mounted file system (FUSE), which records what is done to it.
//!
//! Everything lies in memory. Each write reaches this process when the system call is made, so the
//! recording is in the order of the calls; pages of a shared mapping come when the system flushes them.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use std::{io, mem};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::survive::Recording;
use super::tree::{Change, Kind, Tree};

/// How long the system may believe what it was told: nobody else changes the disk.
const BELIEVED: Duration = Duration::from_secs(60);
/// Bytes of one block, and blocks that the disk says to have.
const BLOCK_BYTES: u32 = 4096;
const BLOCKS: u64 = 4 * 1024 * 1024;
/// Threads that answer: a slow flush holds up nobody else.
const THREADS: usize = 4;

/// What the disk refuses.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// This flush fails with an error of the disk; the first is 1.
    pub failing_flush: Option<u64>,
    /// So many bytes can be written; then the disk is full.
    pub space_bytes: Option<u64>,
    /// How long each flush takes.
    pub slow_flush: Option<Duration>,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    changes: Vec<Change>,
    faults: Faults,
    flushes: u64,
    written: u64,
    /// Listings of folders that are being read.
    listings: BTreeMap<u64, Vec<(u64, FileType, String)>>,
    next_listing: u64,
    next_node: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// From the cut on nothing is changed and nothing is flushed. It can still be read, so that a program
    /// that is about to be killed does not hang or take another way.
    is_cut: AtomicBool,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, while the power is on.
    fn powered(&self) -> Result<MutexGuard<'_, State>, Errno> {
        let state = self.state();
        if self.is_cut.load(Ordering::Relaxed) { Err(Errno::EIO) } else { Ok(state) }
    }
}

/// A mounted disk; dropping it unmounts it.
#[derive(Debug)]
pub struct FaultDisk {
    shared: Arc<Shared>,
    base: Tree,
    session: Option<BackgroundSession>,
    folder: PathBuf,
}

impl FaultDisk {
    /// Mounts a disk that holds a tree, all of it durable, on a folder, which is made.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn mount(folder: &Path, tree: Tree, faults: Faults) -> io::Result<FaultDisk> {
        FaultDisk::go_on(folder, Recording { base: tree, changes: Vec::new() }, faults)
    }

    /// Mounts a disk on which something was done already while the power stayed: what a program finds
    /// that starts after another one was killed. A cut may still take what that one did not flush.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn go_on(folder: &Path, recording: Recording, faults: Faults) -> io::Result<FaultDisk> {
        std::fs::create_dir_all(folder)?;
        let Recording { base, changes } = recording;
        let mut tree = base.clone();
        changes.iter().for_each(|change| tree.apply(change));
        let next_node = tree.next();
        let state =
            State { tree, changes, faults, flushes: 0, written: 0, listings: BTreeMap::new(), next_listing: 1, next_node };
        let shared = Arc::new(Shared { state: Mutex::new(state), is_cut: AtomicBool::new(false), changed: Condvar::new() });
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("faultfs".to_owned()), MountOption::NoAtime];
        config.n_threads = Some(THREADS);
        let session = fuser::spawn_mount(Served(Arc::clone(&shared)), folder, &config).map_err(|error| {
            io::Error::other(format!(
                "a file system of our own cannot be mounted ({error}): run this test as root on Linux with /dev/fuse, and \
                 install fuse3 (`apt-get install fuse3`)"
            ))
        })?;
        Ok(FaultDisk { shared, base, session: Some(session), folder: folder.to_owned() })
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes down that at this moment a client knew of an answer.
    pub fn note(&self, number: u64) {
        if let Ok(mut state) = self.shared.powered() {
            state.changes.push(Change::Note(number));
        }
    }

    /// How many changes there are so far.
    pub fn length(&self) -> usize {
        self.shared.state().changes.len()
    }

    /// Cuts the power: from now on every change and every flush is refused. Gives what was done.
    pub fn cut(&self) -> Recording {
        let mut state = self.shared.state();
        self.shared.is_cut.store(true, Ordering::Relaxed);
        self.shared.changed.notify_all();
        Recording { base: self.base.clone(), changes: mem::take(&mut state.changes) }
    }
}

impl Drop for FaultDisk {
    fn drop(&mut self) {
        drop(self.session.take());
        // What still holds a file open goes on without it.
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.folder).stderr(std::process::Stdio::null()).status();
    }
}

impl State {
    fn change(&mut self, change: Change) {
        self.tree.apply(&change);
        self.changes.push(change);
    }

    fn attributes(&self, node: u64) -> Result<FileAttr, Errno> {
        let found = self.tree.nodes.get(&node).ok_or(Errno::ENOENT)?;
        let (kind, size) = match &found.kind {
            Kind::File(bytes) => (FileType::RegularFile, bytes.len() as u64),
            Kind::Folder(_) => (FileType::Directory, 0),
        };
        Ok(FileAttr {
            ino: INodeNo(node),
            size,
            blocks: size.div_ceil(512),
            atime: found.changed,
            mtime: found.changed,
            ctime: found.changed,
            crtime: found.changed,
            kind,
            perm: found.mode,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: BLOCK_BYTES,
            flags: 0,
        })
    }

    fn find(&self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        let names = self.tree.names(folder).ok_or(Errno::ENOTDIR)?;
        names.get(&*name.to_string_lossy()).copied().ok_or(Errno::ENOENT)
    }

    fn make(&mut self, folder: u64, name: &OsStr, mode: u32, is_folder: bool) -> Result<FileAttr, Errno> {
        if self.find(folder, name).is_ok() {
            return Err(Errno::EEXIST);
        }
        let node = self.next_node;
        self.next_node += 1;
        self.change(Change::Make { node, is_folder });
        self.change(Change::Enter { folder, name: name.to_string_lossy().into_owned(), node });
        if let Some(made) = self.tree.nodes.get_mut(&node) {
            made.mode = u16::try_from(mode & 0o7777).unwrap_or(0);
        }
        self.attributes(node)
    }

    fn leave(&mut self, folder: u64, name: &OsStr, is_folder: bool) -> Result<(), Errno> {
        let node = self.find(folder, name)?;
        match self.tree.names(node) {
            Some(names) if is_folder && !names.is_empty() => return Err(Errno::ENOTEMPTY),
            Some(_) if !is_folder => return Err(Errno::EISDIR),
            None if is_folder => return Err(Errno::ENOTDIR),
            _ => {}
        }
        self.change(Change::Leave { folder, name: name.to_string_lossy().into_owned() });
        Ok(())
    }

    fn write(&mut self, node: u64, at: u64, bytes: &[u8]) -> Result<u32, Errno> {
        self.written += bytes.len() as u64;
        if self.faults.space_bytes.is_some_and(|space| self.written > space) {
            return Err(Errno::ENOSPC);
        }
        self.change(Change::Write { node, at, bytes: bytes.to_vec() });
        u32::try_from(bytes.len()).map_err(|_| Errno::EINVAL)
    }
}

/// What answers the kernel.
struct Served(Arc<Shared>);

impl Served {
    fn flush(&self, node: u64) -> Result<(), Errno> {
        let mut state = self.0.powered()?;
        if let Some(time) = state.faults.slow_flush {
            let is_on = |_: &mut State| !self.0.is_cut.load(Ordering::Relaxed);
            let waited = self.0.changed.wait_timeout_while(state, time, is_on);
            drop(waited);
            state = self.0.powered()?;
        }
        state.flushes += 1;
        if state.faults.failing_flush == Some(state.flushes) {
            state.changes.push(Change::Refuse { node });
            return Err(Errno::EIO);
        }
        state.changes.push(Change::Flush { node });
        Ok(())
    }

    fn rename(&self, from: (u64, &OsStr), to: (u64, &OsStr), flags: RenameFlags) -> Result<(), Errno> {
        let mut state = self.0.powered()?;
        let node = state.find(from.0, from.1)?;
        let there = state.find(to.0, to.1).ok();
        if flags.contains(RenameFlags::RENAME_NOREPLACE) && there.is_some() {
            return Err(Errno::EEXIST);
        }
        if there.and_then(|there| state.tree.names(there)).is_some_and(|names| !names.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        let text = |name: &OsStr| name.to_string_lossy().into_owned();
        state.change(Change::Move { from: (from.0, text(from.1)), to: (to.0, text(to.1)), node });
        Ok(())
    }

    fn listing(&self, node: u64) -> Result<u64, Errno> {
        let mut state = self.0.state();
        let names = state.tree.names(node).ok_or(Errno::ENOTDIR)?.clone();
        let mut listing: Vec<_> = [".", ".."].map(|name| (node, FileType::Directory, name.to_owned())).into();
        for (name, node) in names {
            let kind = state.attributes(node)?.kind;
            listing.push((node, kind, name));
        }
        let number = state.next_listing;
        state.next_listing += 1;
        state.listings.insert(number, listing);
        Ok(number)
    }
}

fn done(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entered(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attributes) => reply.entry(&BELIEVED, &attributes, Generation(0)),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Served {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // As large as the kernel allows.
        if let Err(most) = config.set_max_write(1024 * 1024) {
            let _ = config.set_max_write(most);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.0.state();
        let found = state.find(parent.0, name).and_then(|node| state.attributes(node));
        entered(reply, found);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.0.state().attributes(ino.0) {
            Ok(attributes) => reply.attr(&BELIEVED, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let attributes = self.0.powered().and_then(|mut state| {
            if let Some(length) = size {
                state.change(Change::Resize { node: ino.0, length });
            }
            if let Some(node) = state.tree.nodes.get_mut(&ino.0) {
                node.mode = mode.and_then(|mode| u16::try_from(mode & 0o7777).ok()).unwrap_or(node.mode);
                match mtime {
                    Some(TimeOrNow::SpecificTime(time)) => node.changed = time,
                    Some(TimeOrNow::Now) => node.changed = SystemTime::now(),
                    None => {}
                }
            }
            state.attributes(ino.0)
        });
        match attributes {
            Ok(attributes) => reply.attr(&BELIEVED, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        entered(reply, self.0.powered().and_then(|mut state| state.make(parent.0, name, mode & !umask, true)));
    }

    fn mknod(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, _: u32, reply: ReplyEntry) {
        entered(reply, self.0.powered().and_then(|mut state| state.make(parent.0, name, mode & !umask, false)));
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, _: i32, reply: ReplyCreate) {
        match self.0.powered().and_then(|mut state| state.make(parent.0, name, mode & !umask, false)) {
            Ok(attributes) => reply.created(&BELIEVED, &attributes, Generation(0), FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(reply, self.0.powered().and_then(|mut state| state.leave(parent.0, name, false)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(reply, self.0.powered().and_then(|mut state| state.leave(parent.0, name, true)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        done(reply, Served::rename(self, (parent.0, name), (newparent.0, newname), flags));
    }

    fn link(&self, _: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let linked = self.0.powered().and_then(|mut state| {
            if state.find(newparent.0, newname).is_ok() {
                return Err(Errno::EEXIST);
            }
            let name = newname.to_string_lossy().into_owned();
            state.change(Change::Enter { folder: newparent.0, name, node: ino.0 });
            state.attributes(ino.0)
        });
        entered(reply, linked);
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = self.0.state();
        match state.tree.file(ino.0) {
            Some(bytes) => {
                let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let until = from.saturating_add(size as usize).min(bytes.len());
                reply.data(&bytes[from..until]);
            }
            None => reply.error(Errno::EISDIR),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.0.powered().and_then(|mut state| state.write(ino.0, offset, data)) {
            Ok(written) => reply.written(written),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Closing a file makes nothing durable.
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(reply, Served::flush(self, ino.0));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        done(reply, Served::flush(self, ino.0));
    }

    fn opendir(&self, _: &Request, ino: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.listing(ino.0) {
            Ok(number) => reply.opened(FileHandle(number), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = self.0.state();
        let listing = state.listings.get(&fh.0).map(Vec::as_slice).unwrap_or_default();
        for (place, (node, kind, name)) in listing.iter().enumerate().skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            if reply.add(INodeNo(*node), place as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, fh: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.0.state().listings.remove(&fh.0);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCKS, BLOCK_BYTES, 255, BLOCK_BYTES);
    }
}

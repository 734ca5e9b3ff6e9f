//! A folder as an object store whose writes are on disk when they are acknowledged.
//!
//! The library's own store for folders leaves flushing to the system: after a power cut the newest
//! entry of the table's log could be empty, and the table unreadable. Here what is put is written
//! beside its place, flushed, and linked to its name, which fails when the name is taken: two writers
//! never share a version.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct DurableFolder {
    inner: LocalFileSystem,
}

impl DurableFolder {
    /// The whole file system, as the table's library wants it: paths are absolute.
    pub(crate) fn new() -> DurableFolder {
        DurableFolder { inner: LocalFileSystem::new() }
    }
}

impl fmt::Display for DurableFolder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("DurableFolder")
    }
}

fn write_durably(target: &std::path::Path, payload: &PutPayload, may_replace: bool) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(folder)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let beside: PathBuf = folder.join(format!(".{name}.{}.{count}.tmp", std::process::id()));
    let written = (|| {
        let mut file = File::create(&beside)?;
        payload.iter().try_for_each(|bytes| file.write_all(bytes))?;
        fail::fail_point!("lake.log", |_| Err(io::Error::other("a fail point")));
        file.sync_all()?;
        fail::fail_point!("lake.log.flushed", |_| Err(io::Error::other("a fail point")));
        if may_replace { std::fs::rename(&beside, target) } else { std::fs::hard_link(&beside, target) }
    })();
    let _ = std::fs::remove_file(&beside);
    written?;
    keep_name(target).inspect_err(|_| {
        // Not known to last: whoever asks must not find it and count on it.
        if !may_replace {
            let _ = std::fs::remove_file(target);
        }
    })
}

fn keep_name(target: &std::path::Path) -> io::Result<()> {
    fail::fail_point!("lake.log.named", |_| Err(io::Error::other("a fail point")));
    crate::write::sync_folder(target)
}

/// An object that comes in parts: a checkpoint of the log over 10 MiB. The parts are held in memory and
/// written as one, so that nothing names the object before it is on disk.
#[derive(Debug)]
struct DurableUpload {
    target: PathBuf,
    parts: Vec<PutPayload>,
}

#[async_trait::async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.push(data);
        Box::pin(std::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload: PutPayload = std::mem::take(&mut self.parts).into_iter().flatten().collect();
        match write_durably(&self.target, &payload, true) {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err(error) => Err(object_store::Error::Generic { store: "folder", source: error.into() }),
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}

#[async_trait::async_trait]
impl ObjectStore for DurableFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let may_replace = match options.mode {
            PutMode::Overwrite => true,
            PutMode::Create => false,
            PutMode::Update(_) => {
                return Err(object_store::Error::NotImplemented {
                    operation: "conditional update".to_owned(),
                    implementer: self.to_string(),
                });
            }
        };
        let target = self.inner.path_to_filesystem(location)?;
        match write_durably(&target, &payload, may_replace) {
            Ok(()) => Ok(PutResult { e_tag: None, version: None }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(object_store::Error::AlreadyExists { path: location.to_string(), source: error.into() })
            }
            Err(error) => Err(object_store::Error::Generic { store: "folder", source: error.into() }),
        }
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(DurableUpload { target: self.inner.path_to_filesystem(location)?, parts: Vec::new() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

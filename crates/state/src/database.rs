//! The database and the thread that it lives in.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use vigie_model::{Millis, TokenInfo};

/// The number of the shape of the state.
pub const FORMAT: i64 = 3;
/// How long a statement waits for another process.
const BUSY: Duration = Duration::from_secs(5);

type Work = Box<dyn FnOnce(SqlitePool) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The state of a service, in `state.sqlite` of a folder.
#[derive(Debug)]
pub struct State {
    work: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    /// Tokens that were shown, by the digest of their secret.
    pub(crate) checked: RwLock<HashMap<[u8; 32], TokenInfo>>,
    /// The latest time that tokens were checked at, and when that was by a clock that nobody sets.
    pub(crate) latest: Mutex<Option<(Millis, Instant)>>,
}

/// What the library says, as one line.
pub(crate) fn sentence(error: impl std::fmt::Display) -> String {
    format!("the state cannot be used: {}", error.to_string().lines().collect::<Vec<_>>().join(" "))
}

impl State {
    /// Opens the state of a folder; both are made when they are missing.
    ///
    /// # Errors
    /// A sentence, when the file cannot be used or was written by a newer vigie.
    pub fn open(folder: &Path) -> Result<State, String> {
        std::fs::create_dir_all(folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
        let file = folder.join("state.sqlite");
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let (opened, is_open) = channel();
        let (work, todo) = channel::<Work>();
        let run = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(opened.send(Err(sentence(error)))),
            };
            runtime.block_on(async move {
                match begin(options).await {
                    Ok(pool) => {
                        let _ = opened.send(Ok(()));
                        while let Ok(work) = todo.recv() {
                            work(pool.clone()).await;
                        }
                        pool.close().await;
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            });
        };
        let thread = std::thread::Builder::new().name("state".to_owned()).spawn(run).map_err(sentence)?;
        is_open.recv().map_err(sentence)??;
        protect(&file)?;
        // The library flushes the folder, not the folder's own name.
        let folder = std::path::absolute(folder).map_err(sentence)?;
        folder.ancestors().take(2).try_for_each(|folder| std::fs::File::open(folder)?.sync_all()).map_err(sentence)?;
        Ok(State { work: Some(work), thread: Some(thread), checked: RwLock::default(), latest: Mutex::default() })
    }

    /// Runs work in the database's thread.
    pub(crate) fn run<T: Send + 'static, F>(&self, work: impl FnOnce(SqlitePool) -> F + Send + 'static) -> Result<T, String>
    where
        F: Future<Output = Result<T, sqlx::Error>> + 'static,
    {
        let (done, is_done) = channel();
        let work: Work = Box::new(move |pool| {
            Box::pin(async move {
                let _ = done.send(work(pool).await);
            })
        });
        let queue = self.work.as_ref().ok_or("the state is closed")?;
        queue.send(work).map_err(sentence)?;
        is_done.recv().map_err(sentence)?.map_err(sentence)
    }

    /// Writes a copy of the whole state to a file that must not exist, while the service goes on.
    ///
    /// # Errors
    /// A sentence, when the copy cannot be written.
    pub fn backup_to(&self, file: &Path) -> Result<(), String> {
        let file = file.to_string_lossy().into_owned();
        self.run(|pool| async move { sqlx::query("VACUUM INTO ?").bind(file).execute(&pool).await.map(drop) })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn begin(options: SqliteConnectOptions) -> Result<SqlitePool, String> {
    let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await.map_err(sentence)?;
    let has_format = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_master WHERE name = 'format'");
    if has_format.fetch_one(&pool).await.map_err(sentence)? > 0 {
        let format = sqlx::query_scalar::<_, i64>("SELECT max(number) FROM format").fetch_one(&pool).await.map_err(sentence)?;
        if format > FORMAT {
            return Err(format!("the state has format {format}, and this vigie knows up to {FORMAT}: use a newer vigie"));
        }
    }
    sqlx::migrate!().run(&pool).await.map_err(sentence)?;
    Ok(pool)
}

/// Only the service's own user reads the state.
fn protect(file: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).map_err(sentence)
}

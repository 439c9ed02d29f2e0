//! The files of a UI.
//!
//! The folder is listed once, when the agent is loaded; requests are looked up in that list and
//! never become file names. What is not in the list cannot be served however a path is spelt:
//! nothing outside the folder, no link, no dotfile.
//!
//! A file is read when it is first asked for, off the async threads, and kept if it is small:
//! the package does not change while it runs, and a page is asked for again and again. Large
//! files are hashed once and streamed from disk.

use std::collections::HashMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use sha2::{Digest, Sha256};
use tokio::sync::{OnceCell, mpsc};

use super::conditions::{self, Outcome};
use super::encoding::{self, Encoding};
use crate::surfaces::reply::json_response;
use crate::surfaces::{Aborted, Payload};

/// Largest file that is kept in memory, in bytes.
const KEPT_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Most bytes all kept files take together, their compressed forms not counted.
const KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// Most files of a UI.
const MAX_FILES: usize = 50_000;

/// Deepest folder of a UI.
const MAX_DEPTH: usize = 32;

/// Read size of streamed files, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why a folder is not a UI.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// There is no first page.
    #[error("the UI folder has no `index.html`")]
    NoIndex,
    /// It cannot be listed.
    #[error("cannot list the UI folder at `{at}`")]
    List {
        /// Where, relative to the folder.
        at: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It has too many files, or folders too deep.
    #[error("the UI folder has more than {MAX_FILES} files or is deeper than {MAX_DEPTH} folders")]
    TooLarge,
}

/// A folder of files, listed.
#[derive(Debug)]
pub struct Site {
    folder: Arc<Dir>,
    files: HashMap<String, Entry>,
    kept: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    length: u64,
    modified: SystemTime,
    content: OnceCell<Content>,
}

/// What is known of a file once it was asked for.
#[derive(Debug)]
struct Content {
    /// SHA-256, in hex; names the bytes, so it is the same on every instance.
    digest: String,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    plain: Bytes,
    gzip: Option<Bytes>,
    brotli: Option<Bytes>,
}

/// One file of a site.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    site: &'a Site,
    path: &'a str,
    entry: &'a Entry,
}

impl Site {
    /// Lists `folder`. Blocks; call it off the async threads.
    ///
    /// # Errors
    /// [`SiteError`] when it has no `index.html`, cannot be read, or is too large.
    pub fn open(folder: Dir) -> Result<Self, SiteError> {
        let mut files = HashMap::new();
        list(&folder, "", 0, &mut files)?;
        if !files.contains_key("index.html") {
            return Err(SiteError::NoIndex);
        }
        Ok(Self { folder: Arc::new(folder), files, kept: AtomicU64::new(0) })
    }

    /// How many files there are to serve.
    #[must_use]
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// The file of exactly that name.
    pub(super) fn file(&self, path: &str) -> Option<File<'_>> {
        let (path, entry) = self.files.get_key_value(path)?;
        Some(File { site: self, path, entry })
    }

    /// `index.html`, which [`Site::open`] has seen.
    pub(super) fn index(&self) -> Index<'_> {
        Index(self.file("index.html"))
    }
}

/// The first page of a site.
pub(super) struct Index<'a>(Option<File<'a>>);

impl Index<'_> {
    pub(super) async fn answer(self, headers: &HeaderMap) -> Response<Payload> {
        match self.0 {
            Some(file) => file.answer(headers).await,
            None => crate::surfaces::reply::not_found(),
        }
    }
}

fn list(folder: &Dir, prefix: &str, depth: usize, files: &mut HashMap<String, Entry>) -> Result<(), SiteError> {
    let failed = |source| SiteError::List { at: prefix.to_owned(), source };
    for entry in folder.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = format!("{prefix}{name}");
        // The type of the entry itself: links are neither files nor folders here.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if depth >= MAX_DEPTH {
                return Err(SiteError::TooLarge);
            }
            list(&entry.open_dir().map_err(failed)?, &format!("{path}/"), depth + 1, files)?;
        } else if kind.is_file() {
            let metadata = entry.metadata().map_err(failed)?;
            let modified = metadata.modified().map_or(SystemTime::UNIX_EPOCH, |time| time.into_std());
            if files.len() >= MAX_FILES {
                return Err(SiteError::TooLarge);
            }
            files.insert(path, Entry { length: metadata.len(), modified, content: OnceCell::new() });
        } else {
            tracing::warn!(path, "Not a regular file, left out of the UI");
        }
    }
    Ok(())
}

impl File<'_> {
    /// The file, in the form and the range the request asks for.
    pub(super) async fn answer(self, headers: &HeaderMap) -> Response<Payload> {
        let content = match self.entry.content.get_or_try_init(|| self.load()).await {
            Ok(content) => content,
            Err(error) => {
                tracing::error!(path = self.path, error = %error, "Cannot read a file of the UI");
                let body = serde_json::json!({"detail": "Internal Server Error"});
                return json_response(StatusCode::INTERNAL_SERVER_ERROR, &body);
            }
        };
        let ranged = headers.contains_key(header::RANGE);
        let (encoding, encoded) = match &content.kept {
            // A range counts the bytes of the plain file.
            Some(kept) if !ranged => encoding::choose(headers, kept.brotli.as_ref(), kept.gzip.as_ref()),
            _ => (Encoding::Plain, None),
        };
        let etag = format!("\"{}{}\"", content.digest, encoding.etag_suffix());
        let outcome = conditions::judge(headers, &etag, self.entry.modified, self.entry.length);

        let mut response = match outcome {
            Outcome::NotModified => status(StatusCode::NOT_MODIFIED),
            Outcome::Unsatisfiable => {
                let mut response = status(StatusCode::RANGE_NOT_SATISFIABLE);
                insert(&mut response, header::CONTENT_RANGE, &format!("bytes */{}", self.entry.length));
                response
            }
            Outcome::Part { start, end } => {
                let mut response = Response::new(self.part(content, start, end));
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
                let range = format!("bytes {start}-{}/{}", end.saturating_sub(1), self.entry.length);
                insert(&mut response, header::CONTENT_RANGE, &range);
                response
            }
            Outcome::Whole => Response::new(match encoded {
                Some(bytes) => Payload::known(bytes.clone()),
                None => self.part(content, 0, self.entry.length),
            }),
        };
        self.describe(&mut response, content, encoding, &etag);
        response
    }

    fn describe(&self, response: &mut Response<Payload>, content: &Content, encoding: Encoding, etag: &str) {
        let with_body = matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        if with_body {
            insert(response, header::CONTENT_TYPE, &encoding::content_type(self.path));
            insert(response, header::LAST_MODIFIED, &httpdate::fmt_http_date(self.entry.modified));
        }
        if let Some(name) = encoding.name().filter(|_| with_body) {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        insert(response, header::ETAG, etag);
        let headers = response.headers_mut();
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        // Asked again each time, which costs a 304: names of files need not change with them.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if content.kept.as_ref().is_some_and(|kept| kept.gzip.is_some() || kept.brotli.is_some()) {
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
    }

    /// The bytes from `start` to before `end`.
    fn part(&self, content: &Content, start: u64, end: u64) -> Payload {
        if let Some(kept) = &content.kept {
            let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
            let bytes = range.filter(|(start, end)| start <= end && *end <= kept.plain.len());
            return bytes.map_or_else(Payload::empty, |(start, end)| Payload::known(kept.plain.slice(start..end)));
        }
        let (sender, chunks) = mpsc::channel(4);
        let (folder, path) = (Arc::clone(&self.site.folder), self.path.to_owned());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read_part(&folder, &path, start, end, &sender) {
                tracing::error!(path, error = %error, "Cannot read a file of the UI");
                let _ = sender.blocking_send(Err(Aborted));
            }
        });
        Payload::file(chunks, end.saturating_sub(start))
    }

    async fn load(self) -> io::Result<Content> {
        let keep = self.entry.length <= KEPT_FILE_BYTES && self.site.reserve(self.entry.length);
        let (folder, path, length) = (Arc::clone(&self.site.folder), self.path.to_owned(), self.entry.length);
        tokio::task::spawn_blocking(move || load(&folder, &path, length, keep)).await.map_err(io::Error::other)?
    }
}

impl Site {
    /// Whether there is room to keep a file of `length` bytes.
    fn reserve(&self, length: u64) -> bool {
        self.kept
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |kept| {
                Some(kept + length).filter(|sum| *sum <= KEPT_BYTES)
            })
            .is_ok()
    }
}

/// Opens a listed file, which must still be one.
fn open(folder: &Dir, path: &str) -> io::Result<cap_std::fs::File> {
    let mut options = OpenOptions::new();
    // The last name must not be a link; those before it cannot leave the folder.
    options.read(true).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    let file = folder.open_with(path, &options)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("no longer a regular file"));
    }
    Ok(file)
}

fn load(folder: &Dir, path: &str, length: u64, keep: bool) -> io::Result<Content> {
    let mut file = open(folder, path)?;
    let mut hash = Sha256::new();
    let mut plain = Vec::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut total = 0;
    loop {
        let count = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
        hash.update(chunk);
        total += chunk.len() as u64;
        if total > length {
            break;
        }
        if keep {
            plain.extend_from_slice(chunk);
        }
    }
    if total != length {
        return Err(io::Error::other("its length changed since it was listed"));
    }
    let digest = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let kept = keep.then(|| {
        let (gzip, brotli) = encoding::compress(path, &plain);
        Kept { plain: plain.into(), gzip, brotli }
    });
    Ok(Content { digest, kept })
}

fn read_part(
    folder: &Dir,
    path: &str,
    start: u64,
    end: u64,
    reader: &mpsc::Sender<Result<Bytes, Aborted>>,
) -> io::Result<()> {
    let mut file = open(folder, path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut left = end.saturating_sub(start);
    while left > 0 {
        let size = CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES));
        let mut chunk = vec![0; size];
        file.read_exact(&mut chunk)?;
        left -= size as u64;
        if reader.blocking_send(Ok(chunk.into())).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn status(status: StatusCode) -> Response<Payload> {
    let mut response = Response::new(Payload::empty());
    *response.status_mut() = status;
    response
}

/// Inserts a header of our own making; what cannot be one is left out.
fn insert(response: &mut Response<Payload>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

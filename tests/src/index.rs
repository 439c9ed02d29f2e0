//! A package index of a test's own, on loopback, and what lies on it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::PATIENCE;

/// The media type of a page for programs.
const JSON: &str = "application/vnd.pypi.simple.v1+json";

/// A file as an index serves it: a wheel or a source distribution.
#[derive(Debug, Clone)]
pub struct Release {
    project: String,
    file: String,
    content: Vec<u8>,
}

impl Release {
    /// A pure wheel with these files beside its metadata.
    #[must_use]
    pub fn wheel(project: &str, version: &str, files: &[(&str, &str)]) -> Self {
        Self::wheel_of(project, version, "", files)
    }

    /// A pure wheel that requires something.
    #[must_use]
    pub fn wheel_of(project: &str, version: &str, requires: &str, files: &[(&str, &str)]) -> Self {
        let stem = format!("{}-{version}", project.replace('-', "_"));
        let requires = if requires.is_empty() { String::new() } else { format!("Requires-Dist: {requires}\n") };
        let metadata = format!("Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n{requires}");
        let mut all: Vec<(String, String)> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        all.push((format!("{stem}.dist-info/METADATA"), metadata));
        let wheel = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        all.push((format!("{stem}.dist-info/WHEEL"), wheel.to_owned()));
        let mut record = String::new();
        for (path, text) in &all {
            let _ = writeln!(record, "{path},sha256={},{}", base64(&Sha256::digest(text)), text.len());
        }
        let _ = writeln!(record, "{stem}.dist-info/RECORD,,");
        all.push((format!("{stem}.dist-info/RECORD"), record));

        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, text) in all {
            zip.start_file(path, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        let content = zip.finish().unwrap().into_inner();
        Self { project: project.to_owned(), file: format!("{stem}-py3-none-any.whl"), content }
    }

    /// A source distribution with these files.
    #[must_use]
    pub fn source(project: &str, version: &str, files: &[(&str, &str)]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        for (path, text) in files {
            encoder.write_all(&header(&format!("{project}-{version}/{path}"), text.len())).unwrap();
            let mut padded = text.as_bytes().to_vec();
            padded.resize(text.len().div_ceil(512) * 512, 0);
            encoder.write_all(&padded).unwrap();
        }
        encoder.write_all(&[0; 1024]).unwrap();
        let content = encoder.finish().unwrap();
        Self { project: project.to_owned(), file: format!("{project}-{version}.tar.gz"), content }
    }

    /// Its file name.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Its bytes.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Its digest, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        Sha256::digest(&self.content).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// The header of one file in a tar archive.
fn header(path: &str, size: usize) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Unpadded, with the letters URLs may have.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for letter in 0..=three.len() {
            text.push(char::from(LETTERS[bits >> (18 - 6 * letter) & 63]));
        }
    }
    text
}

/// A package index. Dropping it closes it.
#[derive(Debug)]
pub struct PackageIndex {
    port: u16,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    releases: Mutex<BTreeMap<String, Vec<Release>>>,
    hits: watch::Sender<usize>,
    held_back: AtomicBool,
    silent: AtomicBool,
}

impl PackageIndex {
    /// Serves these releases.
    pub async fn start(releases: impl IntoIterator<Item = Release>) -> Self {
        let shared = Arc::new(Shared::default());
        for release in releases {
            shared.releases.lock().unwrap().entry(release.project.clone()).or_default().push(release);
        }
        let app = Router::new()
            .route("/simple/{project}/", get(page))
            .route("/files/{file}", get(file))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Self { port, shared, serving }
    }

    /// What `PAR_INDEX_URL` is to be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/simple", self.port)
    }

    /// From now on files come to `par` by drops, or whole again: then the rest of them, too. The resolver gets them whole.
    pub fn hold_back(&self, held_back: bool) {
        self.shared.held_back.store(held_back, Ordering::SeqCst);
    }

    /// From now on nobody hears what there is of a project, or everybody again.
    pub fn be_silent(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::SeqCst);
    }

    /// Requests so far.
    #[must_use]
    pub fn hits(&self) -> usize {
        *self.shared.hits.borrow()
    }

    /// Waits until there were so many requests.
    ///
    /// # Panics
    /// When there are not.
    pub async fn asked(&self, count: usize) {
        let mut hits = self.shared.hits.subscribe();
        let asked = timeout(PATIENCE, hits.wait_for(|hits| *hits >= count)).await;
        assert!(asked.is_ok(), "the index was asked {} times, and not {count}", self.hits());
    }
}

impl Drop for PackageIndex {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// As JSON for who asks for it, else as HTML.
async fn page(State(shared): State<Arc<Shared>>, Path(project): Path<String>, headers: HeaderMap) -> Response {
    shared.hits.send_modify(|hits| *hits += 1);
    if shared.silent.load(Ordering::SeqCst) {
        return std::future::pending().await;
    }
    let releases = shared.releases.lock().unwrap();
    let Some(releases) = releases.get(&project) else { return StatusCode::NOT_FOUND.into_response() };
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepted.contains(JSON) {
        let file = |release: &Release| {
            let (file, digest) = (&release.file, release.digest());
            json!({"filename": file, "url": format!("../../files/{file}"), "hashes": {"sha256": digest}})
        };
        let files: Vec<Value> = releases.iter().map(file).collect();
        let page = json!({"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": files});
        return ([(header::CONTENT_TYPE, JSON)], page.to_string()).into_response();
    }
    let mut page = String::from("<!DOCTYPE html><html><body>\n");
    for release in releases {
        let (file, digest) = (&release.file, release.digest());
        let _ = writeln!(page, "<a href=\"../../files/{file}#sha256={digest}\">{file}</a><br/>");
    }
    Html(page + "</body></html>").into_response()
}

async fn file(State(shared): State<Arc<Shared>>, Path(file): Path<String>, headers: HeaderMap) -> Response {
    shared.hits.send_modify(|hits| *hits += 1);
    let releases = shared.releases.lock().unwrap();
    let Some(release) = releases.values().flatten().find(|release| release.file == file) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if !headers.get(header::USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"par/")) {
        return release.content.clone().into_response();
    }
    let length = release.content.len();
    let pieces = futures::stream::unfold((Bytes::from(release.content.clone()), Arc::clone(&shared)), next_piece);
    ([(header::CONTENT_LENGTH, length)], Body::from_stream(pieces)).into_response()
}

/// What is left of a file, and the index that has it.
type Left = (Bytes, Arc<Shared>);

/// All that is left of a file, or a drop of it after a while.
async fn next_piece((mut left, shared): Left) -> Option<(Result<Bytes, Infallible>, Left)> {
    if left.is_empty() {
        return None;
    }
    let length = if shared.held_back.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        left.len().min(16)
    } else {
        left.len()
    };
    let piece = left.split_to(length);
    Some((Ok(piece), (left, shared)))
}

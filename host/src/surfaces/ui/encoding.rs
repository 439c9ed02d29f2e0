//! Types and compressed forms of files.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;
use mime_guess::mime;

/// Files below this size gain nothing, in bytes.
const WORTH_BYTES: usize = 512;

/// Brotli's quality: 5 of 11 keeps the largest kept file under a fraction of a second.
const BROTLI_QUALITY: u32 = 5;

/// Brotli's window, as a power of two: 4 MiB, the largest kept file.
const BROTLI_WINDOW: u32 = 22;

/// The form a file is sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
    Brotli,
}

impl Encoding {
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }

    /// Different bytes need different strong tags.
    pub(super) fn etag_suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => "-gz",
            Self::Brotli => "-br",
        }
    }
}

/// The `content-type` of a file, by its name.
pub(super) fn content_type(path: &str) -> String {
    let guess = match Path::new(path).extension().and_then(|extension| extension.to_str()) {
        Some("mjs") => "text/javascript".to_owned(),
        Some("webmanifest") => "application/manifest+json".to_owned(),
        Some("map") => "application/json".to_owned(),
        _ => mime_guess::from_path(path).first_or_octet_stream().essence_str().to_owned(),
    };
    if is_text(&guess) { format!("{guess}; charset=utf-8") } else { guess }
}

fn is_text(essence: &str) -> bool {
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(
            essence,
            "application/json" | "application/javascript" | "application/xml" | "application/x-javascript"
        )
}

/// The gzip and brotli forms of a file, where they are worth having.
pub(super) fn compress(path: &str, plain: &[u8]) -> (Option<Bytes>, Option<Bytes>) {
    let essence = mime_guess::from_path(path).first_or(mime::APPLICATION_OCTET_STREAM);
    let compressible = is_text(&content_type(path).replace("; charset=utf-8", ""))
        || matches!(essence.essence_str(), "application/wasm" | "font/ttf" | "font/otf");
    if !compressible || plain.len() < WORTH_BYTES {
        return (None, None);
    }
    let smaller = |bytes: Vec<u8>| (bytes.len() < plain.len()).then(|| Bytes::from(bytes));
    (gzip(plain).and_then(smaller), brotli(plain).and_then(smaller))
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

fn brotli(plain: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_QUALITY, BROTLI_WINDOW);
    encoder.write_all(plain).ok()?;
    encoder.flush().ok()?;
    Some(encoder.into_inner())
}

/// The best form the client takes, of those there are.
pub(super) fn choose<'a>(
    headers: &HeaderMap,
    brotli: Option<&'a Bytes>,
    gzip: Option<&'a Bytes>,
) -> (Encoding, Option<&'a Bytes>) {
    if let Some(bytes) = brotli
        && accepts(headers, "br")
    {
        return (Encoding::Brotli, Some(bytes));
    }
    if let Some(bytes) = gzip
        && accepts(headers, "gzip")
    {
        return (Encoding::Gzip, Some(bytes));
    }
    (Encoding::Plain, None)
}

/// Whether `accept-encoding` names `encoding` and does not weigh it with zero.
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| {
            let mut parts = item.split(';');
            let named = parts.next().is_some_and(|name| name.trim().eq_ignore_ascii_case(encoding));
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q=").map(str::trim))
                .and_then(|weight| weight.parse::<f32>().ok());
            named && weight.is_none_or(|weight| weight > 0.0)
        })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue};

    use super::{Encoding, choose, compress, content_type};

    fn chosen(accepted: &'static str) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert("accept-encoding", HeaderValue::from_static(accepted));
        let form = Bytes::from_static(b"x");
        choose(&headers, Some(&form), Some(&form)).0
    }

    #[test]
    fn the_best_accepted_form_is_chosen() {
        for (accepted, form) in [
            ("gzip, deflate, br", Encoding::Brotli),
            ("gzip", Encoding::Gzip),
            ("br;q=0, gzip;q=0.5", Encoding::Gzip),
            ("identity", Encoding::Plain),
            ("brx", Encoding::Plain),
            ("", Encoding::Plain),
        ] {
            assert_eq!(chosen(accepted), form, "{accepted}");
        }
    }

    #[test]
    fn types_come_from_names_and_text_has_its_charset() {
        for (path, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.svg", "image/svg+xml; charset=utf-8"),
            ("a.wasm", "application/wasm"),
            ("a.png", "image/png"),
            ("a.webmanifest", "application/manifest+json; charset=utf-8"),
            ("noextension", "application/octet-stream"),
        ] {
            assert_eq!(content_type(path), expected, "{path}");
        }
    }

    #[test]
    fn text_is_compressed_and_pictures_and_trifles_are_not() {
        let text = "so it goes on and on. ".repeat(100);

        let (gzip, brotli) = compress("a.js", text.as_bytes());
        assert!(gzip.is_some_and(|bytes| bytes.len() < text.len() / 4));
        assert!(brotli.is_some_and(|bytes| bytes.len() < text.len() / 4));

        assert_eq!(compress("a.png", text.as_bytes()), (None, None));
        assert_eq!(compress("a.js", b"short"), (None, None));
    }
}

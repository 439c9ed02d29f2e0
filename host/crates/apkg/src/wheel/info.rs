//! `WHEEL`: the format of the wheel itself.

use super::{Unusable, headers, text};

const FILE: &str = "WHEEL";

/// Largest `WHEEL` that is read. Unit: bytes. Real ones have a few hundred.
const LARGEST: usize = 64 * 1024;

/// What `WHEEL` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelInfo {
    /// `Root-Is-Purelib`: whether the root of the wheel belongs with pure Python code. Both places are one in
    /// a deps layer. Some wheels do not say; that counts as `false`.
    pub root_is_purelib: bool,
    /// `Tag`: the interpreters, ABIs and platforms it is for. May be empty; what decides is the file name.
    pub tags: Vec<String>,
}

impl WheelInfo {
    /// Reads the file.
    ///
    /// # Errors
    /// [`Unusable`] when it is not text, has no `Wheel-Version`, or one of a format to come: the
    /// specification asks installers to refuse a greater major version.
    pub fn parse(bytes: &[u8]) -> Result<Self, Unusable> {
        let unusable = |because| Unusable { file: FILE, because };
        let fields = headers::fields(text(FILE, bytes, LARGEST)?);
        let once = |name| headers::once(&fields, name).map_err(|headers::Twice| unusable("it has a field twice"));

        let version = once("Wheel-Version")?.ok_or_else(|| unusable("it has no `Wheel-Version`"))?;
        match version.split_once('.') {
            Some(("1", minor)) if !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()) => {}
            _ => return Err(unusable("its `Wheel-Version` is not 1")),
        }
        let root_is_purelib = match once("Root-Is-Purelib")? {
            Some(text) if text.eq_ignore_ascii_case("true") => true,
            Some(text) if text.eq_ignore_ascii_case("false") => false,
            None => false,
            Some(_) => return Err(unusable("its `Root-Is-Purelib` is neither `true` nor `false`")),
        };
        let tags = headers::every(&fields, "Tag").map(str::to_owned).collect();
        Ok(Self { root_is_purelib, tags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_of_this_format_is_read() {
        let text =
            "Wheel-Version: 1.0\nGenerator: bdist_wheel\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n";

        let info = WheelInfo::parse(text.as_bytes()).unwrap();

        assert_eq!(info, WheelInfo { root_is_purelib: true, tags: vec!["py2-none-any".into(), "py3-none-any".into()] });
        for text in [&b"Wheel-Version: 1.9\nRoot-Is-Purelib: False"[..], b"Wheel-Version: 1.0\n"] {
            assert!(!WheelInfo::parse(text).unwrap().root_is_purelib);
        }
    }

    #[test]
    fn another_format_is_refused() {
        for (text, because) in [
            (&b"Root-Is-Purelib: true\n"[..], "it has no `Wheel-Version`"),
            (b"", "it has no `Wheel-Version`"),
            (b"Wheel-Version: 2.0\nRoot-Is-Purelib: true", "its `Wheel-Version` is not 1"),
            (b"Wheel-Version: 1\nRoot-Is-Purelib: true", "its `Wheel-Version` is not 1"),
            (b"Wheel-Version: 1.x\nRoot-Is-Purelib: true", "its `Wheel-Version` is not 1"),
            (b"Wheel-Version: 1.0\nWheel-Version: 2.0\nRoot-Is-Purelib: true", "it has a field twice"),
            (b"Wheel-Version: 1.0\nRoot-Is-Purelib: yes", "its `Root-Is-Purelib` is neither `true` nor `false`"),
            (b"\xff", "it is not UTF-8"),
            (&[b'a'; LARGEST + 1], "it is larger than that of any real wheel"),
        ] {
            assert_eq!(WheelInfo::parse(text).unwrap_err().because, because, "{}", String::from_utf8_lossy(text));
        }
    }
}

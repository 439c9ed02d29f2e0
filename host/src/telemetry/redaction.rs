//! Fields whose values are never written, whoever logs them.

/// Names of fields that hold secrets, compared without regard to case.
const SECRET_NAMES: &[&str] = &[
    "password",
    "secret",
    "token",
    "api_key",
    "apikey",
    "authorization",
    "auth",
    "access_key",
    "accesskey",
    "secret_key",
    "secretkey",
];

/// Whether a field of this name holds a secret. A name may be a path: `headers.authorization`.
pub(super) fn is_secret(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    SECRET_NAMES.iter().any(|secret| last.eq_ignore_ascii_case(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whole_and_in_any_case() {
        for name in ["password", "Token", "API_KEY", "headers.Authorization", "secretKey"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["token_count", "author", "passwords", "authorization.kind"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}

//! Who we are to Loki.
//!
//! In: the setting, and the file that it names. Out: [`Credentials`]. Never: a secret in a message or in
//! `Debug`.

use super::files::{self, SetupError};
use crate::config::Auth;
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use std::path::{Path, PathBuf};

/// What a request carries to say who sends it.
#[derive(Clone)]
pub(super) enum Credentials {
    Nobody,
    Basic { username: String, password: String },
    Bearer(HeaderValue),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// The file that `auth` names.
pub(super) fn file(auth: &Auth) -> Option<PathBuf> {
    match auth {
        Auth::None => None,
        Auth::Basic { password_file, .. } => Some(password_file.clone()),
        Auth::Bearer { token_file } => Some(token_file.clone()),
    }
}

impl Credentials {
    /// Reads the file that `auth` names.
    pub(super) fn load(auth: &Auth) -> Result<Self, SetupError> {
        match auth {
            Auth::None => Ok(Self::Nobody),
            Auth::Basic { username, password_file } => {
                let password = secret("loki.basic_auth.password_file", password_file)?;
                Ok(Self::Basic { username: username.clone(), password })
            }
            Auth::Bearer { token_file } => {
                let setting = "loki.bearer_token_file";
                let token = secret(setting, token_file)?;
                let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                    .map_err(|_| content(setting, token_file, "it holds bytes that no HTTP header can carry"))?;
                value.set_sensitive(true);
                Ok(Self::Bearer(value))
            }
        }
    }

    /// Adds them to a request.
    pub(super) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Nobody => request,
            Self::Basic { username, password } => request.basic_auth(username, Some(password)),
            Self::Bearer(value) => request.header(AUTHORIZATION, value.clone()),
        }
    }
}

fn secret(setting: &'static str, path: &Path) -> Result<String, SetupError> {
    let bytes = files::read(setting, path)?;
    let text = String::from_utf8(bytes).map_err(|_| content(setting, path, "it is not UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(content(setting, path, "it is empty; write the secret into it, or leave the setting out"));
    }
    Ok(text.to_owned())
}

fn content(setting: &'static str, path: &Path, problem: &str) -> SetupError {
    SetupError::Content { setting, path: path.to_owned(), problem: problem.to_owned() }
}

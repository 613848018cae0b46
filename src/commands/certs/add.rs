//! `certs:add`

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::archive;
use super::installed::{Installed, Pair, install, refused};
use super::moment;
use crate::commands::{Authorized, Command, Dialog, Platform};
use crate::model::{AppName, CertificateOrigin, Kind, Permission, Problem, Secret, Timestamp};

/// Longest input that is read, bytes; a chain of four certificates and an RSA key take some 10 KiB.
const INPUT_LIMIT: usize = 1 << 20;

/// Serve an app over HTTPS with a certificate of your own
///
/// Reads a tar archive from standard input, with one certificate (.crt or .pem, the server's own first, then those that
/// lead to its authority) and its private key (.key): tar c server.crt server.key | ssh mini certs:add APP. The `mini`
/// program takes the two files by name as well. It takes the place of the certificate that was added before.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Add {
    /// The app
    pub app: AppName,
    /// The file of the certificate, where `mini` is typed
    #[arg(value_name = "CERT", requires = "key_file")]
    #[serde(skip)]
    pub certificate_file: Option<PathBuf>,
    /// The file of the private key
    #[arg(value_name = "KEY")]
    #[serde(skip)]
    pub key_file: Option<PathBuf>,
    /// Add it even if it has expired
    #[arg(long)]
    #[serde(default)]
    pub force: bool,
    /// The certificate as PEM, where standard input is not at hand (HTTP)
    #[arg(skip)]
    #[serde(default)]
    pub certificate: Option<String>,
    /// The private key as PEM, with `certificate`
    #[arg(skip)]
    #[serde(default)]
    pub key: Option<Secret>,
}

impl Add {
    /// Takes the content of the files that were named, so that it travels with the command. For the program that is typed
    /// where the files are; a server never reads a file that a caller names. Without files, `is_typed` says that standard
    /// input is a keyboard, which no archive comes from.
    pub fn with_files(mut self, is_typed: bool) -> Result<Self, Problem> {
        if let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) {
            self.certificate = Some(content(certificate)?);
            self.key = Some(Secret::new(content(key)?));
        } else if is_typed {
            return Err(archive::nothing_given());
        }
        Ok(self)
    }

    /// Whether it waits for an archive on standard input.
    pub fn reads_input(&self) -> bool {
        self.certificate.is_none() && self.key.is_none() && self.certificate_file.is_none()
    }

    async fn pair(self, dialog: &mut Dialog) -> Result<Pair, Problem> {
        match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Ok(Pair {
                chain: archive::certificates_in(&certificate),
                key,
            }),
            (None, None) => match (self.certificate_file, self.key_file) {
                (None, None) if dialog.terminal().is_some() => Err(archive::nothing_given()),
                (None, None) => archive::read(&dialog.read_all(INPUT_LIMIT).await?),
                _ => Err(Problem::new(
                    Kind::Invalid,
                    "The server does not read files by name",
                    "they are on your machine, and their content has to travel",
                    format!(
                        "Send both on standard input: `tar c server.crt server.key | ssh mini certs:add {}`",
                        self.app
                    ),
                )),
            },
            (Some(_), None) | (None, Some(_)) => Err(Problem::new(
                Kind::Usage,
                "`certificate` and `key` are given together or not at all",
                "",
                "",
            )),
        }
    }
}

fn content(path: &Path) -> Result<String, Problem> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| {
        let limit = u64::try_from(archive::FILE_LIMIT).unwrap_or(u64::MAX);
        file.take(limit.saturating_add(1)).read_to_string(&mut text)
    });
    match read {
        Ok(length) if length <= archive::FILE_LIMIT => Ok(text),
        Ok(_) => Err(archive::too_large(&path.display().to_string())),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(archive::not_text(&path.display().to_string()))
        }
        Err(error) => Err(Problem::new(
            Kind::Invalid,
            format!("{} cannot be read", path.display()),
            error.to_string(),
            "",
        )),
    }
}

impl Command for Add {
    type Output = Installed;

    fn permission(&self) -> Permission {
        Permission::ChangeApp(self.app.clone())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Installed, Problem> {
        let app = authorized.app()?;
        let is_forced = self.force;
        let pair = self.pair(dialog).await?;
        let certificate = pair.read().map_err(|error| refused(&error))?;
        let expires_at = moment(certificate.not_after());
        if expires_at <= Timestamp::now() && !is_forced {
            return Err(Problem::new(
                Kind::Invalid,
                "The certificate was not added",
                format!("it expired at {expires_at}, and browsers would refuse it"),
                "Add one that is valid, or this one all the same with --force",
            ));
        }
        install(platform, app, dialog, CertificateOrigin::Custom, pair).await
    }
}

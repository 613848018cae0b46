//! Who asks, and what may be asked.

use serde::{Deserialize, Serialize};

use super::{AppName, KeyName, Timestamp};

/// Who is asking, as established by the door that let them in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Caller {
    /// The holder of a registered SSH key.
    Key {
        /// Name of the key.
        name: KeyName,
        /// Its SHA-256 fingerprint, `SHA256:...`.
        fingerprint: String,
    },
    /// Someone with access to the server's own data directory.
    Console,
}

impl Caller {
    /// The name for records: the key's name, or `console`.
    pub fn actor(&self) -> &str {
        match self {
            Caller::Key { name, .. } => name.as_str(),
            Caller::Console => "console",
        }
    }
}

/// What a command asks to be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// Anyone who is let in at all.
    Anyone,
    /// See this app.
    ReadApp(AppName),
    /// Change or deploy this app.
    ChangeApp(AppName),
    /// Deploy this app, and create it where there is none.
    DeployApp(AppName),
    /// Change the server itself: keys, settings.
    Administer,
}

impl Permission {
    /// To see the app that is named; where none is, anyone may ask and is told of those they may see.
    pub fn to_read(app: Option<&AppName>) -> Permission {
        app.cloned().map_or(Permission::Anyone, Permission::ReadApp)
    }
}

/// A public key that may log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshKey {
    /// The operator's name for it.
    pub name: KeyName,
    /// `SHA256:` and base64, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The line of an `authorized_keys` file without options and comment: algorithm and base64.
    pub public_key: String,
    /// When it was added.
    pub created_at: Timestamp,
}

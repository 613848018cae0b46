//! What an answer of the store means. Of what it says only code and message are shown: the rest repeats the request.

use hyper::StatusCode;

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The settings name no keys.
    #[error("no keys are set for it")]
    NoKeys,
    /// There is no such bucket.
    #[error("there is no such bucket")]
    NoBucket,
    /// There is no such archive.
    #[error("there is no such archive")]
    NoArchive,
    /// There is no such upload (any more).
    #[error("it knows nothing of the upload any more")]
    NoUpload,
    /// The keys are wrong, or may not do this.
    #[error("it does not let us in: {0}")]
    Keys(String),
    /// Its clock and ours differ too much.
    #[error("its clock and the one here differ too much: {0}")]
    Clock(String),
    /// The bucket is in another region.
    #[error("the bucket is in another region: {0}")]
    Region(String),
    /// It takes no more.
    #[error("it has no space left: {0}")]
    Full(String),
    /// It cannot be reached, or stopped answering.
    #[error("it could not be reached: {0}")]
    Unreachable(String),
    /// It said that it cannot answer now.
    #[error("it could not answer: {0}")]
    Busy(String),
    /// Anything else it refused, or said that makes no sense.
    #[error("it answered: {0}")]
    Refused(String),
    /// An archive has more parts than the store takes.
    #[error("the archive is larger than {} GiB, which is more than the store takes in parts of this size", .0 >> 30)]
    TooLong(u64),
}

impl Failure {
    /// Whether the same request may succeed in a moment.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Failure::Unreachable(_) | Failure::Busy(_))
    }

    /// What an answer means that is no success. `text` is its body; codes by
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>, those of MinIO by its `cmd/api-errors.go`.
    pub(super) fn of(status: StatusCode, text: &str) -> Failure {
        let code = between(text, "Code").unwrap_or_default();
        let message = between(text, "Message").unwrap_or_default();
        let said = match (code.is_empty(), message.is_empty()) {
            (false, false) => format!("{code}: {message}"),
            (false, true) => code.clone(),
            (true, _) => format!("HTTP status {status}"),
        };
        match code.as_str() {
            "NoSuchBucket" => return Failure::NoBucket,
            "NoSuchKey" => return Failure::NoArchive,
            "NoSuchUpload" => return Failure::NoUpload,
            "RequestTimeTooSkewed" | "RequestExpired" | "RequestNotReadyYet" => {
                return Failure::Clock(said);
            }
            // A signature that is too old or of the future comes as a denial with only words about it.
            "AccessDenied" if message.contains("expired") || message.contains("not yet valid") => {
                return Failure::Clock(said);
            }
            "AuthorizationHeaderMalformed"
            | "AuthorizationQueryParametersError"
            | "PermanentRedirect"
            | "IllegalLocationConstraintException"
                if code == "PermanentRedirect" || message.contains("region") =>
            {
                return Failure::Region(said);
            }
            "QuotaExceeded"
            | "XMinioStorageFull"
            | "XMinioAdminBucketQuotaExceeded"
            | "EntityTooLarge" => return Failure::Full(said),
            "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout"
            | "SlowDownRead" | "SlowDownWrite" => return Failure::Busy(said),
            _ => {}
        }
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Keys(said),
            StatusCode::MOVED_PERMANENTLY | StatusCode::TEMPORARY_REDIRECT => Failure::Region(said),
            StatusCode::INSUFFICIENT_STORAGE => Failure::Full(said),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Failure::Busy(said),
            status if status.is_server_error() => Failure::Busy(said),
            _ => Failure::Refused(said),
        }
    }

    /// What to do about it.
    pub(in crate::backup) fn remedy(&self) -> &'static str {
        match self {
            Failure::NoKeys => {
                "Set backup-s3-key-id and backup-s3-secret-key in the settings, or MINI_BACKUP_S3_KEY_ID and \
                 MINI_BACKUP_S3_SECRET_KEY where `mini` is typed"
            }
            Failure::NoBucket => {
                "Make the bucket, or correct its name; the settings backup-s3-endpoint and backup-s3-region say which store is asked"
            }
            Failure::NoArchive => "See what is there: `mini backup:list --from s3://BUCKET/PREFIX`",
            Failure::NoUpload => "Try again; nothing half made is left there",
            Failure::Keys(_) => {
                "Correct backup-s3-key-id and backup-s3-secret-key, and let that key list, read, write and delete in the bucket"
            }
            Failure::Clock(_) => "Set the clock of this machine by NTP: `timedatectl set-ntp true`",
            Failure::Region(_) => "Set backup-s3-region to the region of the bucket",
            Failure::Full(_) => {
                "Free some space there, or raise the quota; nothing half made is left there"
            }
            Failure::Unreachable(_) => {
                "Check backup-s3-endpoint and the network of this machine, then try again"
            }
            Failure::Busy(_) => "Try again in some minutes; nothing half made is left there",
            Failure::Refused(_) => {
                "Check backup-s3-endpoint, backup-s3-region and the rules of the bucket"
            }
            Failure::TooLong(_) => "Back up to a folder of a large disk instead",
        }
    }
}

/// The text between two tags, shortened, as it may be shown.
pub(super) fn between(text: &str, tag: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    let (inner, _) = rest.split_once(&format!("</{tag}>"))?;
    let plain = inner.chars().filter(|c| !c.is_control());
    Some(plain.take(300).collect())
}

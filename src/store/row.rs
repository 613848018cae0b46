//! Columns of a row as words of the model. A value the model refuses is damage, never a default.

use std::str::FromStr;

use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::model::Timestamp;

/// The text column `column` as `T`.
pub(super) fn text<T: FromStr>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    parsed(
        column,
        row.get_ref(column)?
            .as_str()
            .map_err(rusqlite::Error::from)?,
    )
}

/// The text column `column` as `T`, or `None` for NULL.
pub(super) fn optional_text<T: FromStr>(
    row: &Row<'_>,
    column: &str,
) -> Result<Option<T>, StoreError> {
    let value = row.get_ref(column)?;
    value
        .as_str_or_null()
        .map_err(rusqlite::Error::from)?
        .map(|text| parsed(column, text))
        .transpose()
}

fn parsed<T: FromStr>(column: &str, text: &str) -> Result<T, StoreError> {
    text.parse()
        .map_err(|_| StoreError::damaged_row(format!("a value of `{column}` is none mini knows")))
}

/// A moment as it is stored.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A moment as it will be read back: whole microseconds.
pub(super) fn rounded(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// A stored moment.
pub(super) fn moment(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros)
        .map_err(|_| StoreError::damaged_row("a moment lies outside the calendar"))
}

/// A value as JSON text.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Sql(rusqlite::Error::ToSqlConversionFailure(error.into())))
}

/// The JSON column `column`.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    let text = row
        .get_ref(column)?
        .as_str()
        .map_err(rusqlite::Error::from)?;
    serde_json::from_str(text)
        .map_err(|_| StoreError::damaged_row(format!("the JSON of `{column}` is none mini writes")))
}

//! Whether source for a name that no app has makes one.

use rusqlite::OptionalExtension;

use super::{Store, StoreError};

impl Store {
    /// Whether it was said that source makes no app (`apps:set --global disable-autocreation`).
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn is_autocreation_disabled(&self) -> Result<bool, StoreError> {
        self.read(|tx| {
            let found = tx
                .prepare_cached("SELECT is_autocreation_disabled FROM app_creation")?
                .query_row([], |found| found.get(0))
                .optional()?;
            Ok(found.unwrap_or(false))
        })
        .await
    }

    /// Says whether source makes no app; `None` as if nothing had been said.
    ///
    /// # Errors
    /// Only if the database fails.
    pub async fn set_autocreation_disabled(
        &self,
        is_disabled: Option<bool>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            match is_disabled {
                Some(is_disabled) => tx
                    .prepare_cached(
                        "INSERT OR REPLACE INTO app_creation (id, is_autocreation_disabled) VALUES (1, ?1)",
                    )?
                    .execute([is_disabled])?,
                None => tx.prepare_cached("DELETE FROM app_creation")?.execute([])?,
            };
            Ok(())
        })
        .await
    }
}

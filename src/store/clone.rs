//! A second app with the settings of a first one.

use std::sync::Arc;

use rusqlite::{Transaction, params};

use super::{Store, StoreError, apps, config, ports, process_settings};
use crate::model::{App, AppId, AppName, ContainerOption, ContainerPhase, PortMapping, Timestamp};

/// What is copied as it stands: table, columns beside `app_id`, and which rows. An address without a domain is one of every
/// host name that an app has, so it means the same for the other app.
const COPIED: &[(&str, &[&str], &str)] = &[
    ("scales", &["process_type", "quantity"], "1"),
    ("proxy_settings", &["name", "value"], "1"),
    ("proxy_pages", &["name", "html"], "1"),
    ("http_auth", &[], "1"),
    ("http_auth_users", &["name", "password_hash"], "1"),
    ("builder_settings", &["name", "value"], "1"),
    ("build_arguments", &["name", "value"], "1"),
    ("build_secrets", &["name", "value"], "1"),
    ("storage_mounts", &["target", "name", "is_read_only"], "1"),
    ("automatic_certificates", &["is_on"], "1"),
    ("process_settings", &["name", "value"], "1"),
    (
        "redirects",
        &["domain", "path", "destination", "code"],
        "domain = ''",
    ),
];

impl Store {
    /// Records a new app with what was set of another one: its config vars, scale, branch, and all settings that can be those
    /// of two apps. Not with what belongs to one app alone (domains, certificates), nor with what happened to it (releases,
    /// deploys, a lock, a stop, a maintenance). Of its ports it gets those of `mappings`, and of
    /// what its containers have, `options`.
    ///
    /// # Errors
    /// `Taken` if an app has that name; `NotFound` if there is none to copy; `Damaged` if a config var does not open.
    pub async fn clone_app(
        &self,
        from: AppId,
        name: &AppName,
        mappings: &[PortMapping],
        options: &[(ContainerPhase, ContainerOption)],
        at: Timestamp,
    ) -> Result<App, StoreError> {
        let seal = Arc::clone(&self.inner.seal);
        let (name, mappings, options) = (name.clone(), mappings.to_vec(), options.to_vec());
        self.write(move |tx| {
            let vars = config::of_app(tx, &seal, from)?;
            let mut app = apps::add(tx, &name, at)?;
            let copied = tx
                .prepare_cached(
                    "UPDATE apps SET (deploy_branch, is_set_up) = \
                     (SELECT deploy_branch, is_set_up FROM apps WHERE id = ?1) \
                     WHERE id = ?2 AND EXISTS (SELECT 1 FROM apps WHERE id = ?1)",
                )?
                .execute(params![from.0, app.id.0])?;
            apps::found(copied)?;
            copy_rows(tx, from, app.id)?;
            config::set(tx, &seal, app.id, &vars)?;
            for mapping in mappings {
                ports::add(tx, app.id, mapping)?;
            }
            for (phase, option) in &options {
                process_settings::add_option(tx, app.id, *phase, option)?;
            }
            app.deploy_branch = apps::branch(tx, app.id)?;
            Ok(app)
        })
        .await
    }
}

fn copy_rows(tx: &Transaction<'_>, from: AppId, to: AppId) -> Result<(), StoreError> {
    for (table, columns, which) in COPIED {
        let columns: String = columns.iter().map(|name| format!(", {name}")).collect();
        tx.prepare_cached(&format!(
            "INSERT INTO {table} (app_id{columns}) SELECT ?2{columns} FROM {table} WHERE app_id = ?1 AND {which}"
        ))?
        .execute(params![from.0, to.0])?;
    }
    // Its addresses at the global domains are its own again; that nobody is to reach it holds for both.
    tx.prepare_cached(
        "INSERT INTO exposures (app_id, is_public) SELECT ?2, is_public FROM exposures WHERE app_id = ?1",
    )?
    .execute(params![from.0, to.0])?;
    // What led to another type of the same app leads to that of the new one.
    tx.prepare_cached(
        "INSERT INTO routes (app_id, domain, path, to_app_id, process_type, is_stripped) \
         SELECT ?2, domain, path, CASE to_app_id WHEN ?1 THEN ?2 ELSE to_app_id END, process_type, is_stripped \
         FROM routes WHERE app_id = ?1 AND domain = ''",
    )?
    .execute(params![from.0, to.0])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rusqlite::Connection;

    use super::*;
    use crate::store::migrate;

    /// What is copied in another way, and what is not.
    const OTHERS: &[&str] = &[
        "config_vars",
        "container_options",
        "exposures",
        "routes",
        "ports",
        // Belong to one app.
        "domains",
        "certificates",
        // Are about its past or its present.
        "app_locks",
        "build_caches",
        "deploys",
        "maintenance",
        "pauses",
        "releases",
        "restarts",
    ];

    #[test]
    fn of_every_table_of_apps_it_is_decided_whether_it_is_copied() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut connection, migrate::STATE).unwrap();
        let columns = |table: &str| -> BTreeSet<String> {
            let mut statement = connection
                .prepare("SELECT name FROM pragma_table_info(?1)")
                .unwrap();
            let names = statement.query_map([table], |row| row.get(0)).unwrap();
            names.map(Result::unwrap).collect()
        };
        let tables: Vec<String> = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for table in tables {
            let mut of_table = columns(&table);
            let copied = COPIED.iter().find(|(name, _, _)| *name == table);
            if !of_table.remove("app_id") {
                assert!(copied.is_none(), "{table}");
                continue;
            }
            let is_other = OTHERS.contains(&table.as_str());
            assert!(copied.is_some() != is_other, "{table}: copied or not?");
            if let Some((_, copied, _)) = copied {
                of_table.remove("id");
                let copied = copied.iter().map(|name| (*name).to_owned()).collect();
                assert_eq!(of_table, copied, "{table}");
            }
        }
    }
}

//! Commands that Dokku has and mini does not, with what is in their place: whoever comes from there types them.

use crate::model::{Kind, Problem};

/// What to do in place of the commands of a datastore.
const DATABASES: &str = "There are no databases by a command yet: run one beside mini or elsewhere, and tell the app: `config:set APP DATABASE_URL=...`";

/// A command; a group where it ends with `:`, all groups that begin so where it ends with `-`; and what to do instead. The
/// first that fits counts.
const INSTEAD: &[(&str, &str)] = &[
    (
        "app-json:",
        "Checks of app.json are honoured: `checks:report APP`",
    ),
    (
        "builder-",
        "mini writes a Dockerfile for each language by itself: `buildpacks:detect APP` shows it, `builder:set APP selected NAME` chooses",
    ),
    (
        "buildpacks:",
        "mini finds out what an app is: `buildpacks:detect APP`; `builder:set APP selected NAME` chooses",
    ),
    (
        "builds:set",
        "How an app is built is set with `builder:set`",
    ),
    (
        "caddy:",
        "The proxy is part of mini: `proxy:set`, `certs:report`",
    ),
    ("certs:chain", "`certs:show APP crt` prints the certificate"),
    (
        "checks:",
        "Checks are declared in the repository: `healthchecks` in app.json, or a file CHECKS; `checks:report APP` shows what is in force",
    ),
    (
        "cleanup",
        "Images that no release needs are removed by themselves, and by `builds:prune`",
    ),
    (
        "cron:",
        "There is no cron yet: let a timer of your machine call `ssh mini run APP COMMAND`",
    ),
    (
        "deploy",
        "Push with git, or type `mini deploy` in the folder",
    ),
    (
        "docker-options:",
        "There are add, remove, clear, list and report: `docker-options:add APP deploy \"--memory 512m\"`; folders are mounted with `storage:mount`",
    ),
    (
        "domains:setup",
        "Set the domain of all apps with `domains:set-global DOMAIN`",
    ),
    (
        "enter",
        "`run APP sh` opens a shell in a new container of the app; -t of ssh gives it a terminal",
    ),
    (
        "events",
        "`builds:list APP` tells of deploys, `proxy:access-logs APP -t` of requests, and `journalctl -u mini` of the server",
    ),
    (
        "git:initialize",
        "`apps:create APP` makes the repository as well",
    ),
    (
        "git:status",
        "`builds:list APP` tells of what is being deployed",
    ),
    (
        "git:set",
        "The branch that is deployed is the first of main or master that is pushed: git push mini BRANCH:main; GIT_REV holds the commit",
    ),
    (
        "haproxy:",
        "The proxy is part of mini: `proxy:set`, `proxy:report`",
    ),
    (
        "letsencrypt:enable",
        "`certs:auto APP on`; orders need `acme-email` in the settings of the server, and then are made for all apps by themselves",
    ),
    ("letsencrypt:disable", "`certs:auto APP off`"),
    (
        "letsencrypt:set",
        "The e-mail address is `acme-email` in the settings of the server",
    ),
    (
        "letsencrypt:auto-renew",
        "Certificates are renewed by themselves; `certs:renew APP` does it now",
    ),
    (
        "letsencrypt:cron-job",
        "Certificates are renewed by themselves, without a job",
    ),
    (
        "letsencrypt:",
        "`certs:report` tells of all certificates, `certs:auto` and `certs:renew` order them",
    ),
    (
        "logs:failed",
        "`builds:output APP` prints the last deploy, with what its processes said",
    ),
    ("logs:", "`logs APP -t` follows the processes of an app"),
    (
        "network:",
        "Each app has a network of its own, made by itself; one app leads to another with `routes:add APP PATH --to OTHER`",
    ),
    (
        "nginx:error-logs",
        "`proxy:access-logs APP` has the requests that failed as well",
    ),
    (
        "nginx:",
        "The proxy is part of mini and needs no reload: `proxy:set`, `proxy:report`, `routes:report`",
    ),
    (
        "openresty:",
        "The proxy is part of mini: `proxy:set`, `proxy:report`",
    ),
    (
        "plugin:",
        "mini has no plugins: certificates, redirects, maintenance pages and passwords for visitors are part of it",
    ),
    (
        "proxy:build-config",
        "There is nothing to build: routes change by themselves, at once",
    ),
    (
        "proxy:clear-config",
        "There is nothing to clear: routes change by themselves, at once",
    ),
    (
        "proxy:disable",
        "`domains:disable APP` lets no visitor reach it",
    ),
    (
        "proxy:enable",
        "`domains:enable APP` lets visitors reach it again",
    ),
    (
        "ps:restore",
        "Nothing to do: processes are brought back by themselves",
    ),
    (
        "ps:retire",
        "Nothing to do: old processes go by themselves once their requests are answered",
    ),
    (
        "registry:",
        "Images stay on the server, so no registry is needed; `git:from-image` deploys one that is in a registry",
    ),
    ("repo:gc", "Repositories are packed by git itself"),
    (
        "resource:",
        "Of one app: `docker-options:add APP deploy \"--memory 512m\"`, `--cpus 1.5`; of all by the settings of the server (`memory-limit`, `pids-limit`), of builds by `builder:set`",
    ),
    (
        "run:",
        "`run APP COMMAND` is there; it ends with its ssh session",
    ),
    (
        "scheduler:",
        "mini runs processes with the Docker of its machine: `ps:scale`, `ps:report`",
    ),
    (
        "storage:",
        "`storage:mount APP NAME:/PATH` makes the folder NAME as well; `storage:list APP` shows what is mounted",
    ),
    (
        "tags:",
        "Releases are kept: `releases APP`, `rollback APP v3`",
    ),
    ("trace:", "Put --trace in front of a command"),
    (
        "traefik:",
        "The proxy is part of mini: `proxy:set`, `certs:report`",
    ),
    (
        "acl:",
        "There are no roles yet: every key of `ssh-keys:list` may do all",
    ),
    (
        "user:",
        "Who may log in is said by `ssh-keys:add` and `ssh-keys:remove`",
    ),
];

/// Datastores of Dokku's plugins.
const STORES: &[&str] = &[
    "clickhouse",
    "couchdb",
    "elasticsearch",
    "mariadb",
    "meilisearch",
    "memcached",
    "mongo",
    "mysql",
    "nats",
    "postgres",
    "pushpin",
    "rabbitmq",
    "redis",
    "rethinkdb",
    "solr",
    "typesense",
];

/// What to do in place of `word`, if Dokku has it and mini does not.
pub(super) fn instead(word: &str) -> Option<Problem> {
    let found = INSTEAD.iter().find(|(name, _)| *name == word)?;
    Some(refusal(word, found.1))
}

/// The same of a word that only begins as a group of Dokku's does.
pub(super) fn instead_of_group(word: &str) -> Option<Problem> {
    let group = word.split(':').next().unwrap_or_default();
    if STORES.contains(&group) {
        return Some(refusal(word, DATABASES));
    }
    let found = INSTEAD
        .iter()
        .find(|(name, _)| match name.strip_suffix(':') {
            Some(name) => group == name,
            None => name.ends_with('-') && group.starts_with(name),
        })?;
    Some(refusal(word, found.1))
}

fn refusal(word: &str, next: &str) -> Problem {
    let shown: String = word.escape_debug().take(100).collect();
    Problem::new(
        Kind::NotFound,
        format!("`{shown}` is not a mini command."),
        "",
        next,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::AnyCommand;

    #[test]
    fn commands_of_dokku_lead_to_what_is_in_their_place() {
        let found = |word: &str| instead(word).or_else(|| instead_of_group(word));
        let next = |word: &str| found(word).map(|problem| problem.next).unwrap_or_default();
        assert!(next("enter").contains("run APP sh"));
        assert!(next("nginx:show-config").contains("routes:report"));
        assert!(next("nginx:error-logs").contains("proxy:access-logs"));
        assert!(next("builder-pack:set").contains("buildpacks:detect"));
        assert!(next("letsencrypt:enable").contains("certs:auto"));
        assert!(next("letsencrypt:list").contains("certs:report"));
        assert!(next("postgres:create").contains("DATABASE_URL"));
        assert!(next("plugin:install").contains("no plugins"));
        for other in ["apps:lsit", "entering", "runs", "foo"] {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn nothing_that_is_there_is_said_to_be_missing_and_each_command_named_instead_is_there() {
        let aliases = AnyCommand::ALIASES.iter().map(|(alias, _)| *alias);
        let known: Vec<&str> = AnyCommand::NAMES.iter().copied().chain(aliases).collect();
        for (name, next) in INSTEAD {
            assert!(!known.contains(name), "{name} is there");
            for (index, code) in next.split('`').enumerate() {
                let word = code.split(' ').next().unwrap_or_default();
                if index % 2 == 1 && word.contains(':') {
                    assert!(known.contains(&word), "{name}: there is no {word}");
                }
            }
        }
    }
}

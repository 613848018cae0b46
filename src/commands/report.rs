//! Reports in Dokku's form (DOKKU.md, 4.6): a title, then sorted `       Key:   value` lines; one key gives its value only.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{Authorized, Command, Dialog, Format, Options, Output, Page, Platform};
use crate::model::{App, AppName, Kind, Permission, Problem};

/// Width of the column of keys with its blank, at least.
const KEY_COLUMN: usize = 31;

/// Facts about one app under one heading.
#[derive(Debug, Clone)]
pub struct Report {
    /// The app.
    pub app: AppName,
    /// Facts by key, as in JSON: `ps-can-scale`.
    pub facts: BTreeMap<String, String>,
    /// What stands before a value in text, where the key does not say it well.
    titles: BTreeMap<String, String>,
}

impl Report {
    /// A report without facts.
    pub(super) fn new(app: &AppName) -> Self {
        Self {
            app: app.clone(),
            facts: BTreeMap::new(),
            titles: BTreeMap::new(),
        }
    }

    /// Adds a fact.
    pub(super) fn fact(&mut self, key: &str, value: impl ToString) {
        self.facts.insert(key.to_owned(), value.to_string());
    }

    /// Adds a fact whose key has a name with dots and hyphens in it, which its title keeps.
    pub(super) fn titled(&mut self, key: &str, title: &str, value: impl ToString) {
        self.titles.insert(key.to_owned(), title.to_owned());
        self.fact(key, value);
    }

    fn title(&self, key: &str) -> String {
        let own = self.titles.get(key).cloned();
        own.unwrap_or_else(|| title(key))
    }
}

/// What a report is about.
pub(super) enum Asked<'a> {
    /// The app the caller was authorized for.
    One(&'a Authorized, Options),
    /// All apps the caller may see.
    All(Vec<App>),
}

impl<'a> Asked<'a> {
    /// The app if one was named, else all.
    pub(super) async fn by(
        app: Option<&AppName>,
        platform: &Platform,
        authorized: &'a Authorized,
        dialog: &Dialog,
    ) -> Result<Asked<'a>, Problem> {
        Ok(match app {
            Some(_) => Asked::One(authorized, dialog.options()),
            None => Asked::All(authorized.visible_apps(platform).await?),
        })
    }
}

/// A command that reports an app by itself, or all apps one after the other. What all such commands do is written once, in
/// their [`Command`].
pub trait OfEachApp: Send + Sized {
    /// What is reported, as the heading says it.
    const TOPIC: &'static str;

    /// The app that was named; none for all.
    fn app(&self) -> Option<&AppName>;

    /// The one key whose value is asked for, `--KEY`.
    fn flag(&self) -> Option<&str>;

    /// The report of one app.
    fn of(platform: &Platform, app: &App) -> impl Future<Output = Result<Report, Problem>> + Send;
}

impl<C: OfEachApp> Command for C {
    type Output = Reports;

    fn permission(&self) -> Permission {
        Permission::to_read(self.app())
    }

    async fn run(
        self,
        platform: &Platform,
        authorized: &Authorized,
        dialog: &mut Dialog,
    ) -> Result<Reports, Problem> {
        let asked = Asked::by(self.app(), platform, authorized, dialog).await?;
        let of = |app| async move { C::of(platform, &app).await };
        Reports::about(C::TOPIC, asked, self.flag(), of).await
    }
}

/// The answer of a report command.
#[derive(Debug)]
pub enum Reports {
    /// All facts of one app.
    One(&'static str, Report),
    /// One fact of one app.
    Fact(String, String),
    /// All facts of all apps.
    All(&'static str, Vec<Report>),
}

impl Reports {
    /// All facts of the app that was named, or one of them, or, where none was named, of all apps the caller may see.
    /// `of` makes the report of one.
    pub(super) async fn about<F>(
        topic: &'static str,
        asked: Asked<'_>,
        flag: Option<&str>,
        of: impl Fn(App) -> F,
    ) -> Result<Self, Problem>
    where
        F: Future<Output = Result<Report, Problem>>,
    {
        match asked {
            Asked::One(authorized, options) => {
                let report = of(authorized.app()?.clone()).await?;
                Reports::one(topic, report, flag, options)
            }
            Asked::All(apps) => {
                let mut reports = Vec::with_capacity(apps.len());
                for app in apps {
                    reports.push(of(app).await?);
                }
                Ok(Reports::All(topic, reports))
            }
        }
    }

    /// All facts of one app, or the one that `flag` (`--ps-can-scale`) names.
    pub(super) fn one(
        topic: &'static str,
        report: Report,
        flag: Option<&str>,
        options: Options,
    ) -> Result<Self, Problem> {
        let Some(flag) = flag else {
            return Ok(Reports::One(topic, report));
        };
        if options.format == Format::Json {
            return Err(Problem::new(
                Kind::Usage,
                "--format flag cannot be specified when specifying an info flag",
                "",
                "",
            ));
        }
        let key = flag.strip_prefix("--").unwrap_or_default();
        match report.facts.get(key) {
            Some(value) => Ok(Reports::Fact(key.to_owned(), value.clone())),
            None => {
                let valid: Vec<String> =
                    report.facts.keys().map(|key| format!("--{key}")).collect();
                Err(Problem::new(
                    Kind::Invalid,
                    format!("Invalid flag passed, valid flags: {}", valid.join(", ")),
                    "",
                    "",
                ))
            }
        }
    }
}

impl Serialize for Reports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Reports::One(_, report) => report.facts.serialize(serializer),
            Reports::Fact(key, value) => {
                BTreeMap::from([(key.as_str(), value.as_str())]).serialize(serializer)
            }
            Reports::All(_, reports) => serializer.collect_map(
                reports
                    .iter()
                    .map(|report| (report.app.as_str(), &report.facts)),
            ),
        }
    }
}

impl Output for Reports {
    fn print(&self, page: &mut Page) {
        match self {
            Reports::One(topic, report) => print(page, topic, report),
            Reports::Fact(_, value) => page.line(value),
            Reports::All(_, reports) if reports.is_empty() => {
                page.warning("You haven't deployed any applications yet");
            }
            Reports::All(topic, reports) => {
                for report in reports {
                    print(page, topic, report);
                }
            }
        }
    }
}

/// Prints one report.
pub(super) fn print(page: &mut Page, topic: &str, report: &Report) {
    page.section(format!("{} {topic} information", report.app));
    let titles: Vec<(String, &String)> = report
        .facts
        .iter()
        .map(|(key, value)| (format!("{}:", report.title(key)), value))
        .collect();
    let width = titles
        .iter()
        .map(|(title, _)| title.chars().count() + 1)
        .fold(KEY_COLUMN, usize::max);
    for (title, value) in titles {
        page.detail(format!("{title:<width$}{value}").trim_end());
    }
}

/// `ps-can-scale` -> `Ps can scale`
fn title(key: &str) -> String {
    let words = key.replace(['-', '.'], " ");
    let mut chars = words.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(&"blog".parse().unwrap());
        report.fact("deployed", true);
        report.fact("status-web-1", "running (CID: 0123456789ab)");
        report
    }

    fn text(reports: &Reports) -> String {
        let mut page = Page::default();
        reports.print(&mut page);
        page.to_text()
    }

    #[test]
    fn a_report_is_dokkus_to_the_column() {
        let all = Reports::one("ps", report(), None, Options::default()).unwrap();
        insta::assert_snapshot!(text(&all), @r"
        =====> blog ps information
               Deployed:                      true
               Status web 1:                  running (CID: 0123456789ab)
        ");
        insta::assert_snapshot!(serde_json::to_string(&all).unwrap(), @r#"{"deployed":"true","status-web-1":"running (CID: 0123456789ab)"}"#);
    }

    #[test]
    fn a_flag_gives_its_value_alone_and_a_wrong_one_the_list() {
        let one = Reports::one("ps", report(), Some("--deployed"), Options::default()).unwrap();
        assert_eq!(text(&one), "true\n");
        let refused = Reports::one("ps", report(), Some("--x"), Options::default()).unwrap_err();
        assert_eq!(
            refused.what,
            "Invalid flag passed, valid flags: --deployed, --status-web-1"
        );
        let json = Options {
            format: Format::Json,
            ..Options::default()
        };
        let refused = Reports::one("ps", report(), Some("--deployed"), json).unwrap_err();
        assert_eq!(
            refused.what,
            "--format flag cannot be specified when specifying an info flag"
        );
    }
}

//! `apps.json`: which apps may register, and from where.
//!
//! The Worker has the file compiled in, so its build checks it; the native relay
//! reads it when it starts, and again when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::error::{AppCode, AppError};
use crate::hex;
use crate::id::is_app_id;
use crate::url::is_origin;

/// The id that stands for every app id without an entry of its own.
const ANY: &str = "*";

/// The registered apps.
#[derive(Clone, Debug, Default)]
pub struct Apps {
    entries: BTreeMap<String, App>,
    blocked: Blocked,
}

/// Apps and origins that may not register, whatever `apps.json` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// App ids.
    #[serde(default)]
    pub apps: BTreeSet<String>,
    /// Origins, as browsers send them.
    #[serde(default)]
    pub origins: BTreeSet<String>,
}

/// What all sessions of an app id may take together. A relay that cannot count
/// them, such as the Worker, whose sessions know nothing of each other, passes
/// it over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Sessions, held ones too.
    pub max_sessions: Option<u64>,
    /// Bytes that are stored.
    pub max_bytes: Option<u64>,
}

/// One entry of `apps.json`.
#[derive(Clone, Debug)]
pub struct App {
    label: String,
    /// `None` admits any origin, and none.
    origins: Option<Vec<String>>,
    key_sha256: Option<[u8; 32]>,
    quota: Quota,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    label: String,
    allowed_origins: Vec<String>,
    key_sha256: Option<String>,
    max_sessions: Option<u64>,
    max_bytes: Option<u64>,
}

/// Why `apps.json` is refused: the entry and the reason.
#[derive(Debug, PartialEq, Eq)]
pub struct AppsError {
    entry: Option<String>,
    reason: String,
}

impl fmt::Display for AppsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.entry {
            Some(entry) => write!(f, "entry {entry:?}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for AppsError {}

impl Apps {
    /// Reads the text of `apps.json`.
    ///
    /// # Errors
    /// Names the entry and says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, AppsError> {
        let whole = |reason: String| AppsError {
            entry: None,
            reason,
        };
        let entries: BTreeMap<String, serde_json::Value> = serde_json::from_str(text)
            .map_err(|error| whole(format!("the file must be a JSON object of apps: {error}")))?;
        if entries.is_empty() {
            return Err(whole(
                "the file has no app: nobody could register".to_owned(),
            ));
        }
        let mut apps = BTreeMap::new();
        for (id, entry) in entries {
            match App::parse(&id, entry) {
                Ok(app) => apps.insert(id, app),
                Err(reason) => {
                    return Err(AppsError {
                        entry: Some(id),
                        reason,
                    });
                }
            };
        }
        Ok(Self {
            entries: apps,
            blocked: Blocked::default(),
        })
    }

    /// The same apps, of which these may not register.
    #[must_use]
    pub fn blocking(self, blocked: Blocked) -> Self {
        Self { blocked, ..self }
    }

    /// What may not register.
    #[must_use]
    pub const fn blocked(&self) -> &Blocked {
        &self.blocked
    }

    /// What the sessions of an app id may take: as its own entry says, or for
    /// each id without one as `"*"` says.
    #[must_use]
    pub fn quota(&self, app_id: &str) -> Quota {
        self.entry(app_id)
            .map_or_else(Quota::default, |app| app.quota)
    }

    /// Whether any entry has a quota.
    #[must_use]
    pub fn has_quotas(&self) -> bool {
        self.entries
            .values()
            .any(|app| app.quota != Quota::default())
    }

    fn entry(&self, app_id: &str) -> Option<&App> {
        self.entries.get(app_id).or_else(|| self.entries.get(ANY))
    }

    /// The label of an app id, if it has an entry of its own.
    #[must_use]
    pub fn label(&self, app_id: &str) -> Option<&str> {
        (app_id != ANY)
            .then(|| self.entries.get(app_id))?
            .map(|app| app.label.as_str())
    }

    /// Whether an app of this id says its name itself: anybody may register as it, so
    /// that a label can't tell who it is.
    #[must_use]
    pub fn takes_own_name(&self, app_id: &str) -> bool {
        let is_open = |app: &App| app.origins.is_none() && app.key_sha256.is_none();
        match self.entries.get(app_id) {
            Some(own) if app_id != ANY => is_open(own),
            _ => self.entries.contains_key(ANY),
        }
    }

    /// Whether this app may register from this origin with this key.
    ///
    /// # Errors
    /// `invalid_app_id`, `unknown_app_id`, `origin_denied` or
    /// `app_key_invalid`, looked at in this order.
    pub fn admit(
        &self,
        app_id: Option<&str>,
        origin: Option<&str>,
        key: Option<&str>,
    ) -> Result<(), AppError> {
        let app_id = app_id.filter(|id| is_app_id(id)).ok_or_else(|| {
            AppError::new(
                AppCode::InvalidAppId,
                "`appId` must be a string of 1 to 64 characters from A-Z a-z 0-9 _ . -",
            )
        })?;
        if self.blocked.apps.contains(app_id) {
            return Err(AppError::new(
                AppCode::UnknownAppId,
                "the relay's operator has blocked this `appId`",
            ));
        }
        if origin.is_some_and(|origin| self.blocked.origins.contains(origin)) {
            return Err(AppError::new(
                AppCode::OriginDenied,
                "the relay's operator has blocked this origin",
            ));
        }
        let app = self.entry(app_id).ok_or_else(|| {
            AppError::new(
                AppCode::UnknownAppId,
                "`appId` is not registered at this relay: use one of its apps.json, or ask its operator to add it",
            )
        })?;
        if !app.admits_origin(origin) {
            return Err(AppError::new(
                AppCode::OriginDenied,
                "this app may not connect from this origin: the relay's operator lists the allowed ones in apps.json",
            ));
        }
        if !app.admits_key(key) {
            return Err(AppError::new(
                AppCode::AppKeyInvalid,
                "`appKey` must be the key whose SHA-256 is in the relay's apps.json",
            ));
        }
        Ok(())
    }
}

impl App {
    fn parse(id: &str, entry: serde_json::Value) -> Result<Self, String> {
        if id != ANY && !is_app_id(id) {
            return Err(
                "the id must be \"*\" or 1 to 64 characters from A-Z a-z 0-9 _ . -".to_owned(),
            );
        }
        let entry: Entry = serde_json::from_value(entry).map_err(|error| error.to_string())?;
        if entry.label.trim().is_empty() {
            return Err("`label` is empty".to_owned());
        }
        if entry.allowed_origins.is_empty() {
            return Err(
                "`allowedOrigins` is empty: write [\"*\"] to allow every origin".to_owned(),
            );
        }
        let any = entry.allowed_origins.iter().any(|origin| origin == "*");
        if any && entry.allowed_origins.len() > 1 {
            return Err(
                "`allowedOrigins` has \"*\" beside other origins: keep one or the other".to_owned(),
            );
        }
        if let Some(origin) = entry
            .allowed_origins
            .iter()
            .find(|origin| *origin != "*" && !is_origin(origin))
        {
            return Err(format!(
                "`allowedOrigins`: {origin:?} is not an origin: write scheme://host or scheme://host:port, in lower case, without a path"
            ));
        }
        let key_sha256 = match entry.key_sha256 {
            None => None,
            Some(hex) => Some(hex::decode(&hex).ok_or("`keySha256` must be 64 hex characters")?),
        };
        for (name, number) in [
            ("maxSessions", entry.max_sessions),
            ("maxBytes", entry.max_bytes),
        ] {
            if number == Some(0) {
                return Err(format!(
                    "`{name}` must be 1 or more; to admit nobody, remove the entry"
                ));
            }
        }
        Ok(Self {
            quota: Quota {
                max_sessions: entry.max_sessions,
                max_bytes: entry.max_bytes,
            },
            label: entry.label,
            origins: (!any).then_some(entry.allowed_origins),
            key_sha256,
        })
    }

    fn admits_origin(&self, origin: Option<&str>) -> bool {
        self.origins.as_ref().is_none_or(|allowed| {
            origin.is_some_and(|origin| allowed.iter().any(|one| one == origin))
        })
    }

    fn admits_key(&self, key: Option<&str>) -> bool {
        self.key_sha256.as_ref().is_none_or(|expected| {
            let given: [u8; 32] = Sha256::digest(key.unwrap_or_default()).into();
            given.ct_eq(expected).into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "open": {"label": "Open", "allowedOrigins": ["*"]},
        "mine": {"label": "Mine", "allowedOrigins": ["https://a.example", "http://localhost:3000"]},
        "keyed": {"label": "Keyed", "allowedOrigins": ["*"], "keySha256": "2C70E12B7A0646F92279F427C7B38E7334D8E5389CFF167A1DC30E73F826B683"}
    }"#;

    fn code(file: &str, id: &str, origin: Option<&str>, key: Option<&str>) -> Option<AppCode> {
        Apps::parse(file)
            .unwrap()
            .admit(Some(id), origin, key)
            .err()
            .map(|error| error.code)
    }

    #[test]
    fn entries_admit_and_refuse() {
        assert_eq!(code(FILE, "open", None, None), None);
        assert_eq!(code(FILE, "mine", Some("https://a.example"), None), None);
        assert_eq!(
            code(FILE, "mine", Some("https://b.example"), None),
            Some(AppCode::OriginDenied)
        );
        assert_eq!(code(FILE, "mine", None, None), Some(AppCode::OriginDenied));
        assert_eq!(code(FILE, "other", None, None), Some(AppCode::UnknownAppId));
        assert_eq!(code(FILE, "*", None, None), Some(AppCode::InvalidAppId));
        assert_eq!(code(FILE, "keyed", None, Some("key")), None);
        assert_eq!(
            code(FILE, "keyed", None, Some("kez")),
            Some(AppCode::AppKeyInvalid)
        );
        assert_eq!(
            code(FILE, "keyed", None, None),
            Some(AppCode::AppKeyInvalid)
        );
        assert_eq!(
            code(
                r#"{"*":{"label":"Any","allowedOrigins":["*"]}}"#,
                "other",
                None,
                None
            ),
            None
        );
    }

    #[test]
    fn a_block_goes_before_the_file() {
        let blocked = Blocked {
            apps: BTreeSet::from(["open".to_owned()]),
            origins: BTreeSet::from(["https://a.example".to_owned()]),
        };
        let apps = Apps::parse(FILE).unwrap().blocking(blocked.clone());
        let code = |id, origin| {
            apps.admit(Some(id), origin, Some("key"))
                .err()
                .map(|error| error.code)
        };
        assert_eq!(code("open", None), Some(AppCode::UnknownAppId));
        assert_eq!(
            code("mine", Some("https://a.example")),
            Some(AppCode::OriginDenied)
        );
        assert_eq!(
            code("keyed", Some("https://a.example")),
            Some(AppCode::OriginDenied)
        );
        assert_eq!(code("mine", Some("http://localhost:3000")), None);
        assert_eq!(apps.blocked(), &blocked);
    }

    #[test]
    fn quotas_are_read_and_those_of_any_app_are_for_each() {
        let apps = Apps::parse(
            r#"{"a":{"label":"A","allowedOrigins":["*"],"maxSessions":2,"maxBytes":3},"b":{"label":"B","allowedOrigins":["*"]},"*":{"label":"Any","allowedOrigins":["*"],"maxSessions":5}}"#,
        )
        .unwrap();
        let quota = |max_sessions, max_bytes| Quota {
            max_sessions,
            max_bytes,
        };
        assert_eq!(apps.quota("a"), quota(Some(2), Some(3)));
        assert_eq!(apps.quota("b"), quota(None, None));
        assert_eq!(apps.quota("other"), quota(Some(5), None));
        assert!(apps.has_quotas());
        let apps = Apps::parse(FILE).unwrap();
        assert_eq!(apps.quota("unknown"), Quota::default());
        assert!(!apps.has_quotas());
    }

    #[test]
    fn only_an_own_entry_has_a_label() {
        let apps = Apps::parse(r#"{"*":{"label":"Any","allowedOrigins":["*"]},"a":{"label":"A app","allowedOrigins":["*"]}}"#).unwrap();
        assert_eq!(
            (apps.label("a"), apps.label("b"), apps.label("*")),
            (Some("A app"), None, None)
        );
    }

    #[test]
    fn only_what_anybody_may_register_as_has_a_name_of_its_own() {
        let apps = Apps::parse(FILE).unwrap();
        let names = ["open", "mine", "keyed", "other"].map(|id| apps.takes_own_name(id));
        assert_eq!(names, [true, false, false, false]);
        let any = Apps::parse(r#"{"*":{"label":"Any","allowedOrigins":["https://a.example"]},"mine":{"label":"M","allowedOrigins":["https://a.example"]}}"#).unwrap();
        assert!(any.takes_own_name("other") && !any.takes_own_name("mine"));
    }

    #[test]
    fn a_bad_file_is_refused_with_entry_and_reason() {
        for (file, part) in [
            ("", "JSON object"),
            ("[]", "JSON object"),
            ("{}", "no app"),
            (
                r#"{"a b":{"label":"x","allowedOrigins":["*"]}}"#,
                "\"a b\": the id",
            ),
            (
                r#"{"a":{"allowedOrigins":["*"]}}"#,
                "\"a\": missing field `label`",
            ),
            (
                r#"{"a":{"label":"","allowedOrigins":["*"]}}"#,
                "`label` is empty",
            ),
            (r#"{"a":{"label":"x"}}"#, "allowedOrigins"),
            (r#"{"a":{"label":"x","allowedOrigins":[]}}"#, "empty"),
            (
                r#"{"a":{"label":"x","allowedOrigins":["*","https://a"]}}"#,
                "beside",
            ),
            (
                r#"{"a":{"label":"x","allowedOrigins":["https://a/"]}}"#,
                "not an origin",
            ),
            (
                r#"{"a":{"label":"x","allowedOrigins":["a.example"]}}"#,
                "not an origin",
            ),
            (
                r#"{"a":{"label":"x","allowedOrigins":["*"],"keySha256":"ab"}}"#,
                "64 hex",
            ),
            (
                r#"{"a":{"label":"x","allowedOrigins":["*"],"more":1}}"#,
                "unknown field `more`",
            ),
            (
                r#"{"a":{"label":"x","allowedOrigins":["*"],"maxSessions":0}}"#,
                "`maxSessions` must be 1 or more",
            ),
            (
                r#"{"a":{"label":"x","allowedOrigins":["*"],"maxBytes":-1}}"#,
                "invalid value",
            ),
            (
                r#"{"a":{"label":"x","allowedOrigins":["*"],"maxBytes":"1 MB"}}"#,
                "invalid type",
            ),
        ] {
            let error = Apps::parse(file).unwrap_err().to_string();
            assert!(error.contains(part), "{file}: {error}");
        }
    }
}

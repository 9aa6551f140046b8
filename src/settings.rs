//! The relay's settings, read once for each isolate.

use std::cell::OnceCell;
use std::rc::Rc;

use agent_socket_protocol::apps::Apps;
use agent_socket_session::Config;
use wasm_bindgen::JsValue;

use crate::js;

/// What the environment says, checked.
pub(crate) struct Settings {
    pub(crate) config: Rc<Config>,
    /// Whether `_debug` is served.
    pub(crate) debug: bool,
}

/// Compiled in; the build has checked it.
const APPS_JSON: &str = include_str!("../apps.json");

thread_local! {
    static SETTINGS: OnceCell<Result<Rc<Settings>, String>> = const { OnceCell::new() };
}

/// The settings, or what is wrong with them.
pub(crate) fn settings(env: &JsValue) -> Result<Rc<Settings>, String> {
    SETTINGS.with(|cell| cell.get_or_init(|| read(env)).clone())
}

fn read(env: &JsValue) -> Result<Rc<Settings>, String> {
    let apps = Apps::parse(APPS_JSON).map_err(|error| format!("apps.json: {error}"))?;
    let config =
        Config::from_vars(|name| js::env_var(env, name), apps).map_err(|bad| bad.to_string())?;
    if !js::has_limiter(env) {
        js::log("no rate limit is bound (UPGRADES): WebSocket upgrades are not limited");
    }
    let debug = js::env_var(env, "DEBUG").as_deref() == Some("1");
    Ok(Rc::new(Settings {
        config: Rc::new(config),
        debug,
    }))
}

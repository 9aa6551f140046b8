//! The relay's settings, read once for each isolate.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use agent_socket_driver::Config;
use agent_socket_front::{Addresses, Config as FrontConfig, Others, answers};
use agent_socket_wire::answer::AGENT_HEADERS;
use agent_socket_wire::apps::Apps;
use wasm_bindgen::JsValue;

use crate::js;

/// What the environment says, checked.
pub(crate) struct Settings {
    pub(crate) config: Arc<Config>,
    pub(crate) front: FrontConfig,
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
    let headers = AGENT_HEADERS.map(|(name, value)| format!("{name}\t{value}"));
    js::prepare(&headers.join("\n"), &answers::restarted().body());
    let apps = Apps::parse(APPS_JSON).map_err(|error| format!("apps.json: {error}"))?;
    let config =
        Config::from_vars(|name| js::env_var(env, name), apps).map_err(|bad| bad.to_string())?;
    if !js::has_limiter(env) {
        js::log("no rate limit is bound (UPGRADES): WebSocket upgrades are not limited");
    }
    let debug = js::env_var(env, "DEBUG");
    let public_url = js::env_var(env, "PUBLIC_URL");
    let addresses =
        Addresses::new(public_url.as_deref(), Others::WorkersDev).map_err(|bad| bad.to_string())?;
    Ok(Rc::new(Settings {
        front: FrontConfig::new(config.token_prefix.clone(), debug.as_deref())
            .reached_at(addresses),
        config: Arc::new(config),
    }))
}

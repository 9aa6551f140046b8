//! The relay's settings and bindings, read once for each isolate.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use agent_socket_driver::Config;
use agent_socket_front::{Addresses, Config as FrontConfig, Others};
use agent_socket_wire::apps::Apps;
use agent_socket_wire::relay_secret::RelaySecret;
use agent_socket_wire::vars::RELAY_SECRET;
use js_sys::{Number, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};
use worker::worker_sys::{DurableObjectNamespace, Fetcher};
use worker::{Env, RateLimiter, Result, console_log};

/// What the environment holds, checked.
pub(crate) struct Settings {
    pub(crate) config: Arc<Config>,
    pub(crate) front: FrontConfig,
    /// The objects of all sessions.
    pub(crate) sessions: DurableObjectNamespace,
    pub(crate) limiter: Option<RateLimiter>,
    pub(crate) assets: Option<Fetcher>,
}

/// Compiled in; the build has checked it.
const APPS_JSON: &str = include_str!("../apps.json");

thread_local! {
    static SETTINGS: OnceCell<Result<Rc<Settings>, String>> = const { OnceCell::new() };
}

/// The settings, or what is wrong with them.
pub(crate) fn settings(env: &Env) -> Result<Rc<Settings>, String> {
    let read = || {
        read(env)
            .map(Rc::new)
            .map_err(|problem| problem.to_string())
    };
    SETTINGS.with(|cell| cell.get_or_init(read).clone())
}

fn read(env: &Env) -> Result<Settings, Box<dyn std::error::Error>> {
    let apps = Apps::parse(APPS_JSON).map_err(|error| format!("apps.json: {error}"))?;
    let config = Config::from_vars(|name| var(env, name), apps)?;
    let addresses = Addresses::new(var(env, "PUBLIC_URL").as_deref(), Others::WorkersDev)?;
    let limiter = bound(env, "UPGRADES", Env::rate_limiter)?;
    if limiter.is_none() {
        console_log!("no rate limit is bound (UPGRADES): WebSocket upgrades are not limited");
    }
    let secret = var(env, RELAY_SECRET.name);
    let secret = secret.as_deref().map(RelaySecret::parse).transpose()?;
    if secret.is_none() {
        console_log!("there is no RELAY_SECRET: session ids are not checked");
    }
    Ok(Settings {
        front: FrontConfig::new(config.token_prefix.clone(), var(env, "DEBUG").as_deref())
            .reached_at(addresses)
            .keyed_by(secret),
        config: Arc::new(config),
        sessions: JsValue::from(env.durable_object("RELAY")?).unchecked_into(),
        limiter,
        assets: bound(env, "ASSETS", Env::assets)?.map(worker::Fetcher::into_rpc),
    })
}

/// A binding, if there is one of this name.
fn bound<T>(env: &Env, name: &str, get: fn(&Env, &str) -> Result<T>) -> Result<Option<T>> {
    raw(env, name).map(|_| get(env, name)).transpose()
}

/// A var as text, if it is set; wrangler.toml may have it as a number.
fn var(env: &Env, name: &str) -> Option<String> {
    let number = || {
        let number: Number = raw(env, name)?.dyn_into().ok()?;
        Some(number.to_js_string().into())
    };
    env.var(name)
        .map(|text| text.to_string())
        .ok()
        .or_else(number)
}

fn raw(env: &Env, name: &str) -> Option<JsValue> {
    let value = Reflect::get(env, &name.into()).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}

//! HTTP: connections, requests, responses.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod connection;
mod content;
mod handshake;
mod pages;
pub(crate) mod proxy;
mod service;

//! A message of a socket, taken into memory.

use agent_socket_driver::Frame;
use agent_socket_wire::limits::MAX_FRAME_LENGTH;
use js_sys::{JsString, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};

use crate::js;

/// From this length on a text is encoded by the runtime before it crosses.
const LONG_TEXT_CHARS: u32 = 256;

/// A message. Wasm memory never shrinks: what is too large stays outside.
pub(crate) enum Message {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    TooLarge,
}

impl Message {
    /// Takes in what the runtime reports: a text, or bytes.
    pub(crate) fn of(message: &JsValue) -> Self {
        let Some(text) = message.dyn_ref::<JsString>() else {
            let bytes = Uint8Array::new(message);
            let fits = bytes.length() as usize <= MAX_FRAME_LENGTH;
            return if fits {
                Self::Binary(bytes.to_vec())
            } else {
                Self::TooLarge
            };
        };
        match text.length() {
            length if length as usize > MAX_FRAME_LENGTH => Self::TooLarge,
            0..=LONG_TEXT_CHARS => Self::Text(String::from(text).into_bytes()),
            _ => Self::Text(js::encode(text)),
        }
    }

    /// The message as a session takes it.
    pub(crate) fn frame(&self) -> Frame<'_> {
        match self {
            Self::Text(data) => Frame::Text(data),
            Self::Binary(data) => Frame::Binary(data),
            Self::TooLarge => Frame::TooLarge,
        }
    }
}

//! What the tests and the fuzz targets share.

pub(crate) mod ops;
mod secrets;
pub(crate) mod world;

//! What the tests and the fuzz targets share.

mod audit;
pub(crate) mod ops;
mod secrets;
pub(crate) mod world;

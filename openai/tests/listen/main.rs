//! Connections as peers find them: quick and slow ones, one request after the other and many at once.

mod bounds;
mod many;

//! Importing Hugging Face folders and opening model folders, as a user sees it.

mod demo;
mod folder;
mod hostile;
mod refused;
mod tiny;
mod variants;

//! Clusters of mode Strimzi: its real definitions, a stand-in for its operators, and a real broker behind
//! them.

mod apis;
mod desk;
mod killed;
mod letting_go;
mod many;
mod topics;
mod users;

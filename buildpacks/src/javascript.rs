//! What packages of JavaScript say about themselves beyond what a pointer into package.json can reach: scripts, workspaces,
//! configuration written as code, projects of Angular and Nx. Each is offered as a probe.

pub(crate) mod angular;
pub(crate) mod code;
pub(crate) mod nx;
pub(crate) mod script;
pub(crate) mod task;
pub(crate) mod workspace;

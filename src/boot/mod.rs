//! Placeholder, replaced below in this same session.

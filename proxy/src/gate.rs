//! What a request must pass before it is forwarded, as the policy of its service has it.

use crate::fault::Fault;
use crate::policy::Policy;
use crate::table::Service;
use http::Request;
use hyper::body::{Body as _, Incoming};

/// The checks of one service, as one thread carries them out.
#[derive(Debug)]
pub(crate) struct Gate {
    max_body_bytes: Option<u64>,
}

impl Gate {
    /// `None` for a service whose policy asks for no check: most requests pay one branch.
    pub(crate) fn of(service: &Service) -> Option<Gate> {
        let Policy { max_body_bytes, .. } = *service.policy;
        max_body_bytes.is_some().then_some(Gate { max_body_bytes })
    }

    /// Whether a request may pass.
    pub(crate) fn admit(&self, request: &Request<Incoming>) -> Result<(), Fault> {
        if let Some(most) = self.max_body_bytes
            && request.body().size_hint().lower() > most
        {
            return Err(Fault::BodyTooLarge);
        }
        Ok(())
    }

    /// How many bytes the body of a request may have.
    pub(crate) fn body_limit(&self) -> u64 {
        self.max_body_bytes.unwrap_or(u64::MAX)
    }
}

//! Who makes the repository of a name now: one at a time, so that a push to an app that is being cloned or renamed finds all of its
//! repository, and nobody's is replaced while it is written to.

use std::collections::HashSet;

use tokio::sync::watch;

use crate::model::AppName;

/// The names whose repositories are being made. Clones share everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims(watch::Sender<HashSet<AppName>>);

/// The right to make the repository of a name; dropped, it is the next one's.
#[derive(Debug)]
#[must_use = "it is over when it is dropped"]
pub struct Claim {
    claims: Claims,
    app: AppName,
}

impl Claims {
    /// Claims a name, unless somebody has.
    pub(super) fn try_claim(&self, app: &AppName) -> Option<Claim> {
        let is_free = self
            .0
            .send_if_modified(|claimed| claimed.insert(app.clone()));
        is_free.then(|| Claim {
            claims: self.clone(),
            app: app.clone(),
        })
    }

    /// The same once whoever has it is done.
    pub(super) async fn claim(&self, app: &AppName) -> Claim {
        let mut claimed = self.0.subscribe();
        loop {
            if let Some(claim) = self.try_claim(app) {
                return claim;
            }
            // Fails only without a sender, and this has it.
            let _ = claimed.wait_for(|claimed| !claimed.contains(app)).await;
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.send_modify(|claimed| {
            claimed.remove(&self.app);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_claimed_by_one_at_a_time() {
        let claims = Claims::default();
        let [shop, blog] = ["shop", "blog"].map(|name| name.parse::<AppName>().unwrap());
        let claim = claims.clone().claim(&shop).await;
        assert!(claims.try_claim(&shop).is_none());
        drop(claims.try_claim(&blog).unwrap());
        let (second, ()) = tokio::join!(claims.claim(&shop), async { drop(claim) });
        assert!(claims.try_claim(&shop).is_none());
        drop(second);
        assert!(claims.try_claim(&shop).is_some());
    }
}

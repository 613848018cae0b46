//! When a certificate is renewed.

use super::world::{Advice, Draw, Held, Origin};
use std::time::SystemTime;

/// Renewals that nobody advises on are spread over this share of a certificate's life, so that
/// certificates ordered together are not renewed together for ever.
const SPREAD: u32 = 30;
/// Whatever the authority advises, the last tenth of the life is left for trying.
const RESERVE: u32 = 10;

/// When to renew a certificate: at a moment drawn from the window the authority suggests (RFC 9773
/// section 4.2), else soon after two thirds of its life. `None` for one that is not ours to renew.
///
/// The moment is the same each time it is asked for, as long as certificate and window are the same.
pub fn renew_at(held: &Held) -> Option<SystemTime> {
    let Origin::Ordered { advice, .. } = &held.origin else {
        return None;
    };
    let (life, draw) = (held.life(), Draw::of(held));
    let usual = held.not_before + life * 2 / 3 + draw.share(life / SPREAD);
    let Some(window) = advice.and_then(|Advice { window, .. }| window) else {
        return Some(usual);
    };
    // A window that ends before it begins says nothing.
    let Ok(span) = window.end.duration_since(window.start) else {
        return Some(usual);
    };
    let latest = held.not_before + life - life / RESERVE;
    let moment = window.start.checked_add(draw.share(span));
    Some(moment.map_or(latest, |moment| moment.min(latest)))
}

#[cfg(test)]
mod tests {
    use super::renew_at;
    use crate::acme::{Advice, Held, Origin, Window};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
    use std::time::{Duration, SystemTime};

    const DAY: Duration = Duration::from_secs(86_400);

    fn held(id: &str, window: Option<(u32, u32)>) -> Held {
        let begin = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let window = window.map(|(start, end)| Window {
            start: begin + start * DAY,
            end: begin + end * DAY,
        });
        Held {
            names: vec!["shop.example.com".parse().unwrap()],
            not_before: begin,
            not_after: begin + 90 * DAY,
            origin: Origin::Ordered {
                id: Some(id.to_owned()),
                advice: Some(Advice {
                    window,
                    ask_again: begin,
                }),
            },
        }
    }

    fn days(held: &Held) -> f64 {
        let moment = renew_at(held).unwrap();
        let since = moment.duration_since(held.not_before).unwrap();
        since.as_secs_f64() / DAY.as_secs_f64()
    }

    #[test]
    fn a_given_certificate_is_not_ours_to_renew() {
        let mut given = held("a", None);
        given.origin = Origin::Given;
        assert_eq!(renew_at(&given), None);
    }

    #[test]
    fn a_window_in_the_past_means_at_once_and_one_beyond_the_end_is_cut() {
        assert!(days(&held("a", Some((0, 1)))) < 1.0);
        assert_eq!(days(&held("a", Some((89, 1000)))), 81.0);
        // Nonsense is as good as no window.
        assert!((60.0..63.0).contains(&days(&held("a", Some((9, 8))))));
    }

    proptest! {
        #[test]
        fn without_advice_it_is_from_two_thirds_of_the_life_on(id in "[a-z]{1,10}") {
            let held = held(&id, None);
            prop_assert!((60.0..63.0).contains(&days(&held)));
            prop_assert_eq!(renew_at(&held), renew_at(&held.clone()));
        }

        #[test]
        fn with_a_window_it_is_a_moment_of_it(id in "[a-z]{1,10}", start in 1u32..70, span in 1u32..10) {
            let moment = days(&held(&id, Some((start, start + span))));
            prop_assert!((f64::from(start)..f64::from(start + span)).contains(&moment));
        }

        #[test]
        fn certificates_of_one_hour_are_spread(seed in 0u32..1000) {
            let (one, other) = (held(&format!("a{seed}"), None), held(&format!("b{seed}"), None));
            prop_assert!(renew_at(&one) != renew_at(&other));
        }
    }
}
